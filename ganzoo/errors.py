"""`InputError`, for mistakes that the user can fix, and helpers for one-line error messages."""

from difflib import get_close_matches


class InputError(ValueError):
    """Something given to ganzoo cannot be used: a file, a folder, a number, a config.

    The message is one line that says what is wrong, where, and what to do. The command prints that line and leaves
    with exit code 2; from Python it is an ordinary ``ValueError``.
    """


def one_line(error: BaseException) -> str:
    """What an exception says, on one line; its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: object) -> str:
    """A name as it can stand in a line of any terminal: line breaks and bytes that are no text are written as escapes."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def did_you_mean(wrong: str, right: list[str], otherwise: str = "") -> str:
    """The end of an error's line: the nearest of the right names, or ``otherwise``."""
    lower = {name.lower(): name for name in right}
    near = get_close_matches(wrong.lower(), lower, n=1)
    if near:
        return f": did you mean '{lower[near[0]]}'?"
    return f": {otherwise}" if otherwise else ""
