"""``ganzoo schema``: the JSON schema of a config, with which an editor completes and checks it.

jsonargparse has such a schema of its own. It cannot read the types of some of Lightning's callbacks, would list every
``nn.Module`` that is imported, and knows neither short names of classes nor ``${...}``.
"""

import inspect
import json
import operator
import re
import sys
from collections import abc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import lightning.pytorch as L
from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import Logger

from ganzoo.cli.lightning_log import filter_log
from ganzoo.cli.parser import Parser, import_classes
from ganzoo.cli.run_options import RunOptions
from ganzoo.errors import InputError

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"  # which editors know best
LISTED = (L.LightningModule, L.LightningDataModule, L.Callback, Logger)  # and every class of ganzoo
REFERENCE: Schema = {"type": "string", "pattern": r"^\$\{.+\}$"}
FOREIGN: Schema = {"type": "string", "pattern": r"^(?!ganzoo\.)[^\W\d]\w*(\.[^\W\d]\w*)+$"}  # a class of the user's
FILE: Schema = {"type": "string", "pattern": r"\.ya?ml$"}
LIMITS = {operator.ge: "minimum", operator.gt: "exclusiveMinimum", operator.le: "maximum", operator.lt: "exclusiveMaximum"}
PLAIN: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null", Path: "string"}
LISTS = (list, set, frozenset, abc.Sequence, abc.Iterable, abc.Collection)


def run(rest: Sequence[str]) -> int:
    """Prints the schema."""
    if any(word in ("-h", "--help") for word in rest):
        print("usage: ganzoo schema > ganzoo.schema.json\n\nPrints the JSON schema of a config, for editors.")
        return 0
    if rest:
        raise InputError(f"`ganzoo schema` takes no arguments, not {' '.join(rest)}: it prints the schema")
    print(json.dumps(config_schema(), indent=1))
    return 0


def config_schema() -> Schema:
    """The JSON schema (draft 7) of a config of ``ganzoo fit``, with the classes of installed plug-ins.

    A key that stands nowhere, a value of another type or out of its range, and a class that ganzoo does not have are
    errors. A class of a module that is not ganzoo's is accepted with any arguments. Nothing is required, as a config may
    be one of several.

    Raises:
        InputError: a plug-in cannot be imported.
    """
    types = _Types()
    top = types.options(_fit_parser())
    for name in ("optimizer", "lr_scheduler"):  # which a model of ganzoo's has for each player
        if name in top["properties"]:
            top["properties"][name] = {}
    top["properties"]["$schema"] = {"type": "string"}
    return {"$schema": DRAFT, "title": "A config of ganzoo", **top, "definitions": types.definitions}


class _Parsed(Exception):  # no error: how the parser leaves Lightning's command line
    def __init__(self, parser: Any) -> None:
        self.parser = parser


