"""Generative adversarial networks (Goodfellow et al. 2014, "Generative Adversarial Nets", arXiv 1406.2661).

``min_G max_D V(D, G) = E_x[log D(x)] + E_z[log(1 - D(G(z)))]`` (eq. 1). Networks, noise, optimizer and schedules are those
of the authors' released ``mnist.yaml`` and ``cifar10_convolutional.yaml``; the paper itself gives few of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.interfaces import Generated, Sampler, expect_shape
from ganzoo.losses import AdversarialLoss, NonSaturating, opinions
from ganzoo.networks.goodfellow import ConvMaxoutDiscriminator, DeconvGenerator, MaxoutDiscriminator, MLPGenerator
from ganzoo.noises import Noise, Normal, Uniform
from ganzoo.prediction import as_inputs, each_sample
from ganzoo.schedules import ExponentialDecay, MomentumRamp
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, PositiveInt, Shape, Size


class GAN(AdversarialModule, Sampler):
    """Algorithm 1: k steps of the discriminator, then one of the generator.

    To override: ``networks``.

    Args:
        shape: (C, H, W) of a picture, or (n,) of a vector; the data's.
        latent: length of z.
        hidden: units in each of the generator's hidden layers.
        k: discriminator steps to a generator step, each on a fresh batch and fresh noise.
        loss: what each player descends; ``NonSaturating``, which the paper advises and the released code uses.
        lr: learning rate of both players at the start.
        momentum: of both players at the start; it rises to 0.7 in epoch 250.
        noise: what z is drawn from; ``Uniform()``, from -sqrt(3) to sqrt(3), as in the released ``mnist.yaml`` (the paper
            does not say).
        play: ``optimizers``, ``schedules``, ``clip_norm``, ``accumulate``, ``ema_half_life`` of ``AdversarialModule``.
    """

    def __init__(
        self,
        shape: Shape | tuple[Size] = (1, 28, 28),
        latent: Size = 100,
        hidden: Size = 1200,
        k: PositiveInt = 1,
        loss: AdversarialLoss | None = None,
        lr: LearningRate = 0.1,
        momentum: HalfOpenUnitInterval = 0.5,
        noise: Noise | None = None,
        **play: Any,
    ) -> None:
        super().__init__(**play)
        self.save_hyperparameters()
        self.shape: tuple[int, ...] = shape
        self.latent, self.hidden = latent, hidden
        self.k, self.lr, self.momentum = k, lr, momentum
        self.noise = instantiate(noise or Uniform(), Noise)  # type: ignore[type-abstract]
        self.loss = instantiate(loss or NonSaturating(), AdversarialLoss)  # type: ignore[type-abstract]
        self.G, self.D = self.networks()

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: [N, latent] -> [N, C, H, W] in [-1, 1], and D: [N, C, H, W] -> [N, 1] logits."""
        return MLPGenerator(self.latent, self.shape, self.hidden), MaxoutDiscriminator(self.shape)

    def check_batch(self, batch: Any) -> None:
        if self.trainer.predicting:  # samples are counted by the images, and nothing else is taken from them
            return
        expect_shape("shape", self.shape, self.field(batch, "x"))

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"discriminator": [self.D], "generator": [self.G]}

    def forward(self, z: Tensor) -> Tensor:
        return self.G(z)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.field(batch, "x")
        with self.turn("discriminator") as descend:
            real, fake = self.D(x), self.D(self.G(self.z(len(x))))
            descend(self.discriminator_losses(real, fake))
        self.show({"D(x)": real, "D(G(z))": fake}, transform=self.loss.output)
        self.show(lambda: opinions(self.loss, real, fake), prog_bar=False)
        if self.every(self.k):
            with self.turn("generator") as descend:
                descend(self.generator_losses(self.D(self.G(self.z(len(x))))))

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        # the mean of the two cross-entropies, as released: log 2 at D = 1/2
        return {"gan": 0.5 * self.loss.discriminator(real, fake)}

    def generator_losses(self, fake: Tensor) -> dict[str, Tensor]:
        return {"gan": self.loss.generator(fake)}

    def z(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise [n, latent]."""
        return self.noise.sample((n, self.latent), next(self.parameters()), generator)

    @with_ema
    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return self.G(self.z(n, generator)).float()

    def validation_step(self, batch: Any, batch_idx: int) -> Generated:
        x = self.field(batch, "x")
        return Generated(x, self.sample(len(x), generator=torch.Generator().manual_seed(batch_idx)))

    def test_step(self, batch: Any, batch_idx: int) -> Generated:
        return self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """A sample [B, C, H, W] for each image of the batch, by its number in the dataset."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        return each_sample(inputs, lambda place, generator: self.sample(1, generator=generator))

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(ExponentialDecay(optimizer, 1.000004, 1e-6), "step"), (MomentumRamp(optimizer, 0.7, 1, 250), "epoch")]


class SimultaneousGAN(GAN):
    """The play of the released code: both gradients from one pass at the same point, then both step.

    Args:
        shape: (C, H, W) of a picture; the data's.
        play: the other arguments of ``GAN``, but ``k``: one step of each player at a time is its play.
    """

    def __init__(self, shape: Shape | tuple[Size] = (1, 28, 28), **play: Any) -> None:
        super().__init__(shape=shape, k=1, **play)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.field(batch, "x")
        with self.turn("discriminator", "generator") as descend:
            real, fake = self.D(x), self.D(self.G(self.z(len(x))))
            descend(discriminator=self.discriminator_losses(real, fake), generator=self.generator_losses(fake))
        self.show({"D(x)": real, "D(G(z))": fake}, transform=self.loss.output)
        self.show(lambda: opinions(self.loss, real, fake), prog_bar=False)


class ConvolutionalGAN(SimultaneousGAN):
    """The convolutional pair of the paper's CIFAR-10 samples (figure 2d), 32 x 32 pictures only.

    Args:
        shape: (C, 32, 32) of a picture.
        hidden: units of the generator's first layer.
        lr: learning rate of both players at the start.
        noise: what z is drawn from; ``Normal()``, as in the released ``cifar10_convolutional.yaml``.
        play: the other arguments of ``GAN``.
    """

    def __init__(
        self,
        shape: Shape = (3, 32, 32),
        hidden: Size = 8000,
        lr: LearningRate = 0.004,
        noise: Noise | None = None,
        **play: Any,
    ) -> None:
        if tuple(shape[1:]) != (32, 32):
            raise InputError(
                f"ConvolutionalGAN makes 32 x 32 pictures, not {shape[1]} x {shape[2]}: set model.shape and data.size"
            )
        super().__init__(shape=shape, noise=noise or Normal(), hidden=hidden, lr=lr, **play)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        channels = self.shape[0]
        return DeconvGenerator(self.latent, channels, self.hidden), ConvMaxoutDiscriminator(channels)

    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(n, y, generator).clamp(-1, 1)  # its output layer is linear
