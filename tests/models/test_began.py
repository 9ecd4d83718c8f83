"""BEGAN: k and M by hand, each player's gradient, what is refused."""

from functools import cache

import pytest
import torch
from support.small_models import played, small
from support.toy_distributions import stream, trained
from support.training import Batch
from support.training_bounds import bounded
from torch.optim import SGD

from ganzoo.errors import InputError
from ganzoo.models import BEGAN

TINY = {"width": 4}


class Stub:
    """A trainer of one process, for what is asked outside of a training."""

    class strategy:
        @staticmethod
        def reduce(tensor, reduce_op):
            assert reduce_op == "mean"
            return tensor


def balanced(model, *errors):
    """k after each pair (L(x), L(G(z))), and the last M."""
    model.show = lambda values: None
    model._trainer = Stub
    ks = []
    for real, fake in errors:
        model.balance(torch.tensor([[real - 0.1], [real + 0.1]]), torch.tensor([[fake]] * 3))  # means count
        ks.append(model.k.item())
    return ks, model.M.item()


def test_k_by_hand():
    """k + lambda (gamma L(x) - L(G(z))), in [0, 1]: it grows while generated images are too easy to reconstruct."""
    ks, _ = balanced(small(BEGAN, **TINY, gamma=0.5, lambda_k=0.1), (1.0, 0.1), (0.8, 0.2), (0.4, 1.0))
    assert ks == pytest.approx([0.04, 0.06, 0.0])  # 0.06 - 0.08 is below 0
    ks, _ = balanced(small(BEGAN, **TINY, gamma=1.0, lambda_k=0.9), (2.0, 0.0), (2.0, 0.0), (1.0, 1.5))
    assert ks == pytest.approx([1.0, 1.0, 0.55])


def test_m_by_hand():
    """L(x) + |gamma L(x) - L(G(z))|, whichever side the balance is on; then the average of the batches."""
    assert balanced(small(BEGAN, **TINY), (1.0, 0.2))[1] == pytest.approx(1.3)
    assert balanced(small(BEGAN, **TINY), (1.0, 0.9))[1] == pytest.approx(1.4)
    assert balanced(small(BEGAN, **TINY), (1.0, 0.2), (1.0, 0.9))[1] == pytest.approx(1.3 + 0.01 * 0.1)


class Stepped(BEGAN):
    """Plain gradient descent, with k as it is in the middle of a training."""

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=1.0)

    def z(self, n, generator=None):
        return torch.linspace(-1, 1, n * self.latent).view(n, -1)


def test_each_player_descends_its_own_loss():
    """D descends L(x) - k L(G(z)), G descends L(G(z)): nothing of D's term for G(z) reaches G, nor of G's reaches D."""
    torch.manual_seed(0)
    model = small(Stepped, **TINY)
    model.k.fill_(0.7)
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    L_x, L_G = ((v - model.D.reconstruct(v)).abs().mean() for v in (x, model.G(model.z(2))))
    players = {network: list(network.parameters()) for network in (model.D, model.G)}
    gradients = {
        model.D: torch.autograd.grad(L_x - 0.7 * L_G, players[model.D], retain_graph=True),
        model.G: torch.autograd.grad(L_G, players[model.G]),
    }
    expected = {n: [p.detach() - g for p, g in zip(players[n], gradients[n], strict=True)] for n in players}
    trainer = played(model, n=1, log_every_n_steps=1)
    for network, values in expected.items():
        assert all(torch.allclose(p, q, atol=1e-6) for p, q in zip(network.parameters(), values, strict=True))
    logged = trainer.logged_metrics
    assert float(logged["D(x)"]) == pytest.approx(-L_x.item(), rel=1e-5)
    assert float(logged["generator/gan"]) == pytest.approx(L_G.item(), rel=1e-5)
    assert float(logged["discriminator/gan"]) == pytest.approx((L_x - 0.7 * L_G).item(), rel=1e-5)
    assert float(logged["k"]) == pytest.approx((0.7 + 0.001 * (0.5 * L_x - L_G)).item(), rel=1e-6)
    assert float(logged["M"]) == pytest.approx((L_x + (0.5 * L_x - L_G).abs()).item(), rel=1e-5)


def test_k_and_m_are_in_the_checkpoint(tmp_path):
    model = small(BEGAN, **TINY)
    played(model).save_checkpoint(tmp_path / "kept.ckpt")
    again = BEGAN.load_from_checkpoint(tmp_path / "kept.ckpt")
    assert again.k == model.k > 0
    assert again.M == model.M > 0


