"""The training step of WGAN-GP in plain PyTorch."""

from typing import Any

import torch
from torch.optim import Adam

from ganzoo.benchmark.loops.base import Loop, Losses, freeze, update
from ganzoo.models import WGANGP
from ganzoo.penalties import gradient_penalty


class PlainWGANGP(Loop):
    """WGAN-GP in plain PyTorch: a critic step, and a generator step after every ``n_critic`` of them."""

    def configure(self, model: WGANGP) -> None:
        self.G, self.D, self.latent, self.n_critic, self.steps = model.G, model.D, model.latent, model.n_critic, 0
        self.weight = next(part.weight for part in model.regularizers)  # type: ignore[attr-defined]
        options: dict[str, Any] = {"lr": model.lr, "betas": (model.beta1, model.beta2), "fused": True}
        self.of_G, self.of_D = Adam(self.G.parameters(), **options), Adam(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x = batch.x
        self.steps += 1
        with self.autocast():
            with torch.no_grad():
                fake = self.G(torch.randn(len(x), self.latent, dtype=x.dtype, device=self.device))
            gan = self.D(fake).float().mean() - self.D(x).float().mean()
            penalty = self.weight * gradient_penalty(self.D, x, fake)
        update(self.of_D, gan + penalty)
        losses = {"discriminator/gan": gan.detach(), "discriminator/gradient_penalty": penalty.detach()}
        if self.steps % self.n_critic == 0:
            freeze([self.D])
            with self.autocast():
                of_G = -self.D(self.G(torch.randn(len(x), self.latent, dtype=x.dtype, device=self.device))).float().mean()
            update(self.of_G, of_G)
            freeze([self.D], False)
            losses["generator/gan"] = of_G.detach()
        return losses
