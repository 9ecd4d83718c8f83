"""``ganzoo compare``: results side by side, if they were measured in one way."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from ganzoo.cli.error_messages import refused_argument
from ganzoo.cli.tables import aligned
from ganzoo.errors import InputError, did_you_mean
from ganzoo.evaluation.protocol import FIELDS, MANY, MetricValue, Result, incompatible_fields, noted_fields

NOTHING = "-"


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["a.json", "b.json"])``.

    Returns:
        0.

    Raises:
        InputError: results of unlike protocols; a file that is no result.
    """
    parser = ArgumentParser(
        prog="ganzoo compare",
        description="Shows results of `ganzoo evaluate` side by side; refuses those that were not measured in one way.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("results", nargs="+", metavar="RESULT", help="A JSON file that `ganzoo evaluate` wrote.")
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FIELD",
        help="Compare although this field of the protocol differs, which the table then says; may be repeated.",
    )
    try:
        given = parser.parse_args(list(args))
    except argparse.ArgumentError as error:
        raise InputError(refused_argument(str(error), ["help", "ignore"])) from error
    paths = [Path(name) for name in given.results]
    ignored = [name for each in given.ignore for name in each.split(",")]
    for name in ignored:
        if name not in FIELDS:
            near = did_you_mean(name, list(FIELDS), f"they are {', '.join(FIELDS)}")
            raise InputError(f"--ignore {name}: a protocol has no such field{near}")
    for line in compared([Result.load(path) for path in paths], given.results, ignored):
        print(line)
    return 0


def compared(results: Sequence[Result], names: Sequence[str], ignored: Sequence[str] = ()) -> list[str]:
    """A table of metrics with a column to each result, and above it what differs.

    Args:
        results: one or more.
        names: of each, for the columns.
        ignored: fields of the protocol that may differ.

    Raises:
        InputError: another field differs.
    """
    differing = incompatible_fields(results)
    refused = [name for name in differing if name not in ignored]
    if refused:
        raise InputError(_refusal(refused, differing[refused[0]], names))
    lines = [f"ignored: {name} differs: {_side_by_side(values)}" for name, values in differing.items()]
    lines += [
        f"no part of the protocol: {name} differs: {_side_by_side(each)}" for name, each in noted_fields(results).items()
    ]
    metrics = list(dict.fromkeys(name for result in results for name in result.metrics))
    rows = [["", *names]]
    rows += [[label, *values] for label, values in _about(results)]
    rows += [[name, *(shown(result.metrics.get(name)) for result in results)] for name in metrics]
    return [*lines, *([""] if lines else []), *aligned(rows, right=range(1, len(names) + 1))]


def _refusal(refused: list[str], values: Sequence[Any], names: Sequence[str]) -> str:
    name = refused[0]
    first = next(i for i, value in enumerate(values) if value is not None)
    other = next(i for i, value in enumerate(values) if value not in (None, values[first]))
    also = f"; {', '.join(refused[1:])} differ, too" if len(refused) > 1 else ""
    return (
        f"{name} ({FIELDS[name]}) is {_short(values[first])} in {names[first]} and {_short(values[other])} in "
        f"{names[other]}{also}: measure both in one way, or compare all the same with --ignore {','.join(refused)}"
    )


def _about(results: Sequence[Result]) -> list[tuple[str, list[str]]]:
    """What is measured, where it is known of any."""
    rows = []
    for label, name in (("model", "model"), ("step", "step"), ("training seed", "training_seed")):
        values = [result.about.get(name) for result in results]
        if any(value is not None for value in values):
            rows.append((label, [NOTHING if value is None else str(value).rpartition(".")[2] for value in values]))
    return rows


def shown(metric: MetricValue | None) -> str:
    """A metric with its deviation, five digits."""
    if metric is None:
        return NOTHING
    return f"{metric.value:.5g}" if metric.deviation is None else f"{metric.value:.5g} +- {metric.deviation:.2g}"


def _side_by_side(values: Sequence[Any]) -> str:
    return ", ".join("not known" if value is None else _short(value) for value in values)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MANY else text[: MANY - 3] + "..."
