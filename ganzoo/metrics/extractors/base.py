"""`Extractor`: a frozen network that turns uint8 images into features, with a spec that says exactly how."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.metrics.statistics import FeatureSpec
from ganzoo.utils.images import to_grey


class Features(NamedTuple):
    """What an extractor sees in images.

    Attributes:
        pool: [N, d] float32, what distances are measured on.
        logits: [N, K] float32 of the classifier at its end, None where it has none.
    """

    pool: Tensor
    logits: Tensor | None


class Extractor(nn.Module, ABC):
    """A frozen network in evaluation mode, with its own resizing and scaling.

    Attributes:
        name: ``inception-2015``; part of the metrics' names, so that no two networks give metrics of one name.
        dimension: d.
        channels: of the images that it takes, 1 or 3; others are converted first (:meth:`convert`).
        resize: how images get their size, in words.
        preprocessing: what else is done to them, in words.
        weights: the first 16 hexadecimal digits of the SHA-256 of its weights (:func:`digest`).
        known: the network's weights are verified to be those that its name promises. Only with them may the Frechet
            distance on Inception be called FID.
        has_logits: whether :attr:`Features.logits` is there.
        metric_names: kinds of metrics that have a name of their own on this network, ``{"fd": "fid_tf"}``; it counts only
            where the weights are known (:func:`ganzoo.metrics.extractors.metric_name`).
    """

    name: str
    dimension: int
    channels: int = 3
    resize: str
    preprocessing: str
    weights: str = ""
    known: bool = False
    has_logits: bool = False
    metric_names: Mapping[str, str] = MappingProxyType({})

    @property
    def label(self) -> str:
        """What its metrics' names end in: the name, with ``_`` for what is neither a letter nor a digit."""
        return re.sub(r"\W+", "_", self.name)

    @abstractmethod
    def features(self, images: Tensor) -> Features:
        """Features of uint8 images [N, channels, H, W], of any H and W, on the network's device."""

    @torch.no_grad()
    def forward(self, images: Tensor) -> Features:
        """Features of images.

        In float32, outside any autocast and without TensorFloat-32 or bfloat16 inside its products, whatever the training
        does: a lower precision would be another protocol. It stays in evaluation mode whatever contains it.

        Args:
            images: uint8 [N, C, H, W] with 1 or 3 channels, on any device.

        Raises:
            InputError: what are not uint8 images.
        """
        if images.ndim != 4 or images.dtype != torch.uint8 or images.shape[1] not in (1, 3):
            raise InputError(
                f"{self.name} takes uint8 images [N, 1 or 3, H, W], not {images.dtype} {list(images.shape)}: "
                "turn images in [-1, 1] into them with ganzoo.utils.images.to_uint8"
            )
        device = next(self.parameters()).device
        with torch.autocast(device.type, enabled=False), _products_in_float32():
            found = self.features(self.convert(images.to(device)))
        return Features(found.pool.float(), None if found.logits is None else found.logits.float())

    def train(self, mode: bool = True) -> Self:
        """Evaluation mode in any case: a network that holds this as a part does not turn it to training."""
        return super().train(False)

    def convert(self, images: Tensor) -> Tensor:
        """uint8 [N, 1 or 3, H, W] -> [N, channels, H, W]: grey is repeated, colour becomes its luma (``to_grey``)."""
        if images.shape[1] == self.channels:
            return images
        return images.expand(-1, 3, -1, -1) if self.channels == 3 else to_grey(images)

    def spec(self, source: str = "", split: str = "") -> FeatureSpec:
        """What its features are, of images of a source and its split."""
        return FeatureSpec(self.name, self.dimension, self.weights, self.resize, self.preprocessing, source, split)


@contextmanager
def on_device(extractor: "Extractor | None", device: torch.device) -> Iterator[None]:
    """Inside the block the extractor, if there is one, is on the device; afterwards its room there is free again."""
    if extractor is not None:
        extractor.to(device)
    try:
        yield
    finally:
        if extractor is not None:
            extractor.to("cpu")


@contextmanager
def _products_in_float32() -> Iterator[None]:
    """No backend shortens the factors of a float32 product: by default convolutions on a GPU do, and after
    ``torch.set_float32_matmul_precision("medium")``, which Lightning advises, so do products of matrices everywhere."""
    backends: Any = torch.backends
    places = (backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul)
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


def digest(state: Mapping[str, Tensor]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of names, shapes and values; the same in any order and file format."""
    found = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        found.update(tensor.view(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return found.hexdigest()[:16]
