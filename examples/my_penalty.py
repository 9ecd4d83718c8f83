"""A penalty of one's own: ``ganzoo fit --config dcgan_fashion --model my_penalty.WGANGP --model.k 5`` in this folder."""

from ganzoo.losses import Wasserstein
from ganzoo.models import DCGAN
from ganzoo.networks.norms import LayerNorm
from ganzoo.penalties import gradient_penalty


class WGANGP(DCGAN):
    """DCGAN's networks with the Wasserstein loss and a gradient penalty (Gulrajani et al. 2017, Algorithm 1)."""

    default_loss = Wasserstein()
    default_norm = LayerNorm()  # section 4: no batch norm in the critic

    def penalties(self, D, real, fake):
        return {"penalty": 10 * gradient_penalty(D, real, fake)}
