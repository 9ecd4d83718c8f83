"""The training step of the GAN of 2014 in plain PyTorch."""

from typing import Any

from torch.nn.functional import softplus
from torch.optim import SGD

from ganzoo.benchmark.loops.base import Loop, Losses, freeze, update
from ganzoo.models import GAN


class PlainGAN(Loop):
    """The GAN of 2014 in plain PyTorch, with fresh noise for each player, at its first learning rate and momentum."""

    def configure(self, model: GAN) -> None:
        self.G, self.D, self.z = model.G, model.D, model.z
        options: dict[str, Any] = {"lr": model.lr, "momentum": model.momentum, "fused": True}
        self.of_G, self.of_D = SGD(self.G.parameters(), **options), SGD(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x = batch.x
        freeze([self.G])
        with self.autocast():
            real, fake = self.D(x), self.D(self.G(self.z(len(x))))
            of_D = 0.5 * (softplus(-real.float()).mean() + softplus(fake.float()).mean())
        update(self.of_D, of_D)
        freeze([self.G], False)
        freeze([self.D])
        with self.autocast():
            of_G = softplus(-self.D(self.G(self.z(len(x)))).float()).mean()
        update(self.of_G, of_G)
        freeze([self.D], False)
        return {"discriminator/gan": of_D.detach(), "generator/gan": of_G.detach()}
