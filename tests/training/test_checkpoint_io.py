"""Checkpoints are written atomically: the old file or the new one, whatever fails."""

import errno
import io
import os
from pathlib import Path

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.training.checkpoint_io import AtomicCheckpointIO


class FullFile:
    """A file whose disk is full after some bytes."""

    def __init__(self, path, room: int) -> None:
        self.file, self.room = io.open(path, "wb"), room  # noqa: SIM115, UP020 (open is the one replaced)

    def write(self, data) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


@pytest.mark.parametrize("room", [0, 1000, 50_000])
def test_a_full_disk_is_one_line_and_the_old_checkpoint_stays(tmp_path, monkeypatch, room):
    target = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, target)
    monkeypatch.setattr("builtins.open", lambda path, mode: FullFile(path, room))
    with pytest.raises(InputError, match=r"last\.ckpt: No space left on device"):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, target)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["last.ckpt"]
    assert torch.load(target) == {"step": 1}


def test_the_target_appears_only_when_it_is_whole_and_on_the_disk(tmp_path, monkeypatch):
    target, happened = tmp_path / "new" / "last.ckpt", []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (happened.append(("fsync", target.exists())), fsync(file)))

    def whole(part, path):
        happened.append(("replace", torch.load(part)["step"], Path(part).parent == target.parent))
        replace(part, path)

    monkeypatch.setattr(os, "replace", whole)
    AtomicCheckpointIO().save_checkpoint({"step": 2}, target)
    assert happened == [("fsync", False), ("replace", 2, True)]
    assert torch.load(target) == {"step": 2}


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"last\.ckpt: (Not a directory|File exists)"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "file" / "last.ckpt")
