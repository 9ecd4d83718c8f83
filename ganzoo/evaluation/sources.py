"""Where images for an evaluation come from: a model, and the splits of a data module."""

import warnings
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import lightning.pytorch as L
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.trainer.states import TrainerFn, TrainerStatus
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ganzoo.errors import InputError
from ganzoo.evaluation.batches import EvalSplit
from ganzoo.interfaces import Sampler
from ganzoo.metrics.modes import ModeData, Modes

STAGES = {"train": "fit", "val": "validate", "test": "test"}


class Model(NamedTuple):
    """A trained model.

    Attributes:
        module: on the device where it is to work.
        protocol: fields of the protocol that it decides.
        about: what it is, as plain values.
        batch_size: of its training; None where that is not known.
    """

    module: Any
    protocol: dict[str, Any]
    about: dict[str, Any]
    batch_size: int | None = None

    @classmethod
    def of(cls, module: L.LightningModule) -> "Model":
        """A module that is in memory, whatever checkpoint its weights are from."""
        averaged = getattr(module, "ema", None) is not None
        name = f"{type(module).__module__}.{type(module).__qualname__}"
        about = {
            "path": type(module).__name__,
            "model": name,
            "classes": module.classes if isinstance(module, Sampler) else None,
        }
        return cls(module, {"model_weights": "averaged" if averaged else "raw", "batch_norm": "eval"}, about)

    def attach(self, trainer: L.Trainer) -> None:
        """Gives the module a trainer that its hooks and steps may ask."""
        trainer.strategy.connect(self.module)
        self.module.trainer = trainer


class Splits(ABC):
    """The splits of some data.

    Attributes:
        name: dotted path of the data's class.
        arguments: of its constructor, as plain values.
        classes: of the images; None where they are not known.
    """

    name: str
    arguments: dict[str, Any]
    classes: int | None = None

    def modes(self) -> Modes | None:
        """The modes of the data; None where they are not known."""
        return None

    @property
    def short(self) -> str:
        """The class's name alone."""
        return self.name.rpartition(".")[2]

    @abstractmethod
    def split(self, name: str) -> EvalSplit:
        """The images of train, val or test.

        Raises:
            InputError: there is no such split, or it is empty.
        """


class DataSource(Splits):
    """A data module whose splits are read for an evaluation.

    Args:
        module: its hooks may ask a trainer; it is prepared and set up here.
        name: dotted path of the class.
        arguments: of its constructor, as plain values.
        trainer: that the hooks ask.
    """

    def __init__(self, module: L.LightningDataModule, name: str, arguments: dict[str, Any], trainer: L.Trainer) -> None:
        self.module, self.name, self.arguments = module, name, arguments
        self.classes = getattr(module, "classes", None)
        module.trainer = trainer
        trainer.datamodule = module  # type: ignore[attr-defined]
        module.prepare_data()
        self._splits: dict[str, EvalSplit] = {}

    def modes(self) -> Modes | None:
        """The modes of the data module's samples; None where it does not know them."""
        return self.module.modes() if isinstance(self.module, ModeData) else None

    def loader(self, split: str) -> Any:
        """The loader of a split: train, val or test.

        Raises:
            InputError: there is no such split.
        """
        self.module.setup(STAGES[split])
        try:
            return getattr(self.module, f"{split}_dataloader")()
        except (MisconfigurationException, NotImplementedError) as error:
            raise InputError(f"{self.short} has no {split} images: give another --split") from error

    def split(self, name: str) -> EvalSplit:
        """The images of a split, which the module's hooks prepare as a trainer has it done.

        Raises:
            InputError: there is no such split, or it is empty.
        """
        if name not in self._splits:
            found = EvalSplit(self.loader(name), name, self._prepare)
            if len(found) == 0:
                raise InputError(f"{self.short} has no {name} images: give another --split")
            self._splits[name] = found
        return self._splits[name]

    def _prepare(self, batch: Any) -> Any:
        return self.module.on_after_batch_transfer(self.module.on_before_batch_transfer(batch, 0), 0)


def stub_trainer(on: str = "cpu") -> L.Trainer:
    """A trainer for hooks and steps that ask theirs: it is validating, alone, and writes nothing.

    Args:
        on: ``cpu`` or ``cuda``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is a GPU, which is not to be used
        trainer = L.Trainer(
            accelerator=on,
            devices=1,
            plugins=LightningEnvironment(),  # whatever the environment says of other processes
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    trainer.state.fn, trainer.state.status = TrainerFn.VALIDATING, TrainerStatus.RUNNING
    trainer.validating = True
    return trainer
