"""Adversarial losses: the costs of discriminator and generator, as formulas over logits.

Write ``D(x) = sigmoid(a(x))`` with the logit ``a``. Every loss is a pair of functions of the logits alone; each returns a
scalar tensor (nats, where the loss is a likelihood) and computes in float32 whatever the precision of the run.
``discriminator`` gets the logits of real and of generated samples in any two shapes (a patch discriminator's map of logits
counts every patch once); means are taken over each separately, so that the two need not have equal counts.

The value of the game is ``V(D, G) = E_x[log D(x)] + E_z[log(1 - D(G(z)))]`` (Goodfellow et al. 2014, eq. 1), at most
``-log 4 + 2 JSD(p_data || p_g)`` over D (their eq. 4 to 6), and ``-log 4`` when the generator is perfect.
"""

from abc import ABC, abstractmethod
from math import exp, log

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganzoo.errors import InputError
from ganzoo.utils.ranges import Checked, FiniteFloat, NonNegativeFloat, OpenUnitInterval, PositiveFloat

# log D = -softplus(-a) and log(1 - D) = -softplus(a): exact, and finite for every logit.


class AdversarialLoss(Checked, ABC):
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

    def activation(self, logits: Tensor) -> Tensor:
        """The discriminator's output under this loss, shown as D(x) and D(G(z)): here the sigmoid, a probability."""
        return logits.detach().float().sigmoid()

    distance = "js"  # the name under which ``divergence`` is logged

    @property
    def threshold(self) -> float | None:
        """The logit above which the discriminator says "real", 0 for a probability of 1/2; None for a critic."""
        return 0.0

    def gradient_ratio(self, fake: Tensor) -> Tensor:
        """Computes how much of the generator's gradient the discriminator leaves.

        Args:
            fake: logits of generated samples, any shape.

        Returns:
            The mean absolute derivative of the generator's cost by a logit, divided by that at ``threshold``: 1 where the
            discriminator is undecided, near 0 where the generator learns nothing. A scalar, float32, without a graph.

        Raises:
            InputError: the loss has no threshold, because it trains a critic.
        """
        if self.threshold is None:
            raise InputError(f"{type(self).__name__} is the loss of a critic: it has no threshold and no gradient ratio")
        here = fake.detach().float()
        with torch.enable_grad():
            there = torch.stack([here.flatten(), torch.full_like(here.flatten(), self.threshold)]).requires_grad_()
            cost = self.generator(there[0]) + self.generator(there[1])
            sizes = torch.autograd.grad(cost, there)[0].abs().sum(1)
        return sizes[0] / sizes[1]

    def divergence(self, real: Tensor, fake: Tensor) -> Tensor | None:
        """Estimates the distance between data and samples from the discriminator's cost; None where there is no estimate.

        Args:
            real: logits of real samples, any shape.
            fake: logits of generated samples, any shape.

        Returns:
            A scalar, float32, without a graph; here None.
        """
        return None


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

    def divergence(self, real: Tensor, fake: Tensor) -> Tensor:
        """The Jensen-Shannon divergence in nats, from below: ``JSD >= (V + log 4) / 2``, equal at the optimal D.

        Goodfellow et al. 2014, eq. 4 to 6. Clamped to what a divergence can be, 0 to log 2. A bound of the expectations:
        on a batch, and more so on images that D has learned by heart, it can come out too high.
        """
        value = -Minimax.discriminator(self, real.detach(), fake.detach())
        return ((value + log(4)) / 2).clamp(0, log(2))


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

    Args:
        ceiling: the logit above which the cost goes on along its tangent, ``-exp(c) (1 + a - c)``, whose derivative stays at
            ``-exp(c)``. A departure from the paper, because ``exp`` overflows float32 above 88.7. At 30 the derivative is
            1e13, and its square, which Adam keeps, is still a float32.

    Raises:
        InputError: ``ceiling`` is not from 0 to 40.
    """

    def __init__(self, ceiling: float = 30.0) -> None:
        if not 0 <= ceiling <= 40:
            raise InputError(f"MaximumLikelihood's ceiling is a logit from 0 to 40, not {ceiling}")
        self.ceiling = ceiling

    def generator(self, fake: Tensor) -> Tensor:
        """``-E exp(a(G(z)))``. The 2016 tutorial's eq. 14 has a factor 1/2; with one half it is that cost."""
        logits = fake.float()
        above = logits > self.ceiling
        # exp never sees what would overflow: where alone would leave a NaN in the gradient
        ratio = torch.exp(torch.where(above, self.ceiling, logits))
        return -torch.where(above, exp(self.ceiling) * (1 + logits - self.ceiling), ratio).mean()


