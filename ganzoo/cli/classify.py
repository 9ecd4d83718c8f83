"""``ganzoo classify``: writes the most probable class of each image file, with its probability, into a table."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from ganzoo.cli.function import parse
from ganzoo.errors import InputError, printable
from ganzoo.utils.ranges import PositiveInt, Size

NAMED = 10  # damaged files that have a line of their own


def options(
    out: str = "labels.csv",
    top_k: PositiveInt = 1,
    batch_size: Size = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    config: str | None = None,
) -> None:
    """The options of the command.

    Args:
        out: The CSV file; it must be new.
        top_k: Classes for each file, the most probable first.
        batch_size: Images at a time.
        device: Where the network works; auto is a GPU if there is one.
        config: The config of the model's run, where the model is of a class of yours.
    """


def parser() -> ArgumentParser:
    """The parser of the command."""
    made = ArgumentParser(
        prog="ganzoo classify",
        description="Classifies image files with a trained classifier (DANN) and writes a CSV file with a row for each.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    made.add_argument("model", type=str, help="A checkpoint, a run's folder, or a saved model.")
    made.add_argument("inputs", nargs="+", type=str, help="Files and folders.")
    made.add_function_arguments(options, as_group=False)
    made.add_argument("--overwrite", action="store_true", help="Replace the CSV file if it is there.")
    made.add_argument("--raw", action="store_true", help="The trained weights, also where the model has averaged ones.")
    return made


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["last.ckpt", "photos", "--out", "labels.csv"])``.

    Returns:
        0; 2 if a file could not be read.

    Raises:
        InputError: what cannot be classified, in one line.
    """
    given = parse(parser(), args)

    from ganzoo.cli.options import device, refuse_unwritable
    from ganzoo.hub.loading import load_trained
    from ganzoo.hub.sources import find_model
    from ganzoo.inference.classify import class_names, classify_files, training_images
    from ganzoo.interfaces import Classifier
    from ganzoo.utils.files import atomic_write
    from ganzoo.utils.log import log_info
    from ganzoo.utils.progress import ProgressBar

    out = Path(given.out)
    if out.exists() and not given.overwrite:
        raise InputError(f"{printable(out)} already exists: give another --out, or --overwrite")
    files = find_files(given.inputs)
    refuse_unwritable(out, "--out")
    path, why = find_model(given.model)
    if why:
        log_info(why)
    trained = load_trained(path, raw=given.raw, config=given.config)
    model = trained.module.to(device(given.device))
    if not isinstance(model, Classifier):
        raise InputError(f"{type(model).__name__} does not classify images: give a DANN, for example")
    data = training_images(trained.data)
    names = class_names(data, model.classes)
    top_k = min(int(given.top_k), model.classes)
    damaged = 0
    with (
        atomic_write(out) as part,
        open(part, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ProgressBar(len(files), "classifying", delay=1.0) as bar,
    ):
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["input", *(f"{column}{_rank(k)}" for k in range(top_k) for column in COLUMNS), "error"])
        for each, label in classify_files(model, files, top_k, int(given.batch_size), data):
            found = []
            for number, probability in zip(label.classes, label.probabilities, strict=True):
                found += [number, names[number] if names else "", f"{probability:.6f}"]
            rows.writerow([each, *(found or [""] * len(COLUMNS) * top_k), label.error])
            damaged += bool(label.error)
            if label.error and damaged <= NAMED:
                log_info(label.error)
            bar.update()
    log_info(f"{len(files) - damaged} of {len(files)} images are classified in {printable(out)}")
    if damaged:
        log_info(f"{damaged} of {len(files)} files could not be read: the column error says why")
    return 2 if damaged else 0


COLUMNS = ("class", "class_name", "probability")


def _rank(k: int) -> str:
    return "" if k == 0 else f"_{k + 1}"


def find_files(inputs: Sequence[str]) -> list[Path]:
    """The files, and all images below the folders, in the order given; each once.

    Raises:
        InputError: there is no such file or folder, or a folder has no images.
    """
    from ganzoo.data.image_files import find_images

    found: list[Path] = []
    for each in map(Path, inputs):
        if each.is_dir():
            found += find_images(each)
        elif each.exists():
            found.append(each)
        else:
            raise InputError(f"{printable(each)}: there is no such file or folder")
    return list(dict.fromkeys(found))
