"""Walks through the noise of a generator: the images between those of several seeds, as frames of an animation."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.inference.generation import explained_errors, join, noise_of, noise_sampler_of, requests, truncated
from ganzoo.interfaces import eval_mode
from ganzoo.ops.interpolation import lerp
from ganzoo.utils.images import to_uint8

MOST_FRAMES = 100_000


def walk(
    model: nn.Module,
    seeds: Sequence[int],
    steps: int = 30,
    interpolation: Literal["slerp", "lerp"] = "slerp",
    *,
    classes: int | Sequence[int] | None = None,
    loop: bool = False,
    batch_size: int = 1,
    truncation: float = 1.0,
) -> Tensor:
    """Generates the images on the way from seed to seed.

    Frame ``k * steps`` is the image of ``seeds[k]`` that :func:`ganzoo.inference.generate` gives. Between, the noise is
    interpolated as its distribution says (``ganzoo.noises``), and the one-hot code of the class along a straight line.

    Args:
        model: a ``NoiseSampler``: every generator of the zoo, or a module of yours with ``draw_noise`` and ``decode``.
        seeds: at least two seeds, in [0, 2^32).
        steps: frames from one seed to the next, at least 1.
        interpolation: "slerp" along great circles, "lerp" along straight lines.
        classes: class at each seed, or one for all; None for the class ``seed % model.classes``.
        loop: go back from the last seed to the first; the frames can then be repeated without a jump.
        batch_size: as in :func:`ganzoo.inference.generate`.
        truncation: as in :func:`ganzoo.inference.generate`.

    Returns:
        uint8 [frames, C, H, W] on the CPU: ``steps * (len(seeds) - 1) + 1`` frames, ``steps * len(seeds)`` with ``loop``.

    Raises:
        InputError: as in :func:`ganzoo.inference.generate`; or the model's noise cannot be chosen, or interpolated so.
    """
    frames = walk_frames(
        model, seeds, steps, interpolation, classes=classes, loop=loop, batch_size=batch_size, truncation=truncation
    )
    return torch.stack(list(frames))


def frame_count(seeds: Sequence[int], steps: int, loop: bool) -> int:
    """The number of frames of a walk; arguments as in :func:`walk`.

    Raises:
        InputError: fewer than two seeds, no steps, or too many frames.
    """
    if len(seeds) < 2:
        raise InputError("a walk needs at least two seeds, such as 3,14")
    if steps < 1:
        raise InputError(f"a walk has at least 1 step from seed to seed, not {steps}")
    count = steps * len(seeds) if loop else steps * (len(seeds) - 1) + 1
    if count > MOST_FRAMES:
        raise InputError(f"{count:,} frames are too many for one walk: at most {MOST_FRAMES:,}")
    return count


def walk_frames(
    model: nn.Module,
    seeds: Sequence[int],
    steps: int = 30,
    interpolation: Literal["slerp", "lerp"] = "slerp",
    *,
    classes: int | Sequence[int] | None = None,
    loop: bool = False,
    batch_size: int = 1,
    truncation: float = 1.0,
) -> Iterator[Tensor]:
    """Yields the frames of :func:`walk` one after the other, uint8 [C, H, W]; arguments and errors as there."""
    wanted, sampler = requests(model, list(seeds), classes), noise_sampler_of(model)
    count = frame_count(seeds, steps, loop)
    noises = [truncated(sampler, noise_of(sampler, each.seed), truncation) for each in wanted]
    codes = None
    if sampler.classes is not None:
        codes = torch.eye(sampler.classes)[torch.tensor([each.label for each in wanted])]
    for first in range(0, count, batch_size):
        numbers = range(first, min(first + batch_size, count))
        starts = [number // steps for number in numbers]
        ends = [(start + 1) % len(wanted) for start in starts]
        t = torch.tensor([number % steps / steps for number in numbers], dtype=torch.float64)
        a, b = (join([noises[place] for place in places]) for places in (starts, ends))
        with explained_errors(batch_size), eval_mode(model):
            noise = {
                name: distribution.interpolate(a[name], b[name], t, interpolation == "slerp")
                for name, distribution in sampler.distributions().items()
            }
            y = None if codes is None else lerp(codes[starts], codes[ends], t)
            yield from to_uint8(sampler.decode(noise, y)).cpu()
