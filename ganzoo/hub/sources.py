"""Finds the files of a trained model: a checkpoint, a run's folder, a saved folder, a name. Imports no torch."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import ganzoo
from ganzoo.errors import InputError, did_you_mean
from ganzoo.hub.folder import CONFIG, is_saved_folder
from ganzoo.hub.records import read_record
from ganzoo.hub.sharing import PREFIX, download, parse_address
from ganzoo.utils.configs import config_names


def weights_folder() -> Path:
    """The folder of the trained weights that come with ganzoo: a saved folder each."""
    return Path(ganzoo.__file__).parent / "weights"


def weights_names() -> list[str]:
    """The names of the trained weights that come with ganzoo, in order."""
    return sorted(path.parent.name for path in weights_folder().glob(f"*/{CONFIG}"))


class Found(NamedTuple):
    """Where a model is.

    Attributes:
        path: the file of a checkpoint, or a saved folder.
        why: one line that says why it is this one, where there was a choice.
    """

    path: Path
    why: str = ""


def find_model(source: str | Path) -> Found:
    """Finds the checkpoint or the saved folder that a source means.

    Args:
        source: a checkpoint's file; the folder of a run, or its ``checkpoints``; a saved folder; the name of a model that
            comes with ganzoo; ``hf:owner/name`` on the hub. A file or a folder that is a model wins over a name.

    Returns:
        The file of a checkpoint, or a saved folder. Of a run it is the best checkpoint by the metric that the run watched,
        or else the last.

    Raises:
        InputError: there is none.
    """
    if str(source).startswith(PREFIX):
        return Found(download(*parse_address(str(source))))
    path = Path(source)
    if path.is_file() or is_saved_folder(path):
        return Found(path)
    if path.is_dir() and (checkpoint := run_checkpoint(path)) is not None:
        return checkpoint
    if str(source) in weights_names():
        return Found(weights_folder() / str(source))
    if path.is_dir():
        runs = sorted(path.glob("version_*/checkpoints/*.ckpt"), key=lambda each: each.stat().st_mtime)
        if runs:
            raise InputError(f"{source} is the folder of several runs: give one of them, such as {runs[-1].parent.parent}")
        raise InputError(f"{source} is no model: it holds neither a saved model ({CONFIG}) nor a run's checkpoints")
    if str(source) in config_names():
        raise InputError(
            f"no trained weights of '{source}' come with ganzoo: train them with `ganzoo fit --config {source}`"
        )
    raise InputError(
        f"{source}: there is no such checkpoint or folder, and no model of this name"
        + did_you_mean(str(source), sorted({*weights_names(), *config_names()}))
    )


def is_model(source: str | Path) -> bool:
    """Whether a source can be a model rather than a folder of images: a file, a folder with a model in it, or a name."""
    if str(source).startswith(PREFIX):
        return True
    path = Path(source)
    if path.is_dir() and str(source) not in weights_names():
        return is_saved_folder(path) or run_checkpoints(path) != []
    return path.is_file() or str(source) in {*weights_names(), *config_names()}


def run_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, or of its folder ``checkpoints``; the oldest first, ``last.ckpt`` after what it equals."""
    inside = folder / "checkpoints"
    found = (inside if inside.is_dir() else folder).glob("*.ckpt")
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name == "last.ckpt"))


def run_checkpoint(folder: Path) -> Found | None:
    """The checkpoint that stands for a run: the best by the metric that it watched, or else the last; None if it has none.

    Where the run watched several metrics it is the best by the first.
    """
    found = run_checkpoints(folder)
    if not found:
        return None
    last = found[-1].with_name("last.ckpt")
    last = last if last in found else found[-1]
    best = best_of(read_record(last))
    for name, metric in best.items():
        if last.with_name(name).is_file():
            return Found(last.with_name(name), f"{folder}: loads {name}, its best checkpoint by {metric}")
    return Found(last, f"{folder}: loads {last.name}, its last checkpoint")


def best_of(checkpoint: Mapping[str, Any]) -> dict[str, str]:
    """The names of the best checkpoints that a checkpoint knows of, each with its metric."""
    states = checkpoint.get("callbacks")
    found = {}
    for state in states.values() if isinstance(states, Mapping) else ():
        if isinstance(state, Mapping) and isinstance(state.get("monitor"), str) and state.get("best_model_path"):
            found[Path(str(state["best_model_path"])).name] = state["monitor"]
    return found


def selection(path: Path, checkpoint: Mapping[str, Any]) -> str:
    """What a checkpoint was kept for: ``last``, ``best by <value>``, or ``another``.

    Args:
        path: of it.
        checkpoint: what is in it. The run's newest knows better which is the best, if it is still beside it.
    """
    last = path.with_name("last.ckpt")
    newest = checkpoint
    if last.is_file() and last != path:
        with suppress(InputError):
            newest = read_record(last)
    best = best_of(newest)
    if path.name in best:
        return f"best by {best[path.name]}"
    return "last" if path.name == "last.ckpt" or (last.is_file() and last.samefile(path)) else "another"


def run_config(checkpoint: Path) -> Path | None:
    """The config of the run whose checkpoint it is; None where there is none near it."""
    found = [folder / "config.yaml" for folder in (checkpoint.absolute().parent.parent, checkpoint.absolute().parent)]
    return next((path for path in found if path.is_file()), None)
