"""The public names of the package with their signatures, as lines; run as a script it writes them down."""

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "public_api.txt"
# what docs/versions.md promises; everything else may change at any time
MODULES = (
    "ganzoo",
    "ganzoo.adversarial",
    "ganzoo.augmentations",
    "ganzoo.callbacks",
    "ganzoo.data",
    "ganzoo.errors",
    "ganzoo.evaluation",
    "ganzoo.hub",
    "ganzoo.interfaces",
    "ganzoo.losses",
    "ganzoo.models",
    "ganzoo.models.base",
    "ganzoo.noises",
    "ganzoo.penalties",
    "ganzoo.regularizers",
    "ganzoo.schedules",
    "ganzoo.utils.ranges",
)
# names that a module fetches when they are first used
LAZY = {"ganzoo.evaluation": ["evaluate"]}
PLAIN = (bool, int, float, str, bytes, type(None))


def public_api() -> list[str]:
    """A line for each public name of :data:`MODULES`, and for each command."""
    from ganzoo.cli.main import COMMANDS

    found = [line for name in MODULES for line in of_module(name)]
    return [*found, *(f"command {name}" for name in COMMANDS)]


def of_module(name: str) -> Iterator[str]:
    """The lines of one module: its ``__all__``, or what is defined in it and in the files of its folder."""
    module = importlib.import_module(name)
    own = [each for each, value in vars(module).items() if _is_own(value, name)]
    names = getattr(module, "__all__", None) or LAZY.get(name) or own
    for each in sorted(names):
        if not each.startswith("_"):
            value = getattr(module, each)
            yield f"{name}.{each}{signature(value)}"
            if inspect.isclass(value) and name != "ganzoo":  # its classes are listed where they are
                yield from (f"{name}.{line}" for line in members(value))


def _is_own(value: Any, name: str) -> bool:
    home = getattr(value, "__module__", None) or ""
    # the number types of ganzoo.utils.ranges are made by jsonargparse
    return home == name or home.startswith(f"{name}.") or hasattr(value, "_restrictions")


def members(cls: type) -> Iterator[str]:
    """The public methods and properties that a class itself defines."""
    for name, value in sorted(vars(cls).items()):
        if name.startswith("_") or inspect.isclass(value):
            continue
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if inspect.isfunction(value):
            yield f"{cls.__name__}.{name}{signature(value)}"
        elif isinstance(value, property):
            yield f"{cls.__name__}.{name}"


def signature(value: Any) -> str:
    """The arguments with their defaults, without annotations, which each version of Python writes in its own way."""
    if not callable(value):
        return ""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return ""
    plain = [each.replace(annotation=inspect.Parameter.empty, default=_default(each.default)) for each in parameters]
    return str(inspect.Signature(plain))


class _Named:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _default(value: Any) -> Any:
    if value is inspect.Parameter.empty or isinstance(value, PLAIN):
        return value
    if isinstance(value, tuple) and all(isinstance(each, PLAIN) for each in value):
        return value
    if inspect.isclass(value) or inspect.isfunction(value):
        return _Named(value.__name__)
    return _Named(f"{type(value).__name__}(...)")


if __name__ == "__main__":
    FILE.write_text("\n".join(public_api()) + "\n", encoding="utf-8")
    # the same change may be one of an option; in a process of its own, where nothing else is imported
    subprocess.run([sys.executable, str(Path(__file__).with_name("known_names.py"))], check=True)
