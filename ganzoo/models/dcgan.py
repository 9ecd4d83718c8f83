"""DCGAN (Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with DCGANs", arXiv 1511.06434).

A GAN whose two networks are all-convolutional with batch norm, trained by Adam at 2e-4 with beta1 = 0.5 (section 4).
"""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.models.gan import GAN
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator


class DCGAN(GAN):
    """Algorithm 1 with the DCGAN networks. Widths and normal noise as in the released code.

    Args:
        shape: (C, H, W) of a picture, H = W = 8, 16, 32, 64, ...
        width: maps of the layers nearest the picture; 64 as released, 128 in the paper.
        lr: Adam's learning rate for both players.
        beta1: Adam's first beta.
        play: the other arguments of ``GAN`` (``hidden`` and ``momentum`` have no meaning here).
    """

    def __init__(
        self,
        shape: tuple[int, int, int] = (3, 64, 64),
        width: int = 64,
        lr: float = 2e-4,
        beta1: float = 0.5,
        **play: Any,
    ) -> None:
        self.width, self.beta1 = width, beta1
        super().__init__(shape=shape, lr=lr, **play)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        channels, size, _ = self.hparams["shape"]
        return DCGANGenerator(self.latent, channels, size, self.width), DCGANDiscriminator(channels, size, self.width)

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return []
