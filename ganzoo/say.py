"""What ganzoo has to say while it works: one line on stderr, from the first process only."""

import sys

from lightning.pytorch.utilities import rank_zero_only

from ganzoo.errors import printable


@rank_zero_only
def say(line: str) -> None:
    """Prints ``ganzoo: <line>``."""
    print(f"ganzoo: {printable(line)}", file=sys.stderr, flush=True)
