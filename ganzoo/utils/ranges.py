"""Number types with ranges, for annotations of arguments: values out of range are refused by the command and in Python.

Annotate an argument of a constructor with one of these types, and let its class inherit from :class:`Checked` (every
model, loss, schedule and DataModule of ganzoo does)::

    class DCGAN(GAN):
        def __init__(self, width: Size = 64, lr: LearningRate = 2e-4, classes: Size | None = None): ...

``--help`` then shows ``float in [0, 1000]``, ``--model.lr -1`` is refused in one line, and ``DCGAN(lr=-1)`` raises
InputError with that line. The constructor's body gets plain numbers of Python, which a checkpoint can hold. NaN and
infinity lie in no range.
"""

import inspect
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from math import isfinite
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse.typing import extend_base_type

from ganzoo.errors import InputError

_RANGES: dict[Any, tuple[type, tuple[tuple[Callable[[Any, Any], bool], Any], ...]]] = {}  # of each type below

if TYPE_CHECKING:
    PositiveInt = int
    NonNegativeInt = int
    IntOrUnlimited = int
    Size = int
    NonNegativeSize = int
    Pixels = int
    Workers = int
    Depth = int
    Halvings = int
    GridSize = int
    SampleCount = int
    Seed = int
    NonNegativeInt64 = int
    FiniteFloat = float
    PositiveFloat = float
    NonNegativeFloat = float
    AtLeastOne = float
    LearningRate = float
    OpenUnitInterval = float
    ClosedUnitInterval = float
    HalfOpenUnitInterval = float
    PositiveFraction = float
else:

    def number(base: type, interval: str) -> Any:
        """A type of the finite numbers in an interval: ``number(float, "[0, 1)")``. Its name shows the interval."""
        least, greatest = (_end(base, text.strip()) for text in interval[1:-1].split(","))
        above = operator.gt if interval[0] == "(" else operator.ge
        below = operator.lt if interval[-1] == ")" else operator.le
        name = f"{base.__name__} in {interval}"
        # not jsonargparse's restricted_number_type: its PositiveFloat takes infinity, and its names do not say the range
        # jsonargparse writes these into the JSON schema of `ganzoo schema`
        ends = {"_restrictions": [(compare, end) for compare, end in ((above, least), (below, greatest)) if isfinite(end)]}
        kind = extend_base_type(name, base, _validate, extra_attrs=ends, register_key=("ganzoo", name))
        _RANGES[kind] = base, ((above, least), (below, greatest))
        return kind

    def _end(base: type, text: str) -> Any:
        power, _, exponent = text.partition("**")
        return base(power) ** int(exponent) if exponent else base(text)

    def _validate(kind: Any, value: Any) -> None:
        try:
            base, ends = _RANGES[kind]
            number = base(value)  # of a text, where a config quotes it
            right = (number == value or isinstance(value, str)) and all(compare(number, end) for compare, end in ends)
        except (TypeError, ValueError, OverflowError):
            right = False
        if not right or isinstance(value, bool):
            raise ValueError(f"give {_wanted(kind)}, not {value}")

    PositiveInt = number(int, "[1, 2**31)")
    NonNegativeInt = number(int, "[0, 2**31)")
    IntOrUnlimited = number(int, "[-1, 2**31)")  # -1 for no limit
    Size = number(int, "[1, 2**20]")  # units, maps, pixels: more fit no machine
    NonNegativeSize = number(int, "[0, 2**20]")
    Pixels = number(int, "[1, 2**14]")  # of a side of an image
    Workers = number(int, "[0, 2**10]")  # processes that load
    Depth = number(int, "[0, 2**10]")  # layers
    Halvings = number(int, "[2, 20]")  # of an image of at most 2**20 pixels
    GridSize = number(int, "[1, 10000]")  # images that someone looks at
    SampleCount = number(int, "[2, 2**31)")  # that a statistic needs
    Seed = number(int, "[0, 2**32)")
    NonNegativeInt64 = number(int, "[0, 2**63)")  # all that torch takes as a seed
    FiniteFloat = number(float, "(-inf, inf)")
    PositiveFloat = number(float, "(0, inf)")
    NonNegativeFloat = number(float, "[0, inf)")
    AtLeastOne = number(float, "[1, inf)")
    LearningRate = number(float, "[0, 1000]")
    OpenUnitInterval = number(float, "(0, 1)")
    ClosedUnitInterval = number(float, "[0, 1]")
    HalfOpenUnitInterval = number(float, "[0, 1)")
    PositiveFraction = number(float, "(0, 1]")

Shape = tuple[Size, Size, Size]  # (C, H, W) of an image


class Checked:
    """Base class whose constructor, and that of every subclass, refuses numbers outside of the ranges in its annotations."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _checked(vars(cls)["__init__"])  # type: ignore[method-assign]

    def _constructed_with(self, arguments: inspect.BoundArguments) -> None:
        """Called with the checked arguments of each constructor, the subclass's first. Nothing, unless overridden."""


def check_ranges(function: Callable[..., Any], *args: Any, **kwargs: Any) -> inspect.BoundArguments:
    """Checks arguments against a function's annotations.

    Args:
        function: the function with the annotations; a constructor's first argument is ``self``.
        args: positional arguments of the function.
        kwargs: keyword arguments of the function.

    Returns:
        The arguments as the function takes them, each number as a plain ``int`` or ``float``.

    Raises:
        InputError: a number is outside of its range, or None where a number is needed. The line names the class, the
            argument, the value and the range.
        TypeError: the function does not take one of the arguments.
    """
    return _check(function, function.__qualname__.removesuffix(".__init__").rpartition(".")[2], args, kwargs)


