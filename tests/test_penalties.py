"""Penalties against closed forms: critics whose gradients are known, finite differences, and where the points lie."""

import pytest
import torch
from torch import nn

from ganzoo.errors import InputError
from ganzoo.penalties import clip_weights, gradient_penalty, r1, r2


def samples(n=6, shape=(2, 3, 3), seed=0):
    source = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, *shape, generator=source, dtype=torch.float64) for _ in range(2))


def smooth(seed=0) -> nn.Module:
    """A small critic with two outputs per sample, twice differentiable."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(18, 5), nn.Tanh(), nn.Linear(5, 2)).double()


def test_a_linear_critic_has_the_same_penalty_everywhere():
    real, fake = samples()
    w = torch.randn(18, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def critic(x):
        return x.flatten(1) @ w + 7

    assert gradient_penalty(critic, real, fake).item() == pytest.approx(float((w.norm() - 1) ** 2), rel=1e-6)
    assert r1(critic, real).item() == pytest.approx(float(w.square().sum() / 2), rel=1e-6)
    assert r2(critic, fake).item() == pytest.approx(float(w.square().sum() / 2), rel=1e-6)


def test_the_distance_from_the_origin_has_no_penalty():
    """||x|| has gradients of length 1, and -||x|| too: the penalty is two-sided, and blind to the sign."""
    real, fake = samples()
    for sign in (1, -1):
        assert gradient_penalty(lambda x, sign=sign: sign * x.flatten(1).norm(dim=1), real, fake).item() < 1e-10
    gentle = gradient_penalty(lambda x: 0.5 * x.flatten(1).norm(dim=1), real, fake)
    assert gentle.item() == pytest.approx(0.25)  # below 1 is penalised as above it


def test_the_points_lie_between_pairs_one_share_to_a_pair():
    real, fake = samples(n=200)
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    gradient_penalty(critic, real, fake, torch.Generator().manual_seed(0))
    shares = ((seen[0] - fake) / (real - fake)).flatten(1)
    assert torch.allclose(shares, shares[:, :1].expand_as(shares), atol=1e-6)  # one for all values of a sample
    e = shares[:, 0]
    assert 0 <= e.min() < 0.05
    assert 0.95 < e.max() <= 1
    assert abs(e.mean() - 0.5) < 5 * (1 / 12 / 200) ** 0.5
    again, other = (gradient_penalty(smooth(), real, fake, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert again == gradient_penalty(smooth(), real, fake, torch.Generator().manual_seed(0))
    assert again != other


def test_r1_of_a_quadratic():
    real, _ = samples()
    assert r1(lambda x: 0.5 * x.flatten(1).square().sum(1), real).item() == pytest.approx(
        float(real.flatten(1).square().sum(1).mean() / 2), rel=1e-6
    )


@pytest.mark.parametrize("penalty", ["gradient penalty", "r1"])
def test_the_gradient_of_a_penalty_reaches_the_critic(penalty):
    """By central differences: without create_graph the gradient would be none."""
    real, fake = samples()
    critic = smooth()

    def cost() -> torch.Tensor:
        if penalty == "r1":
            return r1(critic, real)
        return gradient_penalty(critic, real, fake, torch.Generator().manual_seed(0))

    cost().backward()
    h = 1e-3  # a penalty is a float32: its rounding over 2 h is 3e-5 of it
    for parameter in (critic[1].weight, critic[3].weight):
        for place in ((0, 0), (1, 3)):
            with torch.no_grad():
                parameter[place] += h
                above = cost().item()
                parameter[place] -= 2 * h
                below = cost().item()
                parameter[place] += h
            assert parameter.grad[place].item() == pytest.approx((above - below) / (2 * h), abs=2e-4)
            assert parameter.grad.abs().max() > 0.02


def test_no_gradient_reaches_the_generator():
    real, fake = samples()
    made = fake.clone().requires_grad_()
    for penalty in (gradient_penalty(smooth(), real, made), r2(smooth(), made)):
        penalty.backward()
    assert made.grad is None


def test_a_flat_critic_has_a_finite_gradient():
    """The length of a zero gradient has no derivative: it must not become NaN."""
    real, fake = samples()
    weight = torch.zeros(18, dtype=torch.float64, requires_grad=True)
    found = gradient_penalty(lambda x: x.flatten(1) @ weight, real, fake)
    found.backward()
    assert found.item() == 1
    assert weight.grad.isfinite().all()


def test_penalties_work_where_gradients_are_off():
    real, fake = samples()
    with torch.no_grad():
        assert gradient_penalty(smooth(), real, fake) > 0
        assert r1(smooth(), real) > 0


def test_penalties_are_float32_in_half_precision():
    real, fake = (x.float() for x in samples())
    critic = smooth().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradient_penalty(critic, real, fake), r1(critic, real)
    assert {each.dtype for each in found} == {torch.float32}
    real, fake, critic = real.bfloat16(), fake.bfloat16(), critic.bfloat16()  # trainer.precision bf16-true
    assert {each.dtype for each in (gradient_penalty(critic, real, fake), r1(critic, real))} == {torch.float32}


def test_samples_that_are_no_pairs_are_refused():
    real, fake = samples()
    with pytest.raises(InputError, match=r"\[6, 2, 3, 3\] and \[4, 2, 3, 3\] differ"):
        gradient_penalty(smooth(), real, fake[:4])


def test_clipping_bounds_every_parameter_and_no_buffer():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    with torch.no_grad():
        critic[0].weight[0, 0] = 0.004
    before, running = critic[0].weight.clone(), critic[1].running_var.clone()
    place = critic[0].weight.data_ptr()
    clip_weights(critic, 0.01)
    assert max(p.abs().max().item() for p in critic.parameters()) <= 0.01 + 1e-9
    assert torch.equal(critic[0].weight, before.clamp(-0.01, 0.01))
    assert critic[0].weight[0, 0] == before[0, 0]
    assert torch.equal(critic[1].running_var, running)
    assert critic[0].weight.data_ptr() == place  # the optimizer's own tensor
    assert all(p.requires_grad and p.grad is None for p in critic.parameters())


@pytest.mark.parametrize("bound", [0, -0.01, float("nan")])
def test_a_bound_that_is_none_is_refused(bound):
    with pytest.raises(InputError, match="a bound above 0"):
        clip_weights(nn.Linear(1, 1), bound)
