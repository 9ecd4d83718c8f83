"""Numbers that a training comes to, and the bounds that tests ask of them, measured over seeds and instruction sets.

    python tests/support/training_bounds.py --record                              # measures everything, into the .csv here
    python tests/support/training_bounds.py a_ring --seeds 20 --settings avx2:1   # one training; writes nothing
    python tests/support/training_bounds.py --table                               # docs/tests.md again, from the .csv

A training is chaotic: another order of a sum, which is what another CPU or thread count is, and after a few hundred steps it
is another training, as with another seed. So one that passes with one seed here may fail there, and a bound is a statement
about all seeds.
"""

import argparse
import csv
import importlib
import json
import logging
import operator
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import mean, median, stdev

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
CHECKOUT = TESTS.parent
RECORD, PAGE = HERE / "training_bounds.csv", CHECKOUT / "docs" / "tests.md"
MODULES = ("test_learning", "callbacks.test_health")
MODULES += ("models.test_wgan", "models.test_wgan_gp")
MODULES += ("models.test_lapgan", "models.test_cyclegan", "models.test_domain_norm_dann")
MODULES += ("models.test_sngan", "models.test_began")
# the environment of each instruction set: of torch's own kernels, and of oneDNN's convolutions and products
INSTRUCTIONS = {
    "native": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "sse41": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}
# instruction set:threads, and how many seeds
USUAL = {"native:1": 8, "avx2:1": 3, "sse41:1": 3, "native:2": 1, "native:4": 1}
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
FIELDS = ("training", "number", "setting", "seed", "value")

Values = dict[str, float]


