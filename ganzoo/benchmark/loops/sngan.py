"""The training step of SNGAN in plain PyTorch."""

from typing import Any

import torch
from torch.nn.functional import relu
from torch.optim import Adam

from ganzoo.benchmark.loops.base import Loop, Losses, freeze, update
from ganzoo.models import SNGAN


class PlainSNGAN(Loop):
    """SNGAN in plain PyTorch at its first learning rate: a generator step after every ``n_critic`` steps of D."""

    def configure(self, model: SNGAN) -> None:
        self.G, self.D, self.z, self.n_critic, self.steps = model.G, model.D, model.z, model.n_critic, 0
        self.generator_batch = model.generator_batch
        options: dict[str, Any] = {"lr": model.lr, "betas": (0.0, 0.9), "fused": True}
        self.of_G, self.of_D = Adam(self.G.parameters(), **options), Adam(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x = batch.x
        self.steps += 1
        with self.autocast():
            with torch.no_grad():
                fake = self.G(self.z(len(x)))
            of_D = relu(1 - self.D(x).float()).mean() + relu(1 + self.D(fake).float()).mean()
        update(self.of_D, of_D)
        losses = {"discriminator/gan": of_D.detach()}
        if self.steps % self.n_critic == 0:
            freeze([self.D])
            with self.autocast():
                of_G = -self.D(self.G(self.z(self.generator_batch * len(x)))).float().mean()
            update(self.of_G, of_G)
            freeze([self.D], False)
            losses["generator/gan"] = of_G.detach()
        return losses
