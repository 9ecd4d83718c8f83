"""Writes ganzoo/cli/known.json, which `ganzoo.cli.early` answers from: help texts, options, arguments of classes."""

import argparse
import io
import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from typing import Any

import jsonargparse
import lightning.pytorch as L

from ganzoo.cli import early, main

COMMANDS = (*early.TRAINING, "evaluate", "classifier")


def known_names() -> dict[str, Any]:
    """What `ganzoo.cli.early` knows, asked of the parsers themselves, in a process of its own."""
    os.environ["COLUMNS"] = "80"
    helps, options = {}, {}
    # in this order: a help lists the classes that are imported by then
    for command in COMMANDS:
        helps[command], options[command] = _help(command)
    classes = [cls for base in (L.LightningModule, L.LightningDataModule) for cls in _below(base)]
    from ganzoo.utils.trust import plugins

    assert not plugins(), "the classes of plug-ins would be written down"
    return {
        "lightning": version("lightning"),
        "made with": {"python": platform.python_version().rpartition(".")[0], "jsonargparse": jsonargparse.__version__},
        "help": helps,
        "options": options,
        "classes": {cls.__name__: _about(cls) for cls in sorted(classes, key=lambda cls: cls.__name__)},
    }


def _help(command: str) -> tuple[list[str], list[str]]:
    """The lines of a command's help, and the names of its options."""
    parsers: list[Any] = []
    parse_args = jsonargparse.ArgumentParser.parse_args

    def parse(self: Any, *args: Any, **kwargs: Any) -> Any:
        parsers.append(self)
        return parse_args(self, *args, **kwargs)

    with redirect_stdout(io.StringIO()) as text:
        jsonargparse.ArgumentParser.parse_args = parse
        try:
            main([command, "--help"])
        except SystemExit:
            pass
        finally:
            jsonargparse.ArgumentParser.parse_args = parse_args
    parser = parsers[0]
    if command in early.TRAINING:
        subcommands = next(each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
        parser = subcommands.choices[command]
    names = [action.dest for action in parser._actions]
    flags = [flag.removeprefix("--") for each in parser._actions for flag in each.option_strings if flag.startswith("--")]
    flags = [flag for flag in flags if "+" not in flag]
    # which jsonargparse adds where shtab is installed
    return text.getvalue().splitlines(), [*dict.fromkeys([*names, *flags, "print_shtab"])]


def _below(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        if sub.__module__.split(".")[0] in ("ganzoo", "lightning"):
            yield sub
        yield from _below(sub)


def _about(cls: type) -> dict[str, Any]:
    from ganzoo.cli import merge

    parts: Sequence[str] = cls.__module__.split(".")
    modules = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
    path = jsonargparse._util.get_import_path(cls)
    return {"path": path, "modules": modules, "options": sorted(merge.parameters(f"{cls.__module__}.{cls.__qualname__}"))}


if __name__ == "__main__":
    early.FILE.write_text(json.dumps(known_names(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
