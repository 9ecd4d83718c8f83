"""Runs one loop of one system in a process of its own, as many steps at a time as it is told.

Each loop has its own process. So the peak memory of the process is the loop's, and the allocator is as the loop's user has
it: ganzoo and the plain loop keep freed memory (``ganzoo.utils.allocator``), as ``ganzoo fit`` does; others do not.
"""

import logging
import signal
import tempfile
import time
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, ClassVar

import lightning.pytorch as L
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader
from torch.utils.flop_counter import flop_registry

from ganzoo.benchmark.loops.base import Loop
from ganzoo.benchmark.machine import Ceiling, measure_ceiling, peak_memory, wait_for_device
from ganzoo.benchmark.setups import Setup
from ganzoo.benchmark.stopwatch import Split, Stopwatch
from ganzoo.benchmark.systems import System
from ganzoo.data.batches import as_float
from ganzoo.utils.allocator import keep_freed_memory

PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16}


@dataclass(frozen=True)
class Order:
    """Steps to run.

    Attributes:
        steps: how many.
        split: whether to measure the parts of a step; ganzoo's loop only.
    """

    steps: int
    split: bool = False


@dataclass(frozen=True)
class Round:
    """What an order took.

    Attributes:
        seconds: wall-clock time of a step.
        processor: processor time of all steps together, all threads.
        split: the parts of a step, if they were asked for.
    """

    seconds: float
    processor: float
    split: Split | None = None


@dataclass(frozen=True)
class Final:
    """What is known at the end of a loop.

    Attributes:
        memory: peak memory in bytes; None if it is not known.
        operations: floating-point operations of a step as torch counts them; None where they were not counted.
    """

    memory: int | None
    operations: float | None = None


class Orders(ABC):
    """Gives orders and takes their results."""

    @abstractmethod
    def wait(self) -> Order | None:
        """Waits for the next order; None at the end."""

    @abstractmethod
    def answer(self, result: Round | Final) -> None:
        """Takes what an order took."""


class PipeOrders(Orders):
    """Orders of another process.

    Args:
        connection: its end of a pipe.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def wait(self) -> Order | None:
        return self.connection.recv()  # type: ignore[no-any-return]

    def answer(self, result: Round | Final) -> None:
        self.connection.send(result)


class Timer:
    """Times an order.

    Args:
        order: the order, which begins now.
        device: "cpu" or "cuda".
        stopwatch: measures the parts of the steps, where the order asks for them.
    """

    def __init__(self, order: Order, device: str, stopwatch: Stopwatch | None = None) -> None:
        self.order, self.device, self.left = order, device, order.steps
        self.stopwatch = stopwatch if order.split else None
        wait_for_device(device)
        if self.stopwatch is not None:
            self.stopwatch.run()
        self.start, self.processor = time.perf_counter(), time.process_time()

    def stop(self) -> Round:
        """The last step has ended."""
        wait_for_device(self.device)
        seconds, processor = time.perf_counter() - self.start, time.process_time() - self.processor
        split = None if self.stopwatch is None else self.stopwatch.halt(seconds, self.order.steps)
        return Round(seconds / self.order.steps, processor, split)


@dataclass(frozen=True)
class Job(ABC):
    """A loop of a system to be timed.

    Attributes:
        system: the system.
        device: "cpu" or "cuda".
        precision: Lightning's name, "32-true" or "bf16-mixed".
    """

    system: System
    device: str
    precision: str
    label: ClassVar[str]

    def work(self, orders: Orders) -> None:
        """Builds model and data, and carries out orders until there are no more."""
        torch.manual_seed(0)
        setup = self.system.build()
        self.train(setup, setup.loader(self.system.batch_size), orders)

    @abstractmethod
    def train(self, setup: Setup, loader: DataLoader, orders: Orders) -> None:
        """Carries out orders."""


class GanzooJob(Job):
    """The model trained by Lightning, as ``ganzoo fit`` does, without checkpoints, sample images and progress bar."""

    label = "ganzoo"

    def train(self, setup: Setup, loader: DataLoader, orders: Orders) -> None:
        keep_freed_memory()
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        stopwatch = Stopwatch(self.device)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = L.Trainer(
                accelerator="gpu" if self.device == "cuda" else "cpu",
                devices=1,
                precision=self.precision,  # type: ignore[arg-type]
                max_epochs=1,
                logger=CSVLogger(folder),
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[Obey(orders, self.device, stopwatch), stopwatch.callback, *setup.callbacks()],
                profiler=stopwatch,
            )
            trainer.fit(setup.model(), datamodule=FloatImages(loader))
        stopwatch.close()
        orders.answer(Final(peak_memory(self.device)))


class PlainJob(Job):
    """The plain loop."""

    label = "plain PyTorch"

    def train(self, setup: Setup, loader: DataLoader, orders: Orders) -> None:
        keep_freed_memory()
        run_loop(setup.plain(setup.model().to(self.device), PRECISIONS[self.precision]), loader, setup.cycle, orders)


class PublishedJob(Job):
    """The published code's loop, in float32 as published."""

    label = "published code"

    def train(self, setup: Setup, loader: DataLoader, orders: Orders) -> None:
        assert setup.published is not None
        run_loop(setup.published(setup.model().to(self.device)), loader, setup.cycle, orders)


