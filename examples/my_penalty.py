"""A penalty of one's own: ``ganzoo fit --config dcgan_fashion --model my_penalty.DRAGAN`` in this folder."""

import torch

from ganzoo.models import DCGAN
from ganzoo.networks.norms import LayerNorm
from ganzoo.penalties import gradient_penalty


class DRAGAN(DCGAN):
    """A DCGAN with a gradient penalty near real images (Kodali et al. 2017, "On Convergence and Stability of GANs")."""

    default_norm = LayerNorm()  # batch norm mixes the samples whose gradients are penalised

    def penalties(self, D, real, fake):
        near = real + 0.5 * real.std() * torch.rand_like(real)
        return {"penalty": 10 * gradient_penalty(D, real, near)}
