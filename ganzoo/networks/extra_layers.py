"""Layers that a model's networks get from a config: minibatch discrimination, virtual batch norm.

A model takes a list of them as its argument ``layers``: objects from Python, ``[{class_path: VirtualBatchNorm}]`` from YAML.
Its checkpoint keeps them in the second form.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganzoo.errors import InputError
from ganzoo.penalties import MixesSamples
from ganzoo.utils.ranges import Checked, SampleCount, Size


class ExtraLayer(Checked, ABC):
    """A change of a model's networks. A config can name a subclass that keeps each argument under its own name."""

    @abstractmethod
    def extend(
        self, G: nn.Module, D: nn.Module, z_shape: Sequence[int], x_shape: Sequence[int]
    ) -> tuple[nn.Module, nn.Module]:
        """Adds the layer to the networks.

        Args:
            G: the generator.
            D: the discriminator.
            z_shape: shape of one input of G.
            x_shape: shape of one image.

        Returns:
            Generator and discriminator, changed in place or wrapped.

        Raises:
            InputError: it does not fit them.
        """


# -- minibatch discrimination -----------------------------------------------------------------------------------------


class MinibatchDiscrimination(ExtraLayer):
    """Minibatch discrimination: D compares each sample with the others of its batch (Salimans et al. 2016, section 3.2).

    A generator whose samples are alike is then easy to tell. The closeness of samples is a further input of the
    discriminator's last layer. Real and generated samples are separate batches; each process has its own.

    Args:
        kernels: B, how many kinds of closeness, at most the number of features; 100 in the authors' code for CIFAR-10.
        dims: C, the length of the vectors that a kernel compares; 5 in the authors' code.
    """

    def __init__(self, kernels: Size = 100, dims: Size = 5) -> None:
        self.kernels, self.dims = kernels, dims

    def extend(
        self, G: nn.Module, D: nn.Module, z_shape: Sequence[int], x_shape: Sequence[int]
    ) -> tuple[nn.Module, nn.Module]:
        linear = [(n, part) for n, part in D.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]
        name, last = linear[-1] if linear else ("", D)
        if not isinstance(last, nn.Linear | nn.Conv2d) or last.weight.shape[0] != 1:
            raise InputError(
                f"minibatch discrimination is for a discriminator with one logit, and not for {type(D).__name__}"
            )
        inputs = last.weight[0].numel()
        if self.kernels > inputs:
            raise InputError(
                f"minibatch discrimination with {self.kernels} kernels, and {type(D).__name__} has {inputs} features in its "
                f"last layer: give at most as many (the paper's code has 100)"
            )
        compared = ComparedSamples(last, inputs, self.kernels, self.dims)
        if not name:
            return G, compared
        D.set_submodule(name, compared)
        return G, D


class Closeness(MixesSamples, nn.Module):
    """How close each sample's features are to those of the others in its batch. [N, inputs] -> [N, kernels].

    ``M_i = f(x_i) T`` and ``o(x_i)_b = sum over j != i of exp(-||M_ib - M_jb||_1)``: n - 1 where all are alike, 0 for a
    sample alone. The sample itself, a constant 1 in the paper's sum, is left out, as in the released code. That code keeps
    T's columns at a learned length in the training, and adds a number to each kernel; here T is free after its first scale.

    Args:
        inputs: number of features.
        kernels: B.
        dims: C.
    """

    scaled: Tensor

    def __init__(self, inputs: int, kernels: int = 100, dims: int = 5) -> None:
        super().__init__()
        self.T = nn.Parameter(torch.nn.functional.normalize(torch.randn(inputs, kernels, dims), dim=0))
        self.register_buffer("scaled", torch.tensor(False))

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            if self.training and not self.scaled and len(features) > 1:
                self._scale(features.detach())
            return (torch.exp(-self.distances(features)) * (1 - _eye(features))).sum(2).T

    def distances(self, features: Tensor) -> Tensor:
        """L1 distances of all pairs for each kernel, [kernels, N, N], float32."""
        rows = (features.float() @ self.T.float().flatten(1)).unflatten(1, self.T.shape[1:]).movedim(1, 0).contiguous()
        return torch.cdist(rows, rows, p=1)

    @torch.no_grad()
    def _scale(self, features: Tensor) -> None:
        """On the first batch: samples' nearest ones get the mean distance 2, as in the released code's initialisation."""
        nearest = _mean_of_processes((self.distances(features) + 1e6 * _eye(features)).amin(2).mean(1))
        self.T.mul_((2 / nearest).nan_to_num(posinf=1.0)[:, None])
        self.scaled.fill_(True)


class ComparedSamples(nn.Module):
    """A discriminator's last layer that also gets the closeness of its samples. Starts as the layer alone.

    Args:
        last: the layer, with one logit.
        inputs: number of its inputs.
        kernels: as in ``Closeness``.
        dims: as in ``Closeness``.
    """

    def __init__(self, last: nn.Module, inputs: int, kernels: int, dims: int) -> None:
        super().__init__()
        self.last, self.closeness = last, Closeness(inputs, kernels, dims)
        self.weight, self.offset = nn.Parameter(torch.zeros(kernels)), nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        logits, flat = self.last(features), features.flatten(1)
        if flat.shape[1] != len(self.closeness.T):
            raise InputError(
                "minibatch discrimination needs one logit of an image, and this discriminator has one of a patch"
            )
        more = self.closeness(flat) @ self.weight.float() + self.offset
        return logits + more.to(logits).view(-1, *[1] * (logits.ndim - 1))


