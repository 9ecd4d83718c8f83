"""Training steps of pix2pix without Lightning: in plain PyTorch, and in the order of the published code."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, softplus
from torch.optim import Adam

from ganzoo.benchmark.loops.base import Loop, Losses, freeze, update
from ganzoo.models import Pix2Pix


class PlainPix2Pix(Loop):
    """pix2pix in plain PyTorch."""

    def configure(self, model: Pix2Pix) -> None:
        self.G, self.D, self.weight = model.G, model.D, model.lambda_L1
        options: dict[str, Any] = {"lr": model.lr, "betas": (model.beta1, 0.999), "fused": True}
        self.of_G, self.of_D = Adam(self.G.parameters(), **options), Adam(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x, y = batch.x, batch.y
        with self.autocast():
            fake = self.G(x)
            real_patches, fake_patches = self.D(torch.cat([x, y], 1)), self.D(torch.cat([x, fake.detach()], 1))
            of_D = 0.5 * (softplus(-real_patches.float()).mean() + softplus(fake_patches.float()).mean())
        update(self.of_D, of_D)
        freeze([self.D])
        with self.autocast():
            gan = softplus(-self.D(torch.cat([x, fake], 1)).float()).mean()
            l1 = self.weight * l1_loss(fake.float(), y)
        update(self.of_G, gan + l1)
        freeze([self.D], False)
        return {"discriminator/gan": of_D.detach(), "generator/gan": gan.detach(), "generator/l1": l1.detach()}


class PublishedPix2Pix(Loop):
    """pix2pix in the order of pytorch-CycleGAN-and-pix2pix (``models/pix2pix_model.py``).

    One pass of G for both players; D before G, first generated and then real images; D frozen in G's turn; cross-entropies
    against tensors of labels; Adam without ``fused``; losses are read every 100 images, so not in the steps that are timed.
    """

    cudnn_benchmark = True

    def configure(self, model: Pix2Pix) -> None:
        self.G, self.D, self.weight = model.G, model.D, model.lambda_L1
        self.of_G = Adam(self.G.parameters(), lr=model.lr, betas=(model.beta1, 0.999))
        self.of_D = Adam(self.D.parameters(), lr=model.lr, betas=(model.beta1, 0.999))
        self.labels = torch.tensor(0.0, device=self.device), torch.tensor(1.0, device=self.device)

    def cross_entropy(self, patches: Tensor, real: bool) -> Tensor:
        return binary_cross_entropy_with_logits(patches, self.labels[real].to(patches).expand_as(patches))

    def step(self, batch: Any) -> Losses:
        x, y = batch.x, batch.y
        fake = self.G(x)
        freeze([self.D], False)
        self.of_D.zero_grad()
        fake_cost = self.cross_entropy(self.D(torch.cat([x, fake], 1).detach()), False)
        real_cost = self.cross_entropy(self.D(torch.cat([x, y], 1)), True)
        of_D = (fake_cost + real_cost) * 0.5
        of_D.backward()
        self.of_D.step()
        freeze([self.D])
        self.of_G.zero_grad()
        gan = self.cross_entropy(self.D(torch.cat([x, fake], 1)), True)
        l1 = l1_loss(fake, y) * self.weight
        (gan + l1).backward()
        self.of_G.step()
        return {"discriminator/gan": of_D.detach(), "generator/gan": gan.detach(), "generator/l1": l1.detach()}
