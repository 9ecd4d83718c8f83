"""``python -m ganzoo``: the same as the command."""

import os
import sys

# Python looks for modules in the current folder first; `ganzoo` does so last, and only for what the user names
sys.path[:1] = [entry for entry in sys.path[:1] if entry not in ("", os.getcwd())]

from ganzoo.cli import main  # noqa: E402

sys.exit(main())
