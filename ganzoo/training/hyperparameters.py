"""Saves hyperparameters as plain data, so that a checkpoint loads the same way in Python and from the command line."""

import inspect
import sys
from argparse import Namespace
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self

import lightning.pytorch as L
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from torch import nn

from ganzoo.errors import InputError, one_line
from ganzoo.training.checkpoint_io import read_checkpoint
from ganzoo.training.recipes import find_class, to_plain
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import Checked
from ganzoo.utils.trust import check_trusted

LONGEST = 160  # letters of another library's reason


class PlainHyperparameters(Checked, L.LightningModule):
    """A LightningModule whose checkpoints hold only weights and plain data.

    Its hyperparameters are the arguments that its constructor was called with. A subclass that fixes or changes an argument
    on its way to ``super().__init__`` keeps its own arguments, so that ``type(model)(**hyperparameters)`` is the same model.
    """

    _arguments: dict[str, Any]  # of the constructor of the object's own class, defaults included
    _defaults: dict[str, Any]  # of the nearest constructor that names the argument
    _used: dict[str, Any]  # of all constructors; the last to be called with an argument has the value that is used
    _fixed: set[str]  # what a subclass gives to the constructors above it, whatever it is called with
    _by_place: int  # how many arguments the constructor before passes on by their place, in *args
    _open: bool  # whether other arguments go through every constructor so far

    def _constructed_with(self, arguments: inspect.BoundArguments) -> None:
        """Collects the arguments that build the model again, from its own constructor and its parents'."""
        _, *parameters = arguments.signature.parameters.values()
        given = {p.name: arguments.arguments[p.name] for p in parameters if p.name in arguments.arguments}
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        passed_on = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        self.__dict__.setdefault("_used", {}).update({p.name: given.get(p.name, p.default) for p in named})
        if "_arguments" not in vars(self):  # the object's own class
            values = {p.name: given.get(p.name, p.default) for p in named}
            rest: dict[str, Any] = given.get(passed_on or "", {})
            self.__dict__.update(_arguments={**values, **rest}, _defaults={}, _fixed=set(), _open=True, _by_place=0)
        elif self._open:
            for place, p in enumerate(named):
                if place < self._by_place:
                    self._arguments.setdefault(p.name, given.get(p.name, p.default))
                elif p.name in given and p.name not in self._arguments:
                    self._fixed.add(p.name)
                elif p.name not in self._fixed:
                    self._arguments.setdefault(p.name, p.default)
        for p in named:
            self._defaults.setdefault(p.name, p.default)
        self.__dict__["_open"] = self._open and passed_on is not None
        self.__dict__["_by_place"] = next((len(given.get(p.name, ())) for p in parameters if p.kind is p.VAR_POSITIONAL), 0)

    def used_arguments(self) -> dict[str, Any]:
        """Returns the arguments that the constructors used, as plain data, also those that a default or a subclass chose."""
        used = {}
        for name, value in self._used.items():
            chosen = getattr(self, name, None) if value is None else value
            try:
                used[name] = to_plain(chosen if _is_part(chosen) else value)
            except InputError:  # a network: its class
                used[name] = class_name(type(value))
        return used

    @property
    def _given(self) -> dict[str, Any]:
        """Returns the arguments that differ from their defaults."""
        return {k: v for k, v in self._arguments.items() if k in self._defaults and v != self._defaults[k]}

    def save_hyperparameters(self, *args: Any, ignore: Any = None, frame: Any = None, logger: bool = True) -> None:
        """Saves the constructor's arguments, objects as recipes, so that ``weights_only=True`` can load the checkpoint.

        Args:
            args: names of the arguments to save, all if left out; or one mapping, as in Lightning.
            ignore: the name or names of arguments that are not saved.
            frame: not used.
            logger: whether loggers get them too.

        Raises:
            InputError: an argument is not plain data (a network, a function).
        """
        if args and not isinstance(args[0], str):
            kept = dict(vars(args[0]) if isinstance(args[0], Namespace) else args[0])
        else:
            left_out = {ignore} if isinstance(ignore, str) else set(ignore or ())
            kept = {k: v for k, v in self._arguments.items() if k not in left_out and (k in args or not args)}
            kept = {k: getattr(self, k) if v is None and _is_part(getattr(self, k, None)) else v for k, v in kept.items()}
            kept |= _said_by_the_command(type(self))
        plain_ones = {name: to_plain(value) for name, value in kept.items()}
        self.hparams.clear()
        super().save_hyperparameters(plain_ones, logger=logger)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, weights_only: bool = True, **kwargs: Any) -> Self:
        """Loads a model from a checkpoint with ``weights_only=True``: the file cannot run code.

        The file names classes (the model's, its loss's). They must belong to ganzoo, torch, an installed plug-in or a module
        that is already imported (``ganzoo.utils.trust``). The model is in training mode: call ``eval()`` before you sample.

        Raises:
            InputError: the file is damaged, holds something else than weights and plain data, names a class that it may not
                name, is of another class, or does not fit it.
        """
        if isinstance(checkpoint_path, str | Path) and Path(checkpoint_path).is_file():
            hyper = read_checkpoint(checkpoint_path, weights_only).get(cls.CHECKPOINT_HYPER_PARAMS_KEY)
            check_trusted(hyper, str(checkpoint_path), "import its module first")
        try:
            source = _of_class(checkpoint_path, cls, weights_only)
            return super().load_from_checkpoint(source, *args, weights_only=weights_only, **kwargs)  # type: ignore
        except (InputError, OSError):
            raise
        except UnpicklingError:
            raise InputError(
                f"{checkpoint_path} holds more than weights and plain data, and was not loaded, because it could run code: "
                "weights only is what ganzoo writes and reads"
            ) from None
        except Exception as error:
            # whatever a constructor raises on arguments of other kinds, and torch on weights of other shapes
            raise InputError(f"{checkpoint_path} does not fit {cls.__name__}: {one_line(error)[:LONGEST]}") from error