# -- virtual batch norm -----------------------------------------------------------------------------------------------


class VirtualBatchNorm(ExtraLayer):
    """Virtual batch norm: statistics of a fixed reference batch instead of the live one (Salimans et al. 2016, section 3.5).

    It replaces every batch norm of the networks. The reference batch is the first batch of the training, and is kept in the
    checkpoint. A sample's output does not depend on the other samples of its batch. The reference passes through the network
    at each call, which costs as much as so many samples more; therefore the paper has it in the generator only.

    Args:
        reference: number n of samples in the reference batch; at most the batch size.
        generator: whether the generator gets it.
        discriminator: whether the discriminator gets it.

    Raises:
        InputError: neither network gets it.
    """

    def __init__(self, reference: SampleCount = 64, generator: bool = True, discriminator: bool = False) -> None:
        if not (generator or discriminator):
            raise InputError("VirtualBatchNorm with generator false and discriminator false changes nothing: leave it out")
        self.reference, self.generator, self.discriminator = reference, generator, discriminator

    def extend(
        self, G: nn.Module, D: nn.Module, z_shape: Sequence[int], x_shape: Sequence[int]
    ) -> tuple[nn.Module, nn.Module]:
        if self.generator:
            G = ReferenceBatch(G, self.reference, z_shape)
        return G, ReferenceBatch(D, self.reference, x_shape) if self.discriminator else D


class ReferenceNorm(nn.Module):
    """Batch norm of a batch whose first n samples are the reference batch; n is 0 until ``ReferenceBatch`` sets it.

    The reference is normalised by its own statistics; each other sample by those of the reference and of itself, with the
    weight ``1 / (n + 1)`` on its own mean and mean square.

    Args:
        norm: the batch norm that it replaces; its parameters and epsilon are kept.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.n = 0

    def forward(self, x: Tensor) -> Tensor:
        values, own = x.float(), (0, *range(2, x.ndim))
        reference, live = values[: self.n], values[self.n :]
        mean, square = reference.mean(own, keepdim=True), reference.square().mean(own, keepdim=True)
        share = 1 / (self.n + 1)
        live_mean, live_square = (part.mean(own[1:], keepdim=True) if x.ndim > 2 else part for part in (live, live.square()))
        live_mean, live_square = torch.lerp(mean, live_mean, share), torch.lerp(square, live_square, share)
        normal = torch.cat([self._normalise(reference, mean, square), self._normalise(live, live_mean, live_square)])
        if self.weight is not None:
            shape = (1, -1, *[1] * (x.ndim - 2))
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x)

    def _normalise(self, x: Tensor, mean: Tensor, square: Tensor) -> Tensor:
        return (x - mean) * torch.rsqrt((square - mean.square()).clamp_min(0) + self.eps)


class ReferenceBatch(nn.Module):
    """A network with virtual batch norm and its reference batch: the first batch of the training, before it normal noise.

    Args:
        network: a network with one input and batch norm, which is replaced in place.
        n: number of samples in the reference batch.
        shape: shape of one input.

    Raises:
        InputError: the network has no batch norm; in training, the first batch has fewer than n samples.
    """

    reference: Tensor
    filled: Tensor

    def __init__(self, network: nn.Module, n: int, shape: Sequence[int]) -> None:
        super().__init__()
        names = [name for name, part in network.named_modules() if isinstance(part, _BatchNorm)]
        if not names:
            raise InputError(f"virtual batch norm replaces batch norm, and {type(network).__name__} has none: leave it out")
        for name in names:
            network.set_submodule(name, ReferenceNorm(network.get_submodule(name)))  # type: ignore[arg-type]
        self.network = network
        self.norms = [part for part in network.modules() if isinstance(part, ReferenceNorm)]
        self.register_buffer("reference", torch.randn(n, *shape))
        self.register_buffer("filled", torch.tensor(False))

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        if more:
            raise InputError("virtual batch norm is for networks with one input: not for one that gets a class as well")
        if self.training and not self.filled:
            self._fill(x.detach())
        reference = self.reference.to(x)
        for norm in self.norms:
            norm.n = len(reference)
        return self.network(torch.cat([reference, x]))[len(reference) :]

    @torch.no_grad()
    def _fill(self, x: Tensor) -> None:
        if len(x) < len(self.reference):
            raise InputError(
                f"virtual batch norm takes its {len(self.reference)} reference samples from the first batch, and that has "
                f"{len(x)}: set its reference to at most {len(x)}, or a larger batch size"
            )
        self.reference.copy_(x[: len(self.reference)])
        if _in_processes():
            torch.distributed.broadcast(self.reference, 0)
        self.filled.fill_(True)


def _eye(features: Tensor) -> Tensor:
    return torch.eye(len(features), device=features.device)


def _in_processes() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _mean_of_processes(value: Tensor) -> Tensor:
    if _in_processes():
        torch.distributed.all_reduce(value)
        value /= torch.distributed.get_world_size()
    return value
