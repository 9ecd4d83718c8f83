"""Every loss against its closed form, on distributions small enough to differentiate by hand."""

from math import exp, log

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import trapezoid

from ganzoo.errors import InputError
from ganzoo.losses import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    MaximumLikelihood,
    Minimax,
    NonSaturating,
    OneSidedLabelSmoothing,
    PearsonLeastSquares,
    Wasserstein,
    Weighted,
    discriminator_stats,
)

LOSSES = [Minimax(), NonSaturating(), MaximumLikelihood(), LeastSquares(), Hinge(), Wasserstein(), OneSidedLabelSmoothing()]


def distributions(n=7, seed=0):
    rng = np.random.default_rng(seed)
    p, q = (torch.tensor(rng.dirichlet(np.ones(n)), dtype=torch.float64) for _ in range(2))
    return p, q


def kl(p, q):
    return (p * (p / q).log()).sum()


def jsd(p, q):
    m = (p + q) / 2
    return 0.5 * kl(p, m) + 0.5 * kl(q, m)


def expected(loss_of_logits, logits, weights):
    """E over a discrete distribution of a loss that takes means: one outcome at a time."""
    return sum(w * loss_of_logits(a.reshape(1)) for a, w in zip(logits, weights, strict=True))


def value(loss, logits, p, q):
    """V = -(discriminator's cost), with real ~ p and fake ~ q."""
    nothing = torch.full((1,), -1e30)
    real = expected(lambda a: loss.discriminator(a, nothing), logits, p)
    fake = expected(lambda a: loss.discriminator(-nothing, a), logits, q)
    return -(real + fake)


@pytest.mark.parametrize("seed", range(3))
def test_value_at_the_optimal_discriminator_is_minus_log_4_plus_twice_jsd(seed):
    p, q = distributions(seed=seed)
    best = (p / q).log()  # D* = p / (p + q)
    assert value(Minimax(), best, p, q) == pytest.approx(float(-log(4) + 2 * jsd(p, q)), abs=1e-5)
    worse = best + 0.3
    assert value(Minimax(), worse, p, q) < value(Minimax(), best, p, q)


def test_a_perfect_generator_gives_minus_log_4():
    even = torch.zeros(5)
    assert Minimax().discriminator(even, even).item() == pytest.approx(1.3862944, abs=1e-6)
    assert (0.5 * Minimax().discriminator(even, even)).item() == pytest.approx(0.6931472, abs=1e-6)


def generator_gradient(loss, theta, p):
    """The generator's gradient by the chain rule through frozen D*: q = softmax(theta) over outcomes."""
    q = torch.softmax(theta, 0)
    frozen = (p / q).log().detach()
    cost = sum(w * loss.generator(a.reshape(1)) for a, w in zip(frozen, q, strict=True))
    return torch.autograd.grad(cost, theta)[0]


@pytest.mark.parametrize(
    ("loss", "divergence"),
    [
        (Minimax(), lambda p, q: 2 * jsd(p, q)),
        (NonSaturating(), lambda p, q: kl(q, p) - 2 * jsd(p, q)),
        (MaximumLikelihood(), lambda p, q: -(p * q.log()).sum()),
    ],
    ids=["minimax is 2 JSD", "non-saturating is KL - 2 JSD", "maximum likelihood is cross-entropy"],
)
def test_generator_gradient_is_that_of_its_divergence(loss, divergence):
    p, _ = distributions()
    theta = torch.randn(7, dtype=torch.float64, requires_grad=True)
    wanted = torch.autograd.grad(divergence(p, torch.softmax(theta, 0)), theta)[0]
    got = generator_gradient(loss, theta, p)
    assert torch.allclose(got, wanted, atol=1e-6)
    assert wanted.abs().max() > 0.01


@pytest.mark.parametrize(
    ("loss", "at_minus_10", "at_5"),
    [
        (Minimax(), 4.5398e-5, 0.993307),
        (NonSaturating(), 0.9999546, 0.0066929),
        (MaximumLikelihood(), 4.53999e-5, 148.41316),
    ],
    ids=["minimax", "non-saturating", "maximum likelihood"],
)
def test_saturation(loss, at_minus_10, at_5):
    for logit, size in ((-10.0, at_minus_10), (5.0, at_5)):
        a = torch.tensor([logit], requires_grad=True)
        loss.generator(a).backward()
        assert a.grad.item() == pytest.approx(-size, rel=1e-4)


