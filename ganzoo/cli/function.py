"""Parses the arguments of a command that has no data, and runs one that is a single function. Imports no torch."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from ganzoo.cli.error_messages import refused_argument
from ganzoo.errors import InputError


def call(command: str, function: Callable[..., Any], args: Sequence[str]) -> Any:
    """Calls a function with the arguments of a command line, and returns what it returns.

    Args:
        command: the command's name.
        function: its parameters without a default are positional arguments, the others options.
        args: what the user wrote after the command's name.

    Raises:
        InputError: an argument that cannot be used, in one line.
        SystemExit: the help was printed.
    """
    parser = ArgumentParser(
        prog=f"ganzoo {command}",
        description=(function.__doc__ or "").split("\n\n")[0],
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_function_arguments(function, as_group=False, as_positional=True, fail_untyped=True)
    try:
        given = parser.parse_args(list(args))
    except argparse.ArgumentError as error:
        options = [action.dest for action in parser._actions if action.option_strings]
        raise InputError(refused_argument(str(error), options)) from error
    return function(**given.as_dict())


def parse(command: ArgumentParser, args: Sequence[str]) -> Namespace:
    """Parses the arguments of a command that has no data; options and words may be in any order.

    Raises:
        InputError: an argument that cannot be used, in one line.
    """
    if {"-h", "--help"} & set(args):
        command.parse_args(["--help"])
    from ganzoo.cli.options import split_positionals

    words, others = split_positionals(command, args)  # type: ignore[arg-type]
    try:
        return command.parse_args([*words, *others])
    except argparse.ArgumentError as error:
        names = [action.dest for action in command._actions if action.option_strings]
        raise InputError(refused_argument(str(error), names)) from error
