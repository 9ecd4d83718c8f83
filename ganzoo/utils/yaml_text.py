"""Reads YAML safely: an error is one line, and no input hangs. Imports no torch."""

import functools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError

MAX_BYTES = 10_000_000
MAX_NODES = 100_000
MAX_DEPTH = 50


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        InputError: it cannot be read, is not text in UTF-8, is not YAML, or is larger than any config.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes are too many for a config")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    return load_yaml(text, str(path))


def load_yaml(text: str, where: str, otherwise: Any = None) -> Any:
    """The value of YAML text; numbers like 1e-3 are numbers.

    Args:
        text: the text.
        where: it comes from, for the message.
        otherwise: what to return for text that is no YAML, instead of an error.

    Raises:
        InputError: no YAML, a key twice in a mapping, aliases or lists in lists without end, or a kind of value that no
            config has.
    """
    import yaml

    try:
        _check_size(text, where)
        value = yaml.load(text, Loader=_loader())  # a SafeLoader
        _check_kinds(value)
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        if otherwise is not None:
            return otherwise
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise InputError(f"{where}: not YAML: {place}{' '.join(str(problem).split())}") from None
    return value


def to_yaml(value: Any) -> str:
    """Plain data as YAML text in one line, which reads back as the same data."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{to_yaml(key)}: {to_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_yaml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, str):  # JSON's escapes of two halves mean nothing in YAML
        return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(value, ensure_ascii=False))
    return json.dumps(value)


def _check_size(text: str, where: str) -> None:
    """Counts what the text comes to with its aliases written out, without writing them out."""
    import yaml

    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # anchor, and nodes before it
    total = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise InputError(f"{where}: the alias *{event.anchor} stands within itself, or before its anchor")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if total > MAX_NODES or len(open_nodes) > MAX_DEPTH:
            raise InputError(f"{where}: too large or too deep for a config (aliases count as what they stand for)")


def _check_kinds(value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str | int | float | bool | None):
                raise ValueError(f"{key!r} cannot be a key")
            _check_kinds(item)
    elif isinstance(value, list):
        for item in value:
            _check_kinds(item)
    elif not isinstance(value, str | int | float | bool | None):
        raise ValueError(f"a config has no values of the kind {type(value).__name__}")


@functools.cache
def _loader() -> Any:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """YAML 1.1 without dates, with numbers as in 1.2 and without keys that stand twice."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if (key.tag, key.value) in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"the key '{key.value}' stands twice in one mapping", key.start_mark
                        )
                    seen.add((key.tag, key.value))
            return super().construct_mapping(node, deep)

    # nor 12:30:00 as a number of the base 60
    drop = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float", "tag:yaml.org,2002:int")
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag not in drop]
        for first, found in Loader.yaml_implicit_resolvers.items()
    }
    whole = r"^[-+]?(?:0b[01_]+|0[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$"
    exponent, special = r"[eE][-+]?[0-9]+", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    broken = rf"^(?:[-+]?[0-9][0-9_]*(?:\.[0-9_]*(?:{exponent})?|{exponent})|[-+]?\.[0-9][0-9_]*(?:{exponent})?|{special})$"
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(whole), list("-+0123456789"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(broken), list("-+0123456789."))
    return Loader
