"""torch.compile for networks: a graph that the backend cannot compile runs as it is, forward or backward."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import torch
from torch import fx

from ganzoo.errors import one_line

# modes of torch.compile that record CUDA graphs -> the same without them
CUDA_GRAPHS: dict[str | None, str | None] = {"reduce-overhead": None, "max-autotune": "max-autotune-no-cudagraphs"}
OF_ONE = 8  # variants of a network: training or not, with a gradient or without, of its input or not, the last batch's size
TORCH: Any = torch.__version__  # compares with tuples


def configure(networks: int) -> None:
    """Sets what torch.compile needs for networks that take turns, for this process."""
    dynamo: Any = torch._dynamo.config
    dynamo.recompile_limit = max(dynamo.recompile_limit, OF_ONE * networks)
    # A backward pass may run twice, in simultaneous play: it must not write into what the forward pass has kept. Torch
    # sees that only where it compiles the backward pass late.
    torch._functorch.config.donated_buffer = False
    if TORCH < (2, 14):
        # torch 2.11 takes a network's parameters for unchanged as long as its dictionaries are, and so would train a network
        # that it has compiled frozen without gradients
        dynamo.skip_tensor_guards_with_matching_dict_tags = False


class Backend:
    """A backend of torch.compile that runs a graph as it is where torch's own backend cannot compile it.

    A network that breaks the graph is several graphs, and when a later one fails the earlier ones have already moved the
    averages of batch norm and drawn random numbers. So a call is not begun again: it goes on, with the failing graph as
    torch recorded it.

    Args:
        name: name of torch's backend.
        mode: mode of torch.compile.
        dynamic: whether sizes may vary.
        strict: raise the backend's error instead.

    Attributes:
        failure: why a graph that has run could not be compiled, in one line. The caller resets it to None.

    Raises:
        RuntimeError: torch has no such backend or mode.
    """

    def __init__(self, name: str, mode: str | None, dynamic: bool | None, strict: bool) -> None:
        self.compiler: Any  # what torch.compile itself makes of the name
        if name == "inductor":
            self.compiler = torch._TorchCompileInductorWrapper(mode, None, dynamic)
        else:
            self.compiler = torch._TorchCompileWrapper(name, mode, None, dynamic)
        self.strict = strict
        self.failure: str | None = None

    def __call__(self, graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        """Compiles a graph for inputs, its backward pass included."""
        from torch._dynamo.exc import BackendCompilerFailed, TorchDynamoException
        from torch._functorch import config

        recorded = deepcopy(graph.graph)  # backends rewrite what they are given
        try:
            # torch compiles a backward pass when it is first needed, where nothing can take its place any more
            with config.patch(force_non_lazy_backward_lowering=True):
                return self.compiler(graph, inputs)
        except Exception as error:
            if self.strict or (isinstance(error, TorchDynamoException) and not isinstance(error, BackendCompilerFailed)):
                raise  # the latter are how torch's parts talk to each other
            cause = error.inner_exception if isinstance(error, BackendCompilerFailed) else error
            return self._as_it_is(fx.GraphModule(graph, recorded), one_line(cause))

    def _as_it_is(self, graph: fx.GraphModule, failure: str) -> Callable[..., Any]:
        def run(*inputs: Any) -> Any:
            self.failure = failure  # whichever network runs it: two of one class share their graphs
            return graph(*inputs)

        return run

    def reset(self) -> None:
        """Frees what the backend keeps; ``torch._dynamo.reset`` calls it."""
        self.compiler.reset()


# One object for each choice: torch compiles anew for another backend.
backend_of = cache(Backend)
