"""``ganzoo generate``: generates images, and walks between them, with a trained model."""

import math
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser, Namespace

from ganzoo.cli.function import parse
from ganzoo.errors import InputError, did_you_mean, printable
from ganzoo.utils.ranges import FiniteFloat, GridSize, PositiveFloat, PositiveInt, Size

if TYPE_CHECKING:  # torch is imported when the work begins, so that --help is quick
    from ganzoo.inference.generation import Wanted

MOST_FILES, MOST_IN_GRID = 10_000_000, 10_000
DEFAULT_N, DEFAULT_N_OF_CLASS = 64, 8
DEFAULT_GRID, DEFAULT_WALK = "generated.png", "walk.gif"


def options(
    seed: str = "0",
    grid: str | None = None,
    files: str | None = None,
    columns: GridSize | None = None,
    truncation: FiniteFloat = 1.0,
    walk: str | None = None,
    steps: PositiveInt = 30,
    interpolation: Literal["slerp", "lerp"] = "slerp",
    out: str | None = None,
    fps: PositiveFloat = 20.0,
    batch_size: Size = 1,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    config: str | None = None,
) -> None:
    """The options of the command.

    Args:
        seed: The first of N seeds, or all seeds, such as 0-15,20. An image is decided by its seed and its class.
        grid: Write one PNG of all images, generated.png if nothing else is asked for.
        files: Write a PNG for each image into this folder; finished ones are kept.
        columns: Images in a row of the grid.
        truncation: Factor of the distance of normal noise to its mean; below 1 for more typical, less diverse images.
        walk: Write an animation from seed to seed, such as 3,14,15.
        steps: Frames from one seed of the walk to the next.
        interpolation: slerp along great circles, lerp along straight lines.
        out: The animation's file, .gif, .webp or .mp4; walk.gif by default.
        fps: Frames per second of the animation.
        batch_size: Images at a time. Larger ones may be faster and change the last bit of some pixels.
        device: Where the network works; auto is a GPU if there is one.
        config: The config of the model's run, where the model is of a class of yours.
    """


