"""Times the loops of systems in interleaved rounds, each loop in a process of its own."""

import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Any, Self

import torch

from ganzoo.benchmark.machine import Ceiling, Load
from ganzoo.benchmark.results import LoopResult, SystemResult
from ganzoo.benchmark.systems import System
from ganzoo.benchmark.worker import (
    Failure,
    Final,
    GanzooJob,
    Job,
    Order,
    PlainJob,
    PublishedJob,
    Round,
    serve,
    serve_ceiling,
)
from ganzoo.errors import InputError
from ganzoo.interfaces import Translator

WARM_UP = 2  # steps of each loop before its rounds


def start_method() -> BaseContext:
    """Returns how processes are started: forked from one that has imported what they need, where the system can do so."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ganzoo.benchmark.worker"])
    return context


class Process:
    """Another process and the pipe to it; it ends with the block.

    Args:
        target: what it runs, with its end of the pipe as the first argument.
        arguments: the others.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        context = start_method()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=target, args=(theirs, *arguments), daemon=True)  # type: ignore[attr-defined]
        self.process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.connection.close()
        if error is not None:
            self.process.terminate()
        self.process.join()

    def receive(self) -> Any:
        """Waits for an object.

        Raises:
            InputError: the process has failed, or has been killed.
        """
        try:
            found = self.connection.recv()
        except EOFError as error:
            self.process.join()
            code = self.process.exitcode
            raise InputError(f"a process of the benchmark was ended (exit code {code}): is there memory enough?") from error
        if isinstance(found, Failure):
            raise InputError(f"a process of the benchmark failed: {found.line}")
        return found


class Worker(Process):
    """A loop in a process of its own.

    Args:
        job: the loop.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(serve, job)
        self.job = job
        self.rounds: list[Round] = []

    def run(self, order: Order) -> Round:
        """Runs steps and waits for them."""
        self.connection.send(order)
        return self.receive()  # type: ignore[no-any-return]

    def finish(self) -> Final:
        """Ends the loop."""
        self.connection.send(None)
        return self.receive()  # type: ignore[no-any-return]


def ceiling(device: str, precision: str) -> Ceiling:
    """Measures the machine's arithmetic, in a process of its own."""
    with Process(serve_ceiling, device, precision) as process:
        return process.receive()  # type: ignore[no-any-return]


def jobs(system: System, device: str, precisions: Sequence[str]) -> list[Job]:
    """Returns the loops of a system: ganzoo and plain PyTorch in each precision, and the published code in float32."""
    found: list[Job] = [kind(system, device, precision) for precision in precisions for kind in (GanzooJob, PlainJob)]
    return [*found, PublishedJob(system, device, "32-true")] if system.published else found


def measure(
    name: str,
    system: System,
    device: str = "cpu",
    precisions: Sequence[str] = ("32-true",),
    ceilings: dict[str, Ceiling] | None = None,
    rounds: int = 5,
    steps: int = 5,
    done: Callable[[int], None] = lambda steps: None,
) -> SystemResult:
    """Times a system's loops: in each round one after the other, each round beginning with another one.

    Args:
        name: the system's name, for the result.
        system: the system.
        device: "cpu" or "cuda".
        precisions: Lightning's names, for ganzoo and the plain loop; published code runs in float32.
        ceilings: the machine's arithmetic by precision; measured if left out.
        rounds: how many.
        steps: training steps of each loop in a round; made a multiple of the system's cycle.
        done: called with the number of steps after each part of the work.

    Raises:
        InputError: a process failed.
    """
    cycle = system.build().cycle
    steps = -(-steps // cycle) * cycle
    if ceilings is None:
        ceilings = {precision: ceiling(device, precision) for precision in precisions}
    other_work: list[float] = []
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(job)) for job in jobs(system, device, precisions)]
        for worker in workers:
            worker.run(Order(max(WARM_UP, cycle)))
            done(max(WARM_UP, cycle))
        for turn in range(rounds):
            first = turn % len(workers)
            for worker in workers[first:] + workers[:first]:
                load = Load.now()
                worker.rounds.append(worker.run(Order(steps)))
                other = load.other_work(worker.rounds[-1].processor)
                other_work += [] if other is None else [other]
                done(steps)
        results = []
        for worker in workers:
            split = None
            if isinstance(worker.job, GanzooJob):
                split = worker.run(Order(steps, split=True)).split
                done(steps)
            final = worker.finish()
            seconds = [each.seconds for each in worker.rounds]
            processor = [each.processor / steps for each in worker.rounds]
            label, precision = worker.job.label, worker.job.precision
            results.append(LoopResult(label, precision, seconds, processor, final.memory, final.operations, split))
    return SystemResult(
        name, system.summary, system.published, system.size, system.batch_size, results, ceilings, other_work
    )


def refuse_size(name: str, system: System) -> None:
    """Refuses a size that the system's networks cannot have.

    Args:
        name: the system's name, for the error.
        system: the system.

    Raises:
        InputError: they cannot be built for it, or do not take images of it.
    """
    try:
        with torch.device("meta"):  # no weights
            model = system.build().model()
    except InputError as error:
        raise InputError(f"--size {system.size}, {name}: {error}") from error
    if isinstance(model, Translator):
        least = -(-max(model.least_size, 1) // model.size_multiple) * model.size_multiple
        if system.size % model.size_multiple or system.size < least:
            raise InputError(f"--size {system.size}, {name}: give a multiple of {model.size_multiple}, at least {least}")


def planned_steps(system: System, precisions: Sequence[str], rounds: int, steps: int) -> int:
    """Counts the steps that :func:`measure` reports to ``done``."""
    cycle = system.build().cycle
    steps = -(-steps // cycle) * cycle
    loops = len(jobs(system, "cpu", precisions))
    return loops * (max(WARM_UP, cycle) + rounds * steps) + len(precisions) * steps
