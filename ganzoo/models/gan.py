"""Generative adversarial networks (Goodfellow et al. 2014, "Generative Adversarial Nets", arXiv 1406.2661).

``min_G max_D V(D, G) = E_x[log D(x)] + E_z[log(1 - D(G(z)))]`` (eq. 1). Networks, noise, optimizer and schedules are those
of the authors' released ``mnist.yaml`` and ``cifar10_convolutional.yaml``; the paper itself gives few of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.errors import InputError
from ganzoo.losses import AdversarialLoss, NonSaturating
from ganzoo.models.base import GeneratorModel
from ganzoo.networks.families import NetworkFamily
from ganzoo.networks.goodfellow import ConvMaxoutDiscriminator, DeconvGenerator, MaxoutDiscriminator, MLPGenerator
from ganzoo.noises import Noise, Normal, Uniform
from ganzoo.schedules import ExponentialDecay, MomentumRamp
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, PositiveInt, Shape, Size


class GAN(GeneratorModel):
    """Generates images from noise. Algorithm 1: k steps of the discriminator, then one of the generator.

    Args:
        shape: (C, H, W) of an image, or (n,) of a vector; the data's.
        hidden: units in each of the generator's hidden layers.
        family: other networks than the paper's, such as ``MLPFamily`` for points in the plane.
        k: discriminator steps to a generator step, each on a fresh batch and fresh noise.
        lr: learning rate of both players at the start.
        momentum: of both players at the start; it rises to 0.7 in epoch 250.
        training: ``latent`` (100), ``loss`` and ``noise`` of ``GeneratorModel``, and the arguments of ``AdversarialModule``.
    """

    default_loss: ClassVar[AdversarialLoss] = NonSaturating()  # which the paper advises and the released code uses
    default_noise: ClassVar[Noise] = Uniform()  # as in the released mnist.yaml; the paper does not say
    small: ClassVar[dict[str, Any]] = {"shape": (1, 8, 8), "hidden": 16, "latent": 4}

    def __init__(
        self,
        shape: Shape | tuple[Size] = (1, 28, 28),
        hidden: Size = 1200,
        family: NetworkFamily | None = None,
        k: PositiveInt = 1,
        lr: LearningRate = 0.1,
        momentum: HalfOpenUnitInterval = 0.5,
        **training: Any,
    ) -> None:
        super().__init__(shape, **training)
        self.hidden, self.k, self.lr, self.momentum = hidden, k, lr, momentum
        self.family = self.given_family(family, "hidden")
        self.G, self.D = self.add_layers(*self.networks())

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: [N, latent] -> [N, C, H, W] in [-1, 1], and D: [N, C, H, W] -> [N, 1] logits."""
        if self.family is not None:
            return self.family.networks(self.shape, self.latent)
        return MLPGenerator(self.latent, self.shape, self.hidden), MaxoutDiscriminator(self.shape)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.seen(self.field(batch, "x"))
        with self.turn("discriminator") as descend:
            real = self.D(x)
            G_z = self.seen(self.G(self.z(len(x))))
            fake = self.D(G_z)
            descend(self.discriminator_losses(real, fake) | self.penalties(self.D, x, G_z))
        self.watch(real, fake)
        if self.every(self.k):
            with self.turn("generator") as descend:
                G_z = self.seen(self.G(self.z(len(x))))
                descend(self.generator_losses(self.D(G_z)) | self.generator_penalties(self.D, x, G_z))

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {"gan": 0.5 * self.loss.discriminator(real, fake)}  # the mean of the two, as released: log 2 at D = 1/2

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(ExponentialDecay(optimizer, 1.000004, 1e-6), "step"), (MomentumRamp(optimizer, 0.7, 1, 250), "epoch")]


class SimultaneousGAN(GAN):
    """The GAN as the released code trains it: both gradients from one pass at the same point, then both players step.

    Args:
        shape: (C, H, W) of an image; the data's.
        training: the other arguments of ``GAN``, but ``k``: one step of each player at a time is its play.
    """

    def __init__(self, shape: Shape | tuple[Size] = (1, 28, 28), **training: Any) -> None:
        super().__init__(shape, k=1, **training)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.seen(self.field(batch, "x"))
        with self.turn("discriminator", "generator") as descend:
            real = self.D(x)
            G_z = self.seen(self.G(self.z(len(x))))
            fake = self.D(G_z)
            descend(
                discriminator=self.discriminator_losses(real, fake) | self.penalties(self.D, x, G_z),
                generator=self.generator_losses(fake) | self.generator_penalties(self.D, x, G_z),
            )
        self.watch(real, fake)


class ConvolutionalGAN(SimultaneousGAN):
    """The GAN of the paper's CIFAR-10 samples (figure 2d), with convolutions, for 32 x 32 images only.

    Args:
        shape: (C, 32, 32) of an image.
        hidden: units of the generator's first layer.
        lr: learning rate of both players at the start.
        training: the other arguments of ``GAN``, but ``family``.
    """

    default_noise = Normal()  # as in the released cifar10_convolutional.yaml
    small = {"shape": (1, 32, 32), "hidden": 4, "latent": 4}

    def __init__(self, shape: Shape = (3, 32, 32), hidden: Size = 8000, lr: LearningRate = 0.004, **training: Any) -> None:
        _, H, W = shape
        if (H, W) != (32, 32):
            raise InputError(f"ConvolutionalGAN is for 32 x 32 images, not {H} x {W}: set model.shape and data.size")
        super().__init__(shape, hidden=hidden, family=None, lr=lr, **training)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        return DeconvGenerator(self.latent, self.shape[0], self.hidden), ConvMaxoutDiscriminator(self.shape[0])

    def generate(self, noise: Mapping[str, Tensor], y: Tensor | None) -> Tensor:
        return super().generate(noise, y).clamp(-1, 1)  # its output layer is linear
