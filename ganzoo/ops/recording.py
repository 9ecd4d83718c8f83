"""Records the steps of a network: the functions of torch that it calls, as :mod:`ganzoo.ops.regions` has them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ganzoo.ops.region_convolutions import Convolution, Padding, Repetition, TransposedConvolution
from ganzoo.ops.region_norms import Noise, WholeNorm
from ganzoo.ops.regions import NotTileableError, Pixelwise, Source, Step, Unknown, leaves


def _instance_norm(
    input: Step,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Step:
    if use_input_stats:
        return WholeNorm(input, None, weight, bias, eps)
    return Pixelwise(F.batch_norm, (input, running_mean, running_var, weight, bias, False, momentum, eps), {})


def _batch_norm(
    input: Step,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Step:
    return _instance_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _group_norm(
    input: Step, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Step:
    return WholeNorm(input, num_groups, weight, bias, eps)


def _dropout(input: Step, p: float = 0.5, training: bool = True, inplace: bool = False) -> Step:
    return Noise(input, p) if training and p else Pixelwise(torch.clone, (input,), {})


def _cat(tensors: Sequence[Any], dim: int = 0) -> Step:
    if dim not in (1, -3):
        raise NotTileableError(f"cat along dimension {dim}")
    return Pixelwise(torch.cat, (list(tensors), 1), {})


def _interpolate(
    input: Step,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Step:
    times = scale_factor if isinstance(scale_factor, int | float) else 0.0  # an output of a given size is not repeated
    if mode != "nearest" or times < 1 or times != int(times):
        raise NotTileableError(f"interpolate with scale_factor={scale_factor} and mode={mode!r}")
    return Repetition(input, int(times))


_KNOWN: dict[Any, Callable[..., Step]] = {
    F.conv2d: Convolution,
    F.conv_transpose2d: TransposedConvolution,
    F.pad: Padding,
    F.instance_norm: _instance_norm,
    F.batch_norm: _batch_norm,
    F.group_norm: _group_norm,
    F.dropout: _dropout,
    F.interpolate: _interpolate,
    torch.cat: _cat,
    torch.concat: _cat,
}
_OF_A_PIXEL: set[Any] = {
    *(F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.softplus, F.hardtanh, F.hardswish),
    *(F.tanh, F.sigmoid, torch.relu, torch.tanh, torch.sigmoid, torch.add, torch.sub, torch.mul, torch.div, torch.neg),
    *(torch.clamp, torch.clone, Tensor.relu, Tensor.tanh, Tensor.sigmoid, Tensor.add, Tensor.sub, Tensor.mul, Tensor.div),
    *(Tensor.neg, Tensor.clamp, Tensor.clone, Tensor.detach, Tensor.contiguous, Tensor.to, Tensor.float, Tensor.double),
    *(Tensor.half, Tensor.bfloat16, Tensor.__radd__, Tensor.__rmul__, Tensor.__rsub__, Tensor.__add__, Tensor.__mul__),
    *(Tensor.__sub__, Tensor.__truediv__),
}
_IN_PLACE: dict[Any, Any] = {
    Tensor.add_: torch.add,
    Tensor.__iadd__: torch.add,
    Tensor.mul_: torch.mul,
    Tensor.__imul__: torch.mul,
    Tensor.relu_: torch.relu,
    torch.relu_: torch.relu,
    Tensor.tanh_: torch.tanh,
    torch.tanh_: torch.tanh,
    Tensor.clamp_: torch.clamp,
}


def record(network: Callable[[Tensor], Tensor], example: Tensor) -> list[Step]:
    """Records the steps from an image to a network's output.

    Args:
        network: is run once. What it does must not depend on the image's size or values.
        example: an image [1, C, H, W] that it takes.

    Returns:
        The steps that the output needs, each after its inputs: the :class:`Source` first, the output last.

    Raises:
        NotTileableError: a step is of an unknown kind, or the output has another height or width than the image.
    """
    recorder = _Recorder(example)
    with recorder, torch.no_grad():
        output = network(example)
    last = recorder.step_of(output)
    if last is None or output.shape[2:] != example.shape[2:]:
        raise NotTileableError(f"the output, {list(output.shape)} of {list(example.shape)}")
    needed, waiting = set(), [last]
    while waiting:
        step = waiting.pop()
        if step not in needed:
            needed.add(step)
            waiting += step.inputs
    steps = [step for step in recorder.steps if step in needed]
    for step in steps:
        if isinstance(step, Unknown):
            raise NotTileableError(step.name)
    return steps


class _Recorder(TorchFunctionMode):
    """Context: notes every function of torch that has to do with an image."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._known: dict[int, tuple[Tensor, Step]] = {}  # with the tensor, so that its id stays its own
        self._note(image, Source())

    def step_of(self, value: Any) -> Step | None:
        """The step that a tensor is the output of."""
        found = self._known.get(id(value))
        return None if found is None or found[0] is not value else found[1]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        result = func(*args, **options)
        made = [each for each in leaves(result) if isinstance(each, Tensor)]
        taken = [each for each in leaves([args, options]) if self.step_of(each) is not None]
        if made and taken:
            step = self._step(func, args, options, result, taken)
            for each in made:
                self._note(each, step if len(made) == 1 else Unknown(_name(func)))
        return result

    def _note(self, tensor: Tensor, step: Step) -> None:
        if isinstance(step, Unknown) or tensor.ndim != 4:
            step = Unknown(getattr(step, "name", type(step).__name__))
        else:
            step.channels, step.dtype = tensor.shape[1], tensor.dtype
        self.steps.append(step)
        self._known[id(tensor)] = tensor, step

    def _step(self, func: Any, args: Any, options: dict[str, Any], result: Any, taken: Sequence[Tensor]) -> Step:
        for each in map(self.step_of, taken):
            if isinstance(each, Unknown):
                return each
        args, options = self._with_steps(args), self._with_steps(options)
        function = _IN_PLACE.get(func, func)
        try:
            if function in _KNOWN:
                step = _KNOWN[function](*args, **options)
            elif function in _OF_A_PIXEL or function in _IN_PLACE.values():
                options = {name: value for name, value in options.items() if name != "inplace"}
                step = Pixelwise(function, args, options)
            else:
                return Unknown(_name(func))
        except (NotTileableError, TypeError) as error:
            return Unknown(str(error))
        # a map of another size, or a constant that differs from pixel to pixel, would be broadcast
        others = [each for each in leaves([args, options]) if isinstance(each, Tensor)]
        fixed = all(each.numel() == 1 or (each.ndim > 2 and each.shape[-2:].numel() == 1) for each in others)
        sizes = {each.shape[2:] for each in taken}
        if isinstance(step, Pixelwise) and step.function not in (F.batch_norm,) and not (fixed and len(sizes) == 1):
            return Unknown(f"{_name(func)} of maps of several sizes")
        return step

    def _with_steps(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self.step_of(value) or value
        if isinstance(value, list | tuple):
            return [self._with_steps(each) for each in value]
        if isinstance(value, dict):
            return {name: self._with_steps(each) for name, each in value.items()}
        return value


def _name(func: Any) -> str:
    return str(getattr(func, "__name__", func))