def test_least_squares_by_hand_and_its_optimum():
    loss = PearsonLeastSquares()
    assert vars(loss) == vars(LeastSquares(fake_target=-1.0, real_target=1.0, generator_target=0.0))
    assert loss.discriminator(torch.tensor([3.0]), torch.tensor([1.0, -2.0])).item() == pytest.approx(2.0 + 1.25)
    assert loss.generator(torch.tensor([2.0, 4.0])).item() == pytest.approx(5.0)
    p, q = distributions()
    best = (1.0 * p + -1.0 * q) / (p + q)
    chi_square = ((2 * q - (p + q)) ** 2 / (p + q)).sum()
    cost = sum((a - 0.0) ** 2 * w for a, w in zip(best, p + q, strict=True))
    assert float(cost) == pytest.approx(float(chi_square))
    at = [(p * (best + d - 1) ** 2 + q * (best + d + 1) ** 2).sum() for d in (-0.01, 0, 0.01)]
    assert at[1] < at[0]
    assert at[1] < at[2]


def test_defaults_of_least_squares_stop_pulling_at_the_target():
    a = torch.tensor([1.0], requires_grad=True)
    LeastSquares().generator(a).backward()
    assert a.grad.item() == 0


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_every_loss_counts_each_logit_once_and_stays_float32(loss: AdversarialLoss):
    real, fake = torch.randn(2, 1, 3, 3), torch.randn(4, 1)
    got = loss.discriminator(real, fake)
    assert got.shape == ()
    assert torch.allclose(got, loss.discriminator(real.flatten(), fake.flatten()))
    half = loss.discriminator(real.bfloat16(), fake.bfloat16())
    assert half.dtype == torch.float32
    assert loss.generator(fake.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("loss", [Minimax(), NonSaturating()], ids=["minimax", "non-saturating"])
def test_no_logit_is_too_large(loss):
    far = torch.tensor([1e4, -1e4])
    assert torch.isfinite(loss.discriminator(far, far))
    assert torch.isfinite(loss.generator(far))


def test_the_optimum_of_two_gaussians_by_quadrature():
    """-log 4 + 2 JSD again, now continuous: densities from scipy, the integral by the trapezoid rule."""
    x = np.linspace(-12, 12, 20001)
    p, q = stats.norm(-1, 1).pdf(x), stats.norm(1.5, 0.7).pdf(x)
    m = (p + q) / 2
    js = trapezoid(0.5 * p * np.log(p / m) + 0.5 * q * np.log(q / m), x)
    logit = torch.tensor(np.log(p / q))
    cost = trapezoid(p * torch.nn.functional.softplus(-logit).numpy() + q * torch.nn.functional.softplus(logit).numpy(), x)
    assert -cost == pytest.approx(-log(4) + 2 * js, abs=1e-9)
    weights = [torch.tensor(w * (x[1] - x[0])) for w in (p, q)]
    got = value(Minimax(), logit[::200], weights[0][::200] * 200, weights[1][::200] * 200)
    assert float(got) == pytest.approx(-cost, abs=2e-3)


def test_what_the_output_means():
    assert Minimax().activation(torch.tensor([0.0])).item() == 0.5
    assert NonSaturating().activation(torch.tensor([2.0])).item() == pytest.approx(1 / (1 + exp(-2)))
    assert LeastSquares().activation(torch.tensor([2.0])).item() == 2.0


# -- what the discriminator's logits say of the game --------------------------------------------------


def test_the_threshold_is_where_real_and_generated_are_as_likely():
    assert Minimax().threshold == NonSaturating().threshold == MaximumLikelihood().threshold == 0
    assert LeastSquares().threshold == 0.5
    p = q = torch.tensor(1.0)
    b, a = 3.0, -1.0  # of least squares, the best D is (b p + a q) / (p + q)
    assert LeastSquares(fake_target=a, real_target=b).threshold == (b * p + a * q) / (p + q)


def test_opinions_count_what_is_told_rightly_and_ties_as_half():
    real, fake = torch.tensor([2.0, 0.6, 0.4, -1.0]), torch.tensor([[-3.0, 0.4, 0.6], [0.2, 0.3, 0.0]])
    said = discriminator_stats(Minimax(), real, fake)
    assert said["discriminator/accuracy_real"].item() == pytest.approx(3 / 4)
    assert said["discriminator/accuracy_fake"].item() == pytest.approx((1 + 0.5) / 6)
    squares = discriminator_stats(LeastSquares(), real, fake, "discriminator_2")  # the boundary is 0.5
    assert squares["discriminator_2/accuracy_real"].item() == pytest.approx(2 / 4)
    assert squares["discriminator_2/accuracy_fake"].item() == pytest.approx(5 / 6)
    assert set(said) - {name.replace("_2/", "/") for name in squares} == {"discriminator/js"}
    assert all(value.shape == () and not value.requires_grad for value in said.values())


@pytest.mark.parametrize("seed", range(3))
def test_the_divergence_is_that_of_jensen_and_shannon_at_the_optimum_and_below_it_elsewhere(seed):
    p, q = distributions(seed=seed)
    n = 200_000
    # a sample of exactly these shares, so that means over logits are expectations
    outcomes = [torch.repeat_interleave(torch.arange(7), (w * n).round().long()) for w in (p, q)]
    p, q = (torch.bincount(drawn, minlength=7).double() / len(drawn) for drawn in outcomes)
    best = (p / q).log()
    got = Minimax().divergence(best[outcomes[0]], best[outcomes[1]]).item()
    assert got == pytest.approx(float(jsd(p, q)), abs=1e-5)
    for worse in (best + 0.3, 0.5 * best, 2 * best):
        assert NonSaturating().divergence(worse[outcomes[0]], worse[outcomes[1]]).item() < got


def test_the_divergence_stays_within_its_bounds_and_least_squares_has_none():
    sure = torch.full((3,), 1e4)
    assert Minimax().divergence(sure, -sure).item() == pytest.approx(log(2))
    assert Minimax().divergence(-sure, sure).item() == 0
    assert Minimax().divergence(0 * sure, 0 * sure).item() == pytest.approx(0, abs=1e-7)
    assert LeastSquares().divergence(sure, -sure) is None


@pytest.mark.parametrize(
    ("loss", "ratio"),
    [
        (Minimax(), lambda a: 2 * a.sigmoid()),
        (NonSaturating(), lambda a: 2 * (1 - a.sigmoid())),
        (MaximumLikelihood(), lambda a: a.exp()),
        (LeastSquares(-1.0, 3.0, 2.0), lambda a: (a - 2).abs()),  # undecided at 1, where it is 1
        (Hinge(), torch.ones_like),
    ],
    ids=["minimax", "non-saturating", "maximum likelihood", "least squares", "hinge"],
)
def test_the_gradient_ratio_is_what_is_left_of_the_generators_gradient(loss, ratio):
    logits = torch.linspace(-9, 4, 12).reshape(3, 4)
    with torch.no_grad():
        assert loss.gradient_ratio(logits).item() == pytest.approx(ratio(logits).mean().item(), rel=1e-5)
        assert loss.gradient_ratio(torch.full((5,), loss.threshold)).item() == pytest.approx(1, rel=1e-6)


def test_maximum_likelihood_goes_on_along_its_tangent_above_the_ceiling():
    # exp overflows float32 above 88.7
    a = torch.tensor([-80.0, -10.0, 0.0, 5.0, 29.0, 30.0, 31.0, 89.0, 1e4], requires_grad=True)
    cost = MaximumLikelihood().generator(a)
    (slopes,) = torch.autograd.grad(cost, a)
    at = a.detach().double()
    low = at.clamp(max=30)
    assert cost.item() == pytest.approx(-(low.exp() * (1 + at - low)).mean().item(), rel=1e-5)
    assert torch.allclose(slopes.double(), -low.exp() / len(a), rtol=1e-5, atol=0)
    assert slopes.square().isfinite().all()
    b = torch.tensor([2.0, 4.0], requires_grad=True)  # a ceiling of the user's own between the two
    (slopes,) = torch.autograd.grad(MaximumLikelihood(3.0).generator(b).mul(2), b)
    assert slopes.tolist() == pytest.approx([-exp(2.0), -exp(3.0)])


@pytest.mark.parametrize("logit", [50.0, 88.0, 89.0, 1000.0])
def test_maximum_likelihood_trains_on_at_any_logit(logit):
    logits = torch.nn.Parameter(torch.full((4, 1), logit))
    adam = torch.optim.Adam([logits], lr=0.1)
    MaximumLikelihood().generator(logits).backward()
    adam.step()
    assert logits.flatten().tolist() == pytest.approx([logit + 0.1] * 4)
    assert MaximumLikelihood().gradient_ratio(logits.detach()).isfinite()


@pytest.mark.parametrize("ceiling", [-1.0, 41.0, float("nan"), float("inf")])
def test_a_ceiling_that_would_overflow_is_refused(ceiling):
    with pytest.raises(InputError, match="ceiling is a logit from 0 to 40"):
        MaximumLikelihood(ceiling)


def test_hinge_by_hand_and_its_optimum():
    assert Hinge().discriminator(torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.5])).item() == pytest.approx(0.25 + 0.75)
    assert Hinge().generator(torch.tensor([3.0, -1.0])).item() == pytest.approx(-1)
    # for the best D, sign(p - q), the cost is 2 - 2 TV (Lim and Ye 2017): twice the overlap of p and q
    p, q = distributions()
    cost = -value(Hinge(), (p - q).sign(), p, q)
    assert float(cost) == pytest.approx(2 * float(torch.minimum(p, q).sum()), abs=1e-6)
    for d in (-0.1, 0.1):
        assert -value(Hinge(), (p - q).sign() * (1 + d) + d, p, q) > cost