def parser() -> ArgumentParser:
    """The parser of the command."""
    made = ArgumentParser(
        prog="ganzoo generate",
        description="Generates images with a trained GAN, as one PNG, as files, or as a walk between images.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    made.add_argument("model", type=str, help="A checkpoint, a run's folder, or a saved model.")
    made.add_argument(
        "-n",
        "--n",
        type=PositiveInt | None,
        default=None,
        help=f"Number of seeds; {DEFAULT_N} by default, {DEFAULT_N_OF_CLASS} where several classes are asked for.",
    )
    made.add_argument(
        "--class",
        "--classes",
        dest="classes",
        type=str | None,
        default=None,
        help="Classes by number or name, such as 1,2, or all: an image of each with every seed. By default the class of an "
        "image is its seed modulo the number of classes.",
    )
    made.add_function_arguments(options, as_group=False)
    for name, text in (
        ("levels", "Write every level of a cascade (LAPGAN), from coarse to fine."),
        ("loop", "Go back from the walk's last seed to its first."),
        ("overwrite", "Replace files that are there."),
        ("raw", "The trained weights, also where the model has averaged ones."),
    ):
        made.add_argument(f"--{name}", action="store_true", help=text)
    return made


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["last.ckpt", "-n", "64", "--grid", "sheet.png"])``.

    Returns:
        0; 128 and the number of the signal that ended it.

    Raises:
        InputError: what cannot be generated, in one line.
    """
    given = parse(parser(), args)
    seeds = parse_seeds(given.walk if given.walk is not None else given.seed, "--walk" if given.walk else "--seed")
    _refuse_options(given)

    from ganzoo.cli.options import device, refuse_unwritable
    from ganzoo.hub.loading import load_trained
    from ganzoo.hub.sources import find_model
    from ganzoo.inference.classify import class_names, training_images
    from ganzoo.inference.generation import sampler_of
    from ganzoo.utils.log import log_info
    from ganzoo.utils.signals import Stopped, Stops

    target = Path(given.out or DEFAULT_WALK) if given.walk is not None else Path(given.grid or DEFAULT_GRID)
    if given.files is None or given.grid:
        if target.exists() and not given.overwrite:
            raise InputError(f"{printable(target)} already exists: give another name, or --overwrite")
        refuse_unwritable(target, "--out" if given.walk is not None else "--grid")
    if given.walk is not None:
        from ganzoo.inference.frames import check_format

        check_format(target)
    path, why = find_model(given.model)
    if why:
        log_info(why)
    trained = load_trained(path, raw=given.raw, config=given.config)
    model = trained.module.to(device(given.device))
    names = class_names(training_images(trained.data), sampler_of(model).classes)
    with Stops():
        try:
            if given.walk is not None:
                _walk(model, given, seeds, names, target)
            else:
                _generate(model, given, seeds, names, target)
        except KeyboardInterrupt as stopped:
            if given.files is not None:
                log_info(f"stopped; the same command goes on in {printable(given.files)}")
            return 128 + (stopped.signum if isinstance(stopped, Stopped) else signal.SIGINT)
    return 0


def _refuse_options(given: Namespace) -> None:
    """Refuses options that do not go together, before the model is loaded."""
    if given.walk is not None:
        for option in ("n", "grid", "files", "columns", "levels"):
            if given[option]:
                raise InputError(f"--walk writes an animation, and does not go together with --{option}")
    elif given.out is not None:
        raise InputError("--out is the file of a --walk: give --grid sheet.png or --files folder")
    if given.loop and given.walk is None:
        raise InputError("--loop is of a --walk, such as --walk 3,14,15")


def parse_seeds(text: str, option: str = "--seed") -> list[int]:
    """The seeds of a list of numbers and ranges: ``0-15,20``.

    Raises:
        InputError: it is no such list, or too long.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(f"{option} {text!r:.60} is no list of seeds: give whole numbers and ranges, such as 0-15,20")
        low, high = int(first), int(last if dash else first)
        if high < low or high >= 2**32:
            reason = "runs backwards" if high < low else "goes beyond 2^32 - 1"
            raise InputError(f"{option} {text!r:.60}: the range {part.strip()[:50]} {reason}")
        if len(seeds) + high - low + 1 > MOST_FILES:
            raise InputError(f"{option} {text!r:.60} has more than {MOST_FILES:,} seeds: give fewer at a time")
        seeds += range(low, high + 1)
    if len(set(seeds)) < len(seeds) and option == "--seed":
        raise InputError(f"{option} {text!r:.60} names a seed twice")
    return seeds


def parse_classes(text: str, classes: int | None, names: Sequence[str] | None, repeated: bool = False) -> list[int]:
    """The classes of a list of numbers or names, or ``all``.

    Args:
        text: of the user.
        classes: number of the model's classes; None for a model without classes.
        names: their names, where they are known.
        repeated: whether a class may be there twice.

    Raises:
        InputError: there is no such class, or the model has none.
    """
    if classes is None:
        raise InputError(f"--class {text!r:.60}: this model was trained without classes: leave --class out")
    if text.strip().lower() == "all":
        return list(range(classes))
    if names and text in names:  # a name may hold a comma
        return [names.index(text)]
    found = []
    for part in (piece.strip() for piece in text.split(",")):
        if part.isdecimal() and int(part) < classes:
            found.append(int(part))
        elif names and part in names:
            found.append(list(names).index(part))
        else:
            known = f"0 to {classes - 1}" + (f", or {', '.join(names)}" if names else "")
            near = did_you_mean(part, list(names or ()), f"there are {known[:300]}, and all")
            raise InputError(f"--class: there is no class {part!r:.60}{near}")
    if len(set(found)) < len(found) and not repeated:
        raise InputError(f"--class {text!r:.60} names a class twice")
    return found


