"""LAPGAN (Denton, Chintala, Szlam and Fergus 2015, "Deep Generative Image Models using a Laplacian Pyramid of Adversarial
Networks", arXiv 1506.05751).

``I~_k = u(I~_{k+1}) + h~_k`` with ``h~_k = G_k(z_k, u(I~_{k+1}))``, from the coarsest level, where ``I~_{K+1} = 0``. Each
level is a conditional GAN of its own, trained on ``l_k = u(I_{k+1})`` of real images. Levels are numbered from coarse to
fine here: 0 is the base, the paper's K.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.errors import InputError
from ganzoo.interfaces import CascadeSampler, Generated
from ganzoo.losses import NonSaturating, discriminator_stats
from ganzoo.models.base import ConditionalGeneratorModel
from ganzoo.networks.lapgan import BaseDiscriminator, BaseGenerator, ResidualDiscriminator, ResidualGenerator
from ganzoo.noises import Uniform
from ganzoo.ops.laplacian_pyramid import Operators, Resize, gaussian
from ganzoo.prediction import as_inputs, expect_inputs
from ganzoo.schedules import ExponentialDecay, MomentumClimb
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils import ranges

ROLES = "discriminator", "generator"  # in the order of their turns


class LAPGAN(ConditionalGeneratorModel, CascadeSampler):
    """A pyramid of GANs: a small image first, then what each doubling leaves out.

    Args:
        shape: (C, H, W) of an image, H = W.
        sizes: pixels of each level, coarsest first; the last is H.
        classes: how many classes both players are told, None for none (the paper's LAPGAN and CC-LAPGAN).
        width: maps of the convolutions above the base.
        hidden_G: units in each of the base generator's two hidden layers.
        hidden_D: units in each of the base discriminator's two hidden layers.
        train_level: trains this level alone, 0 for the base; the rest is frozen. ``examples/join_levels.py`` joins levels.
        operators: how images are shrunk and enlarged; ``Resize``.
        lr: learning rate of all players at the start.
        momentum: of all players at the start; it rises to 0.8.
        optimizers: replaces a player's optimizer, as in ``AdversarialModule``; the players are ``discriminator_0``,
            ``generator_0``, ``discriminator_1`` ... and what is said of a level that is not trained is passed over.
        training: ``latent`` (100; above the base z is one plane), ``loss``, ``noise``, and those of ``AdversarialModule``.
    """

    G: nn.ModuleList
    D: nn.ModuleList
    default_loss = NonSaturating()
    default_noise = Uniform(-1, 1)  # as in the released code

    def __init__(
        self,
        shape: ranges.Shape = (3, 28, 28),
        sizes: tuple[ranges.Size, ...] = (8, 14, 28),
        classes: ranges.Size | None = None,
        width: ranges.Size = 64,
        hidden_G: ranges.Size = 1200,
        hidden_D: ranges.Size = 600,
        train_level: ranges.NonNegativeInt | None = None,
        operators: Operators | None = None,
        lr: ranges.LearningRate = 0.02,
        momentum: ranges.HalfOpenUnitInterval = 0.5,
        optimizers: dict[str, dict[str, Any]] | None = None,
        **training: Any,
    ) -> None:
        if not sizes or list(sizes) != sorted(set(sizes)) or tuple(shape[1:]) != (sizes[-1], sizes[-1]):
            raise InputError(f"sizes rise to the height and width of shape {tuple(shape)}, and {tuple(sizes)} do not")
        if train_level is not None and train_level >= len(sizes):
            raise InputError(f"train_level is a level from 0, the base, to {len(sizes) - 1}, not {train_level}")
        self.levels = range(len(sizes)) if train_level is None else range(train_level, train_level + 1)  # that are trained
        frozen = set(range(len(sizes))) - set(self.levels)
        absent = {f"{role}_{k}" for role in ROLES for k in frozen}
        self.operators = instantiate(operators or Resize(), Operators)  # type: ignore[type-abstract]
        trained = {player: each for player, each in (optimizers or {}).items() if player not in absent}
        super().__init__(shape, classes, optimizers=trained, **training)
        self.sizes, self.width, self.hidden_G, self.hidden_D = tuple(sizes), width, hidden_G, hidden_D
        self.train_level, self.lr, self.momentum = train_level, lr, momentum
        self.G, self.D = map(nn.ModuleList, self.networks())
        for k in frozen:
            self.G[k].requires_grad_(False)
            self.D[k].requires_grad_(False)

    @classmethod
    def arguments_for(cls, data: Any) -> dict[str, Any]:
        """The images' shape, and three levels, each about half as large as the next; the paper's sizes for 28 pixels."""
        known, size = super().arguments_for(data), data.shape[-1]
        sizes = (8, 14, 28) if size == 28 else tuple(sorted({max(1, size // 4), max(1, size // 2), size}))
        return {**known, "sizes": sizes}

    def networks(self) -> tuple[Sequence[nn.Module], Sequence[nn.Module]]:
        """Of each level, coarsest first, with l its low-pass image (0 at the base) and y one-hot [N, classes] or [N, 0].

        G: (z, l, y) -> h [N, C, size, size]; D: (h, l, y) -> [N, 1] logits; z as ``self.z`` makes it.
        """
        C, classes, base = self.shape[0], self.classes or 0, (self.shape[0], self.sizes[0], self.sizes[0])
        G = [ResidualGenerator(C, size, self.width, classes) for size in self.sizes[1:]]
        D = [ResidualDiscriminator(C, size, self.width, classes) for size in self.sizes[1:]]
        base_G = BaseGenerator(base, self.latent, classes, self.hidden_G)
        return [base_G, *G], [BaseDiscriminator(base, classes, self.hidden_D), *D]

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {f"{role}_{k}": [mine[k]] for k in self.levels for role, mine in zip(ROLES, (self.D, self.G), strict=True)}

    def forward(self, k: int, low: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """h~_k for the low-pass images l_k, from fresh noise."""
        return self.G[k](self.z(k, len(low), generator), low, y)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, real, fake = self.field(batch, "x"), {}, {}
        y, (images, lows) = self.one_hot(self.labels(batch), len(x)), self.low_pass(x)
        for k in self.levels:
            h, low = images[k] - lows[k], lows[k]
            with self.turn(f"discriminator_{k}") as descend:
                real[k], fake[k] = self.D[k](h, low, y), self.D[k](self(k, low, y), low, y)
                descend(self.discriminator_losses(real[k], fake[k]))
            with self.turn(f"generator_{k}") as descend:
                descend(self.generator_losses(self.D[k](self(k, low, y), low, y)))
            self.show(partial(discriminator_stats, self.loss, real[k], fake[k], f"discriminator_{k}"), prog_bar=False)
        shown = {"D(x)": torch.cat(list(real.values())), "D(G(z))": torch.cat(list(fake.values()))}
        self.show(shown, transform=self.loss.activation)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        # the mean over a batch that is half real and half generated, as released
        return {"gan": 0.5 * self.loss.discriminator(real, fake)}

    def low_pass(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Real images at every level, and what conditions each level: l_k = u(I_{k+1}), 0 at the base."""
        images = gaussian(x, self.sizes, self.operators)
        finer = zip(images, self.sizes[1:], strict=False)
        return images, [torch.zeros_like(images[0]), *(self.operators.up(coarse, size) for coarse, size in finer)]

    def generate_levels(
        self, levels: Sequence[int], low: Tensor, y: Tensor, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """I~ of the levels, one above the other, from what conditions the first. Not clamped: u is of I~ as it is."""
        images: list[Tensor] = []
        for k in levels:
            low = self.operators.up(images[-1], self.sizes[k]) if images else low
            images.append(low + self(k, low, y, generator))
        return images

    def z(self, k: int, n: int, generator: torch.Generator | None = None) -> Tensor:  # type: ignore[override]
        """Noise of level k: [n, latent] at the base, [n, 1, size, size] above it."""
        shape = (n, 1, self.sizes[k], self.sizes[k]) if k else (n, self.latent)
        return self.noise.sample(shape, next(self.parameters()), generator)

    @with_ema
    @torch.no_grad()
    def cascade(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> list[Tensor]:
        black = next(self.parameters()).new_zeros(n, self.shape[0], self.sizes[0], self.sizes[0])
        images = self.generate_levels(range(len(self.sizes)), black, self.one_hot(y, n), generator)
        return [image.clamp(-1, 1) for image in images]

    def generate(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        return self.cascade(n, y, generator)[-1]

    @with_ema
    @torch.no_grad()
    def generate_for(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Generated:
        """Real and generated images; of a level that is trained alone, from the low-pass of the real ones."""
        images, lows = self.low_pass(x)
        fake = self.generate_levels(self.levels, lows[self.levels[0]], self.one_hot(y, len(x)), generator)[-1]
        return Generated(images[self.levels[-1]], fake.clamp(-1, 1))

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        inputs = as_inputs(batch, batch_idx, self._trainer)
        expect_inputs("shape", self.shape, inputs)
        return super().predict_step(inputs, batch_idx)

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(ExponentialDecay(optimizer, 1.00004, 1e-6), "epoch"), (MomentumClimb(optimizer, 0.0008, 0.8), "epoch")]
