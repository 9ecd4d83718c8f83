"""Trained models as functions of tensors, with the conversion of the images inside: what ``ganzoo export`` writes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganzoo.networks.dropout import NoiseDropout
from ganzoo.noises import DropoutMask
from ganzoo.ops.counter_rng import dropout_mask
from ganzoo.utils.images import to_float, to_grey, to_uint8

Axes = Mapping[int, str]  # the axes of an input whose length is free, by their names


class PixelFormat(NamedTuple):
    """How images stand in the inputs and outputs of an exported file.

    Attributes:
        uint8: as uint8 in [0, 255]; else as float32 in [-1, 1].
        channels_last: as [N, H, W, C]; else as [N, C, H, W].
    """

    uint8: bool = True
    channels_last: bool = False

    def read(self, images: Tensor) -> Tensor:
        """Images of the file as the network takes them: float32 [N, C, H, W] in [-1, 1]."""
        images = images.permute(0, 3, 1, 2) if self.channels_last else images
        return to_float(images) if self.uint8 else images

    def write(self, images: Tensor) -> Tensor:
        """Images of the network, float32 [N, C, H, W] in [-1, 1], as the file gives them."""
        images = to_uint8(images) if self.uint8 else images
        return images.permute(0, 2, 3, 1) if self.channels_last else images

    def given(self, images: Tensor) -> Tensor:
        """Images uint8 [N, C, H, W] as the file takes them."""
        images = images if self.uint8 else to_float(images)
        return images.permute(0, 2, 3, 1).contiguous() if self.channels_last else images

    def axes(self, sizes: bool) -> dict[int, str]:
        """The free axes of images: the batch, and height and width where ``sizes`` is set."""
        height = 1 if self.channels_last else 2
        return {0: "batch", **({height: "height", height + 1: "width"} if sizes else {})}


class PerImageNorm(nn.Module):
    """Batch norm by the statistics of each image alone, as a batch of one image has it.

    A batch of a server holds the images of several people, and none may change another's.

    Args:
        norm: the batch norm without running averages that it replaces; its parameters are kept.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


def per_image(network: nn.Module) -> nn.Module:
    """Replaces every batch norm that has no running averages by a :class:`PerImageNorm`, in place; returns the network."""
    if isinstance(network, nn.BatchNorm2d) and not network.track_running_stats:
        return PerImageNorm(network)
    for name, part in network.named_children():
        setattr(network, name, per_image(part))
    return network


def with_constants(model: nn.Module) -> nn.Module:
    """Replaces a model's buffers that are one truth value by plain ones, in place: a graph cannot branch on a tensor."""
    for name, value in list(model.named_buffers(recurse=False)):
        if value.dtype is torch.bool and not value.ndim:
            delattr(model, name)
            setattr(model, name, bool(value))
    return model


def has_noise(model: nn.Module) -> bool:
    """Whether a model has dropout that stays on when it is used."""
    return any(isinstance(part, NoiseDropout) for part in model.modules())


