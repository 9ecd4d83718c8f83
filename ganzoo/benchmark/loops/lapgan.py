"""The training step of LAPGAN in plain PyTorch: two turns at each level of the pyramid."""

from typing import Any

from torch.nn.functional import softplus
from torch.optim import SGD

from ganzoo.benchmark.loops.base import Loop, Losses, freeze, update
from ganzoo.models import LAPGAN


class PlainLAPGAN(Loop):
    """LAPGAN in plain PyTorch, at the learning rate of the first epoch."""

    def configure(self, model: LAPGAN) -> None:
        self.G, self.D, self.low_pass, self.z = list(model.G), list(model.D), model.low_pass, model.z
        options: dict[str, Any] = {"lr": model.lr, "momentum": model.momentum, "fused": True}
        self.of_G = [SGD(network.parameters(), **options) for network in self.G]
        self.of_D = [SGD(network.parameters(), **options) for network in self.D]

    def step(self, batch: Any) -> Losses:
        images, lows = self.low_pass(batch.x)
        y, losses = batch.x.new_zeros(len(batch.x), 0), Losses()
        for k, (G, D) in enumerate(zip(self.G, self.D, strict=True)):
            low, n = lows[k], len(batch.x)
            freeze([G])
            with self.autocast():
                real, fake = D(images[k] - low, low, y), D(G(self.z(k, n), low, y), low, y)
                of_D = 0.5 * (softplus(-real.float()).mean() + softplus(fake.float()).mean())
            update(self.of_D[k], of_D)
            freeze([G], False)
            freeze([D])
            with self.autocast():
                of_G = softplus(-D(G(self.z(k, n), low, y), low, y).float()).mean()
            update(self.of_G[k], of_G)
            freeze([D], False)
            losses |= {f"discriminator_{k}/gan": of_D.detach(), f"generator_{k}/gan": of_G.detach()}
        return losses
