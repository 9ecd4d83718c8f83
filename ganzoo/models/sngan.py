"""SNGAN (Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", arXiv 1802.05957).

Every weight of D is divided by its largest singular value, ``W / sigma(W)`` (eq. 8), so that the layer is 1-Lipschitz. In
each forward pass one step of the power iteration keeps the estimate of sigma (Algorithm 1). The loss is the hinge
(eq. 16 and 17).
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.losses import AdversarialLoss, Hinge
from ganzoo.models.base import GeneratorModel
from ganzoo.networks.families import NetworkFamily, SNGANFamily
from ganzoo.networks.sngan import spectral_normed
from ganzoo.schedules import LinearDecay
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import LearningRate, PositiveInt, Shape, Size


class SNGAN(GeneratorModel):
    """Generates images from noise; spectral normalization keeps every layer of the discriminator 1-Lipschitz.

    Args:
        shape: (C, H, W) of an image, or (n,) of a vector with ``MLPFamily``; the data's.
        latent: length of the noise vector z.
        family: generator and discriminator; ``SNGANFamily``, the residual ones. The paper's other is ``StandardCNNFamily``.
        n_critic: discriminator steps to a generator step, each on a fresh batch and fresh noise; n_dis in the paper.
        generator_batch: samples in a generator step for each image of the batch; 2 as released.
        lr: Adam's learning rate for both players at the start; it falls linearly to 0 at the end of the training.
        training: ``loss`` and ``noise`` of ``GeneratorModel``, and the arguments of ``AdversarialModule``.
    """

    default_loss: ClassVar[AdversarialLoss] = Hinge()
    small: ClassVar[dict[str, Any]] = {
        "shape": (3, 8, 8),
        "latent": 4,
        "family": {"class_path": "ganzoo.networks.families.SNGANFamily", "init_args": {"width_G": 4, "width_D": 4}},
        "n_critic": 2,
    }

    def __init__(
        self,
        shape: Shape | tuple[Size] = (3, 32, 32),
        latent: Size = 128,
        family: NetworkFamily | None = None,
        n_critic: PositiveInt = 5,
        generator_batch: PositiveInt = 2,
        lr: LearningRate = 2e-4,
        **training: Any,
    ) -> None:
        self.family = instantiate(family or SNGANFamily(), NetworkFamily)  # type: ignore[type-abstract]
        super().__init__(shape, latent, **training)
        self.n_critic, self.generator_batch, self.lr = n_critic, generator_batch, lr
        self.G, self.D = self.add_layers(*self.networks())

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: [N, latent] -> [N, C, H, W] in [-1, 1], and D: [N, C, H, W] -> [N, 1] scores."""
        G, D = self.family.networks(self.shape, self.latent)
        return G, spectral_normed(D)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.seen(self.field(batch, "x"))
        with self.turn("discriminator") as descend:
            G_z = self.seen(self.G(self.z(len(x))).detach())
            real, fake = self.D(x), self.D(G_z)
            descend(self.discriminator_losses(real, fake) | self.penalties(self.D, x, G_z))
        self.watch(real, fake)
        if self.every(self.n_critic):
            with self.turn("generator") as descend:
                G_z = self.seen(self.G(self.z(self.generator_batch * len(x))))
                descend(self.generator_losses(self.D(G_z)) | self.generator_penalties(self.D, x, G_z))

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(0.0, 0.9))

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        turns = self.total_steps if player == "discriminator" else max(self.total_steps // self.n_critic, 1)
        return [(LinearDecay(optimizer, constant=0, decay=turns), "step")]
