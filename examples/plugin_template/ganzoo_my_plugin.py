"""A plug-in of ganzoo: copy this folder, and rename ganzoo_my_plugin in it.

One-sided label smoothing (Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.4): the discriminator's
target for real images is less than 1. It is a loss, and a GAN that has it by default.
"""

from torch import Tensor
from torch.nn.functional import softplus

from ganzoo import GAN
from ganzoo.losses import NonSaturating
from ganzoo.utils.ranges import HalfOpenUnitInterval


class Smoothed(NonSaturating):
    """The non-saturating loss with one-sided label smoothing.

    Args:
        smoothing: what the discriminator's target for real images lacks of 1.
    """

    def __init__(self, smoothing: HalfOpenUnitInterval = 0.1) -> None:
        self.smoothing = smoothing  # under its own name: a checkpoint writes it down from here

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """``-(1 - s) E log D(x) - s E log(1 - D(x)) - E log(1 - D(G(z)))``."""
        return softplus(-real.float()).mean() + self.smoothing * real.float().mean() + softplus(fake.float()).mean()

    def divergence(self, real: Tensor, fake: Tensor) -> None:
        """There is no estimate: the cost is not the value of the game any more."""


class SmoothedGAN(GAN):
    """A GAN whose discriminator's target for real images is less than 1: ``ganzoo fit --model SmoothedGAN``.

    Args:
        options: the arguments of ``GAN``.
    """

    default_loss = Smoothed()

    def __init__(self, **options) -> None:
        super().__init__(**options)