def _check(
    function: Callable[..., Any], owner: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    bound = _signature(function).bind(*args, **kwargs)
    hints = _hints(function)
    for name, value in bound.arguments.items():
        default = bound.signature.parameters[name].default
        if name in hints and not (value is None and default is None):
            try:
                bound.arguments[name] = _accept(hints[name], value)
            except _Refused as refused:
                raise InputError(f"{owner}: {name}{refused.where} is {refused.value!r}: give {refused.wanted}") from None
    return bound


class _Refused(Exception):
    def __init__(self, value: Any, wanted: str, where: str = "") -> None:
        self.value, self.wanted, self.where = value, wanted, where


def _checked(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def __init__(self: Any, /, *args: Any, **kwargs: Any) -> None:
        try:
            bound = _check(init, type(self).__name__, (self, *args), kwargs)
        except TypeError:  # Python says it better, by the constructor's name
            return init(self, *args, **kwargs)
        self._constructed_with(bound)
        try:
            return init(*bound.args, **bound.kwargs)
        except TypeError as error:
            # one that the class fixes, or that no constructor above it takes
            found = re.search(r"got (?:multiple values for|an unexpected) keyword argument '(\w+)'", str(error))
            if found and found[1] in kwargs:
                raise InputError(f"{type(self).__name__} has no argument '{found[1]}'") from None
            raise

    return __init__


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    single = [p for p in _signature(function).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    try:
        found = get_type_hints(function)
    except (NameError, TypeError):  # a user's annotation that Python cannot resolve
        found = {p.name: p.annotation for p in single if not isinstance(p.annotation, str)}
    return {p.name: found[p.name] for p in single if p.name in found}


def _accept(hint: Any, value: Any) -> Any:
    """The value with plain numbers; what is no number, nor made of numbers, is left alone."""
    kind = get_origin(hint)
    if kind is Annotated:
        return _accept(get_args(hint)[0], value)
    if hint in _RANGES:
        return _number(hint, value)
    if hint in (bool, int, float) and (value is None or isinstance(value, str)):
        raise _Refused(value, _wanted(hint))
    if hint is str and value is None:
        raise _Refused(value, _wanted(hint))
    if kind is Literal and value not in get_args(hint):
        raise _Refused(value, _wanted(hint))
    if kind in (Union, UnionType):
        return _any_of(hint, value)
    if kind is tuple:
        return _tuple(hint, value)
    if kind in (list, Sequence, Iterable) and isinstance(value, list | tuple):
        return type(value)(_each(get_args(hint) * len(value), range(len(value)), value)) if get_args(hint) else value
    if kind in (dict, Mapping) and isinstance(value, Mapping):
        return dict(zip(value, _each([get_args(hint)[1]] * len(value), value, value.values()), strict=True))
    return value


def _number(hint: Any, value: Any) -> int | float:
    base, ends = _RANGES[hint]
    if isinstance(value, Integral if base is int else Real) and not isinstance(value, bool):
        plain = base(value)
        if all(compare(plain, end) for compare, end in ends):
            return plain
    raise _Refused(value, _wanted(hint))


def _any_of(hint: Any, value: Any) -> Any:
    others = [one for one in get_args(hint) if one is not NoneType]
    if value is None and len(others) < len(get_args(hint)):
        return None
    for one in others:
        try:
            return _accept(one, value)
        except _Refused as refused:
            if refused.where and len(others) == 1:  # it is the right kind of container, with a wrong number inside
                raise
    raise _Refused(value, _wanted(hint))


def _tuple(hint: Any, value: Any) -> Any:
    kinds = get_args(hint)
    endless = len(kinds) == 2 and kinds[1] is Ellipsis
    if not isinstance(value, list | tuple) or not (endless or len(value) == len(kinds)):
        raise _Refused(value, _wanted(hint))
    return tuple(_each([kinds[0]] * len(value) if endless else kinds, range(len(value)), value))


def _each(hints: Iterable[Any], places: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    accepted = []
    for hint, place, value in zip(hints, places, values, strict=True):
        try:
            accepted.append(_accept(hint, value))
        except _Refused as refused:
            raise _Refused(refused.value, refused.wanted, f"[{place!r}]{refused.where}") from None
    return accepted


def _wanted(hint: Any) -> str:
    kind, inside = get_origin(hint), get_args(hint)
    if hint in _RANGES:
        return f"{'an' if _RANGES[hint][0] is int else 'a'} {hint.__name__}"
    if kind in (Union, UnionType):
        return " or ".join(_wanted(one) for one in inside)
    if kind is tuple and inside[-1] is not Ellipsis:
        each = list(dict.fromkeys(map(_wanted, inside)))
        return f"{len(inside)} values, " + (f"each {each[0]}" if len(each) == 1 else ", ".join(each))
    if kind is tuple:
        return f"values, each {_wanted(inside[0])}"
    if kind is Literal:
        return "one of " + ", ".join(map(str, inside))
    names = {NoneType: "null", bool: "true or false", float: "a number", int: "a whole number", str: "a text"}
    return names.get(hint) or str(getattr(hint, "__name__", hint))
