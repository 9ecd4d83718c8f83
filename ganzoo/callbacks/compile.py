"""torch.compile of the players' networks, in place."""

from collections.abc import Iterable, Iterator
from typing import Any
from weakref import WeakSet

import lightning.pytorch as L
import torch
from torch import nn

from ganzoo.errors import InputError

OF_ONE = 8  # variants of a network: training or not, with a gradient or without, of its input or not, the last batch's size


class Compile(L.Callback):
    """Compiles every network that a player moves, each by itself (``torch.nn.Module.compile``).

    What lies between the networks stays as it is written: turns, losses, freezing, the optimizers. So do the names of the
    weights, and checkpoints and hyperparameters do not know of it: a run may go on with or without. Averaged networks,
    which are looked at now and then, are not compiled.

    A network is compiled when it is first called, and again for each way in which it is called (training or evaluation, its
    weights frozen or not, a last batch of another size). Networks of one class share what was compiled where it fits.
    torch gives up on a function after 8 variants; the limit is raised to 8 for each network, for this process.

    Args:
        mode: torch.compile's: ``default``, ``reduce-overhead``, ``max-autotune``.
        backend: torch.compile's: ``inductor``, which on the CPU needs a C++ compiler, or ``aot_eager`` to look for faults.
        dynamic: whether sizes may vary. Left out: torch sees for itself.
        fullgraph: raise an error where a network cannot be compiled as a whole.

    Raises:
        InputError: the module has no players; torch knows no such backend or mode.
    """

    def __init__(
        self,
        mode: str | None = None,
        backend: str = "inductor",
        dynamic: bool | None = None,
        fullgraph: bool = False,
    ) -> None:
        self.mode = mode
        self.backend = backend
        self.dynamic = dynamic
        self.fullgraph = fullgraph
        self._compiled: WeakSet[nn.Module] = WeakSet()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Marks the networks; those marked in an earlier stage keep what was compiled."""
        players: Any = getattr(pl_module, "players", None)
        if players is None:
            raise InputError(
                f"Compile compiles the networks of a module's players(), and {type(pl_module).__name__} has none"
            )
        networks = set(_callable(network for mine in players().values() for network in mine))
        limits: Any = torch.compiler.config
        limits.recompile_limit = max(limits.recompile_limit, OF_ONE * len(networks))
        for network in networks - set(self._compiled):
            try:
                network.compile(mode=self.mode, backend=self.backend, dynamic=self.dynamic, fullgraph=self.fullgraph)
            except RuntimeError as error:
                first, *_ = str(error).splitlines()
                raise InputError(f"torch.compile refuses mode {self.mode} of backend {self.backend}: {first}") from None
            self._compiled.add(network)


def _callable(networks: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The networks themselves; of a ModuleList or another that only holds networks, those that it holds."""
    for network in networks:
        if type(network).forward is nn.Module.forward:
            yield from _callable(network.children())
        else:
            yield network
