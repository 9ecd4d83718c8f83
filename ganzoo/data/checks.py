"""Small checks of what a user gives, each ending in one line that says what is wrong."""

from collections.abc import Sequence

from ganzoo.errors import InputError


def at_least(name: str, value: int, least: int) -> int:
    """`value`, or InputError when it is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} is {value!r}: give a whole number of at least {least}")
    return value


def share(name: str, value: float) -> float:
    """`value`, or InputError when it is not in [0, 1)."""
    if not 0 <= value < 1:
        raise InputError(f"{name} is {value!r}: give a share of at least 0 and less than 1")
    return value


def one_of(name: str, value: object, choices: Sequence[object]) -> None:
    """InputError when `value` is none of `choices`."""
    if value not in choices:
        raise InputError(f"{name} is {value!r}: give one of {', '.join(map(str, choices))}")


def value_above_zero(name: str, value: float | None) -> float | None:
    """`value`, or InputError when it is neither None nor a finite number above 0."""
    if value is not None and not (isinstance(value, int | float) and 0 < value < float("inf")):
        raise InputError(f"{name} is {value!r}: give a number above 0, or null")
    return value
