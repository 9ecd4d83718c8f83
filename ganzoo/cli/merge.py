"""Merges configs and options by key, as plain data, before they are parsed.

jsonargparse replaces a dictionary as a whole and merges lists by position. Here a later config, or an option, changes the
keys that it names and no others; a list replaces a list. Reads YAML only: imports no torch.
"""

import functools
import inspect
import re
import sys
from collections import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace

from ganzoo.errors import InputError
from ganzoo.utils.configs import SECTIONS, Tree, find_config, read_config
from ganzoo.utils.yaml_text import load_yaml, to_yaml

SPEC = ("class_path", "init_args", "dict_kwargs")
BESIDE = (*SPEC, "interval")  # a schedule's


@dataclass
class Composed:
    """The command line after merging.

    Attributes:
        tree: configs and options that were merged.
        files: the configs, in order; text stands for itself.
        rest: the other arguments, in order, which are parsed over the tree.
    """

    tree: Tree = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    rest: list[list[str]] = field(default_factory=list)

    def arguments(self) -> list[str]:
        """All as arguments, the tree as one config."""
        config = ["--config", to_yaml(self.tree)] if self.tree else []
        return [*config, *self.others()]

    def others(self) -> list[str]:
        """The arguments that were not merged."""
        return [token for group in self.rest for token in group]


def compose(args: Sequence[str], tree: Tree | None = None, only: str | None = None) -> Composed:
    """Merges the configs and those options that jsonargparse would not merge by key.

    These are ``--config``, options whose value is a mapping or a list, and dotted options that lead into a dictionary
    (``--model.optimizers.generator.lr 1e-3``; ``init_args`` may be left out). The last one counts.

    Args:
        args: what the user wrote after the command's name.
        tree: config to merge into; None for an empty one.
        only: name of the only section to merge, without configs; None for all.

    Raises:
        InputError: a config cannot be read.
    """
    made = Composed(tree=dict(tree or {}))
    for name, value, tokens in split_options(args):
        if only is None and name == "config" and value is not None:
            path = find_config(value)
            made.files.append(path)
            over = read_config(path)
            made.rest = [group for group in made.rest if not _decided(group, over)]
            made.tree = merge(made.tree, over)
        elif name is None or value is None or only not in (None, name.split(".")[0]) or not _merged(made, name, value):
            made.rest.append(tokens)
    return made


def merge(base: Any, over: Any) -> Any:
    """``over`` over ``base``: mappings by key, anything else replaced.

    Where ``class_path`` becomes another one, those ``init_args`` of ``base`` stay that the new class has as well.
    """
    if isinstance(over, Mapping) and isinstance(base, str) and any(key in over for key in SPEC):
        base = {"class_path": base}
    if isinstance(over, str) and isinstance(base, Mapping) and "class_path" in base:
        over = {"class_path": over}
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    base = dict(base)
    if "class_path" in base and "class_path" in over and not _same(base["class_path"], over["class_path"]):
        base.pop("dict_kwargs", None)
        known = parameters(over["class_path"])
        base["init_args"] = {name: value for name, value in (base.get("init_args") or {}).items() if name in known}
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def find_loaded(name: object) -> type | None:
    """The class of a dotted path, or the one of this name among the imported modules; None if there is none, or several."""
    if not isinstance(name, str):
        return None
    module, _, last = name.rpartition(".")
    if module:
        try:
            found = getattr(import_module(module), last, None)
        except Exception:  # what a module raises at its import is told when the class is built
            return None
        return found if isinstance(found, type) else None
    loaded = {
        id(cls): cls
        for each in list(sys.modules.values())
        if isinstance(cls := getattr(each, "__dict__", {}).get(name), type)
    }
    ours = [cls for cls in loaded.values() if cls.__module__.split(".")[0] in ("ganzoo", "lightning", "torch")]
    found = ours or list(loaded.values())
    return found[0] if len(found) == 1 else None


def parameters(class_path: object) -> dict[str, Any]:
    """Names and types of a constructor's parameters, with those that it passes on to its bases; empty for no class."""
    return {name: kind for name, (kind, _) in _parameters(find_loaded(class_path)).items()}


@functools.cache
def _parameters(cls: type | None) -> dict[str, tuple[Any, Any]]:
    if cls is None:
        return {}
    parser = ArgumentParser(exit_on_error=False)
    try:
        names = parser.add_class_arguments(cls, fail_untyped=False, sub_configs=True)
    except Exception:  # a signature that jsonargparse cannot read
        return {name: (each.annotation, each.default) for name, each in inspect.signature(cls).parameters.items()}
    found = {action.dest: (getattr(action, "_typehint", Any), action.default) for action in parser._actions}
    return {name: found.get(name, (Any, None)) for name in names}


def refuse_nulls(config: Mapping[str, Any] | Any, known: Mapping[str, tuple[Any, Any]], where: str = "") -> None:
    """Refuses null where a value is needed, which jsonargparse accepts.

    Args:
        config: the parsed config, or a section of it.
        known: type and default of each name in the config.
        where: place of the section in the whole config, with a dot at its end.

    Raises:
        InputError: a value is null although one is needed.
    """
    for name, value in config.items():
        kind, default = known.get(name, (Any, None))
        if value is None and default is not None and not _takes_none(kind):
            raise InputError(f"{where}{name}: expected {getattr(kind, '__name__', kind)}, not null")
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping | Namespace) and "class_path" in each and each.get("init_args"):
                inner = _parameters(find_loaded(each["class_path"]))
                refuse_nulls(vars(each["init_args"]), inner, f"{where}{name}.")


