"""CycleGAN (Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks").

``L(G, F, D_X, D_Y) = L_GAN(G, D_Y, X, Y) + L_GAN(F, D_X, Y, X) + lambda L_cyc(G, F)`` (eq. 3), with G: X -> Y, F: Y -> X and
``L_cyc(G, F) = E|F(G(x)) - x|_1 + E|G(F(y)) - y|_1`` (eq. 2). arXiv 1703.10593.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.interfaces import Cycled, CycleTranslator, as_input, expect_shape
from ganzoo.losses import AdversarialLoss, WholeSquares, opinions
from ganzoo.networks.pix2pix import STRIDED, PatchGAN, batch_statistics
from ganzoo.networks.resnet import ResNet, instance_norm
from ganzoo.ops.image_pool import ImagePool
from ganzoo.prediction import Directed, as_inputs, each
from ganzoo.schedules import LinearDecay
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import (
    Depth,
    HalfOpenUnitInterval,
    LearningRate,
    NonNegativeFloat,
    NonNegativeInt,
    NonNegativeSize,
    PositiveInt,
    Size,
)


class CycleGAN(Directed, AdversarialModule, CycleTranslator):
    """A picture of one domain to one of another and back, learned without pairs.

    To override: ``networks``.

    Args:
        channels_x: of the pictures of X.
        channels_y: of the pictures of Y.
        blocks: residual blocks of G and F; 9 from 256 pixels on, 6 for 128.
        width: maps of the first layer of all four networks.
        patch: pixels that one logit of a discriminator sees: 1, 16, 34, 70, 142 or 286.
        instance: instance norm, as in the paper. It takes its mean out of every map, so that a translator does not see what
            a picture has in common: x and x + 0.5 are the same to it. False: batch norm by the batch's own statistics.
        lambda_cycle: the weight of the cycle terms, the paper's lambda.
        lambda_identity: the weight of the identity terms (section 5.2) in units of ``lambda_cycle``. The paper has 0.5 for
            paintings to photographs, and none elsewhere; the authors' PyTorch code has 0.5 throughout, Torch's since 2018.
        pool: generated pictures of each domain that are kept to be shown to the discriminators again; 0 for none.
        loss: the adversarial terms; the paper's is ``WholeSquares``, least squares without the factor 1/2.
        lr: Adam's learning rate for both players.
        beta1: Adam's first beta.
        constant: epochs at the full learning rate.
        decay: epochs over which it then falls to zero.
        play: ``optimizers``, ``schedules``, ``clip_norm``, ``accumulate``, ``ema_half_life`` of ``AdversarialModule``.
    """

    ema_networks = ("G", "F")
    size_multiple, least_size = 4, 8
    schedule_arguments = ("constant", "decay")

    def __init__(
        self,
        channels_x: Size = 3,
        channels_y: Size = 3,
        blocks: Depth = 9,
        width: Size = 64,
        patch: Literal[1, 16, 34, 70, 142, 286] = 70,
        instance: bool = True,
        lambda_cycle: NonNegativeFloat = 10.0,
        lambda_identity: NonNegativeFloat = 0.0,
        pool: NonNegativeSize = 50,
        loss: AdversarialLoss | None = None,
        lr: LearningRate = 2e-4,
        beta1: HalfOpenUnitInterval = 0.5,
        constant: NonNegativeInt = 100,
        decay: PositiveInt = 100,
        **play: Any,
    ) -> None:
        super().__init__(**play)
        self.save_hyperparameters()
        if lambda_identity and channels_x != channels_y:
            raise InputError(
                f"identity terms ask G(y) to be y, and G takes {channels_x} channels where y has {channels_y}: set "
                "model.lambda_identity to 0"
            )
        self.channels_x, self.channels_y, self.blocks, self.width = channels_x, channels_y, blocks, width
        self.patch, self.instance = patch, instance
        self.lambda_cycle, self.lambda_identity = lambda_cycle, lambda_identity
        self.lr, self.beta1, self.constant, self.decay = lr, beta1, constant, decay
        self.loss = instantiate(loss or WholeSquares(), AdversarialLoss)  # type: ignore[type-abstract]
        self.G, self.F, self.D_X, self.D_Y = self.networks()
        self.past_x, self.past_y = ImagePool(pool), ImagePool(pool)

    @classmethod
    def arguments_for(cls, data: Any) -> dict[str, Any]:
        """Channels, and the blocks and the patch for the images' size, as in the paper."""
        told, (_, *size) = super().arguments_for(data), data.shape
        patch = next(p for p in (70, 34, 16, 1) if p == 1 or min(size) >= 3 * 2 ** STRIDED[p])
        return {**told, "blocks": 9 if min(size) >= 256 else 6, "patch": patch}

    def networks(self) -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
        """G: X -> Y and F: Y -> X, pictures [N, C, H, W] in [-1, 1]; D_X and D_Y: pictures -> [N, 1, h, w] logits."""
        x, y, layers = self.channels_x, self.channels_y, STRIDED[self.patch]
        norm = instance_norm if self.instance else batch_statistics
        return (
            ResNet(x, y, self.blocks, self.width, norm),
            ResNet(y, x, self.blocks, self.width, norm),
            PatchGAN(x, layers, self.width, norm),
            PatchGAN(y, layers, self.width, norm),
        )

    def check_batch(self, batch: Any) -> None:
        if self.trainer.predicting:  # where there is one domain, and the sizes are the images' own
            return
        channels = {"x": self.channels_x, "y": self.channels_y}
        for domain in ("x", "y"):
            pictures = self.field(batch, domain)
            size = pictures.shape[2:] if isinstance(pictures, Tensor) else ()
            expect_shape(f"channels_{domain}", (channels[domain], *size), pictures)

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"generator": [self.G, self.F], "discriminator": [self.D_X, self.D_Y]}

    def forward(self, x: Tensor) -> Tensor:
        return self.G(x)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, y = self.field(batch, "x"), self.field(batch, "y")
        with self.turn("generator") as descend:
            fake_x, fake_y = self.F(y), self.G(x)
            descend(self.generator_losses(x, y, fake_x, fake_y))
        with self.turn("discriminator") as descend:
            past_x, past_y = self.past_x(fake_x), self.past_y(fake_y)
            real, fake = (self.D_X(x), self.D_Y(y)), (self.D_X(past_x), self.D_Y(past_y))
            descend(self.discriminator_losses(real, fake))
        reals, fakes = (torch.cat([a.flatten(), b.flatten()]) for a, b in (real, fake))
        self.show({"D(real)": reals, "D(fake)": fakes}, transform=self.loss.output)
        self.show(lambda: opinions(self.loss, reals, fakes), prog_bar=False)

    def generator_losses(self, x: Tensor, y: Tensor, fake_x: Tensor, fake_y: Tensor) -> dict[str, Tensor]:
        # eq. 2 writes norms; the released code, to which lambda = 10 belongs, takes means over pixels and channels
        terms = {
            "gan_x": self.loss.generator(self.D_X(fake_x)),
            "gan_y": self.loss.generator(self.D_Y(fake_y)),
            "cycle_x": self.lambda_cycle * l1_loss(self.F(fake_y).float(), x),
            "cycle_y": self.lambda_cycle * l1_loss(self.G(fake_x).float(), y),
        }
        if self.lambda_identity:
            weight = self.lambda_cycle * self.lambda_identity
            terms["identity_x"] = weight * l1_loss(self.F(x).float(), x)
            terms["identity_y"] = weight * l1_loss(self.G(y).float(), y)
        return terms

    def discriminator_losses(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> dict[str, Tensor]:
        # section 4: "we divide the objective by 2 while optimizing D"
        return {
            f"gan_{domain}": 0.5 * self.loss.discriminator(of_real, of_fake)
            for domain, of_real, of_fake in zip("xy", real, fake, strict=True)
        }

    @with_ema
    @torch.no_grad()
    def translate(self, x: Tensor) -> Tensor:
        return self.G(as_input(x, self.dtype)).float()

    @with_ema
    @torch.no_grad()
    def translate_back(self, y: Tensor) -> Tensor:
        return self.F(as_input(y, self.dtype)).float()

    def validation_step(self, batch: Any, batch_idx: int) -> Cycled:
        return self.look(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Cycled:
        return self.look(batch, "test")

    def look(self, batch: Any, stage: str) -> Cycled:
        """Both translations and the ways back; logs ``<stage>/cycle_x`` and ``cycle_y``, means of absolute differences."""
        x, y = self.field(batch, "x"), self.field(batch, "y")
        fake_y, fake_x = self.translate(x), self.translate_back(y)
        back_x, back_y = self.translate_back(fake_y), self.translate(fake_x)
        for name, back, start in (("cycle_x", back_x, x), ("cycle_y", back_y, y)):
            distance = l1_loss(back.float(), start)
            self.log(f"{stage}/{name}", distance, prog_bar=True, batch_size=len(start), sync_dist=True)
        return Cycled(x, fake_y, back_x, y, fake_x, back_y)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Translations [B, C, H, W] of the batch's x, each at its own size; a list of [C, H, W] where sizes differ.

        They are G's where x are images of the domain that was X in training, and F's where they are of Y.
        """
        inputs = as_inputs(batch, batch_idx, self._trainer)
        if inputs.direction in (None, self.direction or "AtoB"):
            return each(inputs, self.translate, self, "channels_x", self.channels_x)
        return each(inputs, self.translate_back, self, "channels_y", self.channels_y)

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(LinearDecay(optimizer, self.constant, self.decay), "epoch")]
