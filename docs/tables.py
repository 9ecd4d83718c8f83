"""Makes results.md from results.csv: python docs/tables.py"""

import csv
from itertools import groupby
from pathlib import Path
from statistics import mean, stdev

HERE = Path(__file__).resolve().parent
HEAD = """# Results

Every figure that was measured here, a table to each config; made from [results.csv](results.csv) by `python docs/tables.py`.
What they mean, what they are compared with and how the images look is on the [models' pages](index.md). A figure without
its protocol is none: the split is that of the real images, the checkpoint the last of its run unless it says another, and
`±` behind a figure is the error of that one measurement, not the spread of trainings. Where one seed is named, how far
another training would lie from it was not measured; behind three seeds stand mean and standard deviation. Hours are of one
training.

"""
COLUMNS = (
    "options",
    "metric",
    "split",
    "value",
    "seeds",
    "paper",
    "checkpoint",
    "steps",
    "hours",
    "machine",
    "date",
    "commit",
)


def rows() -> list[dict[str, str]]:
    """Of results.csv."""
    return list(csv.DictReader((HERE / "results.csv").open(encoding="utf-8")))


def shown(row: dict[str, str]) -> str:
    """The figures seed by seed, and their mean and deviation where there are three or more."""
    values = row["value"].replace("+-", "±").split(" / ")
    found = ", ".join(values)
    if len(values) > 1:
        found += f" (seeds {', '.join(row['seeds'].split(' / '))})"
    if len(values) > 2:
        each = [float(value.split()[0]) for value in values]
        digits = max(len(value.split()[0].partition(".")[2]) for value in values)
        found += f": {mean(each):.{digits}f} ± {stdev(each):.{digits}f}"
    return found


def table(some: list[dict[str, str]]) -> list[str]:
    """Markdown; columns that say nothing are left out."""
    cells = [
        {
            **row,
            "value": shown(row),
            "options": row["options"].replace("; ", "<br>"),
            "paper": row["paper"].replace("+-", "±"),
        }
        for row in some
    ]
    columns = [name for name in COLUMNS if any(row[name] for row in cells)]
    lines = [columns, ["---"] * len(columns), *([row[name] for name in columns] for row in cells)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def page() -> str:
    """results.md."""
    parts = []
    for config, some in groupby(sorted(rows(), key=lambda row: row["config"]), key=lambda row: row["config"]):
        parts.append("\n".join([f"## {config}", "", *table(list(some))]))
    return HEAD + "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (HERE / "results.md").write_text(page(), encoding="utf-8")
