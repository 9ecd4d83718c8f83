"""The folders of runs and the checkpoints in them. Everything here raises InputError for what the user can mend."""

import re
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning.pytorch as L
import torch
from jsonargparse import Namespace
from lightning.pytorch.utilities import rank_zero_only

from ganzoo.errors import InputError
from ganzoo.hyperparameters import PlainHyperparameters, check_class
from ganzoo.parts import find_class


def run_name(configs: list[str], config: Namespace) -> str:
    """The name of the first config, or of the run whose config.yaml it is, or model_data."""
    for path in (Path(given).absolute() for given in configs if Path(given).is_file()):
        if path.name != "config.yaml":
            return path.stem
        if re.fullmatch(r"[a-z]+_\d+", path.parent.name):
            return path.parent.parent.name
    parts = [config[section].class_path.rpartition(".")[2].lower() for section in ("model", "data") if config[section]]
    return "_".join(parts)


def make_folder(chosen: Path | None, root: Path, word: str) -> Path:
    """A new folder; the first process makes it, and the others hear of it from Lightning."""
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
    """Removes the folder of a run that came to nothing, and the folder of its runs if there is no other.

    A config and the list of hyperparameters beside it are nothing: the error says what was wrong, and the next run writes
    them again. Whatever else there is keeps them.
    """
    with suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {"config.yaml", "hparams.yaml"}:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            folder.parent.rmdir()


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint written last; of the two names of one file, ``last.ckpt``."""
    return max(folder.glob("*.ckpt"), key=lambda path: (path.stat().st_mtime, path.name == "last.ckpt"), default=None)


def wandb_run(checkpoint: str | None) -> tuple[str, str] | None:
    """The W&B run that a checkpoint's run was logged to: its id, and the name of the run's folder; None for none.

    W&B names its folders after it: ``wandb/run-20260102_030405-<id>`` and ``wandb/offline-run-...``.
    """
    if checkpoint is None:
        return None
    folder = Path(checkpoint).absolute().parent.parent
    found = [path for path in folder.glob("wandb/*run-*") if re.fullmatch(r"(?:offline-)?run-\d+_\d+-\w+", path.name)]
    newest = max(found, key=lambda path: path.name.removeprefix("offline-"), default=None)
    return None if newest is None else (newest.name.rpartition("-")[2], folder.name)


def find_checkpoint(given: str | None, root: Path) -> str | None:
    """The file that ``--ckpt_path`` means: ``last`` is the one written last by any run under ``root``."""
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


def read_checkpoint(path: str, weights_only: bool) -> dict[str, Any]:
    """A checkpoint of Lightning's, its tensors left on the disk until they are used."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=weights_only, mmap=True)
    except PermissionError as error:
        raise InputError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except UnpicklingError as error:
        raise InputError(f"{path} holds more than weights: give --weights_only false if you trust it") from error
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        raise InputError(f"{path} is damaged, or is no checkpoint") from error
    if not isinstance(found, dict) or "state_dict" not in found:
        raise InputError(f"{path} is not a checkpoint of Lightning's: it has no state_dict")
    return found


def check_fits(checkpoint: dict[str, Any], model: L.LightningModule, path: str) -> None:
    """Refuses a checkpoint of another model, in one line where Lightning has two hundred."""
    if isinstance(model, PlainHyperparameters):
        check_class(checkpoint, type(model), path)
    # a module's extra state (what a history keeps) is as large as it happens to be, and averaged weights may be absent
    there, here = (
        {
            name: tuple(t.shape)
            for name, t in weights.items()
            if not name.endswith("_extra_state") and not name.startswith("averaged.")
        }
        for weights in (checkpoint["state_dict"], model.state_dict())
    )
    if there == here or not model.strict_loading:
        return
    kind = type(model)
    saved = dict(checkpoint.get("hyper_parameters") or {})
    saved_class = saved.get("_class_path", "another model")
    if saved_class.rpartition(".")[2] != kind.__qualname__ or find_class(saved_class, L.LightningModule) is not kind:
        raise InputError(f"{path} is of {saved_class}, and the model is {kind.__name__}")
    differing = [f"{k} {saved[k]} there and {v} here" for k, v in model.hparams.items() if k in saved and saved[k] != v]
    first = min(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    raise InputError(
        f"{path} is of another {kind.__name__}: "
        + (", ".join(differing) or f"{first} is {there.get(first)} there and {here.get(first)} here")
    )