def _wanted(model: Any, given: Namespace, seeds: list[int], names: Sequence[str] | None) -> "list[list[Wanted]]":
    """The images to generate: a row for each class that was asked for, or one row."""
    from ganzoo.inference.generation import requests, sampler_of

    classes = None if given.classes is None else parse_classes(given.classes, sampler_of(model).classes, names)
    if len(seeds) == 1 and "-" not in given.seed:
        n = given.n or (DEFAULT_N if classes is None or len(classes) == 1 else DEFAULT_N_OF_CLASS)
        seeds = list(range(seeds[0], seeds[0] + min(int(n), MOST_FILES + 1)))
    elif given.n is not None and given.n != len(seeds):
        raise InputError(f"-n {given.n} does not fit --seed {given.seed}, which has {len(seeds)} seeds: leave -n out")
    count = len(seeds) * len(classes or [0])
    most, where = (MOST_FILES, "files") if given.files is not None and not given.grid else (MOST_IN_GRID, "a grid")
    if count > most:
        raise InputError(
            f"{count:,} images are too many for {where}: at most {most:,}"
            + ("" if where == "files" else "; --files FOLDER writes more")
        )
    if classes is None:
        return [requests(model, seeds)]
    return [requests(model, seeds, label) for label in classes]


def _record(model: Any, weights: str, given: Namespace, names: Sequence[str] | None, **more: Any) -> dict[str, Any]:
    """The record of an image: what is needed to generate it again; a class has its name where it is known."""
    known = {"model": type(model).__name__, "weights_sha256": weights}
    label = more.get("class")
    known |= {name: value for name, value in more.items() if value is not None}
    if names and isinstance(label, int):
        known["class_name"] = names[label]
    return known if given.truncation == 1 else {**known, "truncation": float(given.truncation)}


def _generate(model: Any, given: Namespace, seeds: list[int], names: Sequence[str] | None, target: Path) -> None:
    from ganzoo.cli.options import make_folder
    from ganzoo.inference.generation import generate_each
    from ganzoo.utils.log import log_info
    from ganzoo.utils.png import read_record, save_png
    from ganzoo.utils.progress import ProgressBar
    from ganzoo.utils.weights import weights_sha256

    rows = _wanted(model, given, seeds, names)
    wanted = [each for row in rows for each in row]
    weights, kept = weights_sha256(model), given.grid is not None or given.files is None
    folder = None if given.files is None else Path(given.files)
    missing = wanted

    def record(each: "Wanted", level: int | None) -> dict[str, Any]:
        return _record(model, weights, given, names, seed=each.seed, level=level, **{"class": each.label})

    if folder is not None:
        make_folder(folder, "--files")
        levels = range(_level_count(model)) if given.levels else [None]
        if not given.overwrite:
            missing = [
                each
                for each in wanted
                if not _are_there(folder, {name(each, k): record(each, k) for k in levels}, read_record)
            ]
        if len(missing) < len(wanted):
            log_info(f"{len(wanted) - len(missing)} of {len(wanted)} images are in {printable(folder)} already")
    made: list[list[Any]] = []
    work = wanted if kept else missing
    to_write = set(missing)
    images = generate_each(model, work, int(given.batch_size), float(given.truncation), given.levels)
    with ProgressBar(len(work), "generating", delay=1.0) as bar:
        for each, pixels in zip(work, images, strict=True):
            if folder is not None and each in to_write:
                for k, level in enumerate(pixels):
                    number = k if given.levels else None
                    _write(save_png, folder / name(each, number), level, record(each, number))
            if kept:
                made.append(pixels)
            bar.update()
    if folder is not None:
        log_info(f"{len(wanted)} images are in {printable(folder)}")
    if kept:
        text = given.seed if "-" in given.seed or "," in given.seed else f"{wanted[0].seed}-{rows[0][-1].seed}"
        about = _record(
            model, weights, given, None, seeds=text, classes=[row[0].label for row in rows] if given.classes else None
        )
        columns = given.columns or (len(made[0]) if given.levels else len(rows[0]) if len(rows) > 1 else None)
        _write(save_png, target, _sheet(made, columns), about)
        log_info(f"{len(made)} images are in {printable(target)}")