@contextmanager
def seeded_dropout(model: nn.Module, seeds: Tensor | None) -> Iterator[None]:
    """Context: dropout that is noise takes its masks from seeds (:mod:`ganzoo.ops.counter_rng`).

    Args:
        model: the model; its :class:`NoiseDropout` layers are numbered in the order of their use.
        seeds: int64 [N], one for each image; None for a model without such dropout.
    """
    numbers = count()

    def draw(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, NoiseDropout)
        assert seeds is not None
        layer.mask = dropout_mask(seeds, next(numbers), inputs[0], layer.p)

    def forget(layer: nn.Module, *_: Any) -> None:
        layer.mask = None  # type: ignore[assignment]

    layers = [part for part in model.modules() if isinstance(part, NoiseDropout)] if seeds is not None else []
    hooks = [hook for part in layers for hook in (part.register_forward_pre_hook(draw), part.register_forward_hook(forget))]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class Exportable(nn.Module, ABC):
    """A trained model as a function of tensors.

    Args:
        model: a trained model in evaluation mode; it is copied.
        pixels: how images stand in the inputs and outputs.

    Attributes:
        output: the name of what ``forward`` returns.
        multiple: free heights and widths are multiples of this number of pixels.
        least: the least free height and width, in pixels.
    """

    output: str
    multiple: int = 1
    least: int = 1

    def __init__(self, model: nn.Module, pixels: PixelFormat) -> None:
        super().__init__()
        self.model = per_image(with_constants(deepcopy(model).float().requires_grad_(False))).eval()
        self.pixels = pixels
        self.noisy = has_noise(self.model)

    @abstractmethod
    def examples(self, n: int, size: tuple[int, int], seed: int) -> dict[str, Any]:
        """Inputs of n images for ``forward``, by their names there.

        Args:
            n: number of images.
            size: height and width, where they are free.
            seed: of random images and noise; images of seed 0 are photographs.
        """

    @abstractmethod
    def axes(self) -> dict[str, Any]:
        """The free axes of each input of ``examples``, in the same form."""

    @abstractmethod
    def expected(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        """What the model itself gives for the inputs, image by image, through its interface (``ganzoo.interfaces``)."""

    def sizes(self) -> Sequence[tuple[int, int]]:
        """Two sizes of images, to try; one where the size is fixed."""
        return [(0, 0)]

    def told(self, n: int, size: tuple[int, int], seed: int) -> str:
        """The inputs of ``examples`` in a few words."""
        return f"{n} {'random image' if seed else 'photograph'}{'s' if n > 1 else ''}"

    def describe(self) -> dict[str, str]:
        """What a user of the file needs to know, for its metadata."""
        return {}

    def seeds(self, n: int) -> dict[str, Tensor]:
        """The input ``seed`` of n images, where the model has noise of its own."""
        return {"seed": torch.arange(n) * 1234567891 + 7} if self.noisy else {}

    def seed_axes(self) -> dict[str, Axes]:
        """The free axis of ``seed``, where there is one."""
        return {"seed": {0: "batch"}} if self.noisy else {}


class ExportableTranslator(Exportable):
    """Translates images: image [N, C, H, W] (and seed [N]) -> translation [N, C', H, W].

    Height and width are any multiples of the model's ``size_multiple``.

    Args:
        model: a ``Translator`` in evaluation mode.
        pixels: how images stand in the input and the output.
        channels: of the input.
        back: True for ``translate_back``.
    """

    output = "translation"

    def __init__(self, model: Any, pixels: PixelFormat, channels: int, back: bool = False) -> None:
        super().__init__(model, pixels)
        self.channels, self.back = channels, back
        self.multiple, self.least = int(model.size_multiple), int(model.least_size)

    def way(self, model: Any) -> Callable[[Tensor], Tensor]:
        """The method of the model that translates."""
        return model.translate_back if self.back else model.translate

    def forward(self, image: Tensor, seed: Tensor | None = None) -> Tensor:
        with seeded_dropout(self.model, seed):
            return self.pixels.write(self.way(self.model)(self.pixels.read(image)))

    def examples(self, n: int, size: tuple[int, int], seed: int) -> dict[str, Any]:
        return {"image": self.pixels.given(example_images(n, self.channels, size, seed))} | self.seeds(n)

    def axes(self) -> dict[str, Any]:
        return {"image": self.pixels.axes(sizes=True)} | self.seed_axes()

    def expected(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        images, seeds = self.pixels.read(inputs["image"]), inputs.get("seed")
        found = []
        for k, image in enumerate(images.split(1)):
            with seeded_dropout(model, None if seeds is None else seeds[k : k + 1]):
                found.append(self.way(model)(image))
        return self.pixels.write(torch.cat(found))

    def sizes(self) -> Sequence[tuple[int, int]]:
        side = -(-max(self.least, 16) // self.multiple) * self.multiple
        return [(side, side), (side, 2 * side)]

    def told(self, n: int, size: tuple[int, int], seed: int) -> str:
        return f"{super().told(n, size, seed)} of {size[0]}x{size[1]}"

    def describe(self) -> dict[str, str]:
        return {
            "size": f"height and width are multiples of {self.multiple}, at least {self.least}",
            "size_multiple": str(self.multiple),
            "least_size": str(self.least),
        }


class ExportableClassifier(Exportable):
    """Classifies images: image [N, C, H, W] -> probabilities [N, classes], float32.

    Args:
        model: a ``Classifier`` in evaluation mode.
        pixels: how images stand in the input.
        shape: (C, H, W) of an image.
    """

    output = "probabilities"

    def __init__(self, model: Any, pixels: PixelFormat, shape: Sequence[int]) -> None:
        super().__init__(model, pixels)
        self.shape, self.classes = tuple(shape), int(model.classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.model.classify(self.pixels.read(image))  # type: ignore[operator]

    def examples(self, n: int, size: tuple[int, int], seed: int) -> dict[str, Any]:
        return {"image": self.pixels.given(example_images(n, self.shape[0], self.shape[1:], seed))}

    def axes(self) -> dict[str, Any]:
        return {"image": self.pixels.axes(sizes=False)}

    def expected(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        return model.classify(self.pixels.read(inputs["image"]))

    def describe(self) -> dict[str, str]:
        return {"size": "x".join(map(str, self.shape[1:])), "classes": str(self.classes)}


class ExportableGenerator(Exportable):
    """Generates images: noise, each [N, ...] (and label [N], and seed [N]) -> image [N, C, H, W].

    The inputs of the noise are those of the model's ``draw_noise``: ``z``, or ``z_0``, ``z_1`` ... of a cascade's levels.
    Dropout that is noise is drawn from ``seed``.

    Args:
        model: a ``NoiseSampler`` in evaluation mode.
        pixels: how images stand in the output.
    """

    output = "image"

    def __init__(self, model: Any, pixels: PixelFormat) -> None:
        super().__init__(model, pixels)
        self.classes: int | None = model.classes
        found = model.distributions().items()
        self.distributions = {name: noise for name, noise in found if not isinstance(noise, DropoutMask)}

    def forward(self, noise: dict[str, Tensor], label: Tensor | None = None, seed: Tensor | None = None) -> Tensor:
        with seeded_dropout(self.model, seed):
            return self.pixels.write(self.model.decode(noise, label))  # type: ignore[operator]

    def examples(self, n: int, size: tuple[int, int], seed: int) -> dict[str, Any]:
        drawn = self.model.draw_noise(n, torch.Generator().manual_seed(seed))  # type: ignore[operator]
        noise = {name: drawn[name] for name in self.distributions}
        labels = {} if self.classes is None else {"label": torch.arange(seed, seed + n) % self.classes}
        return {"noise": noise} | labels | self.seeds(n)

    def axes(self) -> dict[str, Any]:
        batch = {0: "batch"}
        labels = {} if self.classes is None else {"label": batch}
        return {"noise": dict.fromkeys(self.distributions, batch)} | labels | self.seed_axes()

    def expected(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        with seeded_dropout(model, inputs.get("seed")):
            return self.pixels.write(model.decode(inputs["noise"], inputs.get("label")))

    def told(self, n: int, size: tuple[int, int], seed: int) -> str:
        return f"the noise of {n} image{'s' if n > 1 else ''}"

    def describe(self) -> dict[str, str]:
        noises = {
            name: f"{type(noise).__name__}({', '.join(f'{key}={value:.6g}' for key, value in vars(noise).items())})"
            for name, noise in self.distributions.items()
        }
        classes = {} if self.classes is None else {"classes": str(self.classes)}
        return {f"distribution_of_{name}": text for name, text in noises.items()} | classes


def example_images(n: int, channels: int, size: Sequence[int], seed: int) -> Tensor:
    """Images to try a network on.

    Args:
        n: number of images.
        channels: of an image.
        size: height and width.
        seed: of random pixels; 0 for parts of a photograph.

    Returns:
        uint8 [n, channels, H, W].
    """
    if seed:
        return torch.randint(0, 256, (n, channels, *size), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    from sklearn.datasets import load_sample_image
    from torchvision.transforms.v2.functional import resize

    photo = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)
    photo = photo if channels == 3 else to_grey(photo[None])[0].expand(channels, -1, -1)
    height, width = photo.shape[1:]
    parts = [photo[:, :, width // (2 * n) * k :][:, :, :height] for k in range(n)]
    return torch.stack([resize(part, list(size), antialias=True) for part in parts])
