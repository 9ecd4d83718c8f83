"""Converts configurable objects (losses, optimizers, networks) to class_path and init_args, and back.

A checkpoint that loads with ``weights_only=True`` can hold numbers, strings, lists and dictionaries, not objects. So an
object is saved as its recipe, ``{"class_path": "ganzoo.losses.LeastSquares", "init_args": {"real_target": 0.9}}``, the
same form as in a config. For this an object keeps every argument of its constructor as an attribute of the same name.
"""

import inspect
from argparse import Namespace
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeVar

from torch import nn

from ganzoo.errors import InputError
from ganzoo.utils.ranges import Checked

T = TypeVar("T")


def to_recipe(part: object) -> dict[str, Any]:
    """Converts an object to its class path and constructor arguments, as plain data."""
    cls = type(part)
    names = [name for name in inspect.signature(cls).parameters if name not in ("args", "kwargs")]
    return {
        "class_path": f"{cls.__module__}.{cls.__qualname__}",
        "init_args": {name: to_plain(getattr(part, name)) for name in names},
    }


def to_plain(value: Any) -> Any:
    """Converts a hyperparameter to numbers, strings, lists and dictionaries; an object becomes its recipe.

    Raises:
        InputError: the value cannot be saved as plain data: a network, a lambda.
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)  # of a subclass too, which a checkpoint could not write down
    value = _mapping(value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(to_plain(item) for item in value)
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    is_part = isinstance(value, Checked) and not isinstance(value, nn.Module)  # a regularizer can be called too
    if type(value).__module__.startswith("torch") or (callable(value) and not is_part):
        raise InputError(
            f"{type(value).__name__} cannot be a hyperparameter, because a checkpoint cannot hold it as plain data: "
            "give plain values, or build it in a subclass (docs: Your own model)"
        )
    return to_recipe(value)


def find_class(path: str, kind: type[T]) -> type[T]:
    """Imports the class that a dotted path names.

    Raises:
        InputError: there is no such class, or it is not a subclass of ``kind``.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        why = f" ({error})" if module else ""  # of a name alone, that its module has no name
        near = _did_you_mean(name, kind) if not module else ": write its full dotted path"
        raise InputError(f"there is no class '{path}'{why}{near}") from None
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise InputError(f"'{path}' is not a subclass of {kind.__name__}")
    return found


def _did_you_mean(name: str, kind: type[Any]) -> str:
    """Returns the end of an error message: the full path of the subclass of ``kind`` that has this name, or a like one."""
    paths: dict[str, str] = {}
    left = list(kind.__subclasses__()) if kind is not object else []
    while left:
        each = left.pop()
        left += each.__subclasses__()
        own = each.__module__.startswith("ganzoo.")  # its classes come before others of the same name
        if not each.__name__.startswith("_") and (own or each.__name__ not in paths):
            paths[each.__name__] = f"{each.__module__}.{each.__qualname__}"
    near = get_close_matches(name, paths, n=1)
    return f": did you mean '{paths[near[0]]}'?" if near else ": write its full dotted path"


def check_keys(part: Mapping[str, Any], *known: str) -> None:
    """Refuses a recipe with an unknown key, which would be ignored."""
    for key in part:
        if key not in known:
            raise InputError(f"a recipe has the keys {', '.join(known)}, and not '{key}': arguments go under init_args")


def instantiate(part: T | Mapping[str, Any], kind: type[T], *args: Any) -> T:
    """Builds an object from its recipe; an object is returned as it is.

    Recipes of the same kind among the arguments, also in a list, are built first (the schedules of a ``SequentialLR``).

    Args:
        part: an instance of ``kind``, or its recipe.
        kind: the class that the object must be an instance of.
        args: positional arguments before those of the recipe (an optimizer's parameters).
    """
    if isinstance(part, kind):
        return part
    if not isinstance(part, Mapping) or "class_path" not in part:
        raise InputError(f"a {kind.__name__} is given as {{class_path: ..., init_args: {{...}}}}, not as {part!r}")
    check_keys(part, "class_path", "init_args")
    given_arguments = _mapping(part.get("init_args") or {})
    if not isinstance(part["class_path"], str) or not isinstance(given_arguments, Mapping):
        raise InputError(f"a {kind.__name__}'s class_path is a name and its init_args a mapping, not {part!r}")
    cls = find_class(part["class_path"], kind)
    given = list(inspect.signature(cls).parameters)[: len(args)]
    arguments = {
        name: _within(value, kind, *args)
        for name, value in given_arguments.items()
        # the command writes a recipe within a recipe out in full, with an empty place for what is given here
        if value is not None or name not in given
    }
    try:
        return cls(*args, **arguments)
    except (TypeError, ValueError, ArithmeticError, IndexError, AssertionError, RuntimeError) as error:
        texts = [f"{name} is the text '{value}'" for name, value in arguments.items() if isinstance(value, str)]
        why = ", ".join(texts) if isinstance(error, TypeError) and texts else str(error)
        raise InputError(f"{part['class_path']} does not accept its init_args: {why}") from None


def _within(value: Any, kind: type[Any], *args: Any) -> Any:
    if isinstance(value, list):
        return [_within(item, kind, *args) for item in value]
    part = _mapping(value)
    if isinstance(part, Mapping) and "class_path" in part and issubclass(find_class(part["class_path"], object), kind):
        return instantiate(part, kind, *args)
    return value


def _mapping(value: Any) -> Any:
    return vars(value) if isinstance(value, Namespace) else value
