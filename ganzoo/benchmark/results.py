"""What ``ganzoo bench`` has measured. Imports no torch."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganzoo.benchmark.machine import Ceiling
    from ganzoo.benchmark.stopwatch import Split

BUSY = 0.2  # cores that other work may use before the machine is called busy


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of several numbers."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        """Computes them; at least one number."""
        return cls(statistics.median(numbers), min(numbers), max(numbers))


@dataclass(frozen=True)
class LoopResult:
    """What one loop of a system took.

    Attributes:
        label: which loop.
        precision: "32-true" or "bf16-mixed".
        seconds: wall-clock time of a step, one number for each round.
        processor: processor time of a step, all threads together, one number for each round.
        memory: peak memory of its process in bytes; None if it is not known.
        operations: floating-point operations of a step; None where they were not counted.
        split: the parts of a step; None where they were not measured.
    """

    label: str
    precision: str
    seconds: Sequence[float]
    processor: Sequence[float]
    memory: int | None = None
    operations: float | None = None
    split: "Split | None" = None

    @property
    def step(self) -> Spread:
        """Wall-clock seconds of a step."""
        return Spread.of(self.seconds)

    @property
    def cpu(self) -> Spread:
        """Seconds of processor time of a step; other work on the machine changes them less."""
        return Spread.of(self.processor)

    def over(self, other: "LoopResult") -> Spread:
        """Computes this loop's time divided by another's, round by round."""
        return Spread.of([a / b for a, b in zip(self.seconds, other.seconds, strict=True)])

    def cpu_over(self, other: "LoopResult") -> float:
        """Computes the median over the rounds of this loop's processor time divided by another's."""
        return statistics.median(a / b for a, b in zip(self.processor, other.processor, strict=True))


@dataclass(frozen=True)
class SystemResult:
    """What the loops of a system took, in interleaved rounds.

    Attributes:
        name: the system's.
        summary: what it is.
        published: the repository whose loop is among the loops; None if there is none.
        size: pixels of an image's side.
        batch_size: samples in a batch.
        loops: first ganzoo and plain PyTorch in each precision, then the published code.
        ceilings: the machine's arithmetic by precision.
        other_work: cores that other work used in each round; empty if it is not known.
    """

    name: str
    summary: str
    published: str | None
    size: int
    batch_size: int
    loops: Sequence[LoopResult]
    ceilings: "Mapping[str, Ceiling]"
    other_work: Sequence[float]

    @property
    def reference(self) -> LoopResult:
        """The loop that others are compared with: the published code's, or the plain loop where there is none."""
        return self.loops[-1] if self.published else self.loops[1]

    @property
    def is_busy(self) -> bool:
        """Whether other work has used more of the machine than times can bear."""
        return bool(self.other_work) and statistics.median(self.other_work) > BUSY

    def plain(self, precision: str) -> LoopResult:
        """Returns the plain loop in a precision."""
        found = [loop for loop in self.loops if loop.precision == precision]
        return found[1]

    def floor(self, precision: str) -> float:
        """Computes seconds of a step at the machine's ceiling: the plain loop's operations over operations per second."""
        operations = self.plain(precision).operations
        assert operations is not None
        return operations / self.ceilings[precision].best
