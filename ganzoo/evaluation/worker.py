"""How an evaluation works: alone or on several ranks, in memory or in a folder, with or without interruptions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from ganzoo.evaluation.batches import ALONE, Shard
from ganzoo.evaluation.generate import Context
from ganzoo.evaluation.table import FeatureTable
from ganzoo.utils.log import log_info
from ganzoo.utils.progress import ProgressBar
from ganzoo.utils.signals import Stops

Found = TypeVar("Found")


class Worker:
    """Works alone and in memory. A callback has a worker of its own, for all ranks of a training.

    Attributes:
        shard: the batches that are this process's.
        folder: where tables are kept, so that an interrupted evaluation can be resumed; None for memory.
        undisturbed: inside this context no signal interrupts.
    """

    shard: Shard = ALONE
    folder: Path | None = None
    undisturbed: Context = nullcontext

    def on_rank_zero(self, work: Callable[[], Found]) -> Found:
        """Rank 0 works; all ranks have its result, or raise its InputError."""
        return work()

    def on_all_ranks(self, work: Callable[[], object]) -> None:
        """Every rank works; if one raises an InputError, all do."""
        work()

    def gather(self, table: FeatureTable) -> None:
        """Gives rank 0 the rows that other ranks have written."""

    @contextmanager
    def progress(self, what: str, total: int, done: int) -> Iterator[Callable[[int], object]]:
        """Shows how many of `total` images are done; yields a function that is called with each further number."""
        with ProgressBar(total, what, done) as bar:
            yield bar.update

    def log(self, what: str, line: str) -> None:
        """Logs a line about a set of images."""
        log_info(f"{what}: {line}")


class ResumableWorker(Worker):
    """Keeps its work in a folder, and can be interrupted between two batches.

    Args:
        folder: for what an interrupted evaluation leaves, from which the next one resumes.
        stops: what interrupts it.
    """

    def __init__(self, folder: Path, stops: Stops) -> None:
        self.folder, self.undisturbed = folder, stops.defer_signals

    @contextmanager
    def progress(self, what: str, total: int, done: int) -> Iterator[Callable[[int], object]]:
        """Says also what was done before, and where it was interrupted."""
        if done:
            log_info(f"{what}: {done} of {total} images were seen before")
        with ProgressBar(total, what, done) as bar:
            try:
                yield bar.update
            except KeyboardInterrupt:
                log_info(f"stopped after {bar.done} of {total} images ({what}); the same command resumes it")
                raise
