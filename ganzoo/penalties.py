"""Penalties and constraints on a critic: gradient penalty, R1, R2, weight clipping.

Each is a function of a critic and of the samples at which it is regularised. A critic maps [N, ...] to any number of
outputs per sample; the gradient of their sum by the sample counts. So a critic must not mix samples: batch norm over several
samples and minibatch discrimination are refused (InputError), also inside a function.
Penalties are float32 scalars with a graph that reaches the critic's weights. Their weight (lambda, gamma) is the caller's.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_pre_hook

from ganzoo.errors import InputError

Critic = Callable[[Tensor], Tensor]


class MixesSamples:
    """Marks an ``nn.Module`` whose output for a sample depends on the other samples of its batch."""


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Computes WGAN-GP's penalty ``E (||grad D(x)|| - 1)^2`` between real and generated samples.

    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", eq. 3 and Algorithm 1, lines 4 to 7: each point is
    ``x = e real + (1 - e) fake`` with one e per pair, uniform in [0, 1]. The penalty is two-sided. The paper's lambda is 10.

    Args:
        critic: D.
        real: real samples, [N, ...].
        fake: generated samples of the same shape. No gradient reaches them.
        generator: source of e, on the samples' device. Torch's own if left out.

    Returns:
        A scalar of at least 0.

    Raises:
        InputError: the shapes differ.
    """
    if real.shape != fake.shape:
        raise InputError(
            f"a gradient penalty pairs real with generated samples: {list(real.shape)} and {list(fake.shape)} differ"
        )
    e = torch.rand(len(real), *[1] * (real.ndim - 1), generator=generator, device=real.device, dtype=real.dtype)
    points = e * real.detach() + (1 - e) * fake.detach()
    return (_gradients(critic, points).norm(dim=1) - 1).square().mean()


def r1(critic: Critic, real: Tensor) -> Tensor:
    """Computes the R1 penalty ``1/2 E ||grad D(x)||^2`` on real samples.

    Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", eq. 9, without its gamma.

    Args:
        critic: D, in logits.
        real: real samples, [N, ...].

    Returns:
        A scalar of at least 0.
    """
    return 0.5 * _gradients(critic, real.detach()).square().sum(1).mean()


def r2(critic: Critic, fake: Tensor) -> Tensor:
    """Computes the R2 penalty: R1 on generated samples (Mescheder et al. 2018, eq. 10, without its gamma).

    Args:
        critic: D, in logits.
        fake: generated samples, [N, ...]. No gradient reaches them.

    Returns:
        A scalar of at least 0.
    """
    return r1(critic, fake)


@torch.no_grad()
def clip_weights(network: nn.Module, bound: float) -> None:
    """Clips every parameter to [-bound, bound], in place; buffers stay (Arjovsky et al. 2017, Algorithm 1, line 7).

    Args:
        network: the critic.
        bound: the paper's c, 0.01.

    Raises:
        InputError: ``bound`` is not above 0.
    """
    if not bound > 0:
        raise InputError(f"weights are clipped to a bound above 0, not {bound}")
    for parameter in network.parameters():
        parameter.clamp_(-bound, bound)


def _gradients(critic: Critic, points: Tensor) -> Tensor:
    """Computes the gradient of each sample, [N, values per sample], float32, with a graph, also inside ``no_grad``."""
    refusing = register_module_forward_pre_hook(_refuse_mixing)  # of all modules: a critic may be a function around one
    try:
        with torch.enable_grad():
            points = points.requires_grad_()
            (gradients,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    finally:
        refusing.remove()
    return gradients.flatten(1).float()


def _refuse_mixing(part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if isinstance(part, MixesSamples):
        raise InputError(
            "a penalty on gradients is of each sample by itself, and minibatch discrimination compares the samples of a "
            "batch: take one of the two"
        )
    if isinstance(part, _BatchNorm) and len(inputs[0]) > 1 and (part.training or not part.track_running_stats):
        raise InputError(
            "a penalty on gradients is of each sample by itself, and batch norm mixes the samples: give the discriminator "
            "another norm (model.norm LayerNorm, or networks() of a subclass), or one sample in a batch"
        )
