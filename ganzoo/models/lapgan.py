"""LAPGAN (Denton, Chintala, Szlam and Fergus 2015, "Deep Generative Image Models using a Laplacian Pyramid of Adversarial
Networks", arXiv 1506.05751).

``I~_k = u(I~_{k+1}) + h~_k`` with ``h~_k = G_k(z_k, u(I~_{k+1}))``, from the coarsest level, where ``I~_{K+1} = 0``. Each
level is a conditional GAN of its own, trained on ``l_k = u(I_{k+1})`` of real pictures. Levels are numbered from coarse to
fine here: 0 is the base, the paper's K.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.interfaces import CascadeSampler, Generated, expect_labels, expect_shape
from ganzoo.losses import AdversarialLoss, NonSaturating, opinions
from ganzoo.networks.lapgan import BaseDiscriminator, BaseGenerator, ResidualDiscriminator, ResidualGenerator
from ganzoo.noises import Noise, Uniform
from ganzoo.ops.laplacian_pyramid import Operators, Resize, gaussian
from ganzoo.prediction import as_inputs, each_sample, expect_inputs
from ganzoo.schedules import ExponentialDecay, MomentumClimb
from ganzoo.training.ema import swap_weights, with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, NonNegativeInt, Shape, Size

ROLES = "discriminator", "generator"  # in the order of their turns
OF_TRAINING = (
    *("only", "loss", "lr", "momentum", "optimizers", "schedules", "rates"),
    *("clip_norm", "accumulate", "ema_half_life", "ema_ramp"),
)


class LAPGAN(AdversarialModule, CascadeSampler):
    """A pyramid of GANs: a small picture first, then what each doubling leaves out.

    To override: ``networks``.

    Args:
        shape: (C, H, W) of a picture, H = W.
        sizes: pixels of each level, coarsest first; the last is H.
        classes: how many classes both players are told, None for none (the paper's LAPGAN and CC-LAPGAN).
        width: maps of the convolutions above the base.
        latent: length of the base's z; above it z is one plane.
        hidden_G: units in each of the base generator's two hidden layers.
        hidden_D: units in each of the base discriminator's two hidden layers.
        only: trains this level alone, 0 for the base; the others are frozen. ``join`` puts such levels together.
        operators: how pictures are shrunk and enlarged; ``Resize``.
        loss: what each player descends; ``NonSaturating``.
        lr: learning rate of all players at the start.
        momentum: of all players at the start; it rises to 0.8.
        optimizers: replaces a player's optimizer, as in ``AdversarialModule``; the players are ``discriminator_0``,
            ``generator_0``, ``discriminator_1`` ... and what is said of a level that is not trained is passed over.
        noise: what every z is drawn from; ``Uniform(-1, 1)``, as in the released code.
        play: ``schedules``, ``clip_norm``, ``accumulate``, ``ema_half_life`` of ``AdversarialModule``.
    """

    def __init__(
        self,
        shape: Shape = (3, 28, 28),
        sizes: tuple[Size, ...] = (8, 14, 28),
        classes: Size | None = None,
        width: Size = 64,
        latent: Size = 100,
        hidden_G: Size = 1200,
        hidden_D: Size = 600,
        only: NonNegativeInt | None = None,
        operators: Operators | None = None,
        loss: AdversarialLoss | None = None,
        lr: LearningRate = 0.02,
        momentum: HalfOpenUnitInterval = 0.5,
        optimizers: dict[str, dict[str, Any]] | None = None,
        noise: Noise | None = None,
        **play: Any,
    ) -> None:
        absent = {f"{role}_{k}" for role in ROLES for k in range(len(sizes)) if only not in (None, k)}
        super().__init__(optimizers={p: each for p, each in (optimizers or {}).items() if p not in absent}, **play)
        self.save_hyperparameters()
        if not sizes or list(sizes) != sorted(set(sizes)) or tuple(shape[1:]) != (sizes[-1], sizes[-1]):
            raise InputError(f"sizes rise to the height and width of shape {tuple(shape)}, and {tuple(sizes)} do not")
        if only is not None and only >= len(sizes):
            raise InputError(f"only is a level from 0, the base, to {len(sizes) - 1}, not {only}")
        self.shape, self.sizes, self.classes, self.latent = shape, tuple(sizes), classes, latent
        self.width, self.hidden_G, self.hidden_D, self.only = width, hidden_G, hidden_D, only
        self.lr, self.momentum = lr, momentum
        self.levels = range(len(sizes)) if only is None else range(only, only + 1)  # those that are trained
        self.operators = instantiate(operators or Resize(), Operators)  # type: ignore[type-abstract]
        self.noise = instantiate(noise or Uniform(-1, 1), Noise)  # type: ignore[type-abstract]
        self.loss = instantiate(loss or NonSaturating(), AdversarialLoss)  # type: ignore[type-abstract]
        G, D = self.networks()
        self.G, self.D = nn.ModuleList(G), nn.ModuleList(D)
        for k in set(range(len(sizes))) - set(self.levels):
            self.G[k].requires_grad_(False)
            self.D[k].requires_grad_(False)

    @classmethod
    def arguments_for(cls, data: Any) -> dict[str, Any]:
        """The images' shape, and three levels, each about half as large as the next; the paper's sizes for 28 pixels."""
        told, size = super().arguments_for(data), data.shape[-1]
        sizes = (8, 14, 28) if size == 28 else tuple(sorted({max(1, size // 4), max(1, size // 2), size}))
        return {**told, "sizes": sizes}

    def networks(self) -> tuple[Sequence[nn.Module], Sequence[nn.Module]]:
        """Of each level, coarsest first, with l its low-pass picture (0 at the base) and y one-hot [N, classes] or [N, 0].

        G: (z, l, y) -> h [N, C, size, size]; D: (h, l, y) -> [N, 1] logits. z is [N, latent] at the base, [N, 1, size,
        size] above it.
        """
        C, classes = self.shape[0], self.classes or 0
        base = (C, self.sizes[0], self.sizes[0])
        G = [ResidualGenerator(C, size, self.width, classes) for size in self.sizes[1:]]
        D = [ResidualDiscriminator(C, size, self.width, classes) for size in self.sizes[1:]]
        return (
            [BaseGenerator(base, self.latent, classes, self.hidden_G), *G],
            [BaseDiscriminator(base, classes, self.hidden_D), *D],
        )

    def check_batch(self, batch: Any) -> None:
        if self.trainer.predicting:  # each batch is checked
            return
        expect_shape("shape", self.shape, self.field(batch, "x"))
        if self.classes is not None:
            declared = getattr(getattr(self.trainer, "datamodule", None), "classes", None)
            expect_labels(self.field(batch, "y"), self.classes, declared)

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {f"{role}_{k}": [mine[k]] for k in self.levels for role, mine in zip(ROLES, (self.D, self.G), strict=True)}

    def forward(self, k: int, low: Tensor, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """h~_k for the low-pass pictures l_k, from fresh noise."""
        return self.G[k](self.z(k, len(low), generator), low, y)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.field(batch, "x")
        y, judged = self.code(self.field(batch, "y"), len(x)), []
        images, lows = self.low_pass(x)
        for k in self.levels:
            h, low = images[k] - lows[k], lows[k]
            with self.turn(f"discriminator_{k}") as descend:
                real, fake = self.D[k](h, low, y), self.D[k](self(k, low, y), low, y)
                descend(self.discriminator_losses(real, fake))
            with self.turn(f"generator_{k}") as descend:
                descend(self.generator_losses(self.D[k](self(k, low, y), low, y)))
            self.show(partial(opinions, self.loss, real, fake, f"discriminator_{k}"), prog_bar=False)
            judged.append((real, fake))
        reals, fakes = zip(*judged, strict=True)
        self.show({"D(x)": torch.cat(reals), "D(G(z))": torch.cat(fakes)}, transform=self.loss.output)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        # the mean over a batch that is half real and half generated, as released
        return {"gan": 0.5 * self.loss.discriminator(real, fake)}

    def generator_losses(self, fake: Tensor) -> dict[str, Tensor]:
        return {"gan": self.loss.generator(fake)}

    def low_pass(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Real pictures at every level, and what conditions each level: l_k = u(I_{k+1}), 0 at the base."""
        images = gaussian(x, self.sizes, self.operators)
        finer = zip(images, self.sizes[1:], strict=False)
        return images, [torch.zeros_like(images[0]), *(self.operators.up(coarse, size) for coarse, size in finer)]

    def climb(self, levels: Sequence[int], low: Tensor, y: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """I~ of the levels, one above the other, from what conditions the first. Not clamped: u is of I~ as it is."""
        images: list[Tensor] = []
        for k in levels:
            low = self.operators.up(images[-1], self.sizes[k]) if images else low
            images.append(low + self(k, low, y, generator))
        return images

    def z(self, k: int, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise of level k: [n, latent] at the base, [n, 1, size, size] above it."""
        shape = (n, 1, self.sizes[k], self.sizes[k]) if k else (n, self.latent)
        return self.noise.sample(shape, next(self.parameters()), generator)

    def code(self, y: Tensor | None, n: int) -> Tensor:
        """int64 classes [n], or None for all by turns -> one-hot floats [n, classes]; [n, 0] without classes."""
        like = next(self.parameters())
        if self.classes is None:
            return like.new_zeros(n, 0)
        y = torch.arange(n, device=like.device) % self.classes if y is None else y.to(like.device)
        return one_hot(y, self.classes).to(like)

    @with_ema
    @torch.no_grad()
    def cascade(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> list[Tensor]:
        nothing = next(self.parameters()).new_zeros(n, self.shape[0], self.sizes[0], self.sizes[0])
        return [image.clamp(-1, 1) for image in self.climb(range(len(self.sizes)), nothing, self.code(y, n), generator)]

    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return self.cascade(n, y, generator)[-1]

    @with_ema
    @torch.no_grad()
    def look(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Generated:
        """Real and generated pictures; of a level that is trained alone, from the low-pass of the real ones."""
        images, lows = self.low_pass(x)
        fake = self.climb(self.levels, lows[self.levels[0]], self.code(y, len(x)), generator)[-1]
        return Generated(images[self.levels[-1]], fake.clamp(-1, 1))

    def validation_step(self, batch: Any, batch_idx: int) -> Generated:
        return self.look(self.field(batch, "x"), self.field(batch, "y"), torch.Generator().manual_seed(batch_idx))

    def test_step(self, batch: Any, batch_idx: int) -> Generated:
        return self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """A sample [B, C, H, W] for each image of the batch, by its number in the dataset, and of its class."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        expect_inputs("shape", self.shape, inputs)
        if self.classes is not None and len(inputs.number):
            expect_labels(inputs.y, self.classes)
        y = inputs.y if self.classes is not None else None

        def sample(place: int, generator: torch.Generator) -> Tensor:
            mine = slice(place, place + 1)
            return self.look(inputs.x[place][None], None if y is None else y[mine], generator).fake

        return each_sample(inputs, sample)

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(ExponentialDecay(optimizer, 1.00004, 1e-6), "epoch"), (MomentumClimb(optimizer, 0.0008, 0.8), "epoch")]

    @classmethod
    def join(cls, checkpoints: Iterable[str | Path]) -> Self:
        """One model from checkpoints of single levels, each trained with its ``only``; on the CPU.

        Raises:
            InputError: a level is missing or there twice, or the models differ in more than their training.
        """
        parts = [cls.load_from_checkpoint(path, map_location="cpu") for path in checkpoints]
        kinds = [{k: v for k, v in part.hparams.items() if k not in OF_TRAINING and k[0] != "_"} for part in parts]
        for kind in kinds[1:]:
            for name in kind:
                if kind[name] != kinds[0][name]:
                    raise InputError(f"levels of one pyramid agree in {name}, and not {kinds[0][name]} and {kind[name]}")
        found: list[Any] = [part.only for part in parts]
        levels = list(range(len(parts[0].sizes))) if parts else []
        if not parts or len(found) != len(levels) or set(found) != set(levels):
            raise InputError(
                f"a whole pyramid needs one checkpoint of each level, trained with model.only: {levels}, and not {found}"
            )
        whole = type(parts[0])(**kinds[0])
        for k, part in zip(found, parts, strict=True):
            with swap_weights(part, part.ema):
                whole.G[k], whole.D[k] = part.G[k].requires_grad_(), part.D[k]
        return whole
