"""Shows what ``ganzoo bench`` has measured: lines, a CSV file, a picture. Imports no torch."""

import csv
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.benchmark.results import LoopResult, Spread, SystemResult
from ganzoo.errors import InputError
from ganzoo.utils.files import atomic_write

if TYPE_CHECKING:
    from ganzoo.benchmark.stopwatch import Split

PARTS = {"data": "#8c8c8c", "forward": "#1f6fb4", "backward": "#7ab0dc", "optimizer": "#e08a1e", "framework": "#b03a2e"}
PRECISION = {"32-true": "float32", "bf16-mixed": "bf16-mixed"}


def table(result: SystemResult) -> list[list[str]]:
    """Returns the loops of a system as rows of text, the first row with the columns' names."""
    other = "published" if result.published else "plain"
    found = [["", "images/s", "ms a step", "(rounds)", f"time / {other}", "(rounds)", "CPU ms (ratio)", "peak MB", "GFLOP"]]
    for loop in result.loops:
        step, ratio = loop.step, loop.over(result.reference)
        found.append(
            [
                f"{loop.label}, {PRECISION[loop.precision]}",
                f"{result.batch_size / step.median:.4g}",
                f"{step.median * 1e3:.4g}",
                f"({step.least * 1e3:.4g} to {step.greatest * 1e3:.4g})",
                f"{ratio.median:.2f}",
                f"({ratio.least:.2f} to {ratio.greatest:.2f})",
                f"{loop.cpu.median * 1e3:.4g} ({loop.cpu_over(result.reference):.2f})",
                "-" if loop.memory is None else f"{loop.memory / 1e6:.0f}",
                "-" if loop.operations is None else f"{loop.operations / 1e9:.4g}",
            ]
        )
    return found


def notes(result: SystemResult, cores: int) -> list[str]:
    """Returns lines on where ganzoo's step spends its time, on the floor, and on other work of the machine.

    Args:
        result: what was measured.
        cores: of the machine.
    """
    found = [line for loop in result.loops if loop.split is not None for line in _about_step(result, loop, loop.split)]
    return [*found, about_load(result, cores)]


def _about_step(result: SystemResult, loop: LoopResult, split: "Split") -> Iterator[str]:
    """Where ganzoo's step spends its time, what Lightning and ganzoo add, and how far it is from the floor."""
    parts, precision = asdict(split), PRECISION[loop.precision]
    whole, plain = sum(parts.values()), result.plain(loop.precision)
    shares = ", ".join(f"{name} {seconds / whole:.1%}" for name, seconds in parts.items())
    yield f"a step of ganzoo, {precision}: {shares}"
    added, ceiling = loop.over(plain), result.ceilings[loop.precision]
    yield (
        f"ganzoo over the plain loop, {precision}: {added.median:.3f} ({added.least:.3f} to {added.greatest:.3f}), "
        f"in CPU time {loop.cpu_over(plain):.3f}"
    )
    floor = result.floor(loop.precision)
    yield (
        f"floor, {precision}: {(plain.operations or 0) / 1e9:.4g} GFLOP at {ceiling.best / 1e9:.4g} GFLOP/s take "
        f"{floor * 1e3:.4g} ms, {floor / loop.step.median:.2f} of ganzoo's step"
    )


def about_load(result: SystemResult, cores: int) -> str:
    """Returns a line about the other work of the machine while a system was measured; a warning if there was much."""
    if not result.other_work:
        return "other work on the machine: not known on this system"
    load = Spread.of(result.other_work)
    line = f"other work on the machine: {load.median:.2f} of {cores} cores ({load.least:.2f} to {load.greatest:.2f})"
    if not result.is_busy:
        return line
    return f"WARNING: {line}: times are too high, and ratios less certain; measure again on an idle machine"


