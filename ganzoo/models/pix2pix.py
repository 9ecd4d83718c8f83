"""pix2pix (Isola, Zhu, Zhou and Efros 2017, "Image-to-Image Translation with Conditional Adversarial Networks").

``G* = arg min_G max_D L_cGAN(G, D) + lambda L_L1(G)`` (eq. 4), with D(x, y) judging patches and G(x, z)'s noise z being
dropout alone, in training and at test (sections 3.1, 3.3). arXiv 1611.07004.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.optim import Adam, Optimizer

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.interfaces import Translated, Translator, as_input, expect_shape, isolated_rng
from ganzoo.losses import AdversarialLoss, NonSaturating, opinions
from ganzoo.networks.pix2pix import STRIDED, PatchGAN, UNet
from ganzoo.prediction import Directed, as_inputs, each
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import HalfOpenUnitInterval, Halvings, LearningRate, NonNegativeFloat, Size


class Pix2Pix(Directed, AdversarialModule, Translator):
    """A picture to a picture, learned from pairs.

    To override: ``networks``.

    Args:
        inputs: channels of the input picture.
        outputs: channels of the output picture.
        depth: times that the U-Net halves its picture; 8 for 256 pixels, 7 for 128.
        width: maps of the first layer of both networks.
        patch: pixels that one logit of the discriminator sees: 1, 16, 34, 70, 142 or 286.
        skips: False for the encoder-decoder without skips.
        lambda_L1: the weight of the L1 term.
        loss: the adversarial term; the paper's is ``NonSaturating``.
        lr: Adam's learning rate for both players.
        beta1: Adam's first beta.
        play: ``optimizers``, ``schedules``, ``clip_norm``, ``accumulate``, ``ema_half_life`` of ``AdversarialModule``.
    """

    def __init__(
        self,
        inputs: Size = 3,
        outputs: Size = 3,
        depth: Halvings = 8,
        width: Size = 64,
        patch: Literal[1, 16, 34, 70, 142, 286] = 70,
        skips: bool = True,
        lambda_L1: NonNegativeFloat = 100.0,
        loss: AdversarialLoss | None = None,
        lr: LearningRate = 2e-4,
        beta1: HalfOpenUnitInterval = 0.5,
        **play: Any,
    ) -> None:
        super().__init__(**play)
        self.save_hyperparameters()
        self.inputs, self.outputs, self.depth, self.width = inputs, outputs, depth, width
        self.patch, self.skips = patch, skips
        self.lambda_L1, self.lr, self.beta1 = lambda_L1, lr, beta1
        self.size_multiple = 2**depth
        self.loss = instantiate(loss or NonSaturating(), AdversarialLoss)  # type: ignore[type-abstract]
        self.G, self.D = self.networks()

    @classmethod
    def arguments_for(cls, data: Any) -> dict[str, Any]:
        """Channels, and the deepest U-Net and largest patch that the images' size allows, at most the paper's."""
        told, (_, *size) = super().arguments_for(data), data.shape
        halvings = next(n for n in range(8, 1, -1) if n == 2 or not any(side % 2**n for side in size))
        patch = next(p for p in (70, 34, 16, 1) if p == 1 or min(size) >= 3 * 2 ** STRIDED[p])
        return {**told, "depth": halvings, "patch": patch}

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: [N, inputs, H, W] -> [N, outputs, H, W] in [-1, 1]; D: both stacked -> [N, 1, h, w] logits."""
        G = UNet(self.inputs, self.outputs, self.depth, self.width, self.skips)
        D = PatchGAN(self.inputs + self.outputs, STRIDED[self.patch], self.width)
        return G, D

    def check_batch(self, batch: Any) -> None:
        if self.trainer.predicting:  # where there is no answer, and the sizes are the images' own
            return
        x, y = self.field(batch, "x"), self.field(batch, "y")
        size = x.shape[2:] if isinstance(x, Tensor) else ()
        expect_shape("inputs", (self.inputs, *size), x)
        expect_shape("outputs", (self.outputs, *size), y)

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"discriminator": [self.D], "generator": [self.G]}

    def forward(self, x: Tensor) -> Tensor:
        return self.G(x)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, y = self.field(batch, "x"), self.field(batch, "y")
        fake = self.G(x)  # one pass for both turns
        with self.turn("discriminator") as descend:
            real_patches, fake_patches = self.judge(x, y), self.judge(x, fake.detach())
            descend(self.discriminator_losses(real_patches, fake_patches))
        with self.turn("generator") as descend:
            descend(self.generator_losses(self.judge(x, fake), fake, y))
        self.show({"D(x,y)": real_patches, "D(x,G(x))": fake_patches}, transform=self.loss.output)
        self.show(lambda: opinions(self.loss, real_patches, fake_patches), prog_bar=False)

    def judge(self, x: Tensor, y: Tensor) -> Tensor:
        """D(x, y): a logit for each patch of y as an answer to x."""
        return self.D(torch.cat([x, y], 1))

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        # section 3.3: "divide the objective by 2 while optimizing D"
        return {"gan": 0.5 * self.loss.discriminator(real, fake)}

    def generator_losses(self, fake_patches: Tensor, fake: Tensor, y: Tensor) -> dict[str, Tensor]:
        # eq. 3 writes a norm; the released code, to which lambda = 100 belongs, takes the mean over pixels and channels
        return {"gan": self.loss.generator(fake_patches), "l1": self.lambda_L1 * l1_loss(fake.float(), y)}

    @with_ema
    @torch.no_grad()
    def translate(self, x: Tensor) -> Tensor:
        return self.G(as_input(x, self.dtype)).float()

    def validation_step(self, batch: Any, batch_idx: int) -> Translated:
        x, y = self.field(batch, "x"), self.field(batch, "y")
        with isolated_rng(batch_idx, x.device):
            output = self.translate(x)
        self.log("val/l1", l1_loss(output.float(), y), prog_bar=True, batch_size=len(output), sync_dist=True)
        return Translated(x, output, y)

    def test_step(self, batch: Any, batch_idx: int) -> Translated:
        x, y = self.field(batch, "x"), self.field(batch, "y")
        with isolated_rng(batch_idx, x.device):
            output = self.translate(x)
        self.log("test/l1", l1_loss(output.float(), y), batch_size=len(output), sync_dist=True)
        return Translated(x, output, y)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Translations [B, C, H, W] of the batch's x, each at its own size; a list of [C, H, W] where sizes differ.

        Raises:
            InputError: the images are of the side that this model was trained to make.
        """
        inputs = as_inputs(batch, batch_idx, self._trainer)
        if inputs.direction and self.direction and inputs.direction != self.direction:
            raise InputError(
                f"this model was trained with data.direction {self.direction} and goes that way only, not "
                f"{inputs.direction}: leave data.direction as in training, or train a second model with "
                f"--data.direction {inputs.direction}"
            )
        return each(inputs, self.translate, self, "inputs", self.inputs)

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))