class Limit:
    """What a number must keep to: ``Limit("< 0.2")``.

    Args:
        text: one of < <= > >= == and a number.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        sign, number = text.split()
        self.holds, self.bound = COMPARE[sign], float(number)
        self.upper = sign in ("<", "<=")

    def kept(self, value: float) -> bool:
        """Whether a value is on the right side; NaN never is."""
        return bool(self.holds(value, self.bound))

    def worst(self, values: Iterable[float]) -> float:
        """The value nearest to the bound, or furthest beyond it."""
        return max(values, key=lambda value: value if self.upper else -value)


class Training:
    """A function of a seed that trains something and measures it, with the limits of what it measures.

    Args:
        measure: seed -> a number for each name in `limits`.
        limits: by name.
        median_of: how many seeds a test takes the median of.
    """

    def __init__(self, measure: Callable[[int], Values], limits: dict[str, Limit], median_of: int = 1) -> None:
        self.measure, self.limits, self.median_of = measure, limits, median_of
        self.name, self.module = measure.__name__, measure.__module__

    def __call__(self, seed: int) -> Values:
        """The numbers of one training."""
        found = {name: float(value) for name, value in self.measure(seed).items()}
        assert found.keys() == self.limits.keys(), f"{self.name} measures {sorted(found)} and limits {sorted(self.limits)}"
        return found

    def check(self) -> None:
        """Trains with seed 0, or with as many as the median is taken of, and asserts the limits.

        When more than half of the seeds keep to every limit, the median does too, and the others are not trained.
        """
        each: list[Values] = []
        for seed in range(self.median_of):
            each.append(self(seed))
            kept = [sum(limit.kept(found[name]) for found in each) for name, limit in self.limits.items()]
            if min(kept) > self.median_of / 2:
                return
        for name, limit in self.limits.items():
            values = [found[name] for found in each]
            assert limit.kept(median(values)), f"{self.name}: {name} is {values}, and not {limit.text}"


TRAININGS: dict[str, Training] = {}


def bounded(median_of: int = 1, **limits: str) -> Callable[[Callable[[int], Values]], Training]:
    """Makes a function of a seed a :class:`Training` with these limits, ``error="< 0.2"``, and registers it by its name."""

    def register(measure: Callable[[int], Values]) -> Training:
        found = Training(measure, {name: Limit(text) for name, text in limits.items()}, median_of)
        assert found.name not in TRAININGS, f"two trainings are called {found.name}"
        TRAININGS[found.name] = found
        return found

    return register


def load() -> dict[str, Training]:
    """All trainings of the tests, by name."""
    sys.path.insert(0, str(TESTS))
    for module in MODULES:
        importlib.import_module(module)
    return TRAININGS


# -- measuring --------------------------------------------------------------------------------------------------------


def work(names: list[str], seeds: list[int], threads: int) -> None:
    """In a process of one setting: a line of JSON for each training and seed."""
    import torch  # only here and in tests: a table needs none

    found = load()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(threads)
    for name in names:
        for seed in seeds:
            torch.manual_seed(0)  # as conftest has it
            print("MEASURED", json.dumps({"training": name, "seed": seed, "values": found[name](seed)}), flush=True)


def measured(names: list[str], setting: str, seeds: list[int]) -> Iterator[list[dict[str, str]]]:
    """For each training and seed its rows of :data:`FIELDS`, from a process of its own."""
    instructions, threads = setting.split(":")
    command = [sys.executable, __file__, *names, "--worker", threads, "--list", ",".join(map(str, seeds))]
    environment = {**os.environ, **INSTRUCTIONS[instructions], "OMP_NUM_THREADS": threads}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("MEASURED "):
                continue
            found = json.loads(line.removeprefix("MEASURED "))
            print(setting, found["training"], found["seed"], found["values"], flush=True)
            yield [
                dict(zip(FIELDS, (found["training"], number, setting, str(found["seed"]), f"{value:.5g}"), strict=True))
                for number, value in found["values"].items()
            ]
    assert process.returncode == 0, f"failed in {setting}: {shlex.join(command)}"


def recorded() -> list[dict[str, str]]:
    """Rows of training_bounds.csv."""
    return list(csv.DictReader(RECORD.open(encoding="utf-8"))) if RECORD.exists() else []


def record(rows: list[dict[str, str]]) -> None:
    """Puts these in the place of older rows of the same training, setting and seed."""
    key = operator.itemgetter("training", "number", "setting", "seed")
    every = {key(row): row for row in [*recorded(), *rows]}
    with RECORD.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(every[name] for name in sorted(every, key=lambda k: (k[0], k[1], k[2], int(k[3]))))


# -- the table --------------------------------------------------------------------------------------------------------


def summary(training: Training, name: str, rows: list[dict[str, str]]) -> list[str]:
    """A line of the table: training, number, runs, median, worst, bound, and the distance to it in standard deviations."""
    mine = [row for row in rows if (row["training"], row["number"]) == (training.name, name)]
    values, settings = [float(row["value"]) for row in mine], [row["setting"] for row in mine]
    limit = training.limits[name]
    runs = ", ".join(f"{settings.count(setting)} {setting}" for setting in dict.fromkeys(settings))
    spread = stdev(values) if len(values) > 1 else 0.0
    far = abs(mean(values) - limit.bound) / spread if spread else float("inf")
    return [
        f"`{training.name}`",
        name.replace("_", " "),
        runs,
        f"{median(values):.3g}",
        f"{limit.worst(values):.3g}",
        limit.text + (f" (median of {training.median_of})" if training.median_of > 1 else ""),
        "never moved" if far == float("inf") else f"{far:.1f}",
    ]


def table() -> list[str]:
    """Markdown of all that was recorded."""
    rows = recorded()
    head = ["training", "number", "runs", "median", "worst", "bound", "distance, sd"]
    lines = [head, ["---"] * len(head)]
    for _, training in sorted(load().items()):
        lines += [
            summary(training, name, rows) for name in training.limits if any(r["training"] == training.name for r in rows)
        ]
    return ["| " + " | ".join(line) + " |" for line in lines]


def page(text: str) -> str:
    """docs/tests.md with its table made anew."""
    return re.sub(r"(?s)\| training \| number .*?\n(?!\|)", "\n".join(table()) + "\n", text, count=1)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="trainings; all")
    parser.add_argument("--seeds", type=int, help="how many; as docs/tests.md has it")
    parser.add_argument("--first", type=int, default=0, help="the first seed; 0")
    parser.add_argument("--settings", help="such as native:1,avx2:1,sse41:4; as docs/tests.md has it")
    parser.add_argument("--record", action="store_true", help="write them to training_bounds.csv")
    parser.add_argument("--table", action="store_true", help="measure nothing, make docs/tests.md from training_bounds.csv")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--list", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args.names, [int(seed) for seed in args.list.split(",")], args.worker)
    if args.table:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return None
    unknown = set(args.names) - load().keys()
    if unknown:
        parser.error(f"no training is called {', '.join(sorted(unknown))}: there are {', '.join(TRAININGS)}")
    names = args.names or list(TRAININGS)
    settings = args.settings.split(",") if args.settings else list(USUAL)
    rows = []
    for setting in settings:
        for some in measured(names, setting, list(range(args.first, args.first + (args.seeds or USUAL.get(setting, 3))))):
            rows += some
            if args.record:
                record(some)
    for name in names:
        for number in TRAININGS[name].limits:
            print(" | ".join(summary(TRAININGS[name], number, rows)))
    return None


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    from support.training_bounds import main as command  # the module that the tests import, whose registry they fill

    command()