def test_wasserstein_on_parallel_lines():
    """Arjovsky et al. 2017, example 1: (0, y) against (theta, y), at the distance |theta|; their JS divergence is log 2."""
    y = torch.rand(50)
    for theta in (-1.5, -0.1, 0.0, 0.7):
        critic = -np.sign(theta)  # the 1-Lipschitz D(x, y) = -sign(theta) x attains the supremum
        real, fake = critic * 0.0 * y, critic * (torch.full_like(y, theta))
        assert Wasserstein().discriminator(real, fake).item() == pytest.approx(-abs(theta), abs=1e-6)
        assert discriminator_stats(Wasserstein(), real, fake)["discriminator/w1"].item() == pytest.approx(
            abs(theta), abs=1e-6
        )
        assert Wasserstein().generator(fake).item() == pytest.approx(abs(theta), abs=1e-6)


def test_a_critic_has_no_probabilities():
    scores = torch.tensor([3.0, -2.0])
    assert set(discriminator_stats(Wasserstein(), scores, scores, "critic")) == {"critic/w1"}
    assert torch.equal(Wasserstein().activation(scores), scores)
    moved = [
        discriminator_stats(Wasserstein(), scores + by, scores - 1 + by)["discriminator/w1"].item() for by in (0.0, 100.0)
    ]
    assert moved == pytest.approx([1, 1])
    with pytest.raises(InputError, match="Wasserstein is the loss of a critic: it has no threshold and no gradient ratio"):
        Wasserstein().gradient_ratio(scores)


