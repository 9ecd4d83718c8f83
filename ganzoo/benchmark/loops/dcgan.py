"""Training steps of DCGAN without Lightning: in plain PyTorch, and in the order of the published code."""

from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy, softplus
from torch.optim import Adam

from ganzoo.benchmark.loops.base import Loop, Losses, freeze, update
from ganzoo.models import DCGAN


class PlainDCGAN(Loop):
    """DCGAN in plain PyTorch."""

    def configure(self, model: DCGAN) -> None:
        self.G, self.D, self.latent = model.G, model.D, model.latent
        options: dict[str, Any] = {"lr": model.lr, "betas": (model.beta1, 0.999), "fused": True}
        self.of_G, self.of_D = Adam(self.G.parameters(), **options), Adam(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x = batch.x
        with self.autocast():
            fake = self.G(torch.randn(len(x), self.latent, dtype=x.dtype, device=self.device))
            real_logits, fake_logits = self.D(x), self.D(fake.detach())
            of_D = softplus(-real_logits.float()).mean() + softplus(fake_logits.float()).mean()
        update(self.of_D, of_D)
        freeze([self.D])
        with self.autocast():
            of_G = softplus(-self.D(fake).float()).mean()
        update(self.of_G, of_G)
        freeze([self.D], False)
        return {"discriminator/gan": of_D.detach(), "generator/gan": of_G.detach()}


class PublishedDCGAN(Loop):
    """DCGAN in the order of pytorch/examples (``dcgan/main.py``).

    Real and generated images go backward apart; D is not frozen in G's turn, so its unused weight gradients are computed; D
    ends in a sigmoid; Adam without ``fused``; five numbers are read from the device in each step, which that code prints.
    """

    cudnn_benchmark = True

    def configure(self, model: DCGAN) -> None:
        self.G, self.D, self.latent = model.G, model.D, model.latent
        self.of_G = Adam(self.G.parameters(), lr=model.lr, betas=(model.beta1, 0.999))
        self.of_D = Adam(self.D.parameters(), lr=model.lr, betas=(model.beta1, 0.999))

    def step(self, batch: Any) -> Losses:
        x = batch.x
        self.D.zero_grad()
        label = torch.full((len(x),), 1.0, dtype=x.dtype, device=self.device)
        output = self.D(x).sigmoid().view(-1)
        of_real = binary_cross_entropy(output, label)
        of_real.backward()
        shown = [output.mean().item()]
        fake = self.G(torch.randn(len(x), self.latent, dtype=x.dtype, device=self.device))
        label.fill_(0.0)
        output = self.D(fake.detach()).sigmoid().view(-1)
        of_fake = binary_cross_entropy(output, label)
        of_fake.backward()
        shown += [output.mean().item()]
        of_D = of_real + of_fake
        self.of_D.step()
        self.G.zero_grad()
        label.fill_(1.0)
        output = self.D(fake).sigmoid().view(-1)
        of_G = binary_cross_entropy(output, label)
        of_G.backward()
        shown += [output.mean().item()]
        self.of_G.step()
        shown += [of_D.item(), of_G.item()]
        return {"discriminator/gan": of_D.detach(), "generator/gan": of_G.detach()}
