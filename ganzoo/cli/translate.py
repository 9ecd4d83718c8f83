"""``ganzoo translate``: translates image files and folders with a trained model."""

import multiprocessing
import signal
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jsonargparse import ArgumentParser

from ganzoo.cli.function import parse
from ganzoo.errors import InputError, printable
from ganzoo.utils.ranges import NonNegativeSize, Pixels, PositiveInt

if TYPE_CHECKING:  # torch is imported when the work begins, so that --help is quick
    from ganzoo.inference.translate import Done, InputFile, Translation

TASK = 16  # files that a process gets at a time
NAMED = 10  # damaged files that have a line of their own


def options(
    out: str = "translated",
    direction: Literal["AtoB", "BtoA"] | None = None,
    size: Pixels | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    tile: NonNegativeSize = 1024,
    processes: PositiveInt = 1,
    config: str | None = None,
) -> None:
    """The options of the command.

    Args:
        out: Folder of the translations. Those in it that are finished are skipped.
        direction: Side of the images; by default that of the model's inputs. BtoA sends a CycleGAN's other domain back.
        size: Pixels of the shorter side to which images are resized. By default they keep their sizes.
        device: Where the network works; auto is a GPU if there is one.
        tile: Translate an image of more than TILE x TILE pixels in tiles, in about the memory that one of that size needs; 0
            for never.
        processes: Processes that share the images.
        config: The config of the model's run, where the model is of a class of yours.
    """


def parser() -> ArgumentParser:
    """The parser of the command."""
    made = ArgumentParser(
        prog="ganzoo translate",
        description="Translates images with a trained model: files, or all images of a folder and its subfolders. Each is "
        "written as PNG under its own name, at its own size.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    made.add_argument("model", type=str, help="A checkpoint, a run's folder, or a saved model.")
    made.add_argument("inputs", nargs="+", type=str, help="Files and folders.")
    made.add_function_arguments(options, as_group=False)
    made.add_argument("--raw", action="store_true", help="The trained weights, also where the model has averaged ones.")
    return made


class Job(NamedTuple):
    """What a process needs to know to translate a part of the files."""

    model: str
    out: Path
    direction: str | None
    size: int | None
    device: str
    tile: int
    raw: bool
    config: str | None
    weights: str = ""


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["last.ckpt", "photos", "--out", "translated"])``.

    Returns:
        0; 2 if a file could not be read; 128 and the number of the signal that ended it.

    Raises:
        InputError: what cannot be translated, in one line.
    """
    given = parse(parser(), args)
    size = None if given.size is None else int(given.size)
    job = Job(given.model, Path(given.out), given.direction, size, given.device, int(given.tile), given.raw, given.config)
    return _translate(job, given.inputs, int(given.processes))


def _translate(job: Job, inputs: Sequence[str], processes: int) -> int:
    from PIL import Image

    from ganzoo.cli.options import make_folder
    from ganzoo.inference.translate import find_inputs, unfinished
    from ganzoo.utils.files import remove_stale
    from ganzoo.utils.log import log_info
    from ganzoo.utils.progress import ProgressBar
    from ganzoo.utils.signals import Stopped, Stops
    from ganzoo.utils.weights import weights_sha256

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # large images are what tiles are for
    files = find_inputs(inputs, job.out)
    make_folder(job.out, "--out")
    translation = _load(job)
    job = job._replace(weights=weights_sha256(translation.model))
    missing = unfinished(files, job.out, translation, job.weights)
    if len(missing) < len(files):
        log_info(f"{len(files) - len(missing)} of {len(files)} images are translated already")
    processes = min(processes, -(-len(missing) // TASK)) or 1
    damaged: list[Done] = []
    animated: list[Done] = []
    with Stops(), ProgressBar(len(files), "translating", done=len(files) - len(missing), delay=1.0) as bar:
        try:
            for done in _work(job, missing, translation) if processes == 1 else _share(job, missing, processes):
                if done.error:
                    damaged.append(done)
                    if len(damaged) <= NAMED:
                        log_info(done.error)
                elif done.animated:
                    animated.append(done)
                bar.update()
        except KeyboardInterrupt as stopped:
            log_info(f"stopped; the same command goes on: {bar.done - len(damaged)} images are in {job.out}")
            return 128 + (stopped.signum if isinstance(stopped, Stopped) else signal.SIGINT)
        finally:
            remove_stale({job.out, *(job.out.joinpath(file.output).parent for file in missing)})
    if animated:
        log_info(f"of {len(animated)} animated files the first image was translated: {_named(animated)}")
    log_info(f"{len(files) - len(damaged)} of {len(files)} images are in {job.out}")
    if damaged:
        log_info(f"{len(damaged)} of {len(files)} files could not be read: {_named(damaged)}")
    return 2 if damaged else 0


def _named(files: Sequence["Done"]) -> str:
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return ", ".join(printable(done.file.name) for done in files[:NAMED]) + more


def _load(job: Job) -> "Translation":
    from ganzoo.cli.options import device
    from ganzoo.hub import load
    from ganzoo.inference.translate import Translation

    model = load(job.model, raw=job.raw, device=device(job.device), config=job.config)
    model.tile_size = job.tile
    return Translation(model, job.direction, job.size)


def _work(job: Job, files: Iterable["InputFile"], translation: "Translation") -> Iterator["Done"]:
    from ganzoo.inference.translate import translate_files

    return translate_files(files, job.out, translation, job.weights)


def _share(job: Job, files: Sequence["InputFile"], processes: int) -> Iterator["Done"]:
    """Translates in several processes, each with a model of its own; each file is translated once."""
    spawn = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(processes, spawn, _begin, (job, processes)) as pool:
        waiting: deque[Future[list[Done]]] = deque(
            pool.submit(_task, files[first : first + TASK]) for first in range(0, len(files), TASK)
        )
        try:
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool as error:
            raise InputError(
                "a process ended before its work did, perhaps for want of memory: give fewer --processes"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_OWN: dict[str, Any] = {}  # of a process that shares the work: the job, and the model with its options


def _begin(job: Job, processes: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the others
    with suppress(RuntimeError):
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    _OWN.update(job=job, translation=_load(job))


def _task(files: Sequence["InputFile"]) -> "list[Done]":
    return list(_work(_OWN["job"], files, _OWN["translation"]))
