"""Dropout that stays on in evaluation, as a generator's noise, and the means to choose that noise."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd


class NoiseDropout(_DropoutNd):
    """Dropout that is always on, also in evaluation: it is the noise of the generator that learned with it.

    Args:
        p: share of the values dropped, 0 to 1; the others are divided by 1 - p.

    Attributes:
        mask: the factors 0 and 1 / (1 - p) of the values, of the input's shape, instead of new ones; None to draw them.
    """

    mask: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        if self.mask is not None:
            return input * self.mask
        return functional.dropout(input, self.p, training=True)


def noise_dropouts(network: nn.Module) -> dict[str, NoiseDropout]:
    """The :class:`NoiseDropout` layers of a network in the order of its modules: ``dropout_0``, ``dropout_1``, ..."""
    found = [part for part in network.modules() if isinstance(part, NoiseDropout)]
    return {f"dropout_{number}": part for number, part in enumerate(found)}


@torch.no_grad()
def draw_masks(network: nn.Module, run: Callable[[], Any]) -> dict[str, Tensor]:
    """Draws the dropout masks of one pass, from torch's own generator, as the pass itself would.

    Args:
        network: the network with :class:`NoiseDropout` layers, each used once in a pass.
        run: runs the network on any input of the wanted shape.

    Returns:
        The masks by the names of :func:`noise_dropouts`; each has the shape of its layer's input.
    """

    def draw(part: nn.Module, inputs: Any) -> None:
        part.mask = functional.dropout(torch.ones_like(inputs[0]), part.p, training=True)  # type: ignore[arg-type]

    layers = noise_dropouts(network)
    hooks = [layer.register_forward_pre_hook(draw) for layer in layers.values()]
    try:
        with torch.compiler.set_stance("force_eager"):  # compiled code has its own way of drawing
            run()
        return {name: layer.mask for name, layer in layers.items() if layer.mask is not None}
    finally:
        for hook, layer in zip(hooks, layers.values(), strict=True):
            hook.remove()
            layer.mask = None


@contextmanager
def given_masks(network: nn.Module, noise: Mapping[str, Tensor]) -> Iterator[None]:
    """Context: the network's :class:`NoiseDropout` layers use the masks of this noise, those without one draw theirs."""
    layers = noise_dropouts(network)
    for name, layer in layers.items():
        layer.mask = noise.get(name)
    try:
        yield
    finally:
        for layer in layers.values():
            layer.mask = None
