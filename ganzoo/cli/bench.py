"""``ganzoo bench``: times training steps beside plain PyTorch and the published codes."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser

from ganzoo.benchmark.systems import MAIN, SYSTEMS, find_system
from ganzoo.cli.function import parse
from ganzoo.cli.tables import aligned
from ganzoo.errors import InputError, did_you_mean
from ganzoo.utils.ranges import PositiveInt

PRECISIONS = ("32-true", "bf16-mixed")


def options(
    device: Literal["cpu", "cuda"] = "cpu",
    precision: str = "32-true",
    batch_size: str | None = None,
    size: str | None = None,
    rounds: PositiveInt = 5,
    steps: PositiveInt = 5,
    csv: str | None = None,
    picture: str | None = None,
) -> None:
    """The options of the command.

    Args:
        device: Where the networks are.
        precision: 32-true, bf16-mixed, or both with a comma between them; for ganzoo and the plain loop. Published code runs
            in float32.
        batch_size: Images in a batch, or several numbers with commas between them. By default each system has its own.
        size: Pixels of an image's side, or several numbers. Networks that depend on it are built for it.
        rounds: Rounds; in each, every loop runs once.
        steps: Training steps of a loop in a round.
        csv: A CSV file to write.
        picture: A PNG, SVG or PDF file to draw. Of three different batches or sizes or more, it shows how a step grows.
    """


def parser() -> ArgumentParser:
    """The parser of the command."""
    systems = "; ".join(f"{name} (batch {system.batch_size}, {system.summary})" for name, system in SYSTEMS.items())
    made = ArgumentParser(
        prog="ganzoo bench",
        description="Times a training step of ganzoo beside the same networks in plain PyTorch and in the published code's "
        "loop, in interleaved rounds on random images.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    made.add_argument(
        "systems",
        nargs="*",
        metavar="SYSTEM",
        help=f"{systems}. By default {', '.join(MAIN)}.",
    )
    made.add_function_arguments(options, as_group=False)
    return made


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["dcgan-64", "--csv", "steps.csv"])``.

    Returns:
        0.

    Raises:
        InputError: a system, precision or device that is not there, a file that cannot be written, in one line.
    """
    given = parse(parser(), args)
    systems = {name: find_system(name) for name in given.systems or MAIN}
    precisions = _precisions(given.precision)
    batch_sizes = _numbers("--batch_size", given.batch_size)
    sizes = _numbers("--size", given.size)
    files = {name: Path(getattr(given, name)) for name in ("csv", "picture") if getattr(given, name) is not None}
    if "picture" in files and files["picture"].suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"--picture {files['picture']} is none of PNG, SVG, PDF: give a name that ends in .png")
    from ganzoo.benchmark.growth import growths, lines, write_growth_picture
    from ganzoo.benchmark.report import expect_matplotlib, notes, rows, table, write_csv, write_picture
    from ganzoo.benchmark.runner import ceiling, measure, planned_steps, refuse_size
    from ganzoo.cli.options import refuse_unwritable
    from ganzoo.utils.progress import ProgressBar

    work = [
        (name, replace(system, size=size or system.size, batch_size=batch_size or system.batch_size))
        for name, system in systems.items()
        for size in sizes
        for batch_size in batch_sizes
    ]
    about = _about(given.device)
    for name, path in files.items():
        refuse_unwritable(path, f"--{name}")
    if "picture" in files:
        expect_matplotlib()
    for name, system in work:
        refuse_size(name, system)
    print(_title(about), flush=True)
    ceilings = {precision: ceiling(given.device, precision) for precision in precisions}
    for precision, found in ceilings.items():
        product, convolution = found.product / 1e9, found.convolution / 1e9
        print(f"ceiling, {precision}: matrix products {product:.4g}, convolutions {convolution:.4g} GFLOP/s", flush=True)
    results = []
    for name, system in work:
        title = f"{name}, {system.size} px, batch {system.batch_size}"
        planned = planned_steps(system, precisions, given.rounds, given.steps)
        with ProgressBar(planned, title, unit="steps") as bar:
            result = measure(name, system, given.device, precisions, ceilings, given.rounds, given.steps, bar.update)
        print(f"\n{title}: {result.summary}")
        if result.published:
            print(f"  published code: {result.published}; its order of work in ganzoo's own lines, with ganzoo's networks")
        for line in [*aligned(table(result), right=(1, 2, 4, 6, 7, 8)), *notes(result, os.cpu_count() or 1)]:
            print(f"  {line}", flush=True)
        results.append(result)
        if "csv" in files:  # after each system, so that an interrupted run has written those before
            write_csv(files["csv"], rows(results, about))
    grown = growths(results)
    for line in lines(grown):
        print(line, flush=True)
    if "picture" in files and grown:
        write_growth_picture(files["picture"], grown, _title(about))
    elif "picture" in files:
        write_picture(files["picture"], results, _title(about))
    return 0


def _numbers(option: str, given: str | None) -> list[int] | list[None]:
    """The whole numbers of an option, which may have several; [None] if it is not given."""
    if given is None:
        return [None]
    names = [name.strip() for name in given.split(",")]
    if not all(name.isdecimal() and int(name) > 0 for name in names):
        raise InputError(f"{option} {given}: give a whole number of at least 1, or several with commas between them: 1,2,4")
    return list(dict.fromkeys(map(int, names)))


def _precisions(given: str) -> list[str]:
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in PRECISIONS:
            near = did_you_mean(name, list(PRECISIONS), "give 32-true or bf16-mixed")
            raise InputError(f"--precision {name}: there is no such precision{near}")
    return list(dict.fromkeys(names))


def _about(device: str) -> dict[str, Any]:
    """What was measured on: columns of the CSV file."""
    import torch

    from ganzoo import __version__
    from ganzoo.benchmark.machine import device_name

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no CUDA device here; leave the option out for the processor")
    return {
        "device": device,
        "machine": device_name(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "ganzoo": __version__,
        "date": date.today().isoformat(),
    }


def _title(about: dict[str, Any]) -> str:
    threads = f"{about['threads']} of {about['cores']} cores" if about["device"] == "cpu" else "CUDA"
    return f"{about['machine']}; {threads}; torch {about['torch']}, ganzoo {about['ganzoo']}, {about['date']}"
