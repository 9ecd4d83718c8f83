"""A trained model as a thing: load it, describe it, save it as a folder, verify and share it.

Importing this package imports no torch: a function is imported when it is first used (PEP 562).
"""

from importlib import import_module
from typing import Any

_FUNCTIONS = {
    "load": "loading",
    "describe": "describing",
    "save": "saving",
    "verify": "verifying",
    "push": "sharing",
    "pull": "sharing",
}
__all__ = sorted(_FUNCTIONS)


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(import_module(f"ganzoo.hub.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'ganzoo.hub' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
