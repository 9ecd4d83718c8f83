"""Splits the time of a training step in Lightning into data, forward, backward, optimizer and framework."""

import time
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.profilers import Profiler
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from ganzoo.benchmark.machine import wait_for_device


@dataclass(frozen=True)
class Split:
    """Seconds of a step, by part. They add up to the step.

    Attributes:
        data: the loader's next batch, its way to the device, its conversion to floats.
        forward: ``training_step`` without the next two: networks, losses, penalties, the grammar's own lines.
        backward: the backward passes.
        optimizer: the steps of the optimizers.
        framework: all else: Lightning's loop, its hooks and ganzoo's, the log.
    """

    data: float
    forward: float
    backward: float
    optimizer: float
    framework: float


class Stopwatch(Profiler):
    """Measures the parts of training steps, while it is told to.

    Lightning tells it of batches and training steps as its profiler, and of backward passes through ``callback``; torch's
    hooks tell it of optimizers. On CUDA it waits for the device at every border.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.running = device, False
        self.seconds: dict[str, float] = {}
        self._began: dict[str, list[float]] = {}  # a part may lie in another of the same name
        self.callback = _Backward(self)
        self._hooks = [
            register_optimizer_step_pre_hook(lambda *_: self.begin("optimizer")),
            register_optimizer_step_post_hook(lambda *_: self.end("optimizer")),
        ]

    def begin(self, part: str) -> None:
        """A part of the step begins."""
        if self.running:
            wait_for_device(self.device)
            self._began.setdefault(part, []).append(time.perf_counter())

    def end(self, part: str) -> None:
        """A part of the step ends; one that began before the stopwatch ran is left out."""
        if self.running and self._began.get(part):
            wait_for_device(self.device)
            start = self._began[part].pop()
            if not self._began[part]:
                self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def start(self, action_name: str) -> None:
        """Called by Lightning."""
        if (part := _part(action_name)) is not None:
            self.begin(part)

    def stop(self, action_name: str) -> None:
        """Called by Lightning."""
        if (part := _part(action_name)) is not None:
            self.end(part)

    def run(self) -> None:
        """Begins to measure."""
        self.seconds, self._began, self.running = {}, {}, True

    def halt(self, seconds: float, steps: int) -> Split:
        """Ends measuring.

        Args:
            seconds: from ``run`` until now.
            steps: training steps since then.
        """
        self.running = False
        names = ("data", "training_step", "backward", "optimizer")
        data, step, backward, optimizer = (self.seconds.get(name, 0.0) / steps for name in names)
        return Split(data, step - backward - optimizer, backward, optimizer, seconds / steps - data - step)

    def close(self) -> None:
        """Removes the hooks."""
        for hook in self._hooks:
            hook.remove()


class _Backward(L.Callback):
    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch

    def on_before_backward(self, *_: Any) -> None:
        self.stopwatch.begin("backward")

    def on_after_backward(self, *_: Any) -> None:
        self.stopwatch.end("backward")


def _part(action: str) -> str | None:
    """The part that an action of Lightning's belongs to; None for others."""
    if action.endswith((".train_dataloader_next", ".batch_to_device")):
        return "data"
    return "training_step" if action.startswith("[Strategy]") and action.endswith(".training_step") else None
