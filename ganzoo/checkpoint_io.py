"""Checkpoints that are whole or not there."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.cloud_io import _is_local_file_protocol

from ganzoo.errors import InputError
from ganzoo.files import beside


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to the disk, renames: a reader finds the old file or the new, never a part.

    Lightning's own stages in the folder for temporary files and moves: between two file systems that is a copy, and the
    copy is visible while it grows. A remote path (``s3://``) is left to Lightning.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes ``checkpoint`` to ``path``, making its folder.

        Raises:
            InputError: when it cannot be written: a full disk, a folder that may not be written. ``path`` is as it was.
        """
        if storage_options is not None or not _is_local_file_protocol(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with beside(target) as part, open(part, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
            raise InputError(f"cannot write the checkpoint {target}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    # when a write fails, closing the archive fails as well, and only the first error of the two knows why
    while not isinstance(error, OSError) and (error.__cause__ or error.__context__) is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0]
