"""The commit of ganzoo's own checkout, for the records of runs and results. Imports no torch."""

import os
import subprocess
from functools import cache
from pathlib import Path


@cache
def commit() -> str | None:
    """The commit of ganzoo's checkout, with ``-dirty`` where files were changed since; None for an installed ganzoo.

    Read once in a process: files that change afterwards are not what runs.
    """
    return commit_of(Path(__file__).parents[2])


def commit_of(top: Path) -> str | None:
    """The commit of a checkout, 40 letters, with ``-dirty`` where files were changed since; None for another folder.

    Args:
        top: the folder that has ``.git``.
    """
    if not (top / ".git").exists():
        return None
    command = ["git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # the checkout is only read
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env=environment)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
