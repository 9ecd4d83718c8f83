"""A penalty of one's own: ``ganzoo fit --config gan_digits --model my_penalty.PenalisedGAN`` in this folder."""

from typing import Any

from ganzoo.losses import Wasserstein
from ganzoo.models import GAN
from ganzoo.penalties import gradient_penalty


class PenalisedGAN(GAN):
    """A GAN with the Wasserstein loss and the gradient penalty of Gulrajani et al. 2017, algorithm 1."""

    default_loss = Wasserstein()

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.field(batch, "x")
        with self.turn("discriminator") as descend:
            images = self.G(self.z(len(x)))
            real, fake = self.D(x), self.D(images)
            critic = self.loss.discriminator(real, fake)
            descend({"wasserstein": critic, "penalty": 10 * gradient_penalty(self.D, x, images)})
        self.watch(real, fake)
        if self.every(self.k):
            with self.turn("generator") as descend:
                descend({"wasserstein": self.loss.generator(self.D(self.G(self.z(len(x)))))})
