"""LAPGAN (Denton, Chintala, Szlam and Fergus 2015, "Deep Generative Image Models using a Laplacian Pyramid of Adversarial
Networks", arXiv 1506.05751).

``I~_k = u(I~_{k+1}) + h~_k`` with ``h~_k = G_k(z_k, u(I~_{k+1}))``, from the coarsest level, where ``I~_{K+1} = 0``. Each
level is a conditional GAN of its own, trained on ``l_k = u(I_{k+1})`` of real images. Levels are numbered from coarse to
fine here: 0 is the base, the paper's K.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.interfaces import Generated, expect_shape
from ganzoo.losses import AdversarialLoss, NonSaturating, discriminator_stats
from ganzoo.models.base import CascadeModel
from ganzoo.networks.lapgan import BaseDiscriminator, BaseGenerator, ResidualDiscriminator, ResidualGenerator
from ganzoo.noises import Noise, Uniform
from ganzoo.ops.laplacian_pyramid import Operators, Resize, gaussian
from ganzoo.schedules import ExponentialDecay, MomentumClimb
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils import ranges


class LAPGAN(CascadeModel):
    """Generates images from noise, from coarse to fine, with or without a class.

    Args:
        shape: (C, H, W) of an image, H = W.
        sizes: pixels of each level, coarsest first; the last is H.
        classes: number of classes of the class-conditional CC-LAPGAN; None for the LAPGAN.
        width: maps of the convolutions above the base.
        hidden_G: units in each of the base generator's two hidden layers.
        hidden_D: units in each of the base discriminator's two hidden layers.
        operators: shrink and enlarge images; ``Resize``.
        lr: learning rate of all players at the start.
        momentum: of all players at the start; it rises to 0.8.
        training: ``train_level`` (trains one level alone; ``examples/join_levels.py`` joins them) of ``CascadeModel``;
            ``latent`` (100; above the base z is one plane), ``loss``, ``noise``, and the arguments of ``AdversarialModule``.
    """

    default_loss: ClassVar[AdversarialLoss] = NonSaturating()
    default_noise: ClassVar[Noise] = Uniform(-1, 1)  # as in the released code
    small = {"shape": (3, 16, 16), "sizes": (4, 8, 16), "classes": 3, "width": 2, "latent": 4, "hidden_G": 8, "hidden_D": 8}

    def __init__(
        self,
        shape: ranges.Shape = (3, 28, 28),
        sizes: tuple[ranges.Size, ...] = (8, 14, 28),
        classes: ranges.Size | None = None,
        width: ranges.Size = 64,
        hidden_G: ranges.Size = 1200,
        hidden_D: ranges.Size = 600,
        operators: Operators | None = None,
        lr: ranges.LearningRate = 0.02,
        momentum: ranges.HalfOpenUnitInterval = 0.5,
        **training: Any,
    ) -> None:
        self.operators = instantiate(operators or Resize(), Operators)  # type: ignore[type-abstract]
        super().__init__(shape, sizes, classes, **training)
        self.width, self.hidden_G, self.hidden_D, self.lr, self.momentum = width, hidden_G, hidden_D, lr, momentum
        self.set_networks(*self.networks())

    def networks(self) -> tuple[Sequence[nn.Module], Sequence[nn.Module]]:
        """G and D of each level, coarsest first, with l its low-pass image (0 at the base), y one-hot [N, classes or 0].

        G: (z, l, y) -> h [N, C, size, size]; D: (h, l, y) -> [N, 1] logits; z as ``self.z`` draws it.
        """
        C, classes, base = self.shape[0], self.classes or 0, (self.shape[0], self.sizes[0], self.sizes[0])
        G = [ResidualGenerator(C, size, self.width, classes) for size in self.sizes[1:]]
        D = [ResidualDiscriminator(C, size, self.width, classes) for size in self.sizes[1:]]
        base_G = BaseGenerator(base, self.latent, classes, self.hidden_G)
        return [base_G, *G], [BaseDiscriminator(base, classes, self.hidden_D), *D]

    def forward(self, k: int, low: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
        """h~_k for the low-pass images l_k, from fresh noise if z is left out."""
        return self.G[k](self.z(k, len(low)) if z is None else z, low, y)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.field(batch, "x")
        y = self.one_hot(self.labels(batch), len(x))
        images, lows = self.low_pass(x)
        real: dict[int, Tensor] = {}
        fake: dict[int, Tensor] = {}
        for k in self.levels:
            h, low = images[k] - lows[k], lows[k]
            D = partial(self.discriminate, k, low, y)
            with self.turn(f"discriminator_{k}") as descend:
                real[k] = D(h)
                G_z = self(k, low, y)
                fake[k] = D(G_z)
                descend(self.discriminator_losses(real[k], fake[k]) | self.penalties(D, h, G_z))
            with self.turn(f"generator_{k}") as descend:
                G_z = self(k, low, y)
                descend(self.generator_losses(D(G_z)) | self.generator_penalties(D, h, G_z))
            self.show(partial(discriminator_stats, self.loss, real[k], fake[k], f"discriminator_{k}"), prog_bar=False)
        shown = {"D(x)": torch.cat(list(real.values())), "D(G(z))": torch.cat(list(fake.values()))}
        self.show(shown, transform=self.loss.activation)

    def discriminate(self, k: int, low: Tensor, y: Tensor, h: Tensor) -> Tensor:
        """D_k(h, l_k): logits [N, 1] of the residuals h."""
        return self.D[k](h, low, y)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        # the mean over a batch that is half real and half generated, as released
        return {"gan": 0.5 * self.loss.discriminator(real, fake)}

    def low_pass(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Computes the real images I_k of every level, and their low-pass images l_k = u(I_{k+1}), 0 at the base."""
        images = gaussian(x, self.sizes, self.operators)
        finer = zip(images, self.sizes[1:], strict=False)
        return images, [torch.zeros_like(images[0]), *(self.operators.up(coarse, size) for coarse, size in finer)]

    def generate_levels(self, levels: Sequence[int], low: Tensor, y: Tensor, noise: Mapping[str, Tensor]) -> list[Tensor]:
        """I~ of the levels, coarse to fine, from the low-pass image of the first. Not clamped: u takes I~ as it is."""
        images: list[Tensor] = []
        for k in levels:
            low = self.operators.up(images[-1], self.sizes[k]) if images else low
            images.append(low + self(k, low, y, noise[f"z_{k}"]))
        return images

    def z(self, k: int, n: int, generator: torch.Generator | None = None) -> Tensor:  # type: ignore[override]
        """Noise of level k: [n, latent] at the base, [n, 1, size, size] above it."""
        shape = (n, 1, self.sizes[k], self.sizes[k]) if k else (n, self.latent)
        return self.noise.sample(shape, next(self.parameters()), generator)

    def generate_cascade(self, noise: Mapping[str, Tensor], y: Tensor | None) -> list[Tensor]:
        n = noise["z_0"].shape[0]  # its len would be a constant in an exported graph
        black = next(self.parameters()).new_zeros(n, self.shape[0], self.sizes[0], self.sizes[0])
        images = self.generate_levels(range(len(self.sizes)), black, self.one_hot(y, n), noise)
        return [image.clamp(-1, 1) for image in images]

    @with_ema
    @torch.no_grad()
    def generate_for(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Generated:
        """Generates as many images as there are real ones; a level trained alone starts from their low-pass images."""
        expect_shape("shape", self.shape, x)
        images, lows = self.low_pass(x)
        noise = {f"z_{k}": self.z(k, len(x), generator) for k in self.levels}
        fake = self.generate_levels(self.levels, lows[self.levels[0]], self.one_hot(y, len(x)), noise)[-1]
        return Generated(images[self.levels[-1]], fake.clamp(-1, 1))

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(ExponentialDecay(optimizer, 1.00004, 1e-6), "epoch"), (MomentumClimb(optimizer, 0.0008, 0.8), "epoch")]