def run_loop(loop: Loop, loader: DataLoader, cycle: int, orders: Orders) -> None:
    """Carries out orders with a loop in plain PyTorch; then counts the operations of a step.

    Args:
        loop: the loop.
        loader: batches of uint8 images.
        cycle: steps after which a step is like the first again.
        orders: what to run.
    """
    torch.backends.cudnn.benchmark = loop.cudnn_benchmark
    batches = _on_device(loader, loop.device)
    while (order := orders.wait()) is not None:
        timer = Timer(order, loop.device.type)
        for _ in range(order.steps):
            loop.step(next(batches))
        orders.answer(timer.stop())
    memory = peak_memory(loop.device.type)
    orders.answer(Final(memory, count_operations(loop, [next(batches) for _ in range(cycle)])))


def count_operations(loop: Loop, batches: list[Any]) -> float:
    """Counts the floating-point operations of a step: matrix products and convolutions, forward and backward.

    Args:
        loop: the loop, which trains on.
        batches: one for each step that is counted; the mean is returned.
    """
    with Operations() as counter:
        for batch in batches:
            loop.step(batch)
    return counter.total / len(batches)


class Operations(TorchDispatchMode):
    """Counts the operations of all that runs inside of it, by torch's own formulas (``torch.utils.flop_counter``).

    ``FlopCounterMode`` fails where gradients are differentiated again, as in a gradient penalty.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def _on_device(loader: DataLoader, device: torch.device) -> Iterator[Any]:
    for batch in loader:
        yield as_float(type(batch)(*(field.to(device) for field in batch)))


class FloatImages(L.LightningDataModule):
    """A loader of uint8 images for Lightning, converted on the device, as ganzoo's own DataModules do.

    Args:
        loader: the loader.
    """

    def __init__(self, loader: DataLoader) -> None:
        super().__init__()
        self.loader = loader

    def train_dataloader(self) -> DataLoader:
        """Returns the loader."""
        return self.loader

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Converts uint8 images to floats."""
        return as_float(batch)


class Obey(L.Callback):
    """Holds a training between two batches until there is an order, and ends it when there are no more.

    Args:
        orders: what to run.
        device: "cpu" or "cuda".
        stopwatch: for the parts of the steps.
    """

    def __init__(self, orders: Orders, device: str, stopwatch: Stopwatch) -> None:
        self.orders, self.device, self.stopwatch = orders, device, stopwatch

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Waits for the first order."""
        self._next(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Counts the step; answers after the last of an order, and waits for the next."""
        assert self.timer is not None
        self.timer.left -= 1
        if self.timer.left == 0:
            self.orders.answer(self.timer.stop())
            self._next(trainer)

    def _next(self, trainer: L.Trainer) -> None:
        order = self.orders.wait()
        self.timer = None if order is None else Timer(order, self.device, self.stopwatch)
        if order is None:
            trainer.should_stop = True


@dataclass(frozen=True)
class Failure:
    """A process has failed.

    Attributes:
        line: the error, in one line.
        trace: where.
    """

    line: str
    trace: str


def serve(connection: Connection, job: Job) -> None:
    """Runs a job in this process, told by another through a pipe."""
    with _reported(connection):
        job.work(PipeOrders(connection))


def serve_ceiling(connection: Connection, device: str, precision: str) -> None:
    """Measures the machine's arithmetic in this process, and sends it to another."""
    with _reported(connection):
        found: Ceiling = measure_ceiling(device, PRECISIONS[precision] is not None)
        connection.send(found)


@contextmanager
def _reported(connection: Connection) -> Iterator[None]:
    """Sends an error to the process that waits for this one; leaves quietly where that one has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the first process, which ends this one
    try:
        yield
    except Exception as error:
        with suppress(OSError):
            connection.send(Failure(f"{type(error).__name__}: {error}".split("\n")[0], traceback.format_exc()))
