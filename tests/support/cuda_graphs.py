"""A backend of torch.compile for the CPU whose results are overwritten as those of CUDA graphs are.

What torch/_inductor/cudagraph_trees.py promises: within a step every result that is still used stays, however often a
network is called. When the next step begins, all results of the last one are lost: outputs, gradients, and what a forward
pass has kept for its backward pass. A step begins with ``torch.compiler.cudagraph_mark_step_begin``; as long as nobody has
called that, with each call of a compiled function that no backward pass is waited for.
"""

from collections.abc import Callable
from typing import Any

from functorch.compile import make_boxed_func
from torch import Tensor, fx
from torch._dynamo.backends.common import aot_autograd
from torch._inductor.cudagraph_trees import MarkStepBox

from ganzoo.utils.compilation import CUDA_GRAPHS


class Recorded:
    """The memory of all graphs: a tensor of a step that has ended is full of NaN.

    Attributes:
        steps: how many steps have ended.
    """

    def __init__(self) -> None:
        self.kept: list[Tensor] = []  # other objects of the same memory: autograd takes over only what nobody else holds
        self.mark, self.steps, self.backward_awaited = MarkStepBox.mark_step_counter, 0, False

    def backend(self, graph: fx.GraphModule, inputs: list[Any], mode: str | None = None) -> Callable[..., Any]:
        """The backend; in a mode without CUDA graphs nothing is overwritten."""
        if mode not in CUDA_GRAPHS:
            return aot_autograd(fw_compiler=_boxed)(graph, inputs)
        kinds = {f"{kind}_compiler": self._recording(kind) for kind in ("fw", "bw", "inference")}
        return aot_autograd(**kinds)(graph, inputs)

    def _recording(self, kind: str) -> Callable[..., Any]:
        def compiler(graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
            def replay(*inputs: Any) -> Any:
                self._end_step(kind)
                outputs = graph(*inputs)
                self.backward_awaited = kind == "fw" or (self.backward_awaited and kind != "bw")
                theirs = {value.untyped_storage().data_ptr() for value in inputs if isinstance(value, Tensor)}
                for value in outputs:
                    if isinstance(value, Tensor) and value.untyped_storage().data_ptr() not in theirs:
                        self.kept.append(value.detach())
                return outputs

            return make_boxed_func(replay)

        return compiler

    def _end_step(self, kind: str) -> None:
        mark = MarkStepBox.mark_step_counter
        if mark == self.mark and (mark or kind == "bw" or self.backward_awaited):
            return
        self.mark, self.steps = mark, self.steps + 1
        for tensor in self.kept:
            # through NumPy, so that autograd does not notice: it does not notice a CUDA graph either
            tensor.numpy().fill(float("nan") if tensor.is_floating_point() else 0)
        self.kept.clear()


def _boxed(graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    return make_boxed_func(graph.forward)