def rows(results: Sequence[SystemResult], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns a row for each loop of each system, for a CSV file.

    Args:
        results: what was measured.
        about: columns that all rows share: device, machine, threads, versions.
    """
    found = []
    for result in results:
        for loop in result.loops:
            step, ratio, plain = loop.step, loop.over(result.reference), result.plain(loop.precision)
            row: dict[str, Any] = {
                "system": result.name,
                "size": result.size,
                "batch_size": result.batch_size,
                "loop": loop.label,
                "precision": loop.precision,
                "images_per_second": result.batch_size / step.median,
                "step_ms": step.median * 1e3,
                "step_ms_least": step.least * 1e3,
                "step_ms_greatest": step.greatest * 1e3,
                "rounds": len(loop.seconds),
                "compared_with": result.reference.label,
                "ratio": ratio.median,
                "ratio_least": ratio.least,
                "ratio_greatest": ratio.greatest,
                "over_plain": loop.over(plain).median,
                "cpu_ms": loop.cpu.median * 1e3,
                "cpu_ratio": loop.cpu_over(result.reference),
                "peak_memory_mb": None if loop.memory is None else loop.memory / 1e6,
                "gflop_per_step": None if loop.operations is None else loop.operations / 1e9,
                "floor_ms": result.floor(loop.precision) * 1e3,
                "ceiling_product_gflops": result.ceilings[loop.precision].product / 1e9,
                "ceiling_convolution_gflops": result.ceilings[loop.precision].convolution / 1e9,
            }
            parts = {} if loop.split is None else asdict(loop.split)
            row |= {f"{name}_ms": parts[name] * 1e3 if parts else None for name in PARTS}
            row["other_cores"] = statistics.median(result.other_work) if result.other_work else None
            found.append(row | dict(about))
    return found


def write_csv(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows with the same columns, numbers with six digits."""
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in table)


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def expect_matplotlib() -> None:
    """Refuses to draw without matplotlib.

    Raises:
        InputError: it is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError('--picture needs matplotlib: pip install "lightning-ganzoo[plots]"') from error


def write_picture(path: Path, results: Sequence[SystemResult], caption: str) -> None:
    """Draws a bar for each loop, ganzoo's with its parts, and the floor of each precision as a line.

    Args:
        path: a PNG, SVG or PDF file to write.
        results: what was measured.
        caption: the line below: machine, versions.
    """
    from matplotlib.figure import Figure

    heights = [len(result.loops) for result in results]
    figure = Figure(figsize=(9, 0.9 + sum(0.34 * n + 0.75 for n in heights)), layout="constrained")
    axes = figure.subplots(len(results), 1, squeeze=False, height_ratios=[n + 1 for n in heights])[:, 0]
    for axis, result in zip(axes, results, strict=True):
        _draw(axis, result)
    axes[-1].set_xlabel("ms a step: median of the rounds, with the least and the greatest")
    handles, labels = axes[0].get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=len(found), frameon=False, fontsize=8)
    figure.supxlabel(caption, fontsize=7, color="#555555")
    with atomic_write(path) as part:
        figure.savefig(part, dpi=150, format=path.suffix[1:])


def _draw(axis: Any, result: SystemResult) -> None:
    names = [f"{loop.label}, {PRECISION[loop.precision]}" for loop in result.loops]
    for place, loop in enumerate(result.loops):
        step, left = loop.step, 0.0
        if loop.split is None:
            axis.barh(place, step.median * 1e3, color="#d9d9d9", label="other loops")
        else:
            parts = asdict(loop.split)
            scale = step.median / sum(parts.values()) * 1e3
            for name, seconds in parts.items():
                axis.barh(place, max(seconds, 0.0) * scale, left=left, color=PARTS[name], label=name)
                left += max(seconds, 0.0) * scale
        error = [[(step.median - step.least) * 1e3], [(step.greatest - step.median) * 1e3]]
        axis.errorbar(step.median * 1e3, place, xerr=error, color="black", capsize=2, linewidth=0.8)
        ratio = loop.over(result.reference).median
        end = (step.greatest * 1e3, place)
        axis.annotate(f"{ratio:.2f}", end, (4, 0), textcoords="offset points", va="center", fontsize=8)
        floor = result.floor(loop.precision) * 1e3
        axis.plot([floor, floor], [place - 0.4, place + 0.4], color="black", linestyle=":", label="floor")
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.08)
    other = f"number: time / {result.reference.label}"
    axis.set_title(f"{result.name}, {result.size} px, batch {result.batch_size}   ({other})", fontsize=9, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
