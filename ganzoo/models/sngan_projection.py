"""SNGAN with projection (Miyato and Koyama 2018, "cGANs with Projection Discriminator", arXiv 1802.05637).

``D(x, y) = y^T V phi(x) + psi(phi(x))`` (section 3): the class y meets D in an inner product with the features, and G in the
scale and shift of its batch norms. All else is the SNGAN's, spectral normalization of V too.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.losses import AdversarialLoss, Hinge
from ganzoo.models.base import ConditionalGeneratorModel
from ganzoo.networks.sngan import ConditionalResidualGenerator, ProjectionDiscriminator, spectral_normed
from ganzoo.schedules import LinearDecay
from ganzoo.utils.ranges import LearningRate, PositiveInt, Shape, Size


class SNGANProjection(ConditionalGeneratorModel):
    """Generates images of a class with an SNGAN, whose discriminator projects its features on the class.

    Args:
        shape: (C, H, W) of an image, H = W = 8, 16, 32, 64, ...
        classes: how many classes; labels run from 0 to classes - 1.
        width_G: maps of the generator.
        width_D: maps of the discriminator.
        n_critic: discriminator steps to a generator step, each on a fresh batch and fresh noise; n_dis in the paper.
        generator_batch: samples in a generator step for each image of the batch; 2 as released.
        lr: Adam's learning rate for both players at the start; it falls linearly to 0 at the end of the training.
        latent: length of the noise vector z.
        training: ``loss`` and ``noise`` of ``GeneratorModel``, and the arguments of ``AdversarialModule``.
    """

    default_loss: ClassVar[AdversarialLoss] = Hinge()
    small = {"shape": (3, 8, 8), "classes": 3, "width_G": 4, "width_D": 4, "latent": 4, "n_critic": 2}
    classes: int

    def __init__(
        self,
        shape: Shape = (3, 32, 32),
        classes: Size = 10,
        width_G: Size = 256,
        width_D: Size = 128,
        n_critic: PositiveInt = 5,
        generator_batch: PositiveInt = 2,
        lr: LearningRate = 2e-4,
        latent: Size = 128,
        **training: Any,
    ) -> None:
        super().__init__(shape, classes, latent=latent, **training)
        self.width_G, self.width_D = width_G, width_D
        self.n_critic, self.generator_batch, self.lr = n_critic, generator_batch, lr
        self.G, self.D = self.add_layers(*self.networks())

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: (z [N, latent], y [N, classes]) -> [N, C, H, W] in [-1, 1]; D: (x, y) -> [N, 1] scores; y is one-hot."""
        channels, size, _ = self.shape
        G = ConditionalResidualGenerator(self.latent, channels, self.classes, size, self.width_G)
        return G, spectral_normed(ProjectionDiscriminator(channels, self.classes, self.width_D))

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.seen(self.field(batch, "x"))
        y = self.one_hot(self.field(batch, "y"), len(x))
        D = partial(self.discriminate, y)
        with self.turn("discriminator") as descend:
            G_z = self.seen(self.G(self.z(len(x)), y).detach())
            real, fake = D(x), D(G_z)
            descend(self.discriminator_losses(real, fake) | self.penalties(D, x, G_z))
        self.watch(real, fake)
        if self.every(self.n_critic):
            with self.turn("generator") as descend:
                many = y.repeat(self.generator_batch, 1)
                G_z = self.seen(self.G(self.z(len(many)), many))
                descend(self.generator_losses(self.D(G_z, many)) | self.generator_penalties(D, x, G_z))

    def discriminate(self, y: Tensor, x: Tensor) -> Tensor:
        """D(x, y): scores [N, 1] of the images x, of the classes y, one-hot."""
        return self.D(x, y)

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(0.0, 0.9))

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        turns = self.total_steps if player == "discriminator" else max(self.total_steps // self.n_critic, 1)
        return [(LinearDecay(optimizer, constant=0, decay=turns), "step")]
