"""Exponential moving average (EMA) of networks: parameters are averaged, buffers copied.

Averaged weights make steadier images than the last ones (Yazici et al. 2019, "The Unusual Effectiveness of Averaging in
GAN Training"). The half-life is counted in images and not in steps, so that it means the same for any batch size. It
grows at the beginning of the training, as in the released code of StyleGAN2 with ADA (Karras et al. 2020).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import nn

from ganzoo.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


def decay(images: float, half_life: float, ramp: float, seen: float) -> float:
    """Computes the decay of the average over ``images`` images: ``0.5 ^ (images / min(half_life, ramp * seen))``.

    Args:
        images: images since the last update.
        half_life: images after which an old weight counts half.
        ramp: the half-life is at most this fraction of all images seen; 0 for no such bound.
        seen: images seen in all.
    """
    bound = min(half_life, ramp * seen) if ramp else half_life
    return 0.5 ** (images / bound) if bound > 0 else 0.0


class EMA(nn.ModuleDict):
    """Holds the averaged copies of a module's networks, by name. They are frozen, and saved in its checkpoint.

    Args:
        networks: the networks to average, by the names of the attributes that hold them.
        half_life: in images, above 0.
        ramp: see :func:`decay`; at least 0.

    Raises:
        InputError: a number out of range.
    """

    def __init__(self, networks: Mapping[str, nn.Module], half_life: float, ramp: float) -> None:
        if half_life <= 0 or ramp < 0:
            raise InputError(f"ema_half_life must be above 0 and ema_ramp at least 0: got {half_life} and {ramp}")
        try:
            copies = {name: deepcopy(network).requires_grad_(False) for name, network in networks.items()}
        except RuntimeError as error:  # of weights that are computed from others by a hook
            raise InputError(
                f"the networks to average cannot be copied ({str(error).splitlines()[0]}): take "
                "torch.nn.utils.parametrizations for torch.nn.utils.weight_norm and spectral_norm"
            ) from error
        super().__init__(copies)
        self.half_life, self.ramp = half_life, ramp
        self.seen = 0  # images, in all processes
        self.updated: dict[str, int] = {}  # how many were seen when this player was averaged last

    @torch.no_grad()
    def initialize(self, networks: Mapping[str, nn.Module]) -> None:
        """Copies the networks into the average before the first update.

        Raises:
            InputError: in half precision, where an average stands still because its steps are rounded away.
        """
        if any(p.dtype in (torch.bfloat16, torch.float16) for p in self.parameters()):
            raise InputError("an average needs weights in float32: --trainer.precision bf16-mixed or 32-true, not bf16-true")
        if not self.seen:
            for name, live in networks.items():
                self[name].load_state_dict(live.state_dict())

    @torch.no_grad()
    def update_parameters(self, player: str, networks: Mapping[str, nn.Module], moved: set[int]) -> None:
        """Updates the averages of the parameters that a player has stepped, and copies the buffers.

        Args:
            player: its name.
            networks: the live networks, by the same names.
            moved: ``id`` of each parameter that the player moves.
        """
        pairs = [
            (mine, its)
            for name, live in networks.items()
            for mine, its in zip(self[name].parameters(), live.parameters(), strict=True)
            if id(its) in moved
        ]
        if not pairs:  # a discriminator
            return
        weight = 1.0 - decay(self.seen - self.updated.get(player, 0), self.half_life, self.ramp, self.seen)
        self.updated[player] = self.seen
        torch._foreach_lerp_([mine for mine, _ in pairs], [its for _, its in pairs], weight)
        for name, live in networks.items():
            for copy, buffer in zip(self[name].buffers(), live.buffers(), strict=True):
                copy.copy_(buffer)

    def get_extra_state(self) -> dict[str, Any]:
        """Returns the image counts, for the checkpoint."""
        return {"seen": self.seen, "updated": dict(self.updated)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Loads the image counts from a checkpoint."""
        self.seen, self.updated = state["seen"], dict(state["updated"])


@contextmanager
def swap_weights(module: nn.Module, average: EMA | None) -> Iterator[None]:
    """Replaces the module's networks by the averaged ones inside the block, if there are any."""
    live = {} if average is None else {name: getattr(module, name) for name in average}
    for name in live:
        setattr(module, name, average[name])  # type: ignore[index]
    try:
        yield
    finally:
        for name, network in live.items():
            setattr(module, name, network)


def with_ema(method: Callable[P, R]) -> Callable[P, R]:
    """Decorator: runs a method of an ``AdversarialModule`` with the EMA weights, if there are any."""

    @wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        module: Any = args[0]
        with swap_weights(module, module.ema):
            return method(*args, **kwargs)

    return wrapped
