"""CycleGAN (Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks").

``L(G, F, D_X, D_Y) = L_GAN(G, D_Y, X, Y) + L_GAN(F, D_X, Y, X) + lambda L_cyc(G, F)`` (eq. 3), with G: X -> Y, F: Y -> X and
``L_cyc(G, F) = E|F(G(x)) - x|_1 + E|G(F(y)) - y|_1`` (eq. 2). arXiv 1703.10593.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.errors import InputError
from ganzoo.losses import AdversarialLoss, UnhalvedLeastSquares
from ganzoo.models.base import CycleTranslatorModel
from ganzoo.networks.norms import InstanceNorm, Norm
from ganzoo.networks.pix2pix import STRIDED, PatchGAN, largest_patch
from ganzoo.networks.resnet import ResNet
from ganzoo.ops.image_pool import ImagePool
from ganzoo.schedules import LinearDecay
from ganzoo.training.recipes import instantiate
from ganzoo.utils import ranges


class CycleGAN(CycleTranslatorModel):
    """Translates images of one domain into another and back, learned without pairs.

    Args:
        blocks: residual blocks of G and F; 9 from 256 pixels on, 6 for 128.
        width: maps of the first layer of all four networks.
        patch: pixels that one logit of a discriminator sees: 1, 16, 34, 70, 142 or 286.
        norm: the norm of all networks; ``InstanceNorm``, with which x and x + 0.5 are the same to a translator.
        lambda_cycle: the weight of the cycle terms, the paper's lambda.
        lambda_identity: the weight of the identity terms (section 5.2) in units of ``lambda_cycle``; 0.5 for paintings.
        pool: generated images of each domain that are kept to be shown to the discriminators again; 0 for none.
        lr: Adam's learning rate for both players.
        beta1: Adam's first beta.
        constant: epochs at the full learning rate.
        decay: epochs over which it then falls to zero.
        training: ``channels_x``, ``channels_y`` (3), ``loss`` of ``CycleTranslatorModel``, those of ``AdversarialModule``.
    """

    default_loss: ClassVar[AdversarialLoss] = UnhalvedLeastSquares()  # least squares without the factor 1/2
    default_norm: ClassVar[Norm] = InstanceNorm()
    size_multiple, least_size = 4, 8
    small = {"channels_x": 3, "channels_y": 1, "blocks": 1, "width": 4, "patch": 16, "pool": 3}
    schedule_arguments = ("constant", "decay")

    def __init__(
        self,
        blocks: ranges.Depth = 9,
        width: ranges.Size = 64,
        patch: Literal[1, 16, 34, 70, 142, 286] = 70,
        norm: Norm | None = None,
        lambda_cycle: ranges.NonNegativeFloat = 10.0,
        lambda_identity: ranges.NonNegativeFloat = 0.0,
        pool: ranges.NonNegativeSize = 50,
        lr: ranges.LearningRate = 2e-4,
        beta1: ranges.HalfOpenUnitInterval = 0.5,
        constant: ranges.NonNegativeInt = 100,
        decay: ranges.PositiveInt = 100,
        **training: Any,
    ) -> None:
        self.norm = instantiate(norm or self.default_norm, Norm)  # type: ignore[type-abstract]
        super().__init__(**training)
        if lambda_identity and self.channels_x != self.channels_y:
            channels = f"{self.channels_x} channels where y has {self.channels_y}"
            raise InputError(f"identity terms ask G(y) to be y, and G takes {channels}: set model.lambda_identity to 0")
        self.blocks, self.width, self.patch, self.lr, self.beta1 = blocks, width, patch, lr, beta1
        self.lambda_cycle, self.lambda_identity, self.constant, self.decay = lambda_cycle, lambda_identity, constant, decay
        self.G, self.F, self.D_X, self.D_Y = self.networks()
        self.past_x, self.past_y = ImagePool(pool), ImagePool(pool)

    @classmethod
    def arguments_for(cls, data: Any) -> dict[str, Any]:
        """Channels, and the blocks and the patch for the images' size, as in the paper."""
        known, (_, *size) = super().arguments_for(data), data.shape
        return {**known, "blocks": 9 if min(size) >= 256 else 6, "patch": largest_patch(min(size))}

    def networks(self) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
        """G: X -> Y and F: Y -> X, images [N, C, H, W] in [-1, 1]; D_X and D_Y: images -> [N, 1, h, w] logits."""
        x, y, layers, norm = self.channels_x, self.channels_y, STRIDED[self.patch], self.norm.layer
        G = ResNet(x, y, self.blocks, self.width, norm)
        F = ResNet(y, x, self.blocks, self.width, norm)
        return G, F, PatchGAN(x, layers, self.width, norm), PatchGAN(y, layers, self.width, norm)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, y = self.field(batch, "x"), self.field(batch, "y")
        with self.turn("generator") as descend:
            fake_x, fake_y = self.F(y), self.G(x)
            descend(self.generator_losses(x, y, fake_x, fake_y))
        with self.turn("discriminator") as descend:
            past_x, past_y = self.past_x(fake_x), self.past_y(fake_y)
            real = self.D_X(x), self.D_Y(y)
            fake = self.D_X(past_x), self.D_Y(past_y)
            descend(self.discriminator_losses(real, fake) | self.penalties_of_domains(x, y, past_x, past_y))
        self.watch(real, fake, ("D(real)", "D(fake)"))

    def generator_losses(self, x: Tensor, y: Tensor, fake_x: Tensor, fake_y: Tensor) -> dict[str, Tensor]:
        # eq. 2 writes norms; the released code, to which lambda = 10 belongs, takes means over pixels and channels
        terms = {
            "gan_x": self.loss.generator(self.D_X(fake_x)),
            "gan_y": self.loss.generator(self.D_Y(fake_y)),
            "cycle_x": self.lambda_cycle * l1_loss(self.F(fake_y).float(), x),
            "cycle_y": self.lambda_cycle * l1_loss(self.G(fake_x).float(), y),
        }
        weight = self.lambda_cycle * self.lambda_identity
        if weight:
            terms["identity_x"] = weight * l1_loss(self.F(x).float(), x)
            terms["identity_y"] = weight * l1_loss(self.G(y).float(), y)
        return terms

    def discriminator_losses(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> dict[str, Tensor]:
        (real_x, real_y), (fake_x, fake_y) = real, fake
        # halved: section 4
        return {
            "gan_x": 0.5 * self.loss.discriminator(real_x, fake_x),
            "gan_y": 0.5 * self.loss.discriminator(real_y, fake_y),
        }

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(LinearDecay(optimizer, self.constant, self.decay), "epoch")]
