"""What the commands that are not Lightning's have in common: their options, the data of a config, and stopping."""

import argparse
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from jsonargparse import Namespace

from ganzoo.cli.error_messages import refused_argument
from ganzoo.cli.lightning_log import filter_log
from ganzoo.cli.merge import compose, known_of, merge, refuse_nulls
from ganzoo.cli.parser import Parser, import_classes
from ganzoo.errors import InputError, did_you_mean, printable
from ganzoo.evaluation.sources import DataSource, stub_trainer
from ganzoo.utils.configs import find_config, read_config, section_of
from ganzoo.utils.files import atomic_write
from ganzoo.utils.trust import look_here_last
from ganzoo.utils.yaml_text import to_yaml


def make_parser(command: str, description: str, args: Sequence[str] = ()) -> Parser:
    """A parser with ``--data`` and ``--config``, to which a command adds its own; classes are known by short names.

    Args:
        command: its name.
        description: what it does.
        args: what the user wrote. Modules of the current folder can be imported where it names a class or a config: a
            checkpoint alone, in a folder that somebody else has made, must not reach them.
    """
    filter_log()
    if _names_own(args):
        look_here_last()
    import_classes()
    parser = Parser(
        prog=f"ganzoo {command}",
        description=description,
        parser_mode="omegaconf+",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-c",
        "--config",
        type=str | None,
        default=None,
        help="A YAML file with options of this command, or a config of `ganzoo fit` (a name or a file) for its data; may be "
        "repeated.",
    )
    parser.add_argument("--print_config", action="store_true", help="Print all options as a config, and exit.")
    parser.add_lightning_class_args(L.LightningDataModule, "data", subclass_mode=True, required=False)
    return parser


