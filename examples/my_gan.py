"""A GAN of one's own: ``ganzoo fit --model my_gan.MyGAN --data Digits`` in this folder.

It is relativistic (Jolicoeur-Martineau 2019): the discriminator compares a real image with a generated one, so the
generator's cost needs both logits and no loss of the form ``generator(fake)`` will do. Hence a module of its own.
"""

import torch
from torch import nn
from torch.nn.functional import softplus

from ganzoo.adversarial import AdversarialModule
from ganzoo.interfaces import Generated, Sampler, randn


class MyGAN(AdversarialModule, Sampler):
    """A relativistic GAN for the 8 x 8 digits."""

    def __init__(self, latent: int = 16, width: int = 128, **training):
        super().__init__(**training)
        self.save_hyperparameters()
        self.latent = latent
        self.G = nn.Sequential(
            nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8))
        )
        self.D = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def players(self):
        return {"discriminator": [self.D], "generator": [self.G]}

    def training_step(self, batch, batch_idx):
        x, fake = batch.x, self.G(self.z(len(batch.x)))
        with self.turn("discriminator") as descend:
            descend({"gan": softplus(self.D(fake.detach()) - self.D(x)).mean()})
        with self.turn("generator") as descend:
            descend({"gan": softplus(self.D(x) - self.D(fake)).mean()})

    # -- that is the variant; what follows lets callbacks and scripts ask it for images --

    def z(self, n, generator=None):
        return randn(n, self.latent, next(self.parameters()), generator)

    @torch.no_grad()
    def sample(self, n, y=None, generator=None):
        return self.G(self.z(n, generator))

    def validation_step(self, batch, batch_idx):
        return Generated(batch.x, self.sample(len(batch.x)))
