"""Stores the players' networks with channels last in memory."""

from typing import Any

import lightning.pytorch as L
import torch

from ganzoo.errors import InputError


class ChannelsLast(L.Callback):
    """Stores the weights of the players' convolutions with channels last in memory (``torch.channels_last``).

    Their outputs then have this layout too. It is quicker for some networks and devices and slower for others; the page
    Precision of the docs has what was measured. The mathematics is the same. Sums are rounded in another order, and dropout
    draws other masks. Weights keep their names and shapes, and a run can be resumed with or without.

    Args:
        only_avx512: leave the weights as they are unless the device is a CPU with AVX-512, where this was measured to be
            quicker for the networks of the configs that have this callback.

    Raises:
        InputError: the module has no players.
    """

    def __init__(self, only_avx512: bool = False) -> None:
        self.only_avx512 = only_avx512

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Changes the layout of the weights."""
        players: Any = getattr(pl_module, "players", None)
        if players is None:
            raise InputError(
                f"ChannelsLast is for the networks of a module's players(), and {type(pl_module).__name__} has none"
            )
        if self.only_avx512 and not _has_avx512(trainer.strategy.root_device):
            return
        for network in (network for mine in players().values() for network in mine):
            network.to(memory_format=torch.channels_last)


def _has_avx512(device: torch.device) -> bool:
    """Whether the device is a CPU on which torch uses AVX-512."""
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"