def test_k_moves_as_far_in_an_effective_batch_of_small_ones():
    ks = [balanced(small(BEGAN, **TINY, accumulate=n), *[(1.0, 0.2)] * n)[0][-1] for n in (1, 4)]
    assert ks[0] == pytest.approx(ks[1]) == pytest.approx(0.001 * 0.3)


class Still(BEGAN):
    """Players that move too little for M to change."""

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=1e-12)


def test_both_rates_are_halved_when_m_stalls():
    """M of the second epoch is no better than that of the first; with patience 2 the rates fall after the third."""
    model, rates = small(Still, **TINY, patience=2), []
    model.on_train_epoch_end = lambda: rates.append([each.param_groups[0]["lr"] for each in model.trainer.optimizers])
    played(model, n=3, epochs=6)
    halvings = [0, 0, 1, 1, 2, 2]
    assert rates == [pytest.approx([0.5**n * 1e-12] * 2) for n in halvings]


def test_what_cannot_work_is_refused_in_one_line():
    with pytest.raises(InputError, match="BEGAN has no argument 'loss'"):
        small(BEGAN, **TINY, loss="LeastSquares")
    with pytest.raises(InputError, match="not 12: set the data"):
        BEGAN(shape=(1, 12, 12))
    with pytest.raises(InputError, match=r"gamma is 1\.5: give"):
        small(BEGAN, gamma=1.5)


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_k_and_m_are_float32_whatever_the_weights_are(precision):
    """In bfloat16 a step of 1e-4 would not move a k of 0.5."""
    model = small(BEGAN, **TINY, lambda_k=1e-4)
    model.k.fill_(0.5)
    played(model, n=3, precision=precision)
    assert model.k.dtype == model.M.dtype == torch.float32
    assert 0.5 < model.k < 0.501


def test_samples_are_in_range():
    model = small(BEGAN, **TINY).eval()
    with torch.no_grad():
        model.G.layers[-1].bias.add_(3)
    assert model.sample(3).max() == 1


# -- learning -------------------------------------------------------------------------------------


class Recorded(BEGAN):
    """Remembers L(x) and L(G(z)) of each batch."""

    def __init__(self, **options):
        super().__init__((1, 8, 8), width=8, latent=16, lambda_k=0.05, lr=3e-3, **options)
        self.errors = []

    def balance(self, L_x, L_G):
        super().balance(L_x, L_G)
        self.errors.append((L_x.mean().item(), L_G.mean().item()))


class WrongSign(Recorded):
    """Broken: k falls where it should grow."""

    def balance(self, L_x, L_G):
        self.lambda_k *= -1
        super().balance(L_x, L_G)
        self.lambda_k *= -1


@cache
def images():
    from sklearn.datasets import load_digits

    return torch.tensor(load_digits().images[:1200], dtype=torch.float32).unsqueeze(1) / 8 - 1


def digits(n, g):
    return Batch(images()[torch.randint(1200, (n,), generator=g)])


def balance_and_diversity(cls, gamma, seed):
    """L(G(z)) / L(x) and L(x) in the second half of a training, and the mean variance of a sample's pixel."""
    torch.manual_seed(seed)
    model = cls(gamma=gamma)
    trained(model, stream(digits, 300, 16, seed))
    L_x, L_G = torch.tensor(model.errors[150:]).mean(0).tolist()
    samples = model.sample(500, generator=torch.Generator().manual_seed(1))
    return L_G / L_x, L_x, samples.var(0).mean().item()


@bounded(off="< 0.15", error="< 0.3")
def a_balance(seed):
    """How far the ratio is from gamma = 0.8, and the error of real images."""
    ratio, error, _ = balance_and_diversity(Recorded, 0.8, seed)
    return {"off": abs(ratio / 0.8 - 1), "error": error}


@bounded(off="> 0.15")
def a_balance_with_the_wrong_sign(seed):
    """k falls to 0, D does not mind generated images, and they become ever easier to reconstruct: beyond the bound above."""
    return {"off": abs(balance_and_diversity(WrongSign, 0.8, seed)[0] / 0.8 - 1)}


@bounded(diversity="> 3")
def a_diversity(seed):
    """How much more diverse the samples are with gamma = 0.8 than with 0.4."""
    return {"diversity": balance_and_diversity(Recorded, 0.8, seed)[2] / balance_and_diversity(Recorded, 0.4, seed)[2]}


def test_k_holds_the_ratio_of_the_errors_at_gamma():
    a_balance.check()


@pytest.mark.slow
@pytest.mark.parametrize("training", [a_balance_with_the_wrong_sign, a_diversity], ids=lambda t: t.name)
def test_the_wrong_sign_of_k_does_not_hold_it_and_a_small_gamma_gives_less_diverse_images(training):
    training.check()