def name(wanted: "Wanted", level: int | None = None) -> str:
    """The file of an image: ``seed_000012_class_7.png``."""
    label = "" if wanted.label is None else f"_class_{wanted.label}"
    return f"seed_{wanted.seed:06d}{label}" + ("" if level is None else f"_level_{level}") + ".png"


def _level_count(model: Any) -> int:
    from ganzoo.inference.generation import generate_each, requests

    return len(next(generate_each(model, requests(model, [0]), levels=True)))


def _are_there(folder: Path, records: dict[str, dict[str, Any]], read: Any) -> bool:
    """Whether all files of an image are finished.

    Raises:
        InputError: one is there that is another image.
    """
    there = [file for file in records if (folder / file).exists()]
    for file in there:
        if read(folder / file) != records[file]:
            raise InputError(
                f"{printable(folder / file)} is there and is another image: give another folder, or --overwrite"
            )
    return len(there) == len(records)


def _write(save: Any, path: Path, image: Any, record: dict[str, Any]) -> None:
    try:
        save(path, image, record)
    except OSError as error:
        raise InputError(f"cannot write {printable(path)}: {error.strerror}") from error


def _sheet(made: list[list[Any]], columns: int | None) -> Any:
    """All images as one; a single one stays as it is. The levels of a cascade are enlarged to the finest."""
    import torch
    from torch.nn.functional import interpolate

    from ganzoo.utils.image_grid import grid
    from ganzoo.utils.images import to_float

    if len(made) == 1 and len(made[0]) == 1:
        return made[0][0]
    size = made[0][-1].shape[-2:]
    tiles = [interpolate(level[None].float(), size=size).to(torch.uint8) for pixels in made for level in pixels]
    return grid(to_float(torch.cat(tiles)), columns=int(columns or math.ceil(math.sqrt(len(tiles)))))


def _walk(model: Any, given: Namespace, seeds: list[int], names: Sequence[str] | None, target: Path) -> None:
    import torch

    from ganzoo.inference.frames import save_frames
    from ganzoo.inference.generation import sampler_of
    from ganzoo.inference.walks import frame_count, walk_frames
    from ganzoo.utils.log import log_info
    from ganzoo.utils.progress import ProgressBar
    from ganzoo.utils.weights import weights_sha256

    classes = None if given.classes is None else parse_classes(given.classes, sampler_of(model).classes, names)
    if classes is not None and len(classes) not in (1, len(seeds)):
        raise InputError(
            f"--class has {len(classes)} classes and --walk {len(seeds)} seeds: give one class, or one for each seed"
        )
    labels = None if classes is None else classes[0] if len(classes) == 1 else classes
    count = frame_count(seeds, int(given.steps), given.loop)
    frames = walk_frames(
        model,
        seeds,
        int(given.steps),
        given.interpolation,
        classes=labels,
        loop=given.loop,
        batch_size=int(given.batch_size),
        truncation=float(given.truncation),
    )
    made = []
    with ProgressBar(count, "generating", unit="frames", delay=1.0) as bar:
        for frame in frames:
            made.append(frame)
            bar.update()
    about = {"walk": given.walk, "steps": int(given.steps), "interpolation": given.interpolation, "loop": given.loop}
    record = _record(model, weights_sha256(model), given, None, **about, classes=classes)
    try:
        save_frames(target, torch.stack(made), float(given.fps), record)
    except OSError as error:
        raise InputError(f"cannot write {printable(target)}: {error.strerror or error}") from error
    log_info(f"{count} frames are in {printable(target)}")
