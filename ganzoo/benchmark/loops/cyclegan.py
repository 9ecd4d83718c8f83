"""Training steps of CycleGAN without Lightning: in plain PyTorch, and in the order of the published code."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss
from torch.optim import Adam

from ganzoo.benchmark.loops.base import Loop, Losses, freeze, update
from ganzoo.models import CycleGAN
from ganzoo.ops.image_pool import ImagePool


class CycleGANLoop(Loop):
    """What both loops of CycleGAN have: the networks, the pools, Adam."""

    fused: ClassVar[bool | None]

    def configure(self, model: CycleGAN) -> None:
        self.G, self.F, self.D_X, self.D_Y, self.weight = model.G, model.F, model.D_X, model.D_Y, model.lambda_cycle
        self.past_x, self.past_y = ImagePool(model.past_x.size), ImagePool(model.past_y.size)
        options: dict[str, Any] = {"lr": model.lr, "betas": (model.beta1, 0.999), "fused": self.fused}
        self.of_G = Adam([*self.G.parameters(), *self.F.parameters()], **options)
        self.of_D = Adam([*self.D_X.parameters(), *self.D_Y.parameters()], **options)


class PlainCycleGAN(CycleGANLoop):
    """CycleGAN in plain PyTorch."""

    fused = True

    def step(self, batch: Any) -> Losses:
        (x, y), judges = (batch.x, batch.y), (self.D_X, self.D_Y)
        freeze(judges)
        with self.autocast():
            fake_x, fake_y = self.F(y), self.G(x)
            terms = {
                "generator/gan_x": (self.D_X(fake_x).float() - 1).square().mean(),
                "generator/gan_y": (self.D_Y(fake_y).float() - 1).square().mean(),
                "generator/cycle_x": self.weight * l1_loss(self.F(fake_y).float(), x),
                "generator/cycle_y": self.weight * l1_loss(self.G(fake_x).float(), y),
            }
            first, *rest = terms.values()
            of_G = sum(rest, first)
        update(self.of_G, of_G)
        freeze(judges, False)
        with self.autocast():
            past_x, past_y = self.past_x(fake_x), self.past_y(fake_y)
            costs = {
                name: 0.5 * ((D(real).float() - 1).square().mean() + D(fake).float().square().mean())
                for name, D, real, fake in (
                    ("discriminator/gan_x", self.D_X, x, past_x),
                    ("discriminator/gan_y", self.D_Y, y, past_y),
                )
            }
            of_x, of_y = costs.values()
        update(self.of_D, of_x + of_y)
        return {name: value.detach() for name, value in {**terms, **costs}.items()}


class PublishedCycleGAN(CycleGANLoop):
    """CycleGAN in the order of pytorch-CycleGAN-and-pix2pix (``models/cycle_gan_model.py``), without identity terms.

    All four passes of the generators first; discriminators frozen in their turn; then each discriminator goes backward by
    itself; squared distances to tensors of labels; Adam without ``fused``; losses are read every 100 images.
    """

    fused = None
    cudnn_benchmark = True

    def configure(self, model: CycleGAN) -> None:
        super().configure(model)
        self.labels = torch.tensor(0.0, device=self.device), torch.tensor(1.0, device=self.device)

    def distance(self, patches: Tensor, real: bool) -> Tensor:
        return mse_loss(patches, self.labels[real].to(patches).expand_as(patches))

    def discriminator(self, D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        of_real = self.distance(D(real), True)
        loss = (of_real + self.distance(D(fake.detach()), False)) * 0.5
        loss.backward()
        return loss.detach()

    def step(self, batch: Any) -> Losses:
        x, y = batch.x, batch.y
        fake_y = self.G(x)
        back_x = self.F(fake_y)
        fake_x = self.F(y)
        back_y = self.G(fake_x)
        freeze([self.D_X, self.D_Y])
        self.of_G.zero_grad()
        terms = {
            "generator/gan_y": self.distance(self.D_Y(fake_y), True),
            "generator/gan_x": self.distance(self.D_X(fake_x), True),
            "generator/cycle_x": l1_loss(back_x, x) * self.weight,
            "generator/cycle_y": l1_loss(back_y, y) * self.weight,
        }
        first, *rest = terms.values()
        sum(rest, first).backward()  # type: ignore[union-attr]
        self.of_G.step()
        freeze([self.D_X, self.D_Y], False)
        self.of_D.zero_grad()
        costs = {
            "discriminator/gan_x": self.discriminator(self.D_X, x, self.past_x(fake_x)),
            "discriminator/gan_y": self.discriminator(self.D_Y, y, self.past_y(fake_y)),
        }
        self.of_D.step()
        return {**{name: value.detach() for name, value in terms.items()}, **costs}