class _OptionsOnly(RunOptions):
    """The command line of ``fit``, which ends when its parser is complete."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": LightningCLI.subcommands()["fit"]}

    def parse_arguments(self, parser: Any, args: Any) -> None:
        raise _Parsed(self._parser("fit"))


def _fit_parser() -> Parser:
    filter_log()
    import_classes()
    options = {"parser_mode": "omegaconf+", "exit_on_error": False}
    try:
        _OptionsOnly(
            L.LightningModule,
            L.LightningDataModule,
            save_config_callback=None,
            parser_kwargs={"prog": "ganzoo", **options, "fit": dict(options)},
            parser_class=Parser,
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=["fit"],
            auto_configure_optimizers=False,
        )
    except _Parsed as found:
        return found.parser
    raise AssertionError("Lightning's command line has parsed nothing")


class _Types:
    """Schemas of types. Those of classes are definitions, made once.

    Attributes:
        definitions: a schema for each kind of class, and one for each class's arguments.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def options(self, parser: Any) -> Schema:
        """The schema of a parser's options, those with dots as objects in objects."""
        found = _object()
        for action in parser._actions:
            if action.dest in ("help", "config", "print_config") or action.dest.endswith(".help"):
                continue
            *sections, name = action.dest.split(".")
            place = found
            for section in sections:
                if "properties" not in place["properties"].get(section, {}):  # a whole section is an option as well
                    place["properties"][section] = _object()
                place = place["properties"][section]
            kind = getattr(action, "_typehint", Any)
            made = self.of_value(kind)
            if isinstance(action.help, str) and action.help and action.help != "==SUPPRESS==":
                made = {"description": " ".join(action.help.split()), **made}
            place["properties"].setdefault(name, made)
        return found

    def of_value(self, kind: Any) -> Schema:
        """The schema of a value of this type, or of a reference ``${...}`` to another value."""
        found = self.of(kind)
        return found if not found or _is_free(found) else {"anyOf": [found, REFERENCE]}

    def of(self, kind: Any) -> Schema:
        """The schema of a type; an empty one, which accepts anything, where nothing is known."""
        origin, inside = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.of(inside[0])
        if origin in (Union, UnionType):
            return _any_of([self.of(each) for each in inside])
        if origin is Literal:
            return {"enum": list(inside)}
        if hasattr(kind, "_restrictions"):  # a number of ganzoo.utils.ranges
            limits = {LIMITS[compare]: end for compare, end in kind._restrictions}
            return {"type": "integer" if issubclass(kind, int) else "number", **limits}
        if kind in PLAIN:
            return {"type": PLAIN[kind]}
        if kind is timedelta or not (inspect.isclass(kind) or inspect.isclass(origin)):
            return {}
        return self._of_class(kind, origin or kind, inside)

    def _of_class(self, kind: Any, root: type, inside: tuple[Any, ...]) -> Schema:
        if root is tuple:
            return self._tuple(inside)
        if root in LISTS:
            return {"type": "array", "items": self.of_value(inside[0])} if inside else {"type": "array"}
        if root in (dict, abc.Mapping):
            values = self.of_value(inside[1]) if len(inside) == 2 else {}
            return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
        if root is abc.Callable:
            return {"anyOf": [{"type": "string"}, _spec(FOREIGN, {"type": "object"}, more=True)]}
        if issubclass(root, Enum):
            return {"enum": [name for member in root for name in (member.name, member.value)]}
        if root in LISTED or root.__module__.startswith("ganzoo."):
            return self._kind(root)
        return {}

    def _tuple(self, inside: tuple[Any, ...]) -> Schema:
        if not inside or inside[-1] is Ellipsis:
            return {"type": "array", **({"items": self.of_value(inside[0])} if inside else {})}
        items = [self.of_value(each) for each in inside]
        return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}

    def _kind(self, base: type) -> Schema:
        """A reference to the definition of all classes of a kind, each with its arguments."""
        name = f"{base.__name__} of any class"
        if name not in self.definitions:
            self.definitions[name] = {}  # the reference's target, while a class of the kind takes another of it
            classes = sorted(_classes(base), key=lambda cls: cls.__name__)
            paths = [path for cls in classes for path in _paths(cls)]
            text = {"anyOf": [{"enum": paths}, FOREIGN, FILE, REFERENCE]}
            specs = [_spec({"enum": _paths(cls)}, self._arguments(cls)) for cls in classes]
            foreign = _spec(_any_of([{"type": "string", "pattern": FOREIGN["pattern"], "not": {"enum": paths}}]), {})
            self.definitions[name] = {"anyOf": [text, *specs, {**foreign, "required": ["class_path"]}]}
        return {"$ref": f"#/definitions/{_escaped(name)}"}

    def _arguments(self, cls: type) -> Schema:
        """A reference to the definition of a class's arguments."""
        name = f"{cls.__module__}.{cls.__qualname__}"
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self._of_arguments(cls)
        return {"$ref": f"#/definitions/{_escaped(name)}"}

    def _of_arguments(self, cls: type) -> Schema:
        parser = ArgumentParser(exit_on_error=False)
        try:
            parser.add_class_arguments(cls, fail_untyped=False, sub_configs=True)
        except Exception:  # a signature that jsonargparse cannot read
            return {"type": "object"}
        found = self.options(parser)
        takes_more = any(each.kind is each.VAR_KEYWORD for each in inspect.signature(cls).parameters.values())
        if takes_more and not cls.__module__.startswith("ganzoo."):
            found["additionalProperties"] = True  # they are passed on to where no signature says
        return found


def _object() -> Schema:
    return {"type": "object", "properties": {}, "additionalProperties": False}


def _any_of(schemas: list[Schema]) -> Schema:
    if any(not each for each in schemas):
        return {}
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _spec(class_path: Schema, init_args: Schema, more: bool = False) -> Schema:
    properties = {"class_path": class_path, "init_args": init_args, "dict_kwargs": {"type": "object"}}
    return {"type": "object", "properties": properties, "additionalProperties": more}


def _is_free(schema: Schema) -> bool:
    """Whether a schema accepts any text, a reference among them."""
    return (schema.get("type") == "string" and len(schema) == 1) or any(map(_is_free, schema.get("anyOf", [])))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1").replace(" ", "%20")


def _classes(base: type) -> Iterator[type]:
    """A class and its subclasses, without abstract ones, private ones and those within functions."""
    seen: set[type] = set()
    pending = [base]
    while pending:
        cls = pending.pop()
        if cls in seen:
            continue
        seen.add(cls)
        with suppress(TypeError):  # a metaclass
            pending += cls.__subclasses__()
        private = cls.__name__.startswith("_") or "<locals>" in cls.__qualname__
        private = private or any(re.match("_[^_]", part) for part in cls.__module__.split("."))
        if not private and not inspect.isabstract(cls) and cls not in LISTED:
            yield cls


def _paths(cls: type) -> list[str]:
    """The names of a class in a config: the short one, and each dotted path at which it stands."""
    parts = cls.__module__.split(".")
    modules = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
    stands = [module for module in modules if getattr(sys.modules.get(module), cls.__name__, None) is cls]
    return [cls.__name__, *(f"{module}.{cls.__name__}" for module in stands)]
