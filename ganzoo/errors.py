"""`InputError`, for mistakes that the user can fix, and helpers for one-line error messages."""

from difflib import get_close_matches


class InputError(ValueError):
    """Something given to ganzoo cannot be used: a file, a folder, a number, a config.

    The message is one line that says what is wrong, where, and what to do. The command prints that line and leaves
    with exit code 2; from Python it is an ordinary ``ValueError``.
    """


def one_line(error: BaseException) -> str:
    """Returns an exception's message on one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: object) -> str:
    """Escapes line breaks and bytes that are not text, so that a name fits on a line of any terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def did_you_mean(wrong: str, right: list[str], otherwise: str = "") -> str:
    """Returns the end of an error message: the nearest valid name, or ``otherwise``."""
    lower = {name.lower(): name for name in right}
    near = get_close_matches(wrong.lower(), lower, n=1)
    if near:
        return f": did you mean '{lower[near[0]]}'?"
    return f": {otherwise}" if otherwise else ""
