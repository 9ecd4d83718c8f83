"""Writes the generated tables: python docs/tables.py

results.md is made from results.csv, the tables in benchmark.md from the files in benchmark/, which `ganzoo bench --csv`
wrote: steps_*.csv, one for each machine, and growth.csv, of several sizes and batches. The table of models in README.md and
index.md is made from the docstrings in ganzoo/models, read as text, so that torch is not needed.
"""

import ast
import csv
import re
from itertools import groupby
from pathlib import Path
from statistics import mean, stdev

from ganzoo.benchmark.growth import Growth

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
BENCHMARK = "<!-- benchmark: written by python docs/tables.py -->\n", "<!-- end of benchmark -->\n"
GROWTH = "<!-- growth: written by python docs/tables.py -->\n", "<!-- end of growth -->\n"
MODELS = "<!-- models: written by python docs/tables.py -->\n", "<!-- end of models -->\n"
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
    return _read(HERE / "results.csv")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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


def models(folder: str) -> list[str]:
    """The table of models, a row for each page in docs/models, oldest paper first.

    Args:
        folder: where the pages are, as seen from the file that the table is in; "" or ending in a slash.
    """
    exported = re.findall(r"^from ganzoo\.models\.(\w+) import (\w+) as \w+$", _text("__init__.py"), re.M)
    found = []
    for home, some in groupby(sorted(exported, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        names, tree = {name for _, name in some}, ast.parse(_text(f"{home}.py"))
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in names]
        about = ast.get_docstring(tree) or ""
        paper = re.search(r"\((?:after )?(.+?\s\d{4}),", about, re.S)
        number = re.search(r"arXiv[: ](\d{4}\.\d{4,5})", about)
        if not paper or not number or not classes:
            raise SystemExit(
                f'ganzoo/models/{home}.py: the docstring begins with: Name (Authors 2014, "Title", arXiv 1234.5678)'
            )
        what = (ast.get_docstring(classes[0]) or "").splitlines()[0].removesuffix(".")
        linked = [f"[`{classes[0].name}`]({folder}{home}.md)", *(f"`{each.name}`" for each in classes[1:])]
        row = f"| {', '.join(linked)} | {' '.join(paper[1].split())} | {what} |"
        found.append((number[1], home, row))
    return ["| model | paper | what it does |", "|---|---|---|", *(row for _, _, row in sorted(found))]


def _text(name: str) -> str:
    return (CHECKOUT / "ganzoo" / "models" / name).read_text(encoding="utf-8")


def between(marks: tuple[str, str], text: str, lines: list[str]) -> str:
    """A page with these lines between its two marks."""
    before, rest = text.split(marks[0])
    _, after = rest.split(marks[1])
    return before + marks[0] + "\n" + "\n".join(lines) + "\n\n" + marks[1] + after


def benchmark(found: list[dict[str, str]]) -> list[str]:
    """The tables of benchmark.md: what each loop takes, and where a step of ganzoo spends its time.

    Args:
        found: rows that ``ganzoo bench --csv`` wrote.
    """
    head = ["system, batch", "loop", "images/s", "ms a step", "time / published (rounds)", "CPU time / published", "peak MB"]
    lines = [_machine(found), "", *(_row(cells) for cells in (head, ["---"] * len(head)))]
    for row in found:
        ratio = f"**{float(row['ratio']):.2f}** ({float(row['ratio_least']):.2f} to {float(row['ratio_greatest']):.2f})"
        cells = [f"{row['system']}, {row['batch_size']}", f"{row['loop']}, {row['precision']}"]
        cells += [_digits(row["images_per_second"]), _digits(row["step_ms"]), ratio, f"{float(row['cpu_ratio']):.2f}"]
        lines.append(_row([*cells, _digits(row["peak_memory_mb"])]))
    parts = ("data", "forward", "backward", "optimizer", "framework")
    head = ["a step of ganzoo", *parts, "ganzoo / plain", "CPU time, ganzoo / plain", "floor / step"]
    plain = {(row["system"], row["precision"]): row for row in found if row["loop"] == "plain PyTorch"}
    lines += ["", *(_row(cells) for cells in (head, ["---"] * len(head)))]
    for row in (row for row in found if row["framework_ms"]):
        whole = sum(float(row[f"{part}_ms"]) for part in parts)
        cells = [f"{row['system']}, {row['precision']}", *(f"{float(row[f'{part}_ms']) / whole:.1%}" for part in parts)]
        processor = float(row["cpu_ms"]) / float(plain[row["system"], row["precision"]]["cpu_ms"])
        ratios = float(row["over_plain"]), processor, float(row["floor_ms"]) / float(row["step_ms"])
        lines.append(_row([*cells, *(f"{ratio:.2f}" for ratio in ratios)]))
    return lines


def growth(found: list[dict[str, str]]) -> list[str]:
    """The tables of benchmark.md on how a step grows with the images and the batch, and the line through the steps.

    Args:
        found: rows that ``ganzoo bench --size ... --batch_size ... --csv`` wrote.
    """
    lines = [_machine(found)]
    for system, rows in groupby(found, lambda row: row["system"]):
        steps = list(rows)
        loops = list(dict.fromkeys((row["loop"], row["precision"]) for row in steps))
        time_of = {(row["size"], row["batch_size"], row["loop"], row["precision"]): float(row["step_ms"]) for row in steps}
        works = list(dict.fromkeys((row["size"], row["batch_size"]) for row in steps))
        laws = {
            loop: Growth.of(system, *loop, [(int(n), int(b), time_of[n, b, *loop] / 1e3) for n, b in works])
            for loop in loops
        }
        head = [
            f"{system}: ms a step (the line)",
            *(f"{loop}, {precision}" for loop, precision in loops),
            "ganzoo / published",
        ]
        lines += ["", *(_row(cells) for cells in (head, ["---"] * len(head)))]
        for size, batch in works:
            cells = [f"{size} px, batch {batch}"]
            for loop in loops:
                law = laws[loop].law(int(size), int(batch)) * 1e3
                cells.append(f"{_digits(str(time_of[size, batch, *loop]))} ({_digits(str(law))})")
            ratio = next(row["ratio"] for row in steps if (row["size"], row["batch_size"]) == (size, batch))
            lines.append(_row([*cells, f"{float(ratio):.2f}"]))
        fixed = (f"{_digits(str(law.fixed * 1e3))} + {_digits(str(law.per_megapixel * 1e3))} MP" for law in laws.values())
        lines.append(_row(["the line: ms, MP being megapixels", *fixed, ""]))
    return lines


def _machine(found: list[dict[str, str]]) -> str:
    """A sentence about the machine, and the other work that it had."""
    first = found[0]
    where = f"{first['threads']} of {first['cores']} cores" if first["device"] == "cpu" else "CUDA"
    about = f"{first['machine']}; {where}; torch {first['torch']}; {first['date']}; {first['rounds']} rounds."
    other = [float(row["other_cores"] or "nan") for row in found]
    about += f" Other work used {min(other):.2g} to {max(other):.2g} cores."
    if max(other) > 0.2:
        about += " **The machine was busy**: times are too high, and only the ratios of CPU time say much."
    return about


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _digits(number: str) -> str:
    """Three digits of a number of a CSV file; nothing of nothing."""
    return f"{float(f'{float(number):.3g}'):g}" if number else ""


def with_models(text: str, folder: str) -> str:
    """A page with the table of models as it should be."""
    return between(MODELS, text, models(folder))


def pages() -> dict[Path, str]:
    """Every generated page or part of a page, as it should be."""
    readme, index, timed = CHECKOUT / "README.md", HERE / "index.md", HERE / "benchmark.md"
    machines = sorted((HERE / "benchmark").glob("steps_*.csv"))
    loops = [line for path in machines for line in ("", *benchmark(_read(path)))][1:]
    page_of_steps = between(BENCHMARK, timed.read_text(encoding="utf-8"), loops)
    return {
        HERE / "results.md": page(),
        timed: between(GROWTH, page_of_steps, growth(_read(HERE / "benchmark" / "growth.csv"))),
        readme: with_models(readme.read_text(encoding="utf-8"), "docs/models/"),
        index: with_models(index.read_text(encoding="utf-8"), "models/"),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
