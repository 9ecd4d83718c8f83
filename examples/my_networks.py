"""Networks of one's own: ``ganzoo fit --config gan_digits --model my_networks.SmallGAN`` in this folder."""

from math import prod

from torch import nn

from ganzoo.models import GAN


class SmallGAN(GAN):
    """Algorithm 1, its losses and its optimizers as they are, with two small networks."""

    def networks(self):
        shape, hidden = self.shape, self.hidden
        G = nn.Sequential(
            nn.Linear(self.latent, hidden), nn.ReLU(), nn.Linear(hidden, prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)
        )
        D = nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))
        return G, D
