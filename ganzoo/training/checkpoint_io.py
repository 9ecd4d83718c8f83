"""Atomic writing and safe reading of checkpoint files."""

import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.cloud_io import _is_local_file_protocol
from packaging.version import InvalidVersion, Version
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.utils.files import atomic_write

VERSION = "pytorch-lightning_version"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically: a reader finds the old file or the new one, never a part.

    It writes to a file in the same folder, flushes it to the disk and renames it.

    Lightning's own stages in the folder for temporary files and moves: between two file systems that is a copy, and the
    copy is visible while it grows. A remote path (``s3://``) is left to Lightning.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint to ``path`` and creates its folder.

        Raises:
            InputError: when it cannot be written: a full disk, a folder that may not be written. ``path`` is as it was.
        """
        if storage_options is not None or not _is_local_file_protocol(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as part, open(part, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
            raise InputError(f"cannot write the checkpoint {target}: {_reason(error)}") from error


def read_checkpoint(path: str | Path, weights_only: bool = True) -> dict[str, Any]:
    """Reads a Lightning checkpoint; tensors stay on the disk until they are used (memory-mapped).

    Args:
        path: of a local file.
        weights_only: refuse a file that holds more than tensors and plain data, which could run code.

    Raises:
        InputError: it cannot be read, is damaged, is no checkpoint, or holds something of another kind inside.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=weights_only, mmap=True)
    except PermissionError as error:
        raise InputError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except UnpicklingError as error:
        raise InputError(
            f"{path} holds more than weights and plain data, and was not loaded, because it could run code: give "
            "--weights_only false if you trust it"
        ) from error
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        raise InputError(f"{path} is damaged, or is no checkpoint") from error
    if not isinstance(found, dict) or "state_dict" not in found:
        raise InputError(f"{path} is not a checkpoint of Lightning's: it has no state_dict")
    wrong = _wrong_inside(found)
    if wrong:
        raise InputError(f"{path} is damaged inside, or was written by another program: {wrong}")
    return found


def _wrong_inside(checkpoint: dict[str, Any]) -> str | None:
    """Names the first part of a checkpoint that has a wrong type; None if there is none.

    What only resuming needs is compared with the run that resumes (``ganzoo.training.resume.check_inside``).
    """
    try:
        Version(checkpoint[VERSION])
    except (KeyError, TypeError, InvalidVersion):
        return f"{VERSION} is {checkpoint.get(VERSION, 'missing')!r:.60}"
    for name, kind in (
        ("state_dict", dict),
        ("hyper_parameters", Mapping),
        ("ganzoo", dict),
        ("loops", dict),
        ("callbacks", dict),
        ("optimizer_states", list),
        ("lr_schedulers", list),
    ):
        if name in checkpoint and not isinstance(checkpoint[name], kind):
            return f"{name} is of type {type(checkpoint[name]).__name__}"
    for name in ("epoch", "global_step"):
        value = checkpoint.get(name, 0)
        if type(value) is not int or value < 0:
            return f"{name} is {value!r:.60}"
    for name in ("state_dict", "hyper_parameters", "callbacks"):
        for key in checkpoint.get(name, {}):
            if not isinstance(key, str):
                return f"{name} has a key {key!r:.60}, which is no text"
    for name, value in checkpoint["state_dict"].items():
        if name.endswith("_extra_state"):
            continue
        if not isinstance(value, Tensor):
            return f"state_dict['{name:.60}'] is of type {type(value).__name__}, and no tensor"
        if value.is_meta or value.layout is not torch.strided or value.is_quantized:
            what = "without values" if value.is_meta else "of another layout"
            return f"state_dict['{name:.60}'] is a tensor {what}"
    for name, state in checkpoint.get("callbacks", {}).items():
        if not isinstance(state, Mapping):
            return f"callbacks['{name:.60}'] is of type {type(state).__name__}"
    for name in ("optimizer_states", "lr_schedulers"):
        for n, state in enumerate(checkpoint.get(name, [])):
            if not isinstance(state, dict):
                return f"{name}[{n}] is of type {type(state).__name__}"
    return None


def _reason(error: BaseException) -> str:
    # when a write fails, closing the archive fails as well, and only the first error of the two knows why
    while not isinstance(error, OSError) and (error.__cause__ or error.__context__) is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0]