def _is_part(value: Any) -> bool:
    """Whether a value is a configurable object (a loss, noise, networks) that a default or a subclass chose, or a list."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_part, value))
    return isinstance(value, Checked) and not isinstance(value, nn.Module)


def class_name(cls: type) -> str:
    """Returns the dotted path of a class, for a checkpoint."""
    return f"{cls.__module__}.{cls.__qualname__}"


def check_class(checkpoint: Mapping[str, Any], cls: type, path: Any = "the checkpoint") -> None:
    """Refuses a checkpoint of another class, also of a parent or a subclass, whose weights may fit and mean something else.

    A checkpoint that does not say its class is taken. One whose class has the same name in another module is taken with a
    line, because files move.

    Raises:
        InputError: it is of another class.
    """
    saved = checkpoint.get("ganzoo", {}).get("class") or (checkpoint.get("hyper_parameters") or {}).get("_class_path")
    if not saved or saved == class_name(cls):
        return
    (module, _, name), mine = saved.rpartition("."), cls.__qualname__.rpartition(".")[2]
    packages = {module.partition(".")[0], cls.__module__.partition(".")[0]} - {"__main__"}
    if name != mine or (len(packages) > 1 and "ganzoo" in packages):
        raise InputError(
            f"{path} is of {saved}, and the model is {cls.__name__}: give --model {saved}, or another checkpoint"
        )
    if packages != {"ganzoo"}:
        log_info(f"{path} is of {saved}, and the model is {class_name(cls)}: taken for the same class")


def _of_class(path: Any, cls: type, weights_only: bool) -> Any:
    """Checks a checkpoint, and drops arguments of an older ganzoo that the class no longer takes."""
    if not isinstance(path, str | Path) or not Path(path).is_file():
        return path
    found = torch.load(path, map_location="cpu", weights_only=weights_only, mmap=True)
    if not isinstance(found, dict) or not isinstance(found.get("ganzoo", {}), dict):
        return path
    hyper = found.get("hyper_parameters") or {}
    real = cls
    if "_instantiator" in hyper:  # Lightning builds the class that it names, if that is a subclass
        module, _, name = str(hyper.get("_class_path")).rpartition(".")
        real = getattr(sys.modules.get(module), name, cls)
    if not (isinstance(real, type) and issubclass(real, cls)):
        real = cls
    check_class(found, real, path)
    if "class" in found.get("ganzoo", {}):
        return path
    taken = ArgumentParser(exit_on_error=False).add_class_arguments(real, fail_untyped=False)
    dropped = {name for name in hyper if name[0] != "_" and name not in taken}
    if not dropped or not taken:
        return path
    copy = BytesIO()
    torch.save({**found, "hyper_parameters": {k: v for k, v in hyper.items() if k not in dropped}}, copy)
    copy.seek(0)
    return copy


def _said_by_the_command(cls: type) -> dict[str, Any]:
    """Returns which class, and which function of Lightning, the command builds a model with, for its checkpoint."""
    given = _given_hyperparameters.get() or {}
    if find_class(given.get("_class_path", "builtins.object"), object) is not cls:  # a model that is built inside another
        return {}
    return {name: given[name] for name in ("_class_path", "_instantiator") if name in given}