def _names_own(args: Sequence[str]) -> bool:
    values = [arg.rpartition("=")[2] for arg in args]
    dotted = any(re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", value) and not os.path.exists(value) for value in values)
    return dotted or peek_option(args, "--config", "-c") is not None


def read(parser: Parser, args: Sequence[str], data: Any = None) -> Namespace:
    """Parses the arguments.

    Args:
        parser: of the command.
        args: what the user wrote.
        data: a config's data section, which ``--data...`` changes; None for none.

    Raises:
        InputError: an argument that cannot be used, in one line.
        SystemExit: the config was printed, as ``--print_config`` asks.
    """
    printing = "--print_config" in args  # taken out, as jsonargparse has an option of that name
    words, others = split_positionals(parser, [arg for arg in args if arg != "--print_config"])
    needed = [action for action in parser._actions if not action.option_strings and action.required]
    if printing:
        words = [*words, *(action.dest for action in needed[len(words) :])]
    given = compose(others, {} if data is None else {"data": data}, only="data")
    base = ["--data", to_yaml(given.tree["data"])] if given.tree.get("data") is not None else []
    configured = _configured(parser, peek_options(args, "--config", "-c"))
    try:
        parsed = parser.parse_args([*words, *base, *configured, *given.others()])
    except argparse.ArgumentError as error:
        options = [action.dest for action in parser._actions if action.option_strings]
        raise InputError(refused_argument(str(error), options)) from error
    refuse_nulls(vars(parsed), known_of(parser))
    if printing:
        print(_as_config(parser, parsed), end="")
        raise SystemExit(0)
    return parsed


def is_of_training(config: str) -> bool:
    """Whether a config is one of `ganzoo fit`: it has a trainer, or a model with arguments."""
    found = read_config(find_config(config))
    return "trainer" in found or isinstance(found.get("model"), dict)


def _own_options(parser: Parser) -> dict[str, argparse.Action]:
    """The options that a config of the command may have: all but data and those about configs themselves."""
    apart = ("help", "config", "print_config", "data")
    return {
        action.dest: action for action in parser._actions if action.option_strings and action.dest.split(".")[0] not in apart
    }


def _configured(parser: Parser, configs: Sequence[str]) -> list[str]:
    """The options in configs of this command, as arguments; of a config of `ganzoo fit` none, as only its data are taken."""
    found: list[str] = []
    options = _own_options(parser)
    for config in configs:
        if is_of_training(config):
            continue
        for name, value in read_config(find_config(config)).items():
            if name == "data":
                continue
            if name not in options:
                near = did_you_mean(name, list(options))
                raise InputError(f"{config}: there is no option '{name}'{near}")
            if options[name].nargs == 0:
                if not isinstance(value, bool):
                    raise InputError(f"{config}: {name}: expected true or false, not {value}")
                found += [f"--{name}"] if value else []
            else:
                text = ",".join(map(str, value)) if isinstance(value, list) else "null" if value is None else str(value)
                found.append(f"--{name}={text}")
    return found


def _as_config(parser: Parser, parsed: Namespace) -> str:
    values = {name: plain(parsed[name]) for name in _own_options(parser) if name in parsed}
    data = {} if parsed.data is None else {"data": plain(parsed.data)}
    return "".join(f"{name}: {to_yaml(value)}\n" for name, value in (data | values).items())


def plain(value: Any) -> Any:
    """A parsed value as what YAML knows: numbers of a restricted type become numbers, namespaces dictionaries."""
    if isinstance(value, Namespace):
        return {key: plain(each) for key, each in vars(value).items()}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value if value is None else str(value)


def split_positionals(parser: Parser, args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of the arguments that are no options, and the others, before they are parsed.

    Parsed in this order they may be written in any: argparse takes an optional one only beside the first.
    """
    flags = {name for action in parser._actions if action.nargs == 0 for name in action.option_strings}
    words: list[str] = []
    others: list[str] = []
    value_is_next = False
    for arg in args:
        (others if value_is_next or arg.startswith("-") else words).append(arg)
        value_is_next = not value_is_next and arg.startswith("-") and "=" not in arg and arg not in flags
    return words, others


def peek_option(args: Sequence[str], *names: str) -> str | None:
    """An option's value, before the arguments are parsed; the last one counts."""
    return next(reversed(peek_options(args, *names)), None)


def peek_options(args: Sequence[str], *names: str) -> list[str]:
    """All values of an option that may be repeated, before the arguments are parsed."""
    found = []
    for arg, following in zip_longest(args, args[1:]):
        name, equals, value = arg.partition("=")
        if name in names and (equals or following is not None):
            found.append(value if equals else following)
    return found


def config_section(name: str, *configs: str | Path) -> Any:
    """A section of a config, with what it refers to filled in; None where there is none.

    Args:
        name: ``data``.
        configs: files, or names of configs that come with ganzoo; a later one is merged over those before it.

    Raises:
        InputError: no such config, or one that cannot be read.
    """
    merged: dict[str, Any] = {}
    for each in configs:
        merged = merge(merged, read_config(find_config(str(each))))
    return section_of(merged, name, ", ".join(map(str, configs)))


def read_data(parser: Parser, given: Namespace, trainer: L.Trainer | None = None) -> DataSource:
    """Builds the data module that was asked for.

    Args:
        parser: of the command.
        given: its arguments.
        trainer: which the module's hooks may ask.

    Raises:
        InputError: what the module says.
    """
    module: L.LightningDataModule = parser.instantiate(Namespace(data=given.data)).data
    arguments = given.data.get("init_args") or Namespace()
    return DataSource(module, given.data.class_path, arguments.as_dict(), trainer or stub_trainer())


def device(name: str) -> torch.device:
    """``auto`` is a GPU if there is one.

    Raises:
        InputError: a GPU is asked for, and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is no GPU that torch can use: give --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def refuse_unwritable(path: Path, option: str) -> None:
    """Finds out before the work whether its result can be written; nothing is left behind.

    Raises:
        InputError: no such folder, a name that is too long, no permission.
    """
    if not path.name:
        raise InputError(f"{option} {path} is a folder: give the name of a file")
    try:
        path.exists()  # a name too long for the disk
        with suppress(_EnoughError), atomic_write(path) as part:
            part.touch()
            raise _EnoughError  # or it would become the file
    except OSError as error:
        raise InputError(f"{option} {path} cannot be written: {error.strerror}; give another") from error


class _EnoughError(Exception):
    pass


def make_folder(folder: Path, option: str) -> None:
    """Makes the folder, and finds out before the work whether files can be written into it.

    Raises:
        InputError: they cannot.
    """
    probe = folder / f".ganzoo.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write into {printable(folder)}: {error.strerror}; give another {option}") from error
