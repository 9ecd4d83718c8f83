"""The command ``ganzoo``. Its modules import the rest of the package; nothing in the rest imports them."""

from ganzoo.cli.main import main

__all__ = ["main"]
