"""Small checks of what a user gives, each ending in one line that says what is wrong."""

from collections.abc import Sequence

from ganzoo.errors import InputError


def at_least(name: str, value: int, least: int) -> int:
    """`value`, or InputError when it is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} is {value!r}: give a whole number of at least {least}")
    return value


def one_of(name: str, value: object, choices: Sequence[object]) -> None:
    """InputError when `value` is none of `choices`."""
    if value not in choices:
        raise InputError(f"{name} is {value!r}: give one of {', '.join(map(str, choices))}")