class LeastSquares(AdversarialLoss):
    """Least squares towards target values (Mao et al. 2017, eq. 2 and 9; targets 0, 1, 1 are those used in practice).

    Args:
        fake_target: a, the discriminator's target on generated samples.
        real_target: b, the discriminator's target on real samples.
        generator_target: c, the generator's target for the discriminator's output.
    """

    def __init__(
        self, fake_target: FiniteFloat = 0.0, real_target: FiniteFloat = 1.0, generator_target: FiniteFloat = 1.0
    ) -> None:
        self.fake_target, self.real_target, self.generator_target = fake_target, real_target, generator_target

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """``1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2``."""
        real_cost = (real.float() - self.real_target).square().mean()
        fake_cost = (fake.float() - self.fake_target).square().mean()
        return 0.5 * real_cost + 0.5 * fake_cost

    def generator(self, fake: Tensor) -> Tensor:
        """``1/2 E (D(G(z)) - c)^2``."""
        return 0.5 * (fake.float() - self.generator_target).square().mean()

    def activation(self, logits: Tensor) -> Tensor:
        """The logit itself: a least-squares discriminator has no sigmoid."""
        return logits.detach().float()

    @property
    def threshold(self) -> float:
        """The midpoint of the two targets: the best D is there where real and generated are as likely."""
        return 0.5 * (self.fake_target + self.real_target)


class PearsonLeastSquares(LeastSquares):
    """Least squares with the targets -1, 1 and 0 (Mao et al. 2017, eq. 8).

    With the optimal D held fixed, twice the generator's cost on real and generated samples together is the Pearson
    chi-square divergence of ``p_data + p_g`` and ``2 p_g`` (section 3.2.2), because b - c = 1 and b - a = 2.
    """

    def __init__(self) -> None:
        super().__init__(fake_target=-1.0, real_target=1.0, generator_target=0.0)


