"""Compiles the players' networks with torch.compile, in place."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import WeakSet

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ganzoo.errors import InputError, one_line
from ganzoo.utils.compilation import CUDA_GRAPHS, TORCH, backend_of, configure
from ganzoo.utils.log import log_info


class Compile(L.Callback):
    """Compiles every network of the players, each by itself (``torch.nn.Module.compile``).

    Turns, losses, freezing and optimizers are not compiled. Names of weights, checkpoints and hyperparameters do not
    change, so a run can be resumed with or without. EMA networks, which are used rarely, are not compiled.

    A network is compiled at its first call, and again for each new kind of call: training or evaluation, frozen or not,
    a last batch of another size. Networks of one class share compiled code if it fits. torch stops compiling a function
    after 8 variants; the limit is raised to 8 per network for this process.

    A network that the backend cannot compile (no C++ compiler, for example), forward or backward, runs as it is, and a line
    says why. To know that in time, the backward pass is compiled with the forward pass.

    The modes ``reduce-overhead`` and ``max-autotune`` record CUDA graphs, whose memory the next step overwrites. A batch is
    one step, and what a network returns is copied out of that memory. With ``accumulate`` above 1 gradients would have to
    stay in it: CUDA graphs are then left out, and a line says so.

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
        self._cuda_graphs = False
        self._in_step = False

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
        configure(len(networks))
        names = {network: name for name, network in pl_module.named_modules()}
        new = networks - set(self._compiled)
        mode = self._mode_for(pl_module) if new else None
        for network in new:
            network._compiled_call_impl = self._compile(network, names[network], mode)
            self._compiled.add(network)

    def _mode_for(self, module: L.LightningModule) -> str | None:
        """The mode of torch.compile for a module: without CUDA graphs where they cannot be right."""
        self._cuda_graphs = self.mode in CUDA_GRAPHS
        batches = getattr(module, "accumulate", 1)
        if not self._cuda_graphs or batches == 1:
            return self.mode
        self._cuda_graphs = False
        instead = CUDA_GRAPHS[self.mode]
        log_info(
            f"Compile takes mode {instead or 'default'} instead of {self.mode}: gradients that are accumulated over "
            f"{batches} batches would lie in the memory of CUDA graphs, which the next batch overwrites"
        )
        return instead

    def _compile(self, network: nn.Module, name: str, mode: str | None) -> Callable[..., Any]:
        """A function that calls the compiled network; where the backend fails, and from then on, the network itself."""
        # torch 2.11 compiles no frame of its own files, so nothing of an nn.Sequential; 2.14 does
        of_torch = type(network).forward.__module__.startswith("torch.") and TORCH < (2, 14)
        call = _caller(network) if of_torch else network._call_impl
        try:
            backend = backend_of(self.backend, mode, self.dynamic, self.fullgraph)
            compiled = torch.compile(call, backend=backend, dynamic=self.dynamic, fullgraph=self.fullgraph)
        except RuntimeError as error:
            first, *_ = str(error).splitlines()
            raise InputError(f"torch.compile refuses mode {self.mode} of backend {self.backend}: {first}") from None
        from torch._dynamo.exc import BackendCompilerFailed  # torch.compile has imported it

        def run(*inputs: Any, **options: Any) -> Any:
            backend.failure = None
            if self._cuda_graphs and not self._in_step and not torch.is_grad_enabled():
                torch.compiler.cudagraph_mark_step_begin()  # of many calls that generate images, each is a step
            try:
                outputs = compiled(*inputs, **options)
            except BackendCompilerFailed as failure:  # with fullgraph only
                why = one_line(failure.inner_exception)
                raise InputError(f"torch.compile cannot compile {name}: {why}") from failure
            if backend.failure:
                log_info(f"{name} runs as it is, because torch.compile cannot compile it: {backend.failure}")
                network._compiled_call_impl = None
            return tree_map_only(Tensor, torch.clone, outputs) if self._cuda_graphs else outputs

        return run

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Begins a step of CUDA graphs, which may overwrite what the batches before have left."""
        if self._cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()
        self._in_step = True

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends the step."""
        self._in_step = False


def _caller(network: nn.Module) -> Callable[..., Any]:
    """A function that calls the network, hooks included."""
    call = network._call_impl

    def forward(*inputs: Any, **options: Any) -> Any:
        return call(*inputs, **options)

    return forward


def _callable(networks: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """Yields the networks, and the members of containers without a forward pass (ModuleList)."""
    for network in networks:
        if type(network).forward is nn.Module.forward:
            yield from _callable(network.children())
        else:
            yield network
