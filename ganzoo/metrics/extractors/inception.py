"""Inception-2015, the network of the Inception score and of FID (Salimans et al. 2016; Heusel et al. 2017).

Its layers are torch-fidelity's port of the TensorFlow graph of 2015-12-05, in which pooling differs from that of
torchvision's network. They are taken from there and not written again, because metrics can be compared only where all use
one port.
"""

from collections import OrderedDict
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.metrics.extractors.base import Extractor, Features, digest
from ganzoo.metrics.extractors.resizing import FID, Antialiased, Resize, TensorFlow1
from ganzoo.metrics.extractors.weights import fill, published

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
ALIASES = ("pt_inception-2015-12-05-6726825d.pth",)  # the same file, as pytorch-fid calls it


class Inception2015(Extractor):
    """Inception-2015 and a way of resizing.

    Args:
        weights: file of its weights; None for the published ones, which torch hub's folder of checkpoints holds if
            torch-fidelity, torchmetrics or pytorch-fid has run before, and which else are fetched (96 MB).
        resize: to 299 x 299.
        short: for the way of resizing, in metrics' names: ``fid_<short>``.

    Raises:
        InputError: torch-fidelity is not installed; the weights cannot be fetched or read.
    """

    name = "inception-2015"
    dimension = 2048
    preprocessing = "(x - 128) / 128; no bias in the logits"
    has_logits = True

    def __init__(self, weights: "str | Path | None", resize: Resize, short: str) -> None:
        super().__init__()
        self.network = network()
        found = published(weights, URL, SHA256, ALIASES)
        fill(self.network, found)
        # the channels of a pixel side by side: a third quicker on a processor, and another rounding of the same sums
        self.network.to(memory_format=torch.channels_last)
        self.weights, self.known = digest(found.state), found.known
        self.resized, self.resize, self.short = resize, resize.words, short
        self.metric_names = MappingProxyType(
            {"fd": f"fid_{short}", "kd": f"kid_{short}", "score": f"inception_score_{short}"}
        )

    @property
    def label(self) -> str:
        return f"inception_{self.short}" + ("" if self.known else f"_unverified_{self.weights[:8]}")

    def features(self, images: Tensor) -> Features:
        pool = self.network[:-1]((self.resized(images) - 128) / 128)
        # the published score's logits are those before the bias is added
        return Features(pool, pool @ self.network[-1].weight.T)


class InceptionTF(Inception2015):
    """Inception-2015 with the resizing of the first FID code: ``fid_tf``, what most papers' FID is.

    Args:
        weights: as of :class:`Inception2015`.
    """

    def __init__(self, weights: "str | Path | None" = None) -> None:
        super().__init__(weights, TensorFlow1(299, 299), "tf")


class InceptionClean(Inception2015):
    """Inception-2015 with clean-fid's resizing: ``fid_clean``.

    Args:
        weights: as of :class:`Inception2015`.
    """

    def __init__(self, weights: "str | Path | None" = None) -> None:
        super().__init__(weights, Antialiased(299, 299), "clean")


def network() -> nn.Sequential:
    """The layers, named as in the file of weights: [N, 3, 299, 299] -> [N, 2048] -> [N, 1008] (the last one).

    Raises:
        InputError: torch-fidelity is not installed.
    """
    try:
        from torch_fidelity import feature_extractor_inceptionv3 as port
    except ImportError as error:
        raise InputError(f"Inception-2015 needs torch-fidelity: {FID}") from error
    return nn.Sequential(
        OrderedDict(
            Conv2d_1a_3x3=port.BasicConv2d(3, 32, kernel_size=3, stride=2),
            Conv2d_2a_3x3=port.BasicConv2d(32, 32, kernel_size=3),
            Conv2d_2b_3x3=port.BasicConv2d(32, 64, kernel_size=3, padding=1),
            MaxPool_1=nn.MaxPool2d(3, stride=2),
            Conv2d_3b_1x1=port.BasicConv2d(64, 80, kernel_size=1),
            Conv2d_4a_3x3=port.BasicConv2d(80, 192, kernel_size=3),
            MaxPool_2=nn.MaxPool2d(3, stride=2),
            Mixed_5b=port.InceptionA(192, pool_features=32),
            Mixed_5c=port.InceptionA(256, pool_features=64),
            Mixed_5d=port.InceptionA(288, pool_features=64),
            Mixed_6a=port.InceptionB(288),
            Mixed_6b=port.InceptionC(768, channels_7x7=128),
            Mixed_6c=port.InceptionC(768, channels_7x7=160),
            Mixed_6d=port.InceptionC(768, channels_7x7=160),
            Mixed_6e=port.InceptionC(768, channels_7x7=192),
            Mixed_7a=port.InceptionD(768),
            Mixed_7b=port.InceptionE_1(1280),
            Mixed_7c=port.InceptionE_2(2048),
            AvgPool=nn.AdaptiveAvgPool2d(1),
            Flatten=nn.Flatten(),
            fc=nn.Linear(2048, 1008),
        )
    )
