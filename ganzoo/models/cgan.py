"""Conditional GAN (Mirza and Osindero 2014, "Conditional Generative Adversarial Nets", arXiv 1411.1784).

``min_G max_D V(D, G) = E_x[log D(x|y)] + E_z[log(1 - D(G(z|y)|y))]`` (eq. 2): both players are told the class.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.adversarial import AdversarialModule
from ganzoo.interfaces import Generated, Sampler, expect_labels, expect_shape, seeded_from
from ganzoo.losses import AdversarialLoss, NonSaturating, opinions
from ganzoo.networks.goodfellow import ConditionalDiscriminator, ConditionalGenerator
from ganzoo.noises import Noise, Uniform
from ganzoo.prediction import as_inputs, each_sample
from ganzoo.schedules import ExponentialDecay, MomentumRamp
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, Shape, Size


class CGAN(AdversarialModule, Sampler):
    """Class labels in, pictures of that class out. Section 4.1's networks, played simultaneously like the 2014 code.

    To override: ``networks``.

    Args:
        shape: (C, H, W) of a picture; the data's.
        classes: how many classes; labels run from 0 to classes - 1.
        latent: length of z.
        loss: what each player descends; ``NonSaturating``.
        lr: learning rate of both players at the start.
        momentum: of both players at the start; it rises to 0.7.
        dropout: share of hidden units dropped in both networks while training, and in G when sampling too: it is noise.
        noise: what z is drawn from; ``Uniform(0, 1)``, the unit hypercube of section 4.1.
        play: ``optimizers``, ``schedules``, ``clip_norm``, ``accumulate``, ``ema_half_life`` of ``AdversarialModule``.
    """

    classes: int

    def __init__(
        self,
        shape: Shape = (1, 28, 28),
        classes: Size = 10,
        latent: Size = 100,
        loss: AdversarialLoss | None = None,
        lr: LearningRate = 0.1,
        momentum: HalfOpenUnitInterval = 0.5,
        dropout: HalfOpenUnitInterval = 0.5,
        noise: Noise | None = None,
        **play: Any,
    ) -> None:
        super().__init__(**play)
        self.save_hyperparameters()
        self.shape, self.classes, self.latent, self.dropout = shape, classes, latent, dropout
        self.lr, self.momentum = lr, momentum
        self.noise = instantiate(noise or Uniform(0, 1), Noise)  # type: ignore[type-abstract]
        self.loss = instantiate(loss or NonSaturating(), AdversarialLoss)  # type: ignore[type-abstract]
        self.G, self.D = self.networks()

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: (z [N, latent], y [N, classes]) -> [N, C, H, W] in [-1, 1]; D: (x, y) -> [N, 1] logits; y is one-hot."""
        return (
            ConditionalGenerator(self.latent, self.classes, self.shape, dropout=self.dropout),
            ConditionalDiscriminator(self.classes, self.shape, dropout=self.dropout),
        )

    def check_batch(self, batch: Any) -> None:
        if self.trainer.predicting:  # samples are of the images' classes, and nothing else is taken from them
            return
        expect_shape("shape", self.shape, self.field(batch, "x"))
        declared = getattr(getattr(self.trainer, "datamodule", None), "classes", None)
        expect_labels(self.field(batch, "y"), self.classes, declared)

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"discriminator": [self.D], "generator": [self.G]}

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.G(z, self.code(y))

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, y = self.field(batch, "x"), self.code(self.field(batch, "y"))
        with self.turn("discriminator", "generator") as descend:
            real, fake = self.D(x, y), self.D(self.G(self.z(len(x)), y), y)
            descend(discriminator=self.discriminator_losses(real, fake), generator=self.generator_losses(fake))
        self.show({"D(x)": real, "D(G(z))": fake}, transform=self.loss.output)
        self.show(lambda: opinions(self.loss, real, fake), prog_bar=False)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {"gan": 0.5 * self.loss.discriminator(real, fake)}

    def generator_losses(self, fake: Tensor) -> dict[str, Tensor]:
        return {"gan": self.loss.generator(fake)}

    def z(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise [n, latent]."""
        return self.noise.sample((n, self.latent), next(self.parameters()), generator)

    def code(self, y: Tensor) -> Tensor:
        """int64 classes [N] -> one-hot floats [N, classes]."""
        return one_hot(y, self.classes).to(next(self.parameters()))

    @with_ema
    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        device = next(self.parameters()).device
        y = torch.arange(n, device=device) % self.classes if y is None else y.to(device)
        with seeded_from(generator, device):  # of the dropout
            return self(self.z(n, generator), y).float()

    def validation_step(self, batch: Any, batch_idx: int) -> Generated:
        x, y = self.field(batch, "x"), self.field(batch, "y")
        return Generated(x, self.sample(len(x), y, torch.Generator().manual_seed(batch_idx)))

    def test_step(self, batch: Any, batch_idx: int) -> Generated:
        return self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """A sample [B, C, H, W] of each class in the batch, by its number in the dataset."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        if not len(inputs.number):  # no file of the batch could be read
            return []
        expect_labels(inputs.y, self.classes)
        y: Any = inputs.y
        return each_sample(inputs, lambda place, generator: self.sample(1, y[place : place + 1], generator))

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(ExponentialDecay(optimizer, 1.00004, 1e-6), "step"), (MomentumRamp(optimizer, 0.7, 1, 250), "epoch")]
