"""The interfaces of a trained model: ``sample``, ``translate``, ``classify``, and the records of ``validation_step``.

Callbacks, the command and a user's script use only these methods and the records that ``validation_step`` returns, so they
work with any module of these kinds. Images are float in [-1, 1], [N, C, H, W].
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.noises import Noise
from ganzoo.utils.image_range import IN_UNIT_RANGE, expect_range
from ganzoo.utils.images import to_float
from ganzoo.utils.rng import seed_torch


class Sampler(ABC):
    """A model that generates images from noise.

    Attributes:
        classes: number of classes that it can be asked for; None for a model without classes.
    """

    classes: int | None = None

    @abstractmethod
    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Generates images.

        Args:
            n: number of images.
            y: int64 classes [n], for a conditional model; each class in turn if left out.
            generator: source of the noise; the same seed gives the same images in evaluation mode (``eval()``). Torch's own
                if left out.

        Returns:
            Images in [-1, 1], [n, C, H, W], on the model's device, without a graph.
        """


class NoiseSampler(Sampler):
    """A sampler whose noise can be chosen: ``sample`` decodes what ``draw_noise`` draws.

    Noise is a dictionary of tensors whose first dimension counts the images, so the noise of several images can be
    concatenated, taken apart and interpolated. Its names are the model's: ``z``; ``z_0``, ``z_1`` of a cascade's levels;
    ``dropout_0`` of dropout that is on in sampling.
    """

    @abstractmethod
    def distributions(self) -> Mapping[str, Noise]:
        """The distribution of each tensor of the noise, by name."""

    @abstractmethod
    def draw_noise(self, n: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Draws the noise of n images.

        Args:
            n: number of images.
            generator: source of the noise; torch's own if left out.

        Returns:
            Tensors [n, ...] on the model's device, by name.
        """

    @abstractmethod
    def decode(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        """Generates the images of given noise, without drawing any.

        Args:
            noise: tensors [n, ...] by the names and of the shapes of ``draw_noise``, on the model's device.
            y: int64 classes [n], for a conditional model, or floats [n, classes], weights of the classes, for images
                between them; each class in turn if left out.

        Returns:
            Images in [-1, 1], [n, C, H, W], without a graph.
        """

    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return self.decode(self.draw_noise(n, generator), y)


class DifferentiableSampler(NoiseSampler):
    """A sampler whose images have a gradient with respect to the noise, so that noise can be found by descent."""

    @abstractmethod
    def decode_with_graph(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        """Generates the images of given noise as ``decode`` does, but with the graph; arguments as there."""


class CascadeSampler(NoiseSampler):
    """A sampler that generates images from coarse to fine, and can give every level."""

    @abstractmethod
    def decode_levels(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> list[Tensor]:
        """Generates the images of every level, coarsest first; the last are those of ``decode``.

        Arguments as in ``decode``. Level k's images are [n, C, H_k, W_k] in [-1, 1].
        """

    def cascade(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> list[Tensor]:
        """Generates the images of every level from the noise that ``sample`` draws; arguments as in ``sample``."""
        return self.decode_levels(self.draw_noise(n, generator), y)


class OneWay(NamedTuple):
    """One direction of a translator.

    Attributes:
        translate: from images [N, C, H, W] in [-1, 1] to images of the other domain, without a graph.
        channels: C.
        argument: the name of the model's argument that sets C.
    """

    translate: Callable[[Tensor], Tensor]
    channels: int = 3
    argument: str = "inputs"


class Translator(ABC):
    """A model that translates images.

    Attributes:
        size_multiple: ``translate`` takes heights and widths that are multiples of this number of pixels.
        least_size: the least height and width that ``translate`` takes, in pixels.
        tile_size: prediction translates an image of more than ``tile_size`` x ``tile_size`` pixels in tiles; 0 for never.
    """

    size_multiple: int = 1
    least_size: int = 1
    tile_size: int = 1024

    def one_way(self, direction: str | None = None) -> OneWay:
        """The translation of the images of one side. Override it for a model that takes other than three channels.

        Args:
            direction: "AtoB" for images of A, "BtoA" for images of B; None for data without sides.

        Raises:
            InputError: the model does not go that way.
        """
        return OneWay(self.translate)

    @abstractmethod
    def translate(self, x: Tensor) -> Tensor:
        """Translates images [N, C, H, W] in [-1, 1] to images of the other domain in [-1, 1], without a graph.

        A model whose noise is dropout draws it from torch's own generator, as in training.
        """


class CycleTranslator(Translator):
    """A translator in both directions."""

    @abstractmethod
    def translate_back(self, y: Tensor) -> Tensor:
        """Translates images of the other domain to images of the first, both [N, C, H, W] in [-1, 1], without a graph."""


class Classifier(ABC):
    """A model that classifies images. ``classes`` is the number of classes."""

    classes: int

    @abstractmethod
    def classify(self, x: Tensor) -> Tensor:
        """Computes the probabilities of the classes [N, classes] for images [N, C, H, W] in [-1, 1], without a graph."""


@runtime_checkable
class ImageData(Protocol):
    """A DataModule that declares the shape (C, H, W) of its images; of pairs, that of y."""

    shape: Sequence[int]


@runtime_checkable
class TwoSidedData(Protocol):
    """A DataModule of pairs or of two domains that declares the shapes (C, H, W) of x and of y."""

    shape_x: Sequence[int]
    shape_y: Sequence[int]


@runtime_checkable
class LabelledData(Protocol):
    """A DataModule that declares the number of its classes; labels run from 0 to classes - 1, None for no labels."""

    classes: int | None


@runtime_checkable
class DirectedData(Protocol):
    """A DataModule with two sides A and B that declares which is x: "AtoB" or "BtoA"; None where it has no sides."""

    direction: str | None


class Generated(NamedTuple):
    """The record of a ``Sampler``'s ``validation_step``: real and generated images in [-1, 1]."""

    real: Tensor
    fake: Tensor


class Translated(NamedTuple):
    """The record of a ``Translator``'s ``validation_step``: images in [-1, 1], ``truth`` being the target."""

    input: Tensor
    output: Tensor
    truth: Tensor


class Cycled(NamedTuple):
    """The record of a ``CycleTranslator``'s ``validation_step``: images in [-1, 1].

    Attributes:
        x: images of the first domain.
        fake_y: their translations, G(x).
        back_x: translated back, F(G(x)).
        y: images of the second domain; where the data are pairs, the targets of ``fake_y``.
        fake_x: F(y).
        back_y: G(F(y)).
    """

    x: Tensor
    fake_y: Tensor
    back_x: Tensor
    y: Tensor
    fake_x: Tensor
    back_y: Tensor


class Adapted(NamedTuple):
    """The record of a domain adaptation's ``validation_step``, for a batch of one domain.

    Attributes:
        features: features [N, F], the input of both heads.
        logits: logits [N, classes] of the label predictor.
        domain: logits [N] of the domain classifier; above 0 means target.
        y: int64 classes [N], -1 where none is known. Those of the target domain must not be used in training.
    """

    features: Tensor
    logits: Tensor
    domain: Tensor
    y: Tensor


# the names that a batch may use for its fields; A and B are those of pix2pix's and CycleGAN's own loaders
NAMES = {
    "x": ("x", "image", "images", "img", "input", "inputs", "pixel_values", "A"),
    "y": ("y", "label", "labels", "output", "outputs", "B", "target", "targets"),
    "target": ("target",),
}


def field_of(batch: Any, field: str) -> Any:
    """Finds a field of a batch of any kind. Models and callbacks use only this.

    A tensor alone is x. A tuple or list has x, y and target by place. A mapping, a NamedTuple, a dataclass or any other
    object has them by name: ``x``, ``image`` or ``A``; ``y``, ``label`` or ``B``; ``target`` (all of :data:`NAMES`).

    Args:
        batch: the batch of any loader.
        field: "x": images; "y": classes, or the images to translate to; "target": images of a target domain.

    Returns:
        The field; None where the batch has none.
    """
    if isinstance(batch, Tensor):
        return batch if field == "x" else None
    named = batch if isinstance(batch, Mapping) else {n: getattr(batch, n) for n in NAMES[field] if hasattr(batch, n)}
    found = next((named[name] for name in NAMES[field] if name in named), None)
    if found is not None or isinstance(batch, Mapping) or not isinstance(batch, Sequence):
        return found
    names = getattr(batch, "_fields", ())  # of a NamedTuple: its places count where its names are not known
    if any(name in known for known in NAMES.values() for name in names):
        return None
    place = list(NAMES).index(field)
    return batch[place] if place < len(batch) else None


def as_input(images: Any, dtype: Any) -> Tensor:
    """Converts a user's images to a network's input: its floating type, uint8 to [-1, 1].

    Args:
        images: [N, C, H, W], floats in [-1, 1] or uint8 in [0, 255].
        dtype: the type of the network's weights.

    Raises:
        InputError: they are neither.

    Warns:
        UserWarning: no pixel is below 0, as in images in [0, 1].
    """
    if not isinstance(images, Tensor) or images.ndim != 4:
        shape = f"[{', '.join(map(str, images.shape))}]" if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"images are a tensor [N, C, H, W], not {shape}")
    if images.dtype == torch.uint8:
        return to_float(images).to(dtype)
    if not images.is_floating_point():
        raise InputError(f"images are floats in [-1, 1] or uint8 in [0, 255], not {images.dtype}")
    if torch.compiler.is_exporting():  # a graph has no pixels yet that could be looked at
        return images.to(dtype)
    expect_range(images, "the images")
    if images.numel() and images.min() >= 0:
        warnings.warn(f"the images: {IN_UNIT_RANGE.format(len(images))}", stacklevel=3)
    return images.to(dtype)


