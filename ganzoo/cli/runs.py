"""Folders of runs and the checkpoints in them. Errors are InputErrors, of one line."""

import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_only

from ganzoo.errors import InputError
from ganzoo.training.checkpoint_io import read_checkpoint
from ganzoo.training.hyperparameters import PlainHyperparameters, check_class
from ganzoo.training.recipes import find_class
from ganzoo.utils.trust import is_trusted


def run_name(configs: list[str], config: Namespace) -> str:
    """Name of a run: that of the first config, or of the run whose config.yaml it is, or model_data."""
    for path in (Path(given).absolute() for given in configs if Path(given).is_file()):
        if path.name != "config.yaml":
            return path.stem
        if re.fullmatch(r"[a-z]+_\d+", path.parent.name):
            return path.parent.parent.name
    parts = [config[section].class_path.rpartition(".")[2].lower() for section in ("model", "data") if config[section]]
    return "_".join(parts)


def make_folder(chosen: Path | None, root: Path, word: str) -> Path:
    """Makes a new folder for a run in the first process; Lightning passes its name to the others."""
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return chosen or root / word
    try:
        if chosen is not None:
            chosen.mkdir(parents=True, exist_ok=True)
            if any(chosen.iterdir()):
                raise InputError(f"--run_dir {chosen} is not empty: a run never writes over another")
            return chosen
        root.mkdir(parents=True, exist_ok=True)
        numbered = (re.fullmatch(rf"{word}_(\d+)", path.name) for path in root.iterdir())
        n = max((int(found[1]) for found in numbered if found), default=-1) + 1
        while True:
            try:
                (root / f"{word}_{n}").mkdir()
                return root / f"{word}_{n}"
            except FileExistsError:  # another run began at the same time
                n += 1
    except OSError as error:
        raise InputError(f"cannot make a folder for the run, {chosen or root}: {error.strerror}") from error


