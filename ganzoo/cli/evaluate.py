"""``ganzoo evaluate``: evaluates a checkpoint or a folder of images, prints a table, writes a file with the protocol."""

import shlex
import signal
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from jsonargparse import Namespace

from ganzoo.cli.arguments import metric_names, parser
from ganzoo.cli.early import refuse_missing_images
from ganzoo.cli.options import (
    config_section,
    device,
    is_of_training,
    peek_option,
    peek_options,
    read,
    read_data,
    refuse_unwritable,
    split_positionals,
)
from ganzoo.cli.outputs import UnsavedError, output_paths, work_dir
from ganzoo.cli.parser import Parser
from ganzoo.cli.tables import aligned
from ganzoo.cli.trained import load
from ganzoo.data.image_files import EXTENSIONS
from ganzoo.errors import InputError
from ganzoo.evaluation.api import finished
from ganzoo.evaluation.batches import ImageFiles
from ganzoo.evaluation.cache import cache_folder
from ganzoo.evaluation.evaluator import GRID, Evaluation
from ganzoo.evaluation.metrics import MetricOptions
from ganzoo.evaluation.pixel_metrics import PIXEL_METRICS
from ganzoo.evaluation.protocol import Result
from ganzoo.evaluation.request import Request
from ganzoo.evaluation.sources import Model, stub_trainer
from ganzoo.evaluation.worker import ResumableWorker
from ganzoo.hub.folder import CONFIG, data_of, read_folder
from ganzoo.hub.sources import find_model, is_model, run_config
from ganzoo.interfaces import Sampler
from ganzoo.utils.log import log_info
from ganzoo.utils.signals import Stopped, Stops
from ganzoo.utils.trust import check_trusted


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["last.ckpt", "--extractor", "efflite0"])``.

    Returns:
        0, or 128 and the number of the signal that ended it.

    Raises:
        InputError: what cannot be evaluated, in one line.
    """
    began = time.monotonic()
    evaluation, given = planned(args)
    result = evaluation.protocol()
    files = None if evaluation.sides.files is None else evaluation.sides.files.path
    stem = Path(given.fake).stem if files is None else files.resolve().name
    beside = files is None and Path(given.fake).is_file()
    usual = (Path(given.fake).parent if beside else Path()) / f"{stem}_{evaluation.label}.json"
    out, grid = output_paths(given.out, usual, result, "neighbours" in evaluation.chosen.pixels, files)
    try:
        with Stops() as stops, work_dir(out.parent / f".evaluate_{result.key}") as work:
            result.metrics = evaluation.run(ResumableWorker(work, stops))
            result.about |= evaluation.found | finished(began) | {"command": shlex.join(["ganzoo", "evaluate", *args])}
            result.left_out = evaluation.chosen.left_out
            with stops.defer_signals():
                _save(result, out, work / GRID, grid)
    except KeyboardInterrupt as stopped:
        return 128 + (stopped.signum if isinstance(stopped, Stopped) else signal.SIGINT)
    print(f"written to {out}")
    return 0


def planned(args: Sequence[str]) -> tuple[Evaluation, Namespace]:
    """The evaluation that the arguments ask for, and the arguments.

    Raises:
        InputError: what cannot be evaluated, before any image is generated.
    """
    command = parser(args)
    words, _ = split_positionals(command, args)
    checkpoint = _model_of(words[0]) if words else None
    given = _read(command, args, checkpoint, for_model=False)
    metrics, on = metric_names(given.metrics), device(given.device)
    trainer = stub_trainer(on.type)
    source = _generated(given, args, checkpoint)
    translates = isinstance(source, Model) and not isinstance(source.module, Sampler)
    of_pixels = given.real is None and bool(set(metrics or ()) & set(PIXEL_METRICS))
    if given.data is None and (translates or of_pixels):
        given = _read(command, args, checkpoint, for_model=True)
        if given.data is None:
            raise InputError(f"{given.fake} needs data, and no config.yaml of its run is there: give --data or --config")
    if isinstance(source, Model):
        source.attach(trainer)
        source.module.to(on)
    data = None if given.data is None else read_data(command, given, trainer)
    if given.save_statistics is not None and Path(given.save_statistics).suffix == ".npz":
        refuse_unwritable(Path(given.save_statistics), "--save_statistics")
    request = Request(
        metrics,
        extractor=given.extractor,
        weights=given.weights,
        n=given.n,
        split=given.split,
        batch_size=given.batch_size,
        options=MetricOptions(**{each.name: given[each.name] for each in fields(MetricOptions)}),
        per_class=given.per_class,
        moments=given.moments,
        classifier_epochs=given.classifier_epochs,
        device=on,
        cache=None if given.cache.lower() == "none" else cache_folder(given.cache),
        save_statistics=None if given.save_statistics is None else Path(given.save_statistics),
    )
    return Evaluation(source, data, None if given.real is None else Path(given.real), request), given


def _model_of(word: str) -> Path | None:
    """The checkpoint or the saved folder that the first argument means; None for a folder of images, or for nothing."""
    if not is_model(word):
        return None
    path, why = find_model(word)
    if why:
        log_info(why)
    return path


def _read(command: Parser, args: Sequence[str], checkpoint: Path | None, for_model: bool) -> Namespace:
    """The arguments, with the data of the config or of the checkpoint's run, if they are wanted.

    Args:
        command: its parser.
        args: of the command.
        checkpoint: that is evaluated; None for a folder of images.
        for_model: the evaluation needs data, whatever the real images are.
    """
    configs, (words, _) = peek_options(args, "--config", "-c"), split_positionals(command, args)
    data = config_section("data", *configs) if configs else None
    if data is None and any(map(is_of_training, configs)):
        raise InputError(f"--config {' '.join(configs)}: it has no data; give --data")
    changed = any(arg.startswith("--data.") for arg in args)
    if data is None and peek_option(args, "--data") is None and checkpoint is not None:
        own = checkpoint / CONFIG if checkpoint.is_dir() else run_config(checkpoint)
        if own is not None and (for_model or changed or len(words) == 1):
            data = data_of(read_folder(checkpoint)) if checkpoint.is_dir() else config_section("data", own)
            check_trusted(data, str(own), f"give it yourself: --config {own}")
    return read(command, args, data)


def _generated(given: Namespace, args: Sequence[str], checkpoint: Path | None) -> Model | ImageFiles:
    path = Path(given.fake)
    if checkpoint is not None:
        if checkpoint.suffix.lower() in EXTENSIONS:
            raise InputError(f"{path} is one image: give the folder of many, or a checkpoint")
        given.fake = str(checkpoint)
        return load(checkpoint, given.model, given.raw, given.weights_only, peek_option(args, "--config", "-c"))
    refuse_missing_images(given.fake)
    for option in ("raw", "model", "per_class"):
        if given[option]:
            raise InputError(f"--{option} is of a checkpoint, and {path} is a folder")
    return ImageFiles(path, given.n)


def _save(result: Result, out: Path, drawn: Path, grid: Path) -> None:
    """Writes the result and its image, if there is one, and shows it, written or not."""
    try:
        if drawn.exists():
            drawn.replace(grid)
            result.about["grid"] = str(grid)
        result.save(out)
    except (InputError, OSError) as error:
        why = error if isinstance(error, InputError) else f"cannot write {grid}: {error.strerror}"
        raise UnsavedError(f"{why}; the work is kept: the same command writes the result, or shows it again") from error
    finally:
        for line in report(result):
            print(line)


def report(result: Result) -> list[str]:
    """A result as lines: a table of its metrics, and what they are of."""
    rows = [["metric", "value", "+-", "of"]]
    for name, each in result.metrics.items():
        deviation = "" if each.deviation is None else f"{each.deviation:.2g}"
        rows.append([name, f"{each.value:.5g}", deviation, each.of])
    protocol, about = result.protocol, result.about
    known = [protocol["model_weights"] and f"{protocol['model_weights']} weights", protocol["checkpoint"]]
    known.append(None if about.get("step") is None else f"step {about['step']}")
    fake = f"{_counts(protocol['n_fake'])} images of {about['path']}"
    fake += f" ({', '.join(filter(None, known))})" if any(known) else ""
    lines = [*aligned(rows, right=(1, 2)), "", fake]
    if protocol["n_real"] is not None:
        split = f", {protocol['split']}" if protocol["split"] else ""
        lines.append(f"against {_counts(protocol['n_real'])} real images ({about['real']}{split})")
    if protocol["extractor"]:
        verified = "verified" if protocol["extractor_verified"] else "not verified"
        lines.append(f"features of {protocol['extractor']}, weights {protocol['extractor_weights']}, {verified}")
    if "grid" in about:
        lines.append(f"samples with the training images nearest to them: {about['grid']}")
    return [*lines, *(f"left out: {name}: {why}" for name, why in result.left_out.items())]


def _counts(n: int | dict[str, int]) -> str:
    return " and ".join(f"{count} {name}" for name, count in n.items()) if isinstance(n, dict) else str(n)
