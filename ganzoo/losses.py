"""Adversarial losses: what the discriminator and the generator each descend, as pure formulas over logits.

Write ``D(x) = sigmoid(a(x))`` with the logit ``a``. Every loss is a pair of functions of the logits alone; each returns a
scalar tensor (nats, where the loss is a likelihood) and computes in float32 whatever the precision of the run.
``discriminator`` gets the logits of real and of generated samples in any two shapes (a patch discriminator's map of logits
counts every patch once); means are taken over each separately, so that the two need not have equal counts.

The value of the game is ``V(D, G) = E_x[log D(x)] + E_z[log(1 - D(G(z)))]`` (Goodfellow et al. 2014, eq. 1), at most
``-log 4 + 2 JSD(p_data || p_g)`` over D (their eq. 4 to 6), and ``-log 4`` when the generator is perfect.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import softplus

# log D = -softplus(-a) and log(1 - D) = -softplus(a): exact, and finite for every logit.


class AdversarialLoss(ABC):
    """A pair of costs. Subclass it, keep each argument under its own name, and a config can name the class."""

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's cost.

        Args:
            real: logits of real samples, any shape.
            fake: logits of generated samples, any shape.

        Returns:
            A scalar, float32.
        """

    @abstractmethod
    def generator(self, fake: Tensor) -> Tensor:
        """The generator's cost from the logits of its samples (any shape): a scalar, float32."""

    def output(self, logits: Tensor) -> Tensor:
        """What the discriminator's output means under this loss: for D(x) and D(G(z)) on the progress bar."""
        return logits.detach().float().sigmoid()


class Minimax(AdversarialLoss):
    """Both players play the one value function V: the discriminator ascends it, the generator descends it.

    Goodfellow et al. 2014, eq. 1 and Algorithm 1. The generator's gradient vanishes when the discriminator is sure:
    ``d/da log(1 - sigmoid(a)) = -sigmoid(a)``.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """``-V = -E log D(x) - E log(1 - D(G(z)))``: log 4 = 1.386294 at D = 1/2."""
        return softplus(-real.float()).mean() + softplus(fake.float()).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """``E log(1 - D(G(z)))``."""
        return -softplus(fake.float()).mean()


class NonSaturating(Minimax):
    """The generator maximises ``log D(G(z))`` instead: the same fixed point, a strong gradient early.

    Goodfellow et al. 2014, section 3. With the optimal D held fixed its gradient is that of
    ``KL(p_g || p_data) - 2 JSD`` (Arjovsky and Bottou 2017, theorem 2.5).
    """

    def generator(self, fake: Tensor) -> Tensor:
        """``-E log D(G(z))``."""
        return softplus(-fake.float()).mean()


class MaximumLikelihood(Minimax):
    """With the optimal D held fixed, the generator's expected gradient is that of maximum likelihood.

    Goodfellow, "On distinguishability criteria for estimating generative models" (2015): ``f = D / (1 - D) = exp(a)`` is
    the ratio p_data / p_g, and ``-E exp(a)`` has the gradient of ``-E_data log p_g``. The cost is unbounded below: one
    sample with a high logit outweighs the batch.
    """

    def generator(self, fake: Tensor) -> Tensor:
        """``-E exp(a(G(z)))``. The 2016 tutorial's eq. 14 has a factor 1/2; with one half it is that cost."""
        return -torch.exp(fake.float()).mean()


class LeastSquares(AdversarialLoss):
    """Least squares towards target values (Mao et al. 2017, eq. 2 and 9; targets 0, 1, 1 are those used in practice).

    Args:
        fake_target: a, the discriminator's target on generated samples.
        real_target: b, the discriminator's target on real samples.
        generator_target: c, what the generator wants the discriminator to say.
    """

    def __init__(self, fake_target: float = 0.0, real_target: float = 1.0, generator_target: float = 1.0) -> None:
        self.fake_target, self.real_target, self.generator_target = fake_target, real_target, generator_target

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """``1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2``."""
        real_cost = (real.float() - self.real_target).square().mean()
        fake_cost = (fake.float() - self.fake_target).square().mean()
        return 0.5 * real_cost + 0.5 * fake_cost

    def generator(self, fake: Tensor) -> Tensor:
        """``1/2 E (D(G(z)) - c)^2``."""
        return 0.5 * (fake.float() - self.generator_target).square().mean()

    def output(self, logits: Tensor) -> Tensor:
        """The logit itself: a least-squares discriminator has no sigmoid."""
        return logits.detach().float()


class WholeSquares(LeastSquares):
    """``E(D - 1)^2 + E D^2`` and ``E(D(G) - 1)^2``: Zhu et al. 2017, section 4, has no factors 1/2."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return 2.0 * super().discriminator(real, fake)

    def generator(self, fake: Tensor) -> Tensor:
        return 2.0 * super().generator(fake)
