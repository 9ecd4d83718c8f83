"""Decides which classes a checkpoint may name: a file must not decide which code is imported.

A checkpoint holds plain data, and some of it names classes (the model's, its loss's, an optimizer's). Importing a module
runs it. So a name from a checkpoint, or from a config in its folder, is imported only from

- ganzoo and torch,
- installed plug-ins (entry point group ``ganzoo.plugins``, and the packages of their distributions),
- modules that are imported already, because the user's own code or command imported them. Python's own modules are
  imported too, but no part of a model is in them: ``class_path: os.system`` is refused.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import NamespaceLoader, PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError

GROUP = "ganzoo.plugins"
OURS = ("ganzoo", "torch")
LONGEST = 80  # letters of a name in a message
DEEPEST = 100  # levels of nesting


def look_here_last() -> None:
    """Puts the current folder at the end of ``sys.path``, after all that is installed.

    At the front, where ``python -m`` puts it, a file of an unpacked archive could replace an installed package.
    """
    here = str(Path.cwd())
    sys.path[:] = [*(entry for entry in sys.path if entry not in ("", here)), here]


def plugins() -> list[EntryPoint]:
    """Entry points of the installed plug-ins, without those of a folder of metadata in the current folder."""
    here = Path.cwd().resolve()
    found = entry_points(group=GROUP)
    return [each for each in found if each.dist is None or Path(str(each.dist.locate_file(""))).resolve() != here]


@cache
def _packages(here: Path) -> frozenset[str]:
    # the current folder is an argument because it decides what counts as installed
    names = set(OURS)
    for each in plugins():
        names.add(each.module.partition(".")[0])
        for file in (each.dist and each.dist.files) or []:
            if file.suffix == ".py" and ".." not in file.parts:
                names.add(file.parts[0].removesuffix(".py"))
    return frozenset(names)


def is_trusted(path: str) -> bool:
    """Whether a class that a file names may be imported by its dotted path."""
    module = path.rpartition(".")[0]
    return module in sys.modules or path.partition(".")[0] in _packages(Path.cwd())


def check_trusted(values: Any, source: str, advice: str) -> None:
    """Refuses plain data that name classes of untrusted modules, before anything is imported.

    Args:
        values: plain data of the file, such as its hyperparameters or a section of a config.
        source: path of the file, for the message.
        advice: what the user can write if he trusts the file, for the message.

    Raises:
        InputError: there is a class path that :func:`is_trusted` does not allow, or any other text that would import such a
            module, or the data are nested too deep.
    """
    for key, text in _texts(values):
        if key == "_instantiator":  # of which Lightning has a list of its own
            continue
        named = key in ("class_path", "_class_path")
        # jsonargparse reads texts as YAML, so a text may hold a whole recipe
        inside = re.findall(r"[^\W\d]\w*(?:\.\w+)+", text) if re.search(r"[{\[:\n]", text) else [text]
        for name in [text] if named else inside:
            pythons_own = named and name.partition(".")[0] in sys.stdlib_module_names
            if "." not in name or (is_trusted(name) and not pythons_own) or not (named or _would_import(name)):
                continue
            raise InputError(
                f"{source} names {name[:LONGEST]!r}, which is neither ganzoo's nor an installed plug-in's, and its "
                f"module was not imported, because it could run any code: if you trust it, {advice}"
            )


def class_paths(values: Any) -> set[str]:
    """Finds every class path in plain data."""
    return {text for key, text in _texts(values) if key in ("class_path", "_class_path")}


def _texts(values: Any, key: object = None, depth: int = 0) -> Iterator[tuple[object, str]]:
    if depth > DEEPEST:
        raise InputError("values are nested too deep: this is no file of ganzoo's")
    if isinstance(values, str):
        yield key, values
    elif isinstance(values, Mapping):
        for name, value in values.items():
            if isinstance(name, str):
                yield None, name
            yield from _texts(value, name, depth + 1)
    elif isinstance(values, list | tuple | set | frozenset):
        for value in values:
            yield from _texts(value, key, depth + 1)


def _would_import(text: str) -> bool:
    """Whether looking a dotted path up would run a module's code. Nothing is imported to find out."""
    parts = text.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    within: Any = None
    for n in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: n + 1]), within)
        if spec is None:
            return False
        if spec.loader is not None and not isinstance(spec.loader, NamespaceLoader):
            return True
        within = spec.submodule_search_locations  # a folder without a module of its own: look inside
    return False
