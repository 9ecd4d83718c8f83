"""DCGAN (Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with DCGANs", arXiv 1511.06434).

A GAN whose two networks are all-convolutional with batch norm, trained by Adam at 2e-4 with beta1 = 0.5 (section 4).
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.losses import opinions
from ganzoo.models.gan import GAN
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganzoo.noises import Noise, Normal
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, Shape, Size


class DCGAN(GAN):
    """A GAN with the DCGAN networks. Play, widths and normal noise as in the PyTorch port of the authors' Torch code.

    Radford's own code (Theano) differs: it decays the weights by 1e-5, moves one player with each batch in turn, and draws z
    from ``Uniform(-1, 1)``, as the caption of the paper's figure 1 says.

    Args:
        shape: (C, H, W) of a picture, H = W = 8, 16, 32, 64, ...
        width: maps of the layers nearest the picture; 64 as released, 128 in the paper.
        lr: Adam's learning rate for both players.
        beta1: Adam's first beta.
        noise: what z is drawn from; ``Normal()``. The paper's is ``Uniform(-1, 1)``.
        play: the other arguments of ``GAN``, but ``hidden`` and ``momentum``, which its networks and Adam do not have.
    """

    def __init__(
        self,
        shape: Shape = (3, 64, 64),
        width: Size = 64,
        lr: LearningRate = 2e-4,
        beta1: HalfOpenUnitInterval = 0.5,
        noise: Noise | None = None,
        **play: Any,
    ) -> None:
        self.width, self.beta1 = width, beta1
        super().__init__(shape=shape, noise=noise or Normal(), lr=lr, hidden=1, momentum=0.0, **play)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        channels, size, _ = self.shape
        return DCGANGenerator(self.latent, channels, size, self.width), DCGANDiscriminator(channels, size, self.width)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.field(batch, "x")
        fake = self.G(self.z(len(x)))  # one pass for both turns, as in the port; Algorithm 1 draws anew
        with self.turn("discriminator") as descend:
            real_logits, fake_logits = self.D(x), self.D(fake.detach())
            descend(self.discriminator_losses(real_logits, fake_logits))
        self.show({"D(x)": real_logits, "D(G(z))": fake_logits}, transform=self.loss.output)
        self.show(lambda: opinions(self.loss, real_logits, fake_logits), prog_bar=False)
        if self.every(self.k):
            with self.turn("generator") as descend:
                descend(self.generator_losses(self.D(fake)))

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {"gan": self.loss.discriminator(real, fake)}  # the sum, not halved, as in the port

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return []
