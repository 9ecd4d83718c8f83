"""Files appear whole or not at all; what killed processes left is removed."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from ganzoo.utils.files import atomic_write, remove_stale


def test_parts_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    monkeypatch.setattr(os, "getpid", lambda: dead.pid)
    with suppress(ZeroDivisionError), atomic_write(Path("failed.ckpt")) as part:
        part.touch()
        raise ZeroDivisionError
    assert not os.listdir()  # one that could not be written leaves nothing
    mine = part.with_name(f".mine.ckpt.{part.name.removeprefix('.failed.ckpt.')}")
    mine.touch()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    alive = mine.with_name(mine.name.replace(str(dead.pid), str(os.getppid())))
    alive.touch()
    elsewhere = Path(f".mine.ckpt.another-host.{dead.pid}.part")
    elsewhere.touch()
    Path("last.ckpt").touch()
    remove_stale([Path()])
    assert set(os.listdir()) == {alive.name, elsewhere.name, "last.ckpt"}
