"""The three networks of a domain-adversarial network, for the paper's data and for photographs.

A network family is a small object that a config names; ``networks(shape, classes)`` builds the feature extractor
G_f: [N, C, H, W] -> [N, F], the label predictor G_y: [N, F] -> [N, classes] logits, and the domain classifier
G_d: [N, F] -> [N, 1], a logit, above 0 for target. Figure 4 of Ganin et al. 2016 draws the first three.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.networks.norms import DomainNorm, per_domain
from ganzoo.utils.ranges import Checked, FiniteFloat, HalfOpenUnitInterval, PositiveFloat, Size

Networks = tuple[nn.Module, nn.Module, nn.Module]


class DomainNetworks(Checked, ABC):
    """A family of feature extractor, label predictor and domain classifier. To override: ``networks``, ``begin``."""

    @abstractmethod
    def networks(self, shape: Sequence[int], classes: int) -> Networks:
        """G_f, G_y and G_d for images of ``shape`` (C, H, W) and so many classes.

        Raises:
            InputError: the images are too small for the network.
        """

    def begin(self, G_f: nn.Module) -> None:
        """Loads pretrained weights into the feature extractor when a new training begins; does nothing unless overridden."""
        return None


def dense(*widths: int, dropout: float = 0.0) -> nn.Sequential:
    """Fully connected layers with ReLU between, and dropout after each ReLU if there is any."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def features_of(network: nn.Module, shape: Sequence[int]) -> int:
    """The number of features that a network computes from an image of this shape (C, H, W), found by a black image."""
    training = network.training
    try:
        with torch.no_grad():
            return network.eval()(torch.zeros(1, *shape)).shape[1]
    except RuntimeError:
        raise InputError(
            f"images of {'x'.join(map(str, shape))} are too small for this network: set a larger data.size and "
            "model.shape, or another model.family"
        ) from None
    finally:
        network.train(training)


class Rescaled(nn.Module):
    """``scale x + shift``, with one shift for each channel. [N, C, H, W] -> the same.

    Args:
        scale: 0.5 brings [-1, 1] to a range of 1, as [0, 1] has it.
        shift: of each channel, or one number for all.
    """

    shift: Tensor

    def __init__(self, scale: float, shift: Sequence[float]) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x + self.shift


class MNISTFamily(DomainNetworks):
    """Figure 4(a): two convolutions of 5 x 5 with 32 and 48 maps, each pooled; heads of 100-100 and of 100.

    What the paper leaves open may be chosen: the public port tf-dann has ``same``, ``std=0.1``, ``bias=0.1``, and pixels in
    [0, 1] less their mean m, which is ``input_scale=0.5`` and ``input_shift=(0.5 - m, ...)``.

    Args:
        same: pad the convolutions so that an image keeps its size, as some ports do; the features grow from 768 to 2,352
            for 28 pixels.
        std: initial weights of all three networks from a normal of this deviation, cut off at twice it; None for PyTorch's.
        bias: initial bias of every layer, where ``std`` is given.
        input_scale: what pixels in [-1, 1] are multiplied by before the first layer.
        input_shift: what is then added to each channel, one number for each, or one for all.
    """

    def __init__(
        self,
        same: bool = False,
        std: PositiveFloat | None = None,
        bias: FiniteFloat = 0.0,
        input_scale: PositiveFloat = 1.0,
        input_shift: tuple[float, ...] = (0.0,),
    ) -> None:
        self.same = same
        self.std = std
        self.bias = bias
        self.input_scale = input_scale
        self.input_shift = tuple(input_shift)

    def networks(self, shape: Sequence[int], classes: int) -> Networks:
        padding = 2 if self.same else 0
        G_f = nn.Sequential(
            nn.Conv2d(shape[0], 32, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 48, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
        )  # fmt: skip
        f = features_of(G_f, shape)
        built = G_f, dense(f, 100, 100, classes), dense(f, 100, 1)
        if self.std is not None:
            for network in built:
                _truncated_normal(network, self.std, self.bias)
        if self.input_scale == 1 and not any(self.input_shift):
            return built
        if len(self.input_shift) not in (1, shape[0]):
            raise InputError(
                f"input_shift has one number, or one for each of {shape[0]} channels, not {len(self.input_shift)}"
            )
        return nn.Sequential(Rescaled(self.input_scale, self.input_shift), *built[0]), *built[1:]


def _truncated_normal(network: nn.Module, std: float, bias: float) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(layer.weight, 0.0, std, -2 * std, 2 * std)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, bias)


