"""Answers at once what needs no torch: the help of the commands that train or load data, and mistyped names.

To import torch and Lightning takes seconds. ``known.json`` has the help texts, the names of the options, and those of the
classes with their arguments. ``python tests/support/known_names.py`` writes it, and a test compares it with the parsers.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError, did_you_mean

FILE = Path(__file__).with_name("known.json")
TRAINING = ("fit", "validate", "test", "predict")
SECTIONS = ("model", "data")
_OURS = ("ganzoo", "lightning", "torch")
_BESIDE = ("class_path", "init_args", "dict_kwargs", "help")


def answer(command: str, args: Sequence[str]) -> bool:
    """Prints the help of a command, or refuses a mistyped name, before torch is imported.

    It does nothing if torch is imported already, if there are plug-ins, whose classes are not in the file, or if Lightning
    has another version. The command's own parser then answers the same.

    Args:
        command: one of those that import torch to parse their arguments.
        args: what the user wrote after it.

    Returns:
        Whether the help was printed, so that nothing is left to do.

    Raises:
        InputError: there is no such option, class, config, checkpoint or folder.
    """
    if "torch" in sys.modules or (known := _known()) is None or command not in known["help"]:
        return False
    if list(args) in (["--help"], ["-h"]):
        print("\n".join(known["help"][command]))
        return True
    _check(command, args, known)
    return False


def refuse_missing_images(fake: str) -> None:
    """Refuses a first argument of `ganzoo evaluate` that is neither a model nor a folder of images.

    Raises:
        InputError: there is no such thing; the line names the nearest model.
    """
    from ganzoo.hub.sources import is_model, weights_names
    from ganzoo.utils.configs import config_names

    if not is_model(fake) and not Path(fake).is_dir():
        near = did_you_mean(fake, sorted({*weights_names(), *config_names()}))
        raise InputError(f"{fake}: there is no such checkpoint, and no such folder of images{near}")


def _known() -> dict[str, Any] | None:
    from ganzoo.utils.trust import plugins

    known = json.loads(FILE.read_text(encoding="utf-8"))
    try:
        same = version("lightning") == known["lightning"]
    except PackageNotFoundError:
        return None
    return known if same and not plugins() else None


def _check(command: str, args: Sequence[str], known: Mapping[str, Any]) -> None:
    from ganzoo.cli.merge import split_options
    from ganzoo.utils.configs import find_config, read_config

    options = [(name.removesuffix("+"), value) for name, value, _ in split_options(args) if name is not None]
    configs = [read_config(find_config(value)) for name, value in options if name == "config" and value is not None]
    if command == "evaluate" and args and not args[0].startswith("-"):
        refuse_missing_images(args[0])
    names = [name for name, _ in options]
    if command in TRAINING:
        names = [*(name for config in configs for name in _names(config)), *names]
    values = [str(value) for _, value in options]
    classes: dict[str, list[str]] = {}
    for section in SECTIONS if command in TRAINING else ("data",):
        paths = [_path(config.get(section)) for config in configs]
        paths += [value for name, value in options if name in (section, f"{section}.class_path")]
        found = {path: _is_known(path, known) for path in paths if path is not None}
        for path, is_known in found.items():
            if not is_known and path.isidentifier() and not _has_foreign([*values, *map(str, configs)]):
                near = did_you_mean(path, sorted(known["classes"]), "write its full dotted path")
                raise InputError(f"{section}: there is no class '{path}'{near}")
        # whether a config or an option decides depends on their order: an argument of any of the classes is let pass
        classes[section] = list(found) if all(found.values()) else []
    for name in names:
        _check_name(name, known["options"][command], classes, known)


def _check_name(name: str, options: Sequence[str], classes: Mapping[str, list[str]], known: Mapping[str, Any]) -> None:
    from ganzoo.cli.error_messages import refused_argument

    first, *rest = name.split(".")
    heads = {option.split(".")[0] for option in options}
    if first in classes:
        rest = rest[1:] if rest[:1] == ["init_args"] else rest
        about = {each: known["classes"][each.rpartition(".")[2]] for each in classes[first]}
        if rest and about and all(rest[0] not in (*_BESIDE, *each["options"]) for each in about.values()):
            path = classes[first][-1]
            shown = path if "." in path else about[path]["path"]
            raise InputError(f"{shown} has no option '{rest[0]}'{did_you_mean(rest[0], about[path]['options'])}")
    elif first not in heads or (first == "trainer" and rest and ".".join((first, rest[0])) not in options):
        raise InputError(refused_argument(f"unrecognized arguments: --{name}", list(options)))


def _path(section: Any) -> str | None:
    """The class path of a config's section."""
    path = section.get("class_path") if isinstance(section, Mapping) else section
    return path if isinstance(path, str) else None


def _names(config: Mapping[str, Any]) -> Iterator[str]:
    """The options that a config sets: its keys, those of the trainer, and the arguments of its classes."""
    for key, value in config.items():
        inner = value.get("init_args") if key in SECTIONS and isinstance(value, Mapping) else value
        if key in (*SECTIONS, "trainer"):
            yield from (f"{key}.{each}" for each in (inner if isinstance(inner, Mapping) else ()))
        elif not key.startswith("$"):
            yield key if not isinstance(value, Mapping) or not value else f"{key}.{next(iter(value))}"


def _is_known(path: str, known: Mapping[str, Any]) -> bool:
    """Whether a class path, or a short name, means a class of the file."""
    module, _, name = path.rpartition(".")
    about = known["classes"].get(name)
    return about is not None and module in ("", *about["modules"])


def _has_foreign(texts: Sequence[str]) -> bool:
    """Whether a module that is not ganzoo's is named anywhere: it may have classes that are then known by short names."""
    return any(root not in _OURS for root in re.findall(r"(?<![\w./])([^\W\d]\w*)\.[^\W\d]\w*", " ".join(texts)))
