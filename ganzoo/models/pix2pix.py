"""pix2pix (Isola, Zhu, Zhou and Efros 2017, "Image-to-Image Translation with Conditional Adversarial Networks").

``G* = arg min_G max_D L_cGAN(G, D) + lambda L_L1(G)`` (eq. 4), with D(x, y) judging patches and G(x, z)'s noise z being
dropout alone, in training and at test (sections 3.1, 3.3). arXiv 1611.07004.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.optim import Adam, Optimizer

from ganzoo.losses import AdversarialLoss, NonSaturating
from ganzoo.models.base import TranslatorModel
from ganzoo.networks.pix2pix import STRIDED, PatchGAN, UNet, largest_patch
from ganzoo.networks.upsampling import TransposedConvolution, Upsampling
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import HalfOpenUnitInterval, Halvings, LearningRate, NonNegativeFloat, Size


class Pix2Pix(TranslatorModel):
    """Translates images of one kind into images of another, learned from pairs.

    Args:
        inputs: channels of the input image.
        outputs: channels of the output image.
        depth: times that the U-Net halves its image; 8 for 256 pixels, 7 for 128.
        width: maps of the first layer of both networks.
        patch: pixels that one logit of the discriminator sees: 1, 16, 34, 70, 142 or 286.
        skips: False for the encoder-decoder of section 4.3, a U-Net without skips.
        lambda_L1: the weight of the L1 term.
        upsampling: how the U-Net doubles its maps; ``TransposedConvolution``. ``NearestConvolution`` makes no checkerboard.
        lr: Adam's learning rate for both players.
        beta1: Adam's first beta.
        training: ``loss`` (the adversarial term) of ``TranslatorModel``, and the arguments of ``AdversarialModule``.
    """

    default_loss: ClassVar[AdversarialLoss] = NonSaturating()
    default_upsampling: ClassVar[Upsampling] = TransposedConvolution()
    small = {"inputs": 3, "outputs": 1, "depth": 4, "width": 4, "patch": 16}

    def __init__(
        self,
        inputs: Size = 3,
        outputs: Size = 3,
        depth: Halvings = 8,
        width: Size = 64,
        patch: Literal[1, 16, 34, 70, 142, 286] = 70,
        skips: bool = True,
        lambda_L1: NonNegativeFloat = 100.0,
        upsampling: Upsampling | None = None,
        lr: LearningRate = 2e-4,
        beta1: HalfOpenUnitInterval = 0.5,
        **training: Any,
    ) -> None:
        self.upsampling = instantiate(upsampling or self.default_upsampling, Upsampling)  # type: ignore[type-abstract]
        super().__init__(inputs, outputs, **training)
        self.depth, self.width, self.patch, self.skips = depth, width, patch, skips
        self.lambda_L1, self.lr, self.beta1 = lambda_L1, lr, beta1
        self.size_multiple = 2**depth
        self.G, self.D = self.networks()

    @classmethod
    def arguments_for(cls, data: Any) -> dict[str, Any]:
        """Channels, and the deepest U-Net and largest patch that the images' size allows, at most the paper's."""
        known, (_, *size) = super().arguments_for(data), data.shape
        halvings = next(n for n in range(8, 1, -1) if n == 2 or not any(side % 2**n for side in size))
        return {**known, "depth": halvings, "patch": largest_patch(min(size))}

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: [N, inputs, H, W] -> [N, outputs, H, W] in [-1, 1]; D: both stacked -> [N, 1, h, w] logits."""
        G = UNet(self.inputs, self.outputs, self.depth, self.width, self.skips, double=self.upsampling.layer)
        D = PatchGAN(self.inputs + self.outputs, STRIDED[self.patch], self.width)
        return G, D

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, y = self.field(batch, "x"), self.field(batch, "y")
        D = partial(self.discriminate, x)
        G_x = self.G(x)  # one pass for both turns
        with self.turn("discriminator") as descend:
            fake = G_x.detach()
            real_patches, fake_patches = D(y), D(fake)
            descend(self.discriminator_losses(real_patches, fake_patches) | self.penalties(D, y, fake))
        with self.turn("generator") as descend:
            descend(self.generator_losses(D(G_x), G_x, y) | self.generator_penalties(D, y, G_x))
        self.watch(real_patches, fake_patches, ("D(x,y)", "D(x,G(x))"))

    def discriminate(self, x: Tensor, y: Tensor) -> Tensor:
        """D(x, y): a logit for each patch of y as an answer to x."""
        return self.D(torch.cat([x, y], 1))

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        # section 3.3: "divide the objective by 2 while optimizing D"
        return {"gan": 0.5 * self.loss.discriminator(real, fake)}

    def generator_losses(self, fake_patches: Tensor, fake: Tensor, y: Tensor) -> dict[str, Tensor]:
        # eq. 3 writes a norm; the released code, to which lambda = 100 belongs, takes the mean over pixels and channels
        return {"gan": self.loss.generator(fake_patches), "l1": self.lambda_L1 * l1_loss(fake.float(), y)}

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))
