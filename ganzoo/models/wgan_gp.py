"""WGAN-GP (Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", arXiv 1704.00028).

A WGAN whose critic is kept Lipschitz by a penalty instead of clipping: it descends
``E D(G(z)) - E D(x) + lambda E (||grad D(x^)|| - 1)^2`` (eq. 3), with ``x^`` between a real and a generated sample.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Adam, Optimizer

from ganzoo.errors import InputError
from ganzoo.models.wgan import WGAN
from ganzoo.networks.families import NetworkFamily, NoNormDCGANFamily
from ganzoo.regularizers import GradientPenalty, Regularizer
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, Shape, Size


class WGANGP(WGAN):
    """Generates images from noise, with a critic whose gradient is held to length 1 by a penalty.

    The steps of Algorithm 1 are those of ``WGAN``, without clipping; lines 4 to 7 are ``ganzoo.penalties.gradient_penalty``.

    Args:
        shape: (C, H, W) of an image, or (n,) of a vector with ``MLPFamily``; the data's.
        latent: length of z.
        lr: Adam's learning rate for both players; 2e-4, falling to 0, in the paper's CIFAR-10 ResNet.
        beta1: Adam's first beta; 0.5 in most of the released scripts.
        beta2: Adam's second beta.
        training: ``family`` (``NoNormDCGANFamily``), ``n_critic`` (5), ``n_critic_warmup`` and ``generator_batch`` of
            ``WGAN``; ``regularizers`` ([``GradientPenalty(10)``]), ``loss``, ``noise``, ``augment``, and the arguments of
            ``AdversarialModule``.
    """

    default_family: ClassVar[NetworkFamily] = NoNormDCGANFamily()
    default_regularizers: ClassVar[Sequence[Regularizer]] = (GradientPenalty(weight=10.0),)
    optimizer_arguments = ("lr", "beta1", "beta2")

    def __init__(
        self,
        shape: Shape | tuple[Size] = (3, 64, 64),
        latent: Size = 128,
        lr: LearningRate = 1e-4,
        beta1: HalfOpenUnitInterval = 0.0,
        beta2: HalfOpenUnitInterval = 0.9,
        **training: Any,
    ) -> None:
        super().__init__(shape, latent=latent, lr=lr, clip=None, **training)
        self.beta1, self.beta2 = beta1, beta2
        if any(isinstance(part, _BatchNorm) for part in self.D.modules()):
            raise InputError(
                f"the critic of {type(self).__name__} cannot have batch norm, which mixes the samples whose gradients are "
                "penalised (section 4): take a family without it, such as NoNormDCGANFamily or LayerNormDCGANFamily"
            )

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(self.beta1, self.beta2))
