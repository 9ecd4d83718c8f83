"""Interpolates between vectors: along a straight line (lerp) and along a great circle (slerp, Shoemake 1985).

Spherical interpolation keeps the length of normal noise, which lies near a sphere in many dimensions; a straight line
passes closer to the origin, where a generator has seen nothing (White 2016, "Sampling Generative Networks").
"""

import torch
from torch import Tensor


def lerp(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """The points at shares t of the straight lines from ``start`` to ``end``: ``(1 - t) start + t end``.

    Args:
        start: [N, ...].
        end: of the same shape.
        t: shares [N]; 0 gives ``start`` and 1 gives ``end`` exactly.

    Returns:
        [N, ...], of the type of ``start``.
    """
    share = _per_row(t, start)
    return with_exact_ends(start.double() * (1 - share) + end.double() * share, start, end, t)


def slerp(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """The points at shares t of the great circles from ``start`` to ``end``; each row is one vector.

    The angle from ``start`` grows linearly with t, and the length goes linearly from that of ``start`` to that of ``end``.
    Between opposite vectors, which many great circles join, the circle is fixed by the coordinate in which ``start`` is
    smallest. Where a vector is 0, or has one number only, the line is straight.

    Args:
        start: [N, ...].
        end: of the same shape.
        t: shares [N]; 0 gives ``start`` and 1 gives ``end`` exactly.

    Returns:
        [N, ...], of the type of ``start``.
    """
    a, b, share = start.double().flatten(1), end.double().flatten(1), _per_row(t, start).flatten(1)
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    unit_a, unit_b = a / length_a, b / length_b
    across = _reject(unit_b, unit_a)
    sine, cosine = across.norm(dim=1, keepdim=True), (unit_a * unit_b).sum(1, keepdim=True)
    axis = torch.zeros_like(a).scatter_(1, a.abs().argmin(1, keepdim=True), 1.0)
    opposite = (sine < 1e-9) & (cosine < 0)
    across = torch.where(opposite, _reject(axis, unit_a), across)
    # twice: after the first, rounding leaves a part along a that is large beside a small rest
    across = _reject(across / across.norm(dim=1, keepdim=True).clamp_min(1e-300), unit_a)
    across = across / across.norm(dim=1, keepdim=True).clamp_min(1e-300)
    angle = share * torch.atan2(torch.where(opposite, 0.0, sine), cosine)
    length = (1 - share) * length_a + share * length_b
    on_circle = length * (angle.cos() * unit_a + angle.sin() * across)
    straight = (length_a == 0) | (length_b == 0) | (opposite & (a.shape[1] == 1))
    found = torch.where(straight, (1 - share) * a + share * b, on_circle).view(start.shape)
    return with_exact_ends(found, start, end, t)


def with_exact_ends(found: Tensor, start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Replaces interpolated rows by ``start`` where t is 0 and by ``end`` where it is 1, without a rounding error."""
    t = _per_row(t, start)
    return torch.where(t == 0, start, torch.where(t == 1, end, found.to(start.dtype)))


def _per_row(t: Tensor, like: Tensor) -> Tensor:
    return t.to(like.device, torch.float64).view(-1, *[1] * (like.ndim - 1))


def _reject(vectors: Tensor, along: Tensor) -> Tensor:
    """The part of each vector that is orthogonal to the unit vector of its row."""
    return vectors - (vectors * along).sum(1, keepdim=True) * along
