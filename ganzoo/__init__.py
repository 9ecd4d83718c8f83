"""ganzoo: adversarial networks as Lightning modules, each right to its paper.

Importing the package imports nothing else, so that ``ganzoo --help`` answers at once. A model is imported when its name is
first used (PEP 562).
"""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

# read from the text, because importing it imports torch
_MODELS = re.findall(r"^from .* as (\w+)$", Path(__file__).with_name("models").joinpath("__init__.py").read_text(), re.M)
__all__ = ["AdversarialModule", "__version__", "load", *_MODELS]


def __getattr__(name: str) -> Any:
    if name in _MODELS:
        return getattr(import_module("ganzoo.models"), name)
    if name == "AdversarialModule":
        return import_module("ganzoo.adversarial").AdversarialModule
    if name == "load":
        return import_module("ganzoo.hub").load
    raise AttributeError(f"module 'ganzoo' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
