"""Hyperparameters as plain data, so that a checkpoint loads back alike from Python and from the command line."""

import inspect
from argparse import Namespace
from pickle import UnpicklingError
from typing import Any, Self

import lightning.pytorch as L
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters

from ganzoo.errors import InputError
from ganzoo.parts import find_class, plain
from ganzoo.ranges import Checked


class PlainHyperparameters(Checked, L.LightningModule):
    """A LightningModule whose checkpoints hold weights and plain data only.

    Its hyperparameters are the arguments that its constructor was called with. A subclass that fixes or changes an argument
    on its way to ``super().__init__`` keeps its own arguments, so that ``type(model)(**hyperparameters)`` is the same model.
    """

    _arguments: dict[str, Any]  # of the constructor of the object's own class, defaults included
    _defaults: dict[str, Any]  # of the nearest constructor that names the argument
    _fixed: set[str]  # what a subclass gives to the constructors above it, whatever it is called with
    _by_place: int  # how many arguments the constructor before passes on by their place, in *args
    _open: bool  # whether other arguments go through every constructor so far

    def _constructed_with(self, arguments: inspect.BoundArguments) -> None:
        """Gathers the arguments that the model can be built with again, from its own constructor and those above it."""
        _, *parameters = arguments.signature.parameters.values()
        given = {p.name: arguments.arguments[p.name] for p in parameters if p.name in arguments.arguments}
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        passed_on = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
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

    @property
    def _given(self) -> dict[str, Any]:
        """The arguments that are not what they would be if they were left out."""
        return {k: v for k, v in self._arguments.items() if k in self._defaults and v != self._defaults[k]}

    def save_hyperparameters(self, *args: Any, ignore: Any = None, frame: Any = None, logger: bool = True) -> None:
        """Writes down the constructor's arguments, every object as its recipe, so that a checkpoint loads with weights only.

        Args:
            args: names of those to be written down, all if left out; or one mapping, as Lightning has it.
            ignore: a name, or names, of those that are not.
            frame: not used.
            logger: whether loggers are told.

        Raises:
            InputError: for an argument that cannot be written down (a network, a function).
        """
        if args and not isinstance(args[0], str):
            kept = dict(vars(args[0]) if isinstance(args[0], Namespace) else args[0])
        else:
            left_out = {ignore} if isinstance(ignore, str) else set(ignore or ())
            kept = {k: v for k, v in self._arguments.items() if k not in left_out and (k in args or not args)}
            kept |= _said_by_the_command(type(self))
        plain_ones = {name: plain(value) for name, value in kept.items()}
        self.hparams.clear()
        super().save_hyperparameters(plain_ones, logger=logger)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, weights_only: bool = True, **kwargs: Any) -> Self:
        """Lightning's, reading weights and plain data only: the file itself brings no code.

        It does name classes (the model's, its loss's), and their modules are imported from where Python finds them. The
        model comes back in training mode, like any new one: call ``eval()`` before you sample it.

        Raises:
            InputError: the file holds something else than weights and plain data.
        """
        try:
            return super().load_from_checkpoint(checkpoint_path, *args, weights_only=weights_only, **kwargs)  # type: ignore
        except UnpicklingError:
            raise InputError(
                f"{checkpoint_path} holds more than weights and plain data, and was not loaded, because it could run code: "
                "weights only is what ganzoo writes and reads"
            ) from None


def _said_by_the_command(cls: type) -> dict[str, Any]:
    """By which class and which function of Lightning's the command builds a model, for its checkpoint."""
    given = _given_hyperparameters.get() or {}
    if find_class(given.get("_class_path", "builtins.object"), object) is not cls:  # a model that is built inside another
        return {}
    return {name: given[name] for name in ("_class_path", "_instantiator") if name in given}
