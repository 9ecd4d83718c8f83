"""Conditional GAN (Mirza and Osindero 2014, "Conditional Generative Adversarial Nets", arXiv 1411.1784).

``min_G max_D V(D, G) = E_x[log D(x|y)] + E_z[log(1 - D(G(z|y)|y))]`` (eq. 2): both players get the class y.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.losses import AdversarialLoss, NonSaturating
from ganzoo.models.base import ConditionalGeneratorModel
from ganzoo.networks.goodfellow import ConditionalDiscriminator, ConditionalGenerator
from ganzoo.noises import Noise, Uniform
from ganzoo.schedules import ExponentialDecay, MomentumRamp
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, Shape, Size


class CGAN(ConditionalGeneratorModel):
    """Generates images of the class that you ask for.

    The networks are those of section 4.1, trained simultaneously like the released code of 2014.

    Args:
        shape: (C, H, W) of an image; the data's.
        classes: how many classes; labels run from 0 to classes - 1.
        lr: learning rate of both players at the start.
        momentum: of both players at the start; it rises to 0.7.
        dropout: share of hidden units dropped in both networks while training, and in G when sampling too: it is noise.
        training: ``latent`` (100), ``loss`` and ``noise`` of ``GeneratorModel``, and the arguments of ``AdversarialModule``.
    """

    default_loss: ClassVar[AdversarialLoss] = NonSaturating()
    small = {"shape": (1, 8, 8), "classes": 3, "latent": 4}
    default_noise: ClassVar[Noise] = Uniform(0, 1)  # the unit hypercube of section 4.1
    classes: int

    def __init__(
        self,
        shape: Shape = (1, 28, 28),
        classes: Size = 10,
        lr: LearningRate = 0.1,
        momentum: HalfOpenUnitInterval = 0.5,
        dropout: HalfOpenUnitInterval = 0.5,
        **training: Any,
    ) -> None:
        super().__init__(shape, classes, **training)
        self.lr, self.momentum, self.dropout = lr, momentum, dropout
        self.G, self.D = self.add_layers(*self.networks())

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: (z [N, latent], y [N, classes]) -> [N, C, H, W] in [-1, 1]; D: (x, y) -> [N, 1] logits; y is one-hot."""
        return (
            ConditionalGenerator(self.latent, self.classes, self.shape, dropout=self.dropout),
            ConditionalDiscriminator(self.classes, self.shape, dropout=self.dropout),
        )

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.seen(self.field(batch, "x"))
        y = self.one_hot(self.field(batch, "y"), len(x))
        D = partial(self.discriminate, y)
        with self.turn("discriminator", "generator") as descend:
            real = D(x)
            G_z = self.seen(self.G(self.z(len(x)), y))
            fake = D(G_z)
            descend(
                discriminator=self.discriminator_losses(real, fake) | self.penalties(D, x, G_z),
                generator=self.generator_losses(fake) | self.generator_penalties(D, x, G_z),
            )
        self.watch(real, fake)

    def discriminate(self, y: Tensor, x: Tensor) -> Tensor:
        """D(x|y): logits [N, 1] of the images x, of the classes y, one-hot."""
        return self.D(x, y)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {"gan": 0.5 * self.loss.discriminator(real, fake)}

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(ExponentialDecay(optimizer, 1.00004, 1e-6), "step"), (MomentumRamp(optimizer, 0.7, 1, 250), "epoch")]
