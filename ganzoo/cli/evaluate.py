"""``ganzoo evaluate``: a checkpoint or a folder of pictures against real ones, as a table and a file with the protocol."""

import shlex
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ganzoo.cli.outputs import UnsavedError, place, workplace
from ganzoo.cli.tables import aligned
from ganzoo.errors import InputError
from ganzoo.evaluation.measuring import SHEET, Measuring
from ganzoo.evaluation.plan import Plan
from ganzoo.evaluation.protocol import Result
from ganzoo.utils.signals import Stopped, Stops


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["last.ckpt", "--extractor", "efflite0"])``.

    Returns:
        0, or 128 and the number of the signal that ended it.

    Raises:
        InputError: what cannot be measured, in one line.
    """
    began = time.monotonic()
    plan = Plan(args)
    result = plan.announced()
    judged = None if plan.folder is None else plan.folder.path
    out, sheet = place(plan.given.out, plan.name, result, "neighbours" in plan.whole, judged)
    try:
        with Stops() as stops, workplace(out.parent / f".evaluate_{result.key}") as work:
            measuring = Measuring(plan)
            result.figures = measuring.measured(work, stops)
            result.about |= measuring.found | {
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - began, 1),
                "command": shlex.join(["ganzoo", "evaluate", *args]),
            }
            result.left_out = plan.left_out
            with stops.held():
                _save(result, out, work / SHEET, sheet)
    except KeyboardInterrupt as stopped:
        return 128 + (stopped.signum if isinstance(stopped, Stopped) else signal.SIGINT)
    print(f"written to {out}")
    return 0


def _save(result: Result, out: Path, drawn: Path, sheet: Path) -> None:
    """Writes the result and its picture, if there is one, and shows it, written or not."""
    try:
        if drawn.exists():
            drawn.replace(sheet)
            result.about["sheet"] = str(sheet)
        result.save(out)
    except (InputError, OSError) as error:
        why = error if isinstance(error, InputError) else f"cannot write {sheet}: {error.strerror}"
        raise UnsavedError(f"{why}; what was seen is kept: the same command writes it, or shows it again") from error
    finally:
        for line in report(result):
            print(line)


def report(result: Result) -> list[str]:
    """A result as lines: a table of its figures, and what they are of."""
    rows = [["figure", "value", "+-", "of"]]
    for name, each in result.figures.items():
        deviation = "" if each.deviation is None else f"{each.deviation:.2g}"
        rows.append([name, f"{each.value:.5g}", deviation, each.of])
    protocol, about = result.protocol, result.about
    known = [protocol["model_weights"] and f"{protocol['model_weights']} weights", protocol["checkpoint"]]
    known.append(None if about.get("step") is None else f"step {about['step']}")
    fake = f"{_counts(protocol['n_fake'])} pictures of {about['path']}"
    fake += f" ({', '.join(filter(None, known))})" if any(known) else ""
    lines = [*aligned(rows, right=(1, 2)), "", fake]
    if protocol["n_real"] is not None:
        split = f", {protocol['split']}" if protocol["split"] else ""
        lines.append(f"against {_counts(protocol['n_real'])} real pictures ({about['real']}{split})")
    if protocol["extractor"]:
        verified = "verified" if protocol["extractor_verified"] else "not verified"
        lines.append(f"seen by {protocol['extractor']}, weights {protocol['extractor_weights']}, {verified}")
    if "sheet" in about:
        lines.append(f"samples beside the training pictures nearest to them: {about['sheet']}")
    return [*lines, *(f"left out: {kind}: {why}" for kind, why in result.left_out.items())]


def _counts(n: int | dict[str, int]) -> str:
    return " and ".join(f"{count} {name}" for name, count in n.items()) if isinstance(n, dict) else str(n)
