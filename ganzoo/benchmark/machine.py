"""Reads what the machine is and how busy it is, and measures its arithmetic. Imports no torch before it measures."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

STAT, CPUINFO, STATUS = Path("/proc/stat"), Path("/proc/cpuinfo"), Path("/proc/self/status")
MEASURED_FOR = 0.3  # seconds for each shape of the ceilings


def cpu_name() -> str:
    """Returns the processor's name and the features that matter here: ``AMD EPYC 9B45, avx512f, avx512_bf16``."""
    try:
        lines = [line.partition(":") for line in CPUINFO.read_text().splitlines()]
    except OSError:
        return platform.processor() or platform.machine()
    found = {key.strip(): value.strip() for key, _, value in lines}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in found.get("flags", "").split()]
    return ", ".join([found.get("model name") or platform.machine(), *flags])


def device_name(device: str) -> str:
    """Returns the name of the processor, or of the first CUDA device."""
    if device == "cpu":
        return cpu_name()
    import torch

    return torch.cuda.get_device_name(0)


@dataclass(frozen=True)
class Load:
    """Processor time that the whole machine has used, at one moment.

    Attributes:
        wall: seconds of a clock that only goes forward.
        busy: seconds of processor time of all processes since the start, and what a hypervisor took; None if not known.
    """

    wall: float
    busy: float | None

    @classmethod
    def now(cls) -> "Load":
        """Reads the counters (Linux; elsewhere ``busy`` is None)."""
        try:
            fields = [int(field) for field in STAT.read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return cls(time.perf_counter(), None)
        user, nice, system, _idle, _waiting, irq, softirq, stolen = fields
        return cls(time.perf_counter(), (user + nice + system + irq + softirq + stolen) / os.sysconf("SC_CLK_TCK"))

    def other_work(self, own: float) -> float | None:
        """Computes how many cores other work has used since this moment.

        Args:
            own: seconds of processor time that the benchmark itself has used since then.

        Returns:
            A mean number of cores, at least 0; None if it is not known.
        """
        later = Load.now()
        if self.busy is None or later.busy is None or later.wall <= self.wall:
            return None
        return max(later.busy - self.busy - own, 0.0) / (later.wall - self.wall)


def peak_memory(device: str) -> int | None:
    """Returns this process's peak resident memory in bytes; on CUDA that of the tensors. None if it is not known."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    try:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1]) * 1024


@dataclass(frozen=True)
class Ceiling:
    """The fastest arithmetic that was measured, in operations per second (a multiplication and an addition are two).

    Attributes:
        product: of matrix products.
        convolution: of 3 x 3 convolutions.
    """

    product: float
    convolution: float

    @property
    def best(self) -> float:
        """The larger of the two."""
        return max(self.product, self.convolution)


def measure_ceiling(device: str, lower: bool, seconds: float = MEASURED_FOR) -> Ceiling:
    """Measures matrix products and convolutions of several shapes, and keeps the fastest of each.

    Args:
        device: "cpu" or "cuda".
        lower: whether in bfloat16 instead of float32.
        seconds: time for each shape.
    """
    import torch
    from torch.nn.functional import conv2d

    dtype = torch.bfloat16 if lower else torch.float32

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device).to(dtype)

    def products() -> Iterator[tuple[float, Callable[[], object]]]:
        for n in (512, 1024, 2048) if device == "cpu" else (2048, 4096, 8192):
            a, b = random(n, n), random(n, n)
            yield 2.0 * n**3, lambda a=a, b=b: a @ b  # type: ignore[misc]

    def convolutions() -> Iterator[tuple[float, Callable[[], object]]]:
        batch = 4 if device == "cpu" else 64
        for channels, size in ((64, 64), (128, 32), (256, 32), (256, 16)):
            for layout in (torch.contiguous_format, torch.channels_last):
                x = random(batch, channels, size, size).contiguous(memory_format=layout)
                w = random(channels, channels, 3, 3).contiguous(memory_format=layout)
                operations = 2.0 * batch * channels**2 * size**2 * 9
                yield operations, lambda x=x, w=w: conv2d(x, w, padding=1)  # type: ignore[misc]

    def fastest(works: Iterator[tuple[float, Callable[[], object]]]) -> float:
        return max(operations / _least_seconds(work, device, seconds) for operations, work in works)

    with torch.no_grad():
        return Ceiling(fastest(products()), fastest(convolutions()))


def wait_for_device(device: str) -> None:
    """Waits until the device has done what it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def _least_seconds(work: Callable[[], object], device: str, seconds: float) -> float:
    """The least time that the work takes, in trials of about 20 ms."""
    work()
    wait_for_device(device)
    found, repeats, give_up = float("inf"), 1, time.perf_counter() + seconds
    while time.perf_counter() < give_up:
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        wait_for_device(device)
        took = time.perf_counter() - start
        found = min(found, took / repeats)
        if took < 0.01:
            repeats *= 2
    return found
