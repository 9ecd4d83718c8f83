"""Prints messages to stderr, one line each, from rank 0 only."""

import sys

from lightning.pytorch.utilities import rank_zero_only

from ganzoo.errors import printable


@rank_zero_only
def log_info(line: str) -> None:
    """Prints ``ganzoo: <line>``."""
    print(f"ganzoo: {printable(line)}", file=sys.stderr, flush=True)
