"""Normalisation: which layer a network has between its convolutions, and batch norm of classes and of two domains."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ganzoo.utils.ranges import Checked

NormLayer = Callable[[int], nn.Module]  # from a number of maps to the layer
SOURCE, TARGET = 0, 1


class Norm(Checked, ABC):
    """A kind of normalisation, as an argument of a model. A subclass can be named in a config by its class path."""

    @abstractmethod
    def layer(self, maps: int) -> nn.Module:
        """Builds the layer for feature maps [N, maps, H, W]."""


class BatchNorm(Norm):
    """Batch norm: each map by the statistics of the batch, in evaluation by running averages; learned scale and shift."""

    def layer(self, maps: int) -> nn.Module:
        return nn.BatchNorm2d(maps)


class BatchStatistics(Norm):
    """Batch norm by the batch's own statistics in training and in evaluation alike (Isola et al. 2017, section 3.3).

    With one image in a batch this is instance norm with a learned scale and shift.
    """

    def layer(self, maps: int) -> nn.Module:
        return nn.BatchNorm2d(maps, track_running_stats=False)


class _InstanceNorm2d(nn.InstanceNorm2d):
    """Instance norm that in training keeps a single image's channels last in memory, where torch's sorts them first."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or len(x) > 1 or x.is_contiguous():  # an exported network takes any number of images
            return super().forward(x)
        # of one image the instance's statistics are the batch's
        return functional.batch_norm(x, None, None, self.weight, self.bias, True, eps=self.eps)


class InstanceNorm(Norm):
    """Instance norm: each map of each image gets mean 0 and variance 1, in training and in evaluation.

    Args:
        affine: adds a learned scale and shift of each map.
    """

    def __init__(self, affine: bool = False) -> None:
        self.affine = affine

    def layer(self, maps: int) -> nn.Module:
        return _InstanceNorm2d(maps, affine=self.affine)


class LayerNorm(Norm):
    """Layer norm: all maps of each image together by their statistics; learned scale and shift of each map."""

    def layer(self, maps: int) -> nn.Module:
        return nn.GroupNorm(1, maps)


class NoNorm(Norm):
    """No normalisation."""

    def layer(self, maps: int) -> nn.Module:
        return nn.Identity()


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale and shift are those of the class (Dumoulin et al. 2017; de Vries et al. 2017).

    Batch and running statistics are of all classes together. [N, maps, H, W] and codes [N, classes] -> [N, maps, H, W].

    Args:
        maps: number of maps.
        classes: number of classes. The codes are one-hot, or weights of the classes, which mix their scales and shifts.
    """

    def __init__(self, maps: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(maps, affine=False)
        self.scale, self.shift = nn.Parameter(torch.ones(classes, maps)), nn.Parameter(torch.zeros(classes, maps))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.norm(x) * (y @ self.scale)[:, :, None, None] + (y @ self.shift)[:, :, None, None]


class DomainNorm(nn.Module):
    """Batch norm with one scale and shift, and running averages of each domain.

    In training a batch is normalised by its own statistics, which go into the averages of the domain set by
    :func:`of_domain`; in evaluation by that domain's averages. Without :func:`of_domain` the domain is the target.

    Args:
        norm: the batch norm that it replaces; its parameters, epsilon and momentum are kept.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.momentum = 0.1 if norm.momentum is None else norm.momentum
        self.domain = TARGET
        assert norm.running_mean is not None
        assert norm.running_var is not None
        # of a pretrained network both domains start with the averages that it has
        self.register_buffer("running_mean", torch.stack([norm.running_mean] * 2))
        self.register_buffer("running_var", torch.stack([norm.running_var] * 2))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean[self.domain], self.running_var[self.domain]
        return functional.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.momentum, self.eps)


def per_domain(network: nn.Module) -> nn.Module:
    """Replaces every batch norm that keeps running averages by a :class:`DomainNorm`, in place; returns the network."""
    if isinstance(network, _BatchNorm):
        return DomainNorm(network) if network.track_running_stats else network
    for name, part in network.named_children():
        setattr(network, name, per_domain(part))
    return network


@contextmanager
def of_domain(domain: int, *networks: nn.Module) -> Iterator[None]:
    """Context: the networks' inputs are images of this domain, ``SOURCE`` or ``TARGET``."""
    norms = [part for network in networks for part in network.modules() if isinstance(part, DomainNorm)]
    for norm in norms:
        norm.domain = domain
    try:
        yield
    finally:
        for norm in norms:
            norm.domain = TARGET
