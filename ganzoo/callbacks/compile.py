"""Compiles the players' networks with torch.compile, in place."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import WeakSet

import lightning.pytorch as L
import torch
from torch import nn

from ganzoo.errors import InputError, one_line
from ganzoo.utils.log import log_info

OF_ONE = 8  # variants of a network: training or not, with a gradient or without, of its input or not, the last batch's size


class Compile(L.Callback):
    """Compiles every network of the players, each by itself (``torch.nn.Module.compile``).

    Turns, losses, freezing and optimizers are not compiled. Names of weights, checkpoints and hyperparameters do not
    change, so a run can be resumed with or without. EMA networks, which are used rarely, are not compiled.

    A network is compiled at its first call, and again for each new kind of call: training or evaluation, frozen or not,
    a last batch of another size. Networks of one class share compiled code if it fits. torch stops compiling a function
    after 8 variants; the limit is raised to 8 per network for this process.

    A network whose forward pass the backend cannot compile (no C++ compiler, for example) runs as it is, and a line says
    why. torch compiles a backward pass when it is first needed; a backend that fails only there ends the run.

    A discriminator whose gradient is penalised (``GradientPenalty``, ``R1``, ``R2``) is not compiled, because torch compiles
    no second derivative.

    Args:
        mode: mode of torch.compile: ``default``, ``reduce-overhead``, ``max-autotune``.
        backend: backend of torch.compile: ``inductor``, which needs a C++ compiler on the CPU, or ``aot_eager`` for
            debugging.
        dynamic: whether sizes may vary. Default: torch decides.
        fullgraph: raise an error if a network cannot be compiled, or not as one graph.

    Raises:
        InputError: the module has no players, or torch has no such backend or mode; while training with `fullgraph`, the
            backend cannot compile a network.
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
        """Marks the networks for compilation; networks that an earlier stage compiled stay compiled."""
        players: Any = getattr(pl_module, "players", None)
        if players is None:
            raise InputError(
                f"Compile compiles the networks of a module's players(), and {type(pl_module).__name__} has none"
            )
        penalties = [part.name for part in getattr(pl_module, "regularizers", ()) if part.differentiates]
        if penalties:
            log_info(
                f"Compile leaves the discriminator as it is: torch compiles no second derivative, as {penalties[0]} needs"
            )
        playing = [mine for name, mine in players().items() if not (penalties and name.startswith("discriminator"))]
        networks = set(_callable(network for mine in playing for network in mine))
        limits: Any = torch.compiler.config
        version: Any = torch.__version__  # compares with tuples
        limits.recompile_limit = max(limits.recompile_limit, OF_ONE * len(networks))
        names = {network: name for name, network in pl_module.named_modules()}
        for network in networks - set(self._compiled):
            try:
                # torch 2.11 compiles no frame of its own files, so nothing of an nn.Sequential; 2.14 does
                of_torch = type(network).forward.__module__.startswith("torch.") and version < (2, 14)
                compiled = _caller(network) if of_torch else network._call_impl
                compiled = torch.compile(
                    compiled, mode=self.mode, backend=self.backend, dynamic=self.dynamic, fullgraph=self.fullgraph
                )
                network._compiled_call_impl = _or_as_it_is(network, names[network], compiled, self.fullgraph)
            except RuntimeError as error:
                first, *_ = str(error).splitlines()
                raise InputError(f"torch.compile refuses mode {self.mode} of backend {self.backend}: {first}") from None
            self._compiled.add(network)


def _caller(network: nn.Module) -> Callable[..., Any]:
    """A function that calls the network, hooks included."""
    call = network._call_impl

    def forward(*inputs: Any, **options: Any) -> Any:
        return call(*inputs, **options)

    return forward


def _or_as_it_is(network: nn.Module, name: str, compiled: Callable[..., Any], strict: bool) -> Callable[..., Any]:
    """A function that calls the compiled network; where its backend fails, and from then on, the network itself."""
    from torch._dynamo.exc import BackendCompilerFailed  # torch.compile has imported it

    def call(*inputs: Any, **options: Any) -> Any:
        try:
            return compiled(*inputs, **options)
        except BackendCompilerFailed as failure:  # while compiling: of a whole graph nothing has been computed yet
            why = one_line(failure.inner_exception)
            if strict:
                raise InputError(f"torch.compile cannot compile {name}: {why}") from failure
            log_info(f"{name} runs as it is, because torch.compile cannot compile it: {why}")
            network._compiled_call_impl = None
            return network._call_impl(*inputs, **options)

    return call


def _callable(networks: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """Yields the networks, and the members of containers without a forward pass (ModuleList)."""
    for network in networks:
        if type(network).forward is nn.Module.forward:
            yield from _callable(network.children())
        else:
            yield network
