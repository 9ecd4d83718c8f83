"""DCGAN (Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with DCGANs", arXiv 1511.06434).

A GAN whose two networks are all-convolutional with batch norm, trained by Adam at 2e-4 with beta1 = 0.5 (section 4).
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import nn
from torch.optim import Adam, Optimizer

from ganzoo.losses import AdversarialLoss, NonSaturating
from ganzoo.models.base import GeneratorModel
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganzoo.networks.families import NetworkFamily, image
from ganzoo.networks.norms import BatchNorm, Norm
from ganzoo.networks.upsampling import TransposedConvolution, Upsampling
from ganzoo.noises import Noise, Normal
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, PositiveInt, Shape, Size


class DCGAN(GeneratorModel):
    """Generates images from noise with all-convolutional networks and batch norm.

    Play, widths and normal noise are those of the PyTorch port of the authors' Torch code.
    Radford's own code (Theano) differs: it decays the weights by 1e-5, moves one player with each batch in turn, and draws z
    from ``Uniform(-1, 1)``, as the caption of the paper's figure 1 says.

    Args:
        shape: (C, H, W) of an image, H = W = 8, 16, 32, 64, ...; or what the family takes.
        width: maps of the layers nearest the image; 64 as released, 128 in the paper.
        k: discriminator steps to a generator step, each on a fresh batch and fresh noise.
        lr: Adam's learning rate for both players.
        beta1: Adam's first beta.
        norm: the norm of the discriminator; ``BatchNorm``. A gradient penalty needs another (``LayerNorm``).
        upsampling: how the generator doubles its maps; ``TransposedConvolution``.
        family: other networks, instead of those that ``width``, ``norm`` and ``upsampling`` describe; ``MLPFamily`` for
            points in the plane.
        training: ``latent`` (100), ``loss`` and ``noise`` of ``GeneratorModel``, and the arguments of ``AdversarialModule``.
    """

    default_loss: ClassVar[AdversarialLoss] = NonSaturating()
    default_noise: ClassVar[Noise] = Normal()
    default_norm: ClassVar[Norm] = BatchNorm()
    default_upsampling: ClassVar[Upsampling] = TransposedConvolution()
    small = {"shape": (3, 8, 8), "width": 4, "latent": 4}

    def __init__(
        self,
        shape: Shape | tuple[Size] = (3, 64, 64),
        width: Size = 64,
        k: PositiveInt = 1,
        lr: LearningRate = 2e-4,
        beta1: HalfOpenUnitInterval = 0.5,
        norm: Norm | None = None,
        upsampling: Upsampling | None = None,
        family: NetworkFamily | None = None,
        **training: Any,
    ) -> None:
        if family is None:  # else the checkpoint would name parts that the family replaces, and could not be loaded
            self.norm = instantiate(norm or self.default_norm, Norm)  # type: ignore[type-abstract]
            self.upsampling = instantiate(upsampling or self.default_upsampling, Upsampling)  # type: ignore[type-abstract]
        super().__init__(shape, **training)
        self.width, self.k, self.lr, self.beta1 = width, k, lr, beta1
        self.family = self.given_family(family, "width", "norm", "upsampling")
        self.G, self.D = self.add_layers(*self.networks())

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: [N, latent] -> [N, C, H, W] in [-1, 1], and D: [N, C, H, W] -> [N, 1] logits."""
        if self.family is not None:
            return self.family.networks(self.shape, self.latent)
        channels, size, _ = image(type(self).__name__, self.shape)
        G = DCGANGenerator(self.latent, channels, size, self.width, self.upsampling.layer)
        return G, DCGANDiscriminator(channels, size, self.width, self.norm.layer)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.seen(self.field(batch, "x"))
        G_z = self.G(self.z(len(x)))  # one pass for both turns, as in the port; Algorithm 1 draws anew
        with self.turn("discriminator") as descend:
            real = self.D(x)
            seen = self.seen(G_z.detach())
            fake = self.D(seen)
            # the sum of both terms, not halved, as in the port
            descend(self.discriminator_losses(real, fake) | self.penalties(self.D, x, seen))
        self.watch(real, fake)
        if self.every(self.k):
            with self.turn("generator") as descend:
                seen = self.seen(G_z)
                descend(self.generator_losses(self.D(seen)) | self.generator_penalties(self.D, x, seen))

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))
