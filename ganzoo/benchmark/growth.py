"""How a training step grows with the batch and with the images, and a law for it. Imports no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.benchmark.results import SystemResult
from ganzoo.utils.files import atomic_write

LEAST = 3  # different amounts of pixels: two always lie on a line


@dataclass(frozen=True)
class Growth:
    """The time of a loop's step at several sizes and batches, and the line ``fixed + per_megapixel * megapixels`` for it.

    A convolution's work is proportional to the pixels of its batch. The optimizer's is not, nor is what a layer costs
    whatever it is given: that is ``fixed``. What the line leaves out: small images and batches that leave arithmetic units
    idle, and large ones that no longer fit a cache.

    Attributes:
        name: the system's.
        loop: the loop's label.
        precision: "32-true" or "bf16-mixed".
        points: (size, batch size, median seconds of a step), in the order of :attr:`megapixels`.
        fixed: seconds of a step that do not depend on the images.
        per_megapixel: seconds for each million pixels of a batch (size x size x batch size).
    """

    name: str
    loop: str
    precision: str
    points: Sequence[tuple[int, int, float]]
    fixed: float
    per_megapixel: float

    @classmethod
    def of(cls, name: str, loop: str, precision: str, points: Sequence[tuple[int, int, float]]) -> "Growth":
        """Fits the line: least squares of the relative errors, so that short steps count as much as long ones."""
        points = sorted(points, key=lambda point: megapixels(*point[:2]))
        pixels = np.array([megapixels(size, batch) for size, batch, _ in points])
        seconds = np.array([each for *_, each in points])
        columns = np.stack([np.ones_like(pixels), pixels], 1) / seconds[:, None]
        (fixed, slope), *_ = np.linalg.lstsq(columns, np.ones_like(seconds), rcond=None)
        if fixed < 0:  # steps cannot cost less than nothing: the best line through the origin
            ratios = pixels / seconds
            fixed, slope = 0.0, ratios.sum() / (ratios**2).sum()
        return cls(name, loop, precision, points, float(fixed), float(slope))

    def law(self, size: int, batch_size: int) -> float:
        """Computes the seconds of a step by the line."""
        return self.fixed + self.per_megapixel * megapixels(size, batch_size)

    @property
    def errors(self) -> list[float]:
        """The line's time over the measured one, minus 1, for each of the points."""
        return [self.law(size, batch) / seconds - 1 for size, batch, seconds in self.points]


def megapixels(size: int, batch_size: int) -> float:
    """Returns the millions of pixels of a batch."""
    return size * size * batch_size / 1e6


def growths(results: Sequence[SystemResult]) -> list[Growth]:
    """Returns how each loop grows that was measured at three different amounts of pixels at least."""
    loops: dict[tuple[str, str, str], list[tuple[int, int, float]]] = {}
    for result in results:
        for loop in result.loops:
            point = result.size, result.batch_size, loop.step.median
            loops.setdefault((result.name, loop.label, loop.precision), []).append(point)
    found = {key: points for key, points in loops.items() if len({megapixels(*point[:2]) for point in points}) >= LEAST}
    return [Growth.of(*key, points) for key, points in found.items()]


def lines(found: Sequence[Growth]) -> Iterator[str]:
    """Yields a line for each: its law, and how far the measured steps are from it."""
    for each in found:
        low, high = min(each.errors), max(each.errors)
        yield (
            f"a step of {each.name}, {each.loop}, {each.precision}: {each.fixed * 1e3:.3g} ms + "
            f"{each.per_megapixel * 1e3:.4g} ms a megapixel; the line is off by {low:+.0%} to {high:+.0%} "
            f"at {len(each.points)} points"
        )


def write_growth_picture(path: Path, found: Sequence[Growth], caption: str) -> None:
    """Draws the measured steps of ganzoo and of the published code, or the plain loop, and the lines through them.

    Args:
        path: a PNG, SVG or PDF file to write.
        found: at least one.
        caption: the line below: machine, versions.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    names = list(dict.fromkeys(each.name for each in found))
    figure = Figure(figsize=(max(7.5, 4.2 * len(names) + 0.6), 4.2), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for color, each in enumerate(each for each in found if each.name == name):
            _draw(axis, each, f"C{color}")
        axis.set(xscale="log", yscale="log", xlabel="megapixels in the batch", ylabel="ms a step")
        for side in (axis.xaxis, axis.yaxis):  # 0.02, 0.05, 0.1 and not 2 x 10^-2
            side.set_major_locator(LogLocator(subs=(1, 2, 5)))
            side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            side.set_minor_formatter(NullFormatter())
        axis.set_title(name, fontsize=10, loc="left")
        axis.grid(True, which="major", alpha=0.3)
        axis.legend(fontsize=7, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(caption, fontsize=7, color="#555555")
    with atomic_write(path) as part:
        figure.savefig(part, dpi=150, format=path.suffix[1:])


def _draw(axis: Any, growth: Growth, color: str) -> None:
    """A mark for each measured step, one kind for each size, and the line."""
    sizes = sorted({size for size, *_ in growth.points})
    for marker, size in zip("osD^vP*X", sizes, strict=False):
        points = [(megapixels(side, batch), seconds * 1e3) for side, batch, seconds in growth.points if side == size]
        axis.plot(*zip(*points, strict=True), marker, color=color, markersize=5)
    least, most = (megapixels(*growth.points[end][:2]) for end in (0, -1))
    across = np.geomspace(least, most, 50)
    line = (growth.fixed + growth.per_megapixel * across) * 1e3
    axis.plot(across, line, color=color, linewidth=1, label=f"{growth.loop}, {growth.precision}")