def remove_empty(folder: Path) -> None:
    """Removes the folder of a run without results, and the folder of its runs if there is no other.

    A folder with config.yaml and hparams.yaml only has no results: the next run writes them again.
    """
    with suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {"config.yaml", "hparams.yaml"}:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            folder.parent.rmdir()


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a folder; if one file has two names, ``last.ckpt``."""
    return max(folder.glob("*.ckpt"), key=lambda path: (path.stat().st_mtime, path.name == "last.ckpt"), default=None)


def find_checkpoint(given: str | None, root: Path) -> str | None:
    """The file that ``--ckpt_path`` means; ``last`` means the newest ``last.ckpt`` of any run under ``root``."""
    if given is None or "://" in given:
        return given
    if given == "last":
        newest = sorted(root.glob("version_*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
        if not newest:
            raise InputError(f"--ckpt_path last: no run in {root} has left a checkpoint")
        return str(newest[-1])
    if not Path(given).is_file():
        raise InputError(f"--ckpt_path {given}: there is no such file")
    return given


def read_or_name_another(path: str, root: Path, weights_only: bool, command: Sequence[str]) -> dict[str, Any]:
    """Reads a checkpoint; if it is damaged, the error names the newest one that is not.

    Args:
        path: path of the checkpoint.
        root: folder of all runs of this name, where another checkpoint may be.
        weights_only: read weights and plain data only.
        command: what the user wrote, which the error repeats with the other checkpoint.

    Raises:
        InputError: the checkpoint is damaged, or holds more than `weights_only` allows.
    """
    try:
        return read_checkpoint(path, weights_only)
    except InputError as error:
        whole = newest_whole(Path(path).parent, "*.ckpt", Path(path), weights_only)
        whole = whole or newest_whole(root, "*/checkpoints/*.ckpt", Path(path), weights_only)
        if whole is None:
            raise
        again = shlex.join(["ganzoo", *with_option(command, "--ckpt_path", str(whole))])
        raise InputError(f"{error}; the newest whole one is {whole}: {again}") from error


def newest_whole(folder: Path, pattern: str, damaged: Path, weights_only: bool) -> Path | None:
    """The newest checkpoint that can be read; None if there is none.

    Args:
        folder: folder to search.
        pattern: glob pattern of the checkpoints in it.
        damaged: path of a checkpoint that cannot be read; other names of the same file are skipped too.
        weights_only: read weights and plain data only.
    """
    found = sorted(folder.glob(pattern), key=lambda path: (path.stat().st_mtime, path.name == "last.ckpt"), reverse=True)
    for path in found:
        with suppress(InputError):
            if not path.samefile(damaged):
                read_checkpoint(path, weights_only)
                return path
    return None


def with_option(args: Sequence[str], option: str, value: str) -> list[str]:
    """Replaces the value of an option in the arguments, or adds the option."""
    kept: list[str] = []
    skip = False
    for arg in args:
        if not skip and arg != option and not arg.startswith(f"{option}="):
            kept.append(arg)
        skip = not skip and arg == option
    return [*kept, option, value]


def is_finished(
    checkpoint: Mapping[str, Any], max_epochs: int | None, max_steps: int, seconds: float | None = None
) -> str | None:
    """Why a run from this checkpoint would do nothing, and which option changes that; None if it trains.

    Args:
        checkpoint: the checkpoint, as it was read.
        max_epochs: the trainer's limit of epochs.
        max_steps: the trainer's limit of steps; -1 for no limit.
        seconds: the trainer's ``max_time`` in seconds; None for no limit.
    """
    fit = _within(checkpoint, "loops", "fit_loop")
    epochs = _within(fit, "epoch_progress", "current")
    batches = _within(fit, "epoch_loop.batch_progress")
    done = epochs.get("processed")
    done = done if isinstance(done, int) else 0  # else it is refused later, with the rest of the checkpoint
    if epochs.get("started") == done and not batches.get("is_last_batch", True):
        done -= 1  # the epoch that a run was in which was stopped by its number of steps
    if max_epochs is not None and 0 <= max_epochs <= done:
        return f"all {max_epochs} epochs are done in this checkpoint: a larger --trainer.max_epochs continues"
    if max_steps >= 0 and checkpoint.get("global_step", 0) >= max_steps:
        return f"all {max_steps} steps are done in this checkpoint: a larger --trainer.max_steps continues"
    elapsed = _within(checkpoint, "callbacks", "Timer", "time_elapsed").get("train")
    if seconds is not None and isinstance(elapsed, int | float) and elapsed >= seconds:
        return f"all {seconds:.0f} seconds are used up in this checkpoint: a larger --trainer.max_time continues"
    return None


def _within(values: Any, *names: str) -> dict[str, Any]:
    for name in names:
        values = values.get(name) if isinstance(values, Mapping) else None
    return dict(values) if isinstance(values, Mapping) else {}


def came_from_reading(error: BaseException) -> bool:
    """Whether an error was raised while Lightning restored a checkpoint's state."""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        takes_up = code.co_name.lstrip("_").startswith(("restore", "resume"))
        if takes_up and code.co_filename.endswith("checkpoint_connector.py"):
            return True
        trace = trace.tb_next
    return False


def check_fits(checkpoint: dict[str, Any], model: L.LightningModule, path: str) -> None:
    """Refuses a checkpoint of another model, in one line (Lightning prints two hundred)."""
    if isinstance(model, PlainHyperparameters):
        check_class(checkpoint, type(model), path)
    # a module's extra state (what a history keeps) is as large as it happens to be, and averaged weights may be absent
    there, here = (
        {
            name: tuple(t.shape)
            for name, t in weights.items()
            if not name.endswith("_extra_state") and not name.startswith("ema.")
        }
        for weights in (checkpoint["state_dict"], model.state_dict())
    )
    if there == here or not model.strict_loading:
        return
    kind = type(model)
    saved = dict(checkpoint.get("hyper_parameters") or {})
    saved_class = str(saved.get("_class_path", "another model"))
    if saved_class.rpartition(".")[2] != kind.__qualname__ or not _is(saved_class, kind):
        raise InputError(f"{path} is of {saved_class}, and the model is {kind.__name__}")
    differing = [f"{k} {saved[k]} there and {v} here" for k, v in model.hparams.items() if k in saved and saved[k] != v]
    first = min(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    raise InputError(
        f"{path} is of another {kind.__name__}: "
        + (", ".join(differing) or f"{first} is {there.get(first)} there and {here.get(first)} here")
    )


def _is(path: Any, kind: type) -> bool:
    # a checkpoint's own word, which imports nothing of somebody else's
    return isinstance(path, str) and is_trusted(path) and find_class(path, L.LightningModule) is kind
