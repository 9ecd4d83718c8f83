"""WGAN (Arjovsky, Chintala and Bottou 2017, "Wasserstein GAN", arXiv 1701.07875).

The critic f ascends ``E f(x) - E f(G(z))`` (eq. 3) with its weights kept in [-c, c]; the generator ascends ``E f(G(z))``.
The critic's value estimates a multiple of the Wasserstein-1 distance between data and samples.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import nn
from torch.optim import Optimizer, RMSprop

from ganzoo.errors import InputError
from ganzoo.losses import AdversarialLoss, Wasserstein
from ganzoo.models.base import GeneratorModel
from ganzoo.networks.families import DCGANFamily, NetworkFamily
from ganzoo.penalties import clip_weights
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import LearningRate, NonNegativeFloat, PositiveInt, Shape, Size


class WGAN(GeneratorModel):
    """Generates images from noise; the critic's loss follows the Wasserstein distance to the data.

    Args:
        shape: (C, H, W) of an image, or (n,) of a vector with ``MLPFamily``; the data's.
        family: generator and critic; ``DCGANFamily``, which has batch norm in both, as released.
        n_critic: critic steps to a generator step, each on a fresh batch and fresh noise.
        n_critic_warmup: critic steps before each of the first 25 generator steps and before every 500th one; 100 in the
            released code. None for ``n_critic`` before every one, as in Algorithm 1.
        clip: c; after each of its steps the critic's weights are clipped to [-c, c]. None for no clipping, where one of the
            ``regularizers`` bounds the critic's gradient instead.
        generator_batch: samples in a generator step for each image of the batch; some recipes have 2.
        lr: learning rate of both players.
        training: ``latent`` (100), ``loss``, ``noise`` and ``augment`` of ``GeneratorModel``, ``regularizers`` of
            ``GANModel``, and the arguments of ``AdversarialModule``.
    """

    default_loss: ClassVar[AdversarialLoss] = Wasserstein()
    default_family: ClassVar[NetworkFamily] = DCGANFamily()
    small: ClassVar[dict[str, Any]] = {"shape": (3, 8, 8), "latent": 4, "n_critic": 2}

    def __init__(
        self,
        shape: Shape | tuple[Size] = (3, 64, 64),
        family: NetworkFamily | None = None,
        n_critic: PositiveInt = 5,
        n_critic_warmup: PositiveInt | None = None,
        clip: NonNegativeFloat | None = 0.01,
        generator_batch: PositiveInt = 1,
        lr: LearningRate = 5e-5,
        **training: Any,
    ) -> None:
        if clip == 0:
            raise InputError(f"{type(self).__name__}: a clip of 0 makes every weight of the critic 0; the paper's is 0.01")
        self.family = instantiate(family or self.default_family, NetworkFamily)  # type: ignore[type-abstract]
        super().__init__(shape, **training)
        if clip is None and not any(part.player == "discriminator" for part in self.regularizers):
            raise InputError(f"{type(self).__name__}: without clip the critic needs a regularizer, such as GradientPenalty")
        self.n_critic, self.n_critic_warmup, self.clip = n_critic, n_critic_warmup, clip
        self.generator_batch, self.lr = generator_batch, lr
        self.G, self.D = self.add_layers(*self.networks())

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G: [N, latent] -> [N, C, H, W] in [-1, 1], and the critic D: [N, C, H, W] -> [N, 1] scores."""
        return self.family.networks(self.shape, self.latent)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x = self.seen(self.field(batch, "x"))
        steps = self.trainer.global_step  # of the critic before this one
        with self.turn("discriminator") as descend:
            G_z = self.seen(self.G(self.z(len(x))).detach())
            real, fake = self.D(x), self.D(G_z)
            descend(self.discriminator_losses(real, fake) | self.penalties(self.D, x, G_z))
            if self.clip is not None:
                clip_weights(self.D, self.clip)  # line 7, after the critic's step
        self.watch(real, fake)
        if ends_critic_turn(steps, self.n_critic, self.n_critic_warmup or self.n_critic):
            with self.turn("generator") as descend:
                G_z = self.seen(self.G(self.z(self.generator_batch * len(x))))
                descend(self.generator_losses(self.D(G_z)) | self.generator_penalties(self.D, x, G_z))

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return RMSprop(parameters, lr=self.lr)


def ends_critic_turn(step: int, n_critic: int, n_critic_warmup: int) -> bool:
    """Whether this critic step is the last before a generator step, counted from the start of the training.

    Before the generator steps 0 to 24, 500, 1000, 1500 ... (counted from 0) there are ``n_critic_warmup`` critic steps,
    before every other one ``n_critic``, as in the released ``main.py``.

    Args:
        step: critic steps before this one.
        n_critic: critic steps in a usual turn.
        n_critic_warmup: critic steps in a turn of the warm-up.
    """
    warm_up, rest = 25 * n_critic_warmup, (500 - 25) * n_critic
    if step < warm_up:
        return (step + 1) % n_critic_warmup == 0
    step -= warm_up
    if step < rest:
        return (step + 1) % n_critic == 0
    past = (step - rest) % (n_critic_warmup + 499 * n_critic) + 1 - n_critic_warmup
    return past >= 0 and past % n_critic == 0
