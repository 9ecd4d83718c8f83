"""The table, the notes, the CSV file and the picture of known numbers."""

import csv

import pytest
from PIL import Image

from ganzoo.benchmark.machine import Ceiling
from ganzoo.benchmark.report import notes, rows, table, write_csv, write_picture
from ganzoo.benchmark.results import LoopResult, Spread, SystemResult
from ganzoo.benchmark.stopwatch import Split

SPLIT = Split(data=0.002, forward=0.03, backward=0.04, optimizer=0.02, framework=0.008)
GANZOO = LoopResult("ganzoo", "32-true", [0.1, 0.08, 0.12], [0.2, 0.2, 0.2], 10**9, None, SPLIT)
PLAIN = LoopResult("plain PyTorch", "32-true", [0.1, 0.1, 0.1], [0.2, 0.2, 0.1], 9 * 10**8, 5e9)
PUBLISHED = LoopResult("published code", "32-true", [0.2, 0.1, 0.2], [0.2, 0.3, 0.2], None, 6e9)
CEILINGS = {"32-true": Ceiling(product=1e11, convolution=2e11)}


def result(published: str | None = "some/code", other_work: tuple[float, ...] = (0.1, 0.0, 0.3)) -> SystemResult:
    loops = [GANZOO, PLAIN, PUBLISHED] if published else [GANZOO, PLAIN]
    return SystemResult("dcgan-64", "the paper's", published, 64, 4, loops, CEILINGS, other_work)


def test_the_table_has_medians_ratios_of_rounds_and_spread():
    head, ganzoo, plain, published = table(result())
    assert head[4] == "time / published"
    assert ganzoo == [
        "ganzoo, float32", "40", "100", "(80 to 120)", "0.60", "(0.50 to 0.80)", "200 (1.00)", "1000", "-",
    ]  # fmt: skip
    assert plain[6:] == ["200 (0.67)", "900", "5"]
    assert published[2:6] == ["200", "(100 to 200)", "1.00", "(1.00 to 1.00)"]
    assert published[7] == "-"
    assert table(result(None))[0][4] == "time / plain"
    assert table(result(None))[1][4] == "1.00"


def test_the_ratio_is_of_rounds_and_not_of_medians():
    one = LoopResult("a", "32-true", [1.0, 4.0, 10.0], [1.0])
    other = LoopResult("b", "32-true", [2.0, 5.0, 4.0], [1.0])
    assert one.over(other) == Spread(0.8, 0.5, 2.5)


def test_the_notes_say_parts_overhead_floor_and_load():
    parts, added, floor, load = notes(result(), cores=2)
    assert parts == ("a step of ganzoo, float32: data 2.0%, forward 30.0%, backward 40.0%, optimizer 20.0%, framework 8.0%")
    assert added == "ganzoo over the plain loop, float32: 1.000 (0.800 to 1.200), in CPU time 1.000"
    assert floor == "floor, float32: 5 GFLOP at 200 GFLOP/s take 25 ms, 0.25 of ganzoo's step"
    assert load == "other work on the machine: 0.10 of 2 cores (0.00 to 0.30)"
    assert "not known" in notes(result(other_work=()), 2)[-1]


def test_a_busy_machine_is_warned_of():
    assert notes(result(other_work=(0.1, 0.9, 0.3)), 2)[-1].startswith("WARNING: other work on the machine: 0.30 of 2 cores")


def test_a_file_has_a_row_for_each_loop(tmp_path):
    write_csv(tmp_path / "steps.csv", rows([result(), result(None)], {"device": "cpu", "cores": 2}))
    with (tmp_path / "steps.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["loop"] for row in found] == ["ganzoo", "plain PyTorch", "published code", "ganzoo", "plain PyTorch"]
    ganzoo, plain, *_ = found
    expected = {
        "system": "dcgan-64", "size": "64", "batch_size": "4", "precision": "32-true", "images_per_second": "40",
        "step_ms": "100",
        "step_ms_least": "80", "step_ms_greatest": "120", "rounds": "3", "compared_with": "published code", "ratio": "0.6",
        "over_plain": "1", "cpu_ms": "200", "cpu_ratio": "1", "peak_memory_mb": "1000", "gflop_per_step": "",
        "floor_ms": "25", "backward_ms": "40", "framework_ms": "8", "other_cores": "0.1", "device": "cpu", "cores": "2",
    }  # fmt: skip
    assert {name: ganzoo[name] for name in expected} == expected
    assert plain["gflop_per_step"] == "5"
    assert plain["backward_ms"] == ""
    assert found[3]["compared_with"] == "plain PyTorch"


def test_the_picture_has_a_bar_for_each_loop(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.axes import Axes

    bars, floors = [], []
    barh, plot = Axes.barh, Axes.plot
    monkeypatch.setattr(Axes, "barh", lambda self, *args, **how: bars.append((*args, how)) or barh(self, *args, **how))
    monkeypatch.setattr(Axes, "plot", lambda self, x, *args, **how: floors.append(x) or plot(self, x, *args, **how))
    write_picture(tmp_path / "steps.png", [result(), result(None)], "this machine")
    assert Image.open(tmp_path / "steps.png").width > 500
    of_ganzoo = {how["label"]: width for place, width, how in bars[:5] if place == 0}
    assert of_ganzoo == pytest.approx({"data": 2, "forward": 30, "backward": 40, "optimizer": 20, "framework": 8}, rel=0.03)
    assert sum(of_ganzoo.values()) == pytest.approx(100)  # the rounds' median, in the parts' proportions
    assert [width for place, width, how in bars if how["label"] == "other loops"] == pytest.approx([100, 200, 100])
    assert floors == [pytest.approx([25.0, 25.0])] * 5