def known_of(parser: Any, section: str = "") -> dict[str, tuple[Any, Any]]:
    """Type and default of each option of a parser, or of a section of it."""
    return {
        action.dest.removeprefix(section): (action._typehint, action.default)
        for action in parser._actions
        if hasattr(action, "_typehint") and action.dest.startswith(section)
    }


def _takes_none(kind: Any) -> bool:
    if kind in (Any, None, type(None), object, inspect.Parameter.empty) or isinstance(kind, str | TypeVar):
        return True
    return get_origin(kind) in (Union, UnionType, Annotated) and any(map(_takes_none, get_args(kind)))


# -- options --------------------------------------------------------------------------------------------------------------


def split_options(args: Sequence[str]) -> Iterator[tuple[str | None, str | None, list[str]]]:
    """Yields each option's name, value and tokens; the name is None for what is no option."""
    waiting = list(args)
    while waiting:
        token = waiting.pop(0)
        if token == "-c" or (token.startswith("-c") and not token.startswith("--")):
            token = "--config" if token == "-c" else f"--config={token[2:].removeprefix('=')}"
        if not token.startswith("--"):
            yield None, None, [token]
        elif "=" in token:
            name, _, value = token[2:].partition("=")
            yield name, value, [token]
        elif waiting and not waiting[0].startswith("--"):
            value = waiting.pop(0)
            yield token[2:], value, [token, value]
        else:
            yield token[2:], None, [token]


def _merged(made: Composed, name: str, text: str) -> bool:
    """Merges an option into the tree if it is one that merges by key. Returns whether it did."""
    keys = name.split(".")
    if name.endswith(("+", ".help")) or not all(re.fullmatch(r"\w+", key) for key in keys):
        return False
    value = load_yaml(text, f"--{name}", text)
    if name in SECTIONS and isinstance(value, str) and not value.endswith((".yaml", ".yml", ".json")):
        value = {"class_path": value}
    path, in_dictionary = _place(made.tree, keys)
    if path is None:
        return False
    there = _at(made.tree, path)
    if not in_dictionary:
        whole = isinstance(value, Mapping | list)
        if not whole and (isinstance(there, list) or (isinstance(there, Mapping) and not _is_class(there))):
            del _at(made.tree, path[:-1])[path[-1]]  # it is replaced, and would be merged by position
        if not whole or (len(keys) > 2 and not isinstance(there, Mapping | list)):
            return False
    made.rest = [group for group in made.rest if not _below(_key(group), _bare(path))]
    made.tree = merge(made.tree, _nest(path, value, made.tree))
    return True


def _place(tree: Tree, keys: Sequence[str]) -> tuple[list[str | int] | None, bool]:
    """Where in the tree a dotted option leads, and whether it leads into a dictionary of an argument.

    The place is None within a list of objects, whose last one is meant.
    """
    path: list[str | int] = []
    node: Any = tree
    in_dictionary = False
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(node, list):
            if not (in_dictionary and key.isdigit() and int(key) < len(node)):
                return None, False
            path.append(int(key))
            node = node[int(key)]
            continue
        if _is_class(node) or (depth == 1 and keys[0] in SECTIONS):
            if key == "init_args" and not last:
                continue
            if key not in (BESIDE if in_dictionary else SPEC) and not (in_dictionary and key in node):
                there = node.get("init_args") if isinstance(node, Mapping) else None
                in_dictionary = in_dictionary or (not last and _takes_dictionary(node, key, (there or {}).get(key)))
                path.append("init_args")
                node = there
        path.append(key)
        node = node.get(key) if isinstance(node, Mapping) else None
    return path, in_dictionary


def _is_class(node: Any) -> bool:
    return isinstance(node, Mapping) and any(key in node for key in SPEC)


def _takes_dictionary(node: Any, key: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return not _is_class(value)
    kind = parameters(node.get("class_path") if isinstance(node, Mapping) else node).get(key)
    return any(get_origin(each) in (dict, abc.Mapping) or each is dict for each in (kind, *get_args(kind)))


def _at(tree: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        if isinstance(tree, list) and isinstance(key, int):
            tree = tree[key]
        else:
            tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _nest(path: Sequence[str | int], value: Any, tree: Any) -> Any:
    """The value at its place, as a tree of its own; a list on the way is copied whole."""
    if not path:
        return value
    first, *rest = path
    if isinstance(first, int):
        items = list(tree)
        items[first] = merge(items[first], _nest(rest, value, items[first]))
        return items
    below = tree.get(first) if isinstance(tree, Mapping) else None
    return {first: _nest(rest, value, below)}


def _bare(path: Sequence[str | int]) -> tuple[str, ...]:
    return tuple(str(key) for key in path if key != "init_args")


def _key(tokens: Sequence[str]) -> tuple[str, ...]:
    name = tokens[0].partition("=")[0]
    return _bare(name[2:].removesuffix("+").split(".")) if name.startswith("--") else ()


def _below(key: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return bool(key) and key[: len(path)] == path


def _decided(tokens: Sequence[str], over: Tree) -> bool:
    """Whether a config that comes after an option sets the same value."""
    key = _key(tokens)
    return bool(key) and any(
        key in (path, path[:-1]) if path[-1:] == ("class_path",) else _below(key, path) for path in _leaves(over, ())
    )


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            yield from _leaves(value, _bare((*path, name)))
    else:
        yield path


def _same(one: object, other: object) -> bool:
    if one == other:
        return True
    known = find_loaded(one)
    return known is not None and known is find_loaded(other)
