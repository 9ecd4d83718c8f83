"""BEGAN (Berthelot, Schumm and Metz 2017, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", arXiv 1703.10717).

D is an autoencoder, and ``L(v) = |v - D(v)|`` its error on an image. The players descend (section 3.4)
``L_D = L(x) - k_t L(G(z))`` and ``L_G = L(G(z))``, and ``k_{t+1} = k_t + lambda_k (gamma L(x) - L(G(z)))`` in [0, 1] keeps
the balance ``E L(G(z)) = gamma E L(x)``. The convergence measure is ``M = L(x) + |gamma L(x) - L(G(z))|`` (section 3.4.1).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.errors import InputError
from ganzoo.losses import Wasserstein
from ganzoo.models.base import GeneratorModel
from ganzoo.networks.began import AutoencoderDiscriminator, Decoder
from ganzoo.noises import Uniform
from ganzoo.schedules import PlateauDecay
from ganzoo.utils import ranges

AVERAGED = 0.01  # the share of a batch in the average of M: about the last 100 batches count


class BEGAN(GeneratorModel):
    """Generates images from noise against an autoencoder, whose balance with the generator is controlled.

    ``self.D(v)`` is ``-L(v)``, so that a higher score means "more like the data", as in every other model.

    Args:
        shape: (C, H, W) of an image, H = W = 8, 16, 32, 64, ...; in a subclass what its ``networks`` take.
        width: maps of the convolutions, the paper's n; 64 or 128.
        gamma: the diversity ratio ``E L(G(z)) / E L(x)`` that k holds; lower for sharper and less diverse images.
        lambda_k: step of k.
        lr: Adam's learning rate for both players at the start; halved when M stalls.
        beta1: Adam's first beta.
        patience: epochs in which M must fall by 1 %; else both learning rates are halved.
        latent: length of the noise vector z and of the autoencoder's code.
        training: ``noise`` of ``GeneratorModel``, and the arguments of ``AdversarialModule``.

    Attributes:
        k: the weight of L(G(z)) in D's loss, in [0, 1]; a buffer, 0 at the start.
        M: the convergence measure, averaged over the last 100 batches or so; a buffer, 0 before the first.
    """

    default_noise = Uniform(-1, 1)
    small = {"shape": (3, 8, 8), "width": 4, "latent": 4}
    k: Tensor
    M: Tensor

    def __init__(
        self,
        shape: ranges.Shape | tuple[ranges.Size] = (3, 64, 64),
        width: ranges.Size = 128,
        gamma: ranges.ClosedUnitInterval = 0.5,
        lambda_k: ranges.OpenUnitInterval = 0.001,
        lr: ranges.LearningRate = 1e-4,
        beta1: ranges.HalfOpenUnitInterval = 0.5,
        patience: ranges.PositiveInt = 10,
        latent: ranges.Size = 64,
        **training: Any,
    ) -> None:
        # both losses are written below; of this one only how scores without a zero are shown counts
        super().__init__(shape, latent, loss=Wasserstein(), **training)
        self.width, self.gamma, self.lambda_k = width, gamma, lambda_k
        self.lr, self.beta1, self.patience = lr, beta1, patience
        self.G, self.D = self.add_layers(*self.networks())
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("M", torch.zeros(()))

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: [N, latent] -> [N, C, H, W], and D: [N, C, H, W] -> [N, 1] scores -L(v)."""
        if len(self.shape) != 3:
            raise InputError(f"BEGAN is for images, not for shape {self.shape}: a subclass with other networks may take it")
        channels, size, _ = self.shape
        sizes = (self.latent, channels, size, self.width)
        return Decoder(*sizes), AutoencoderDiscriminator(*sizes)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.seen(self.field(batch, "x"))
        with self.turn("discriminator", "generator") as descend:  # each gradient is of the player's own parameters only
            G_z = self.seen(self.G(self.z(len(x))))
            real, fake = self.D(x), self.D(G_z)  # -L(x), -L(G(z))
            L_D = self.discriminator_losses(real, fake) | self.penalties(self.D, x, G_z)
            L_G = self.generator_losses(fake) | self.generator_penalties(self.D, x, G_z)
            descend(discriminator=L_D, generator=L_G)
        self.watch(real, fake)
        self.balance(-real, -fake)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {"gan": -real.float().mean() + self.k * fake.float().mean()}  # L_D = L(x) - k L(G(z))

    def generator_losses(self, fake: Tensor) -> dict[str, Tensor]:
        return {"gan": -fake.float().mean()}  # L_G = L(G(z))

    @torch.no_grad()
    def balance(self, L_x: Tensor, L_G: Tensor) -> None:
        """Moves k towards ``gamma L(x) = L(G(z))``, and averages M. Both get the mean over all processes."""
        errors = torch.stack([L_x.float().mean(), L_G.float().mean()])
        L_x, L_G = self.trainer.strategy.reduce(errors, reduce_op="mean")
        self.k.add_(self.lambda_k / self.accumulate * (self.gamma * L_x - L_G)).clamp_(0, 1)
        M = L_x + (self.gamma * L_x - L_G).abs()
        self.M.copy_(torch.where(self.M > 0, self.M.lerp(M, AVERAGED), M))
        self.show({"k": self.k, "M": self.M})

    def generate(self, noise: Mapping[str, Tensor], y: Tensor | None) -> Tensor:
        return super().generate(noise, y).clamp(-1, 1)  # its output layer is linear

    def _apply(self, *args: Any, **options: Any) -> "BEGAN":
        k, M = self.k, self.M
        super()._apply(*args, **options)
        self.k, self.M = (value.to(moved.device) for value, moved in ((k, self.k), (M, self.M)))
        return self  # float32 whatever the weights are: a step of k is too small for bfloat16

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return Adam(parameters, lr=self.lr, betas=(self.beta1, 0.999))

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(PlateauDecay(optimizer, lambda: float(self.M), patience=self.patience), "epoch")]
