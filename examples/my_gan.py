"""A GAN of one's own: ``ganzoo fit --model my_gan.MyGAN --data Digits`` in this folder.

It is relativistic (Jolicoeur-Martineau 2019): the discriminator compares a real image with a generated one, so the
generator's cost needs both logits and no loss of the form ``generator(fake)`` will do. Hence a module of its own.
"""

from math import prod

import torch
from torch import nn
from torch.nn.functional import softplus

from ganzoo.adversarial import AdversarialModule
from ganzoo.interfaces import Generated, Sampler, expect_shape, randn
from ganzoo.utils.ranges import Shape, Size


class MyGAN(AdversarialModule, Sampler):
    """A relativistic GAN with two small networks.

    Args:
        shape: (C, H, W) of an image; the data's.
        latent: length of z.
        width: units of the hidden layers.
        training: the arguments of ``AdversarialModule``.
    """

    def __init__(self, shape: Shape = (1, 8, 8), latent: Size = 16, width: Size = 128, **training):
        super().__init__(**training)
        self.save_hyperparameters()
        self.shape, self.latent, pixels = shape, latent, prod(shape)
        self.G = nn.Sequential(
            nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, pixels), nn.Tanh(), nn.Unflatten(1, shape)
        )
        self.D = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def players(self):
        return {"discriminator": [self.D], "generator": [self.G]}

    def training_step(self, batch, batch_idx):
        x, fake = batch.x, self.G(self.z(len(batch.x)))
        with self.turn("discriminator") as descend:
            real_logits, fake_logits = self.D(x), self.D(fake.detach())
            descend({"gan": softplus(fake_logits - real_logits).mean()})
        with self.turn("generator") as descend:
            descend({"gan": softplus(self.D(x) - self.D(fake)).mean()})
        self.show({"D(x)": real_logits, "D(G(z))": fake_logits})

    # -- that is the variant; what follows lets callbacks and scripts ask it for images --

    def z(self, n, generator=None):
        return randn(n, self.latent, next(self.parameters()), generator)

    @torch.no_grad()
    def sample(self, n, y=None, generator=None):
        return self.G(self.z(n, generator))

    def validation_step(self, batch, batch_idx):
        return Generated(batch.x, self.sample(len(batch.x)))

    def check_batch(self, batch):
        expect_shape("shape", self.shape, batch.x)