class NormedFamily(DomainNetworks):
    """The MNIST family with batch norm in all three networks and dropout: what later ports train.

    Not the paper's. Each domain is normalised by its own statistics (:mod:`ganzoo.networks.norms`).

    Args:
        maps: of the two convolutions.
        hidden: width of the heads' hidden layers.
        dropout: share of the second convolution's maps, and of the label predictor's first layer, dropped in training.
    """

    def __init__(self, maps: tuple[Size, Size] = (64, 50), hidden: Size = 100, dropout: HalfOpenUnitInterval = 0.5) -> None:
        self.maps = maps
        self.hidden = hidden
        self.dropout = dropout

    def networks(self, shape: Sequence[int], classes: int) -> Networks:
        first, second = self.maps
        G_f = nn.Sequential(
            nn.Conv2d(shape[0], first, 5), nn.BatchNorm2d(first), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5), nn.BatchNorm2d(second), nn.Dropout2d(self.dropout), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
        )  # fmt: skip
        f, h = features_of(G_f, shape), self.hidden
        G_y = nn.Sequential(
            nn.Linear(f, h), nn.BatchNorm1d(h), nn.ReLU(), nn.Dropout(self.dropout),
            nn.Linear(h, h), nn.BatchNorm1d(h), nn.ReLU(),
            nn.Linear(h, classes),
        )  # fmt: skip
        G_d = nn.Sequential(nn.Linear(f, h), nn.BatchNorm1d(h), nn.ReLU(), nn.Linear(h, 1))
        return G_f, G_y, G_d


class SVHNFamily(DomainNetworks):
    """Figure 4(b), for 32 pixels: three convolutions of 5 x 5 with 64, 64 and 128 maps; heads of 3072-2048 and 1024-1024.

    The paper used dropout here and does not say how much.

    Args:
        dropout: share of hidden units of both heads that is dropped in training.
    """

    def __init__(self, dropout: HalfOpenUnitInterval = 0.5) -> None:
        self.dropout = dropout

    def networks(self, shape: Sequence[int], classes: int) -> Networks:
        G_f = nn.Sequential(
            nn.Conv2d(shape[0], 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 128, 5, padding=2), nn.ReLU(),
            nn.Flatten(),
        )  # fmt: skip
        f = features_of(G_f, shape)
        return G_f, dense(f, 3072, 2048, classes, dropout=self.dropout), dense(f, 1024, 1024, 1, dropout=self.dropout)


class GTSRBFamily(DomainNetworks):
    """Figure 4(c), traffic signs of 40 pixels in 43 classes: 96, 144 and 256 maps; heads of 512 and of 1024-1024."""

    def networks(self, shape: Sequence[int], classes: int) -> Networks:
        G_f = nn.Sequential(
            nn.Conv2d(shape[0], 96, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(96, 144, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(144, 256, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
        )  # fmt: skip
        f = features_of(G_f, shape)
        return G_f, dense(f, 512, classes), dense(f, 1024, 1024, 1)


class Photographs(nn.Module):
    """Normalises images in [-1, 1] by ImageNet's mean and deviation, as torchvision's pretrained backbones expect."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return ((x + 1) / 2 - self.mean) / self.deviation


class TorchvisionFamily(DomainNetworks):
    """A ResNet of torchvision for photographs, a bottleneck, a linear label predictor and the paper's 1024-1024 head.

    The paper did the same with AlexNet on Office-31 (section 5.2.4).

    Args:
        name: a ResNet-like network of ``torchvision.models`` (its last layer is called ``fc``): resnet18, resnet50, ...
        weights: the name of its pretrained weights ("DEFAULT", "IMAGENET1K_V1"), which a new training downloads; None for
            none.
        bottleneck: features that both heads see.
    """

    def __init__(self, name: str = "resnet50", weights: str | None = None, bottleneck: Size = 256) -> None:
        self.name = name
        self.weights = weights
        self.bottleneck = bottleneck

    def networks(self, shape: Sequence[int], classes: int) -> Networks:
        if shape[0] != 3:
            raise InputError(f"torchvision's backbones see colour images: model.shape starts with 3, not {shape[0]}")
        backbone = self._backbone(None)
        models = import_module("torchvision.models")
        if not isinstance(backbone, models.ResNet | models.RegNet):
            raise InputError(f"{self.name} is not known to end in one layer called fc: choose a ResNet, ResNeXt or RegNet")
        backbone.fc = nn.Linear(backbone.fc.in_features, self.bottleneck)
        G_f = nn.Sequential(Photographs(), backbone, nn.ReLU())
        return G_f, nn.Linear(self.bottleneck, classes), dense(self.bottleneck, 1024, 1024, 1)

    def begin(self, G_f: nn.Module) -> None:
        """Loads the pretrained weights, if ``weights`` names any; the bottleneck keeps its own."""
        if self.weights is not None:
            found = self._backbone(self.weights)
            if any(isinstance(part, DomainNorm) for part in G_f.modules()):
                found = per_domain(found)
            weights = {name: value for name, value in found.state_dict().items() if not name.startswith("fc.")}
            G_f[1].load_state_dict(weights, strict=False)  # type: ignore[index]

    def _backbone(self, weights: str | None) -> nn.Module:
        models = import_module("torchvision.models")
        try:
            return models.get_model(self.name, weights=weights)
        except (ValueError, KeyError) as error:
            raise InputError(f"torchvision has no network '{self.name}' with weights '{weights}': {error}") from None
        except OSError as error:  # URLError too
            raise InputError(f"the weights of {self.name} cannot be downloaded: {error}") from None