class Hinge(AdversarialLoss):
    """The hinge loss (Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018, "Spectral Normalization ...", eq. 16 and 17)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """``E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))``: 2 at D = 0."""
        return relu(1 - real.float()).mean() + relu(1 + fake.float()).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """``-E D(G(z))``."""
        return -fake.float().mean()

    def activation(self, logits: Tensor) -> Tensor:
        """The logit itself: the hinge loss has no sigmoid."""
        return logits.detach().float()


class Wasserstein(AdversarialLoss):
    """The Wasserstein loss (Arjovsky, Chintala and Bottou 2017, "Wasserstein GAN", eq. 2 and 3, Algorithm 1).

    D is a critic: its outputs are scores without a zero, not probabilities. Its cost is the negative of an estimate of the
    Wasserstein-1 distance only while D is Lipschitz: see ``ganzoo.penalties``. (The released code exchanges both signs.)
    """

    distance = "w1"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """``E D(G(z)) - E D(x)``."""
        return fake.float().mean() - real.float().mean()

    def generator(self, fake: Tensor) -> Tensor:
        """``-E D(G(z))``."""
        return -fake.float().mean()

    def activation(self, logits: Tensor) -> Tensor:
        """The score itself."""
        return logits.detach().float()

    @property
    def threshold(self) -> None:
        """None: a constant added to a critic changes nothing."""
        return None

    def divergence(self, real: Tensor, fake: Tensor) -> Tensor:
        """``E D(x) - E D(G(z))``: K times the Wasserstein-1 distance, from below, for a K-Lipschitz critic (eq. 2)."""
        return -self.discriminator(real.detach(), fake.detach())


class OneSidedLabelSmoothing(NonSaturating):
    """The non-saturating loss with a target below 1 for real samples (Salimans et al. 2016, section 3.4).

    The best discriminator is ``D = t p / (p + q)`` with the target t. The target of generated samples stays 0: with another
    one q would stand above the line too, and a wrong sample far from the data would have no reason to come nearer.

    Args:
        real_target: t, 0.9 in the paper's example and 0.75 in the authors' code for ImageNet; in (0, 1).
    """

    def __init__(self, real_target: OpenUnitInterval = 0.9) -> None:
        self.real_target = real_target

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """``-t E log D(x) - (1 - t) E log(1 - D(x)) - E log(1 - D(G(z)))``."""
        real = real.float()
        real_cost = self.real_target * softplus(-real).mean() + (1 - self.real_target) * softplus(real).mean()
        return real_cost + softplus(fake.float()).mean()

    @property
    def threshold(self) -> float:
        """The logit of t / 2: the best D is there where real and generated are as likely."""
        return log(self.real_target / (2 - self.real_target))


class Weighted(AdversarialLoss):
    """Another loss with a factor on each player's cost.

    With ``generator_weight`` 0 the generator descends its regularizers alone: feature matching as in Salimans et al. 2016.

    Args:
        loss: the other loss.
        discriminator_weight: factor on the discriminator's cost, above 0.
        generator_weight: factor on the generator's cost, at least 0.
    """

    def __init__(
        self, loss: AdversarialLoss, discriminator_weight: PositiveFloat = 1.0, generator_weight: NonNegativeFloat = 1.0
    ) -> None:
        self.loss, self.discriminator_weight, self.generator_weight = loss, discriminator_weight, generator_weight
        self.distance = loss.distance

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.discriminator_weight * self.loss.discriminator(real, fake)

    def generator(self, fake: Tensor) -> Tensor:
        return self.generator_weight * self.loss.generator(fake)

    def activation(self, logits: Tensor) -> Tensor:
        return self.loss.activation(logits)

    @property
    def threshold(self) -> float | None:
        return self.loss.threshold

    def gradient_ratio(self, fake: Tensor) -> Tensor:
        return self.loss.gradient_ratio(fake)

    def divergence(self, real: Tensor, fake: Tensor) -> Tensor | None:
        return self.loss.divergence(real, fake)


class UnhalvedLeastSquares(LeastSquares):
    """Least squares without the factors 1/2, as CycleGAN has it (Zhu et al. 2017, section 4).

    ``E (D(x) - 1)^2 + E D(G(z))^2`` for the discriminator, ``E (D(G(z)) - 1)^2`` for the generator.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return 2.0 * super().discriminator(real, fake)

    def generator(self, fake: Tensor) -> Tensor:
        return 2.0 * super().generator(fake)


def discriminator_stats(
    loss: AdversarialLoss, real: Tensor, fake: Tensor, player: str = "discriminator"
) -> dict[str, Tensor]:
    """Computes a discriminator's accuracies, its gradient ratio and its estimate of a divergence.

    Args:
        loss: the loss that it is trained by.
        real: its logits of real samples, any shape; each logit of a patch discriminator counts.
        fake: its logits of generated samples, any shape.
        player: its name, the first part of each key.

    Returns:
        Scalars. For a critic (``Wasserstein``) ``<player>/w1`` alone. For a discriminator ``<player>/accuracy_real`` and
        ``<player>/accuracy_fake``, the shares in [0, 1] that are right (a logit at the threshold counts half);
        ``<player>/gradient_ratio`` (``AdversarialLoss.gradient_ratio``); and, where the discriminator's cost is the
        cross-entropy, ``<player>/js``, in nats.
    """
    divergence = loss.divergence(real, fake)
    estimate = {} if divergence is None else {f"{player}/{loss.distance}": divergence}
    if loss.threshold is None:
        return estimate
    towards_real, towards_fake = real.detach().float() - loss.threshold, loss.threshold - fake.detach().float()
    half = towards_real.new_tensor(0.5)
    return {
        f"{player}/accuracy_real": towards_real.heaviside(half).mean(),
        f"{player}/accuracy_fake": towards_fake.heaviside(half).mean(),
        f"{player}/gradient_ratio": loss.gradient_ratio(fake),
        **estimate,
    }
