"""Interpolation by closed form: ends, lengths, angles, and the vectors that have no great circle of their own."""

import math

import pytest
import torch

from ganzoo.ops.interpolation import lerp, slerp, with_exact_ends

SHARES = torch.tensor([0.0, 0.1, 0.25, 0.5, 0.8, 1.0])


def vectors(n=6, size=20, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, size, generator=g), torch.randn(n, size, generator=g)


def angle(a, b):
    """The angle between vectors by their chord, which is exact for small and for large angles (Kahan)."""
    a, b = (v.double() / v.double().norm(dim=-1, keepdim=True) for v in (a, b))
    return 2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1))


@pytest.mark.parametrize("way", [lerp, slerp])
def test_the_ends_are_exact(way):
    a, b = vectors()
    assert torch.equal(way(a, b, torch.zeros(6)), a)
    assert torch.equal(way(a, b, torch.ones(6)), b)
    planes = torch.randn(6, 2, 3, 4)
    assert torch.equal(way(planes, planes.flip(0), torch.ones(6)), planes.flip(0))
    assert way(planes, planes.flip(0), SHARES).shape == planes.shape


def test_a_quarter_of_a_circle():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    third = slerp(a, b, torch.tensor([1 / 3]))
    assert torch.allclose(third, torch.tensor([[2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)]]))
    assert torch.allclose(lerp(a, b, torch.tensor([0.25])), torch.tensor([[1.5, 0.5]]))


def test_the_angle_is_linear_and_the_length_too():
    a, b = vectors()
    a, b = a * 3, b * torch.linspace(0.5, 4, 6)[:, None]
    whole = angle(a, b)
    for share in SHARES.tolist():
        found = slerp(a, b, torch.full((6,), share))
        assert torch.allclose(angle(a, found), share * whole, atol=1e-6)
        assert torch.allclose(angle(found, b), (1 - share) * whole, atol=1e-6)
        assert torch.allclose(found.norm(dim=1), (1 - share) * a.norm(dim=1) + share * b.norm(dim=1), rtol=1e-5)


def test_between_vectors_of_one_length_the_length_stays_which_a_line_does_not_keep():
    a, b = vectors()
    a, b = a / a.norm(dim=1, keepdim=True) * 5, b / b.norm(dim=1, keepdim=True) * 5
    assert torch.allclose(slerp(a, b, torch.full((6,), 0.3)).norm(dim=1), torch.full((6,), 5.0), rtol=1e-5)
    assert (lerp(a, b, torch.full((6,), 0.5)).norm(dim=1) < 4.5).all()


def test_parallel_and_equal_vectors():
    a, _ = vectors()
    half = torch.full((6,), 0.5)
    assert torch.allclose(slerp(a, a, half), a, rtol=1e-6)
    assert torch.allclose(slerp(a, 3 * a, half), 2 * a, rtol=1e-5)
    near = a + 1e-6 * torch.randn(6, 20)
    assert torch.allclose(slerp(a, near, half), (a + near) / 2, atol=1e-6)


@pytest.mark.parametrize("turned", [0.0, 1e-12, 1e-7])
def test_opposite_vectors_go_along_a_half_circle(turned):
    a, b = (v.double() for v in vectors())
    opposite = -a + turned * b
    assert torch.allclose(slerp(a, opposite, SHARES).norm(dim=1), a.norm(dim=1), rtol=1e-5)
    for share in SHARES.tolist():
        assert torch.allclose(
            angle(a, slerp(a, opposite, torch.full((6,), share))), torch.full((6,), share * math.pi).double(), atol=1e-5
        )
    assert torch.equal(slerp(a, opposite, SHARES), slerp(a, opposite, SHARES))


def test_without_a_direction_the_line_is_straight():
    zero, a = torch.zeros(1, 4), torch.ones(1, 4)
    assert torch.equal(slerp(zero, a, torch.tensor([0.25])), a / 4)
    assert torch.equal(slerp(a, zero, torch.tensor([0.25])), a * 0.75)
    assert torch.equal(slerp(zero, zero, torch.tensor([0.5])), zero)
    assert torch.allclose(slerp(torch.tensor([[2.0]]), torch.tensor([[-1.0]]), torch.tensor([0.5])), torch.tensor([[0.5]]))


def test_exact_ends():
    a, b = vectors(3)
    assert torch.equal(with_exact_ends(a * 0, a, b, torch.tensor([0, 0.5, 1])), torch.stack([a[0], a[1] * 0, b[2]]))