# -- losses made of others ----------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0.9, 0.6])
def test_the_best_discriminator_under_label_smoothing_is_scaled_by_its_target(target):
    """D* = t p / (p + q), from the slope of the cost by each logit. Smoothing both sides would add b q above."""
    p, q = distributions()
    loss = OneSidedLabelSmoothing(target)
    best = target * p / (p + q)
    logits = torch.logit(best).requires_grad_()
    (slope,) = torch.autograd.grad(value(loss, logits, p, q), logits)
    assert slope.abs().max() < 1e-6  # float32 inside
    (slope,) = torch.autograd.grad(value(loss, moved := torch.logit(best + 0.02).requires_grad_(), p, q), moved)
    assert slope.max() < -1e-3
    assert torch.tensor(loss.threshold).sigmoid().item() == pytest.approx(target / 2)
    # the generator's cost is the non-saturating one, and at the target 1 so is the discriminator's
    assert loss.generator(logits) == NonSaturating().generator(logits)
    almost = OneSidedLabelSmoothing(1 - 1e-7).discriminator(logits, -logits)
    assert almost.item() == pytest.approx(NonSaturating().discriminator(logits, -logits).item(), rel=1e-5)


@pytest.mark.parametrize("target", [0, 1, 1.1])
def test_a_smoothed_target_lies_between(target):
    with pytest.raises(InputError, match=r"give a float in \(0, 1\)"):
        OneSidedLabelSmoothing(target)


@pytest.mark.parametrize("loss", [LeastSquares(-1.0, 3.0, 2.0), Wasserstein()], ids=lambda loss: type(loss).__name__)
def test_a_weighted_loss_scales_the_costs_and_nothing_else(loss):
    real, fake = torch.tensor([0.5, 4.0]), torch.tensor([[-1.0, 1.5]])
    weighted = Weighted(loss, discriminator_weight=2.0, generator_weight=0.0)
    assert weighted.discriminator(real, fake) == 2 * loss.discriminator(real, fake)
    assert weighted.generator(fake) == 0
    assert torch.equal(weighted.activation(fake), loss.activation(fake))
    expected, got = discriminator_stats(loss, real, fake), discriminator_stats(weighted, real, fake)
    assert got == expected
    with pytest.raises(InputError, match=r"discriminator_weight is 0: give a float in \(0, inf\)"):
        Weighted(loss, discriminator_weight=0)