def expect_shape(argument: str, shape: Sequence[int], images: Any) -> None:
    """Checks images against what a model was built for.

    Args:
        argument: the name of the model's argument that sets the shape.
        shape: (C, H, W) that the model takes.
        images: images [N, C, H, W], or whatever the batch has instead.

    Raises:
        InputError: they differ.
    """
    if not isinstance(images, Tensor):
        raise InputError(
            "the model needs batches with images as x (and y, for pairs), by place or by name, and this data gives "
            "others: docs, Your own model"
        )
    if not images.is_floating_point():
        raise InputError(
            f"the model needs images in [-1, 1], and these are {images.dtype}: train with the DataModule, not with its "
            "loader alone, or convert with ganzoo.utils.images.to_float"
        )
    found = tuple(images.shape[1:])
    if found != tuple(shape):
        value = str(list(found)).replace(" ", "") if argument == "shape" else found[0]
        raise InputError(
            f"the data's images are {'x'.join(map(str, found))} (channels, height, width) and the model's "
            f"{'x'.join(map(str, shape))}: change model.{argument} (--model.{argument} {value}; in Python "
            f"{argument}={value}, or build the model with for_data(data)), or the data"
        )
    expect_range(images, "the data's images")


def expect_labels(labels: Any, classes: int, declared: int | None = None) -> None:
    """Checks labels against what a model was built for.

    Args:
        labels: int64 classes [N], or whatever the batch has instead.
        classes: the model's number of classes; labels run from 0 to classes - 1.
        declared: the number of classes that the data declares; None where it declares none.

    Raises:
        InputError: there are none, or too many.
    """
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
        raise InputError("the model needs labelled images (y: int64, [N]), and these have no labels: docs, Data")
    if declared is not None and declared != classes:
        raise InputError(f"the data has {declared} classes, and model.classes is {classes}")
    if labels.max() >= classes:
        raise InputError(f"the data has a label {labels.max()}, and model.classes is {classes}: labels count from 0")


@contextmanager
def isolated_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Context: torch's random numbers come from a stream with this seed; afterwards the old stream continues."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        seed_torch(seed, device)
        yield


@contextmanager
def seeded_from(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Context: a network's own random numbers (dropout) come from the generator too; from torch's own if it is None."""
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device=generator.device))
    with isolated_rng(seed, device):
        yield


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Context: the module is in evaluation mode; afterwards each part has its own mode again."""
    # each network's own mode: a frozen one may be in evaluation mode while the others train
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def randn(n: int, size: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draws standard normal noise [n, size], of the device and type of ``like``; ``generator`` may be on another device."""
    device = generator.device if generator is not None else like.device
    return torch.randn(n, size, generator=generator, device=device, dtype=torch.float32).to(like)
