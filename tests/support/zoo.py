"""Every model of the zoo and of the examples at a small size, with batches of the kind that it takes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import ganzoo.models as zoo
from ganzoo.adversarial import AdversarialModule
from ganzoo.interfaces import (
    Classifier,
    CycleTranslator,
    Translator,
)
from ganzoo.models import CycleGAN, Pix2Pix
from ganzoo.models.base import ZooModel
from support.training import Labelled, loader

MODELS = {name: cls for name, cls in vars(zoo).items() if isinstance(cls, type) and issubclass(cls, AdversarialModule)}


def example(name: str) -> ModuleType:
    """The module ``examples/<name>.py``, imported once and under its own name, as a user in that folder has it."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, CHECKOUT / "examples" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


CHECKOUT = Path(__file__).parents[2]
EXAMPLES = {
    name: cls
    for path in sorted(CHECKOUT.glob("examples/my_*.py"))
    for name, cls in vars(example(path.stem)).items()
    if isinstance(cls, type) and issubclass(cls, AdversarialModule) and cls.__module__ == path.stem
}
CLASSES = {**MODELS, **EXAMPLES}
# the sizes at which a model trains in a moment; an example from scratch has such defaults
SMALL = {name: dict(cls.small) if issubclass(cls, ZooModel) else {} for name, cls in CLASSES.items()}


def build(name: str) -> AdversarialModule:
    torch.manual_seed(0)
    return CLASSES[name](**SMALL[name])


class Two(NamedTuple):
    x: Tensor
    y: Tensor
    target: Tensor


def random_images(n: int, channels: int, *size: int) -> Tensor:
    return torch.rand(n, channels, *size) * 2 - 1


def data(model: AdversarialModule, n: int = 8, held_out: bool = False):
    """Batches of two of the kind that the model takes."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        h, labels = model.hparams, torch.arange(n) % 3
        if isinstance(model, CycleTranslator):
            x, y = random_images(n, h["channels_x"], 16, 16), random_images(n, h["channels_y"], 16, 16)
        elif isinstance(model, Translator):
            x, y = random_images(n, h["inputs"], 16, 16), random_images(n, h["outputs"], 16, 16)
        elif isinstance(model, Classifier):
            x, y = random_images(n, *h["shape"]), labels
            target = random_images(n, *h["shape"])
            if held_out:
                return [loader(x, y, batch_size=2, kind=Labelled), loader(target, y, batch_size=2, kind=Labelled)]
            return loader(x, y, target, batch_size=2, kind=Two)
        else:
            x, y = random_images(n, *h["shape"]), labels
    return loader(x, y, batch_size=2, kind=Labelled)


every_model = pytest.mark.parametrize("name", MODELS)
every_model_and_example = pytest.mark.parametrize("name", CLASSES)


def pix2pix() -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(depth=3, width=4, patch=16).eval()


def cyclegan() -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(blocks=1, width=4, patch=16).eval()
