"""The line through the times of steps at several sizes and batches."""

import pytest
from PIL import Image

from ganzoo.benchmark.growth import Growth, growths, lines, megapixels, write_growth_picture
from ganzoo.benchmark.machine import Ceiling
from ganzoo.benchmark.results import LoopResult, SystemResult

WORK = [(64, 1), (64, 4), (128, 1), (128, 8)]


def result(size: int, batch: int, seconds: float, name: str = "dcgan-64") -> SystemResult:
    loops = [LoopResult(label, "32-true", [seconds, 3 * seconds, 0.0], [1.0] * 3) for label in ("ganzoo", "plain PyTorch")]
    return SystemResult(name, "", None, size, batch, loops, {"32-true": Ceiling(1.0, 1.0)}, ())


def test_a_line_of_pixels_is_found_again():
    points = [(size, batch, 0.02 + 0.5 * megapixels(size, batch)) for size, batch in WORK]
    found = Growth.of("dcgan-64", "ganzoo", "32-true", points)
    assert (found.fixed, found.per_megapixel) == pytest.approx((0.02, 0.5))
    assert found.errors == pytest.approx([0.0] * 4)
    assert found.law(256, 2) == pytest.approx(0.02 + 0.5 * 0.131072)
    assert [point[:2] for point in found.points] == [(64, 1), (64, 4), (128, 1), (128, 8)]


def test_errors_count_by_share_and_not_by_seconds():
    # without shares the longest step alone would decide, and the line be 40 % off at the shortest one
    points = [(100, 1, 0.010), (200, 1, 0.025), (1000, 10, 6.0)]
    found = Growth.of("gan-28", "ganzoo", "32-true", points)
    assert max(map(abs, found.errors)) < 0.25
    assert found.errors[-1] < 0 < found.errors[1] or found.errors[1] < 0 < found.errors[-1]


def test_a_step_costs_nothing_less_than_nothing():
    points = [(100, 1, 0.01), (100, 2, 0.03), (100, 4, 0.07)]
    found = Growth.of("gan-28", "ganzoo", "32-true", points)
    assert found.fixed == 0.0
    slopes = [1 / 4, 3 / 4, 7 / 4]  # the least squares of s x / t - 1, from a grid of slopes
    pixels, seconds = [0.01, 0.02, 0.04], [0.01, 0.03, 0.07]
    grid = [i / 1000 for i in range(int(1000 * min(slopes)), 3000)]
    costs = [sum((s * x / t - 1) ** 2 for x, t in zip(pixels, seconds, strict=True)) for s in grid]
    assert found.per_megapixel == pytest.approx(grid[costs.index(min(costs))], abs=1e-3)


def test_two_amounts_of_pixels_are_no_law():
    # four images of 64 pixels are as many as one of 128
    assert growths([result(64, 1, 0.1), result(64, 4, 0.2), result(128, 1, 0.3)]) == []
    assert growths([result(64, 1, 0.1), result(64, 2, 0.2), result(128, 1, 0.3, "another")]) == []
    found = growths([result(64, 4, 0.3), result(64, 1, 0.1), result(64, 2, 0.2)])
    assert [each.loop for each in found] == ["ganzoo", "plain PyTorch"]
    assert [point for each in found[:1] for point in each.points] == [(64, 1, 0.1), (64, 2, 0.2), (64, 4, 0.3)]


def test_a_line_says_the_law_and_how_far_it_is_off(tmp_path):
    pytest.importorskip("matplotlib")
    found = Growth.of("dcgan-64", "ganzoo", "32-true", [(100, 1, 0.03), (100, 2, 0.05), (100, 4, 0.07)])
    (line,) = lines([found])
    assert line.startswith("a step of dcgan-64, ganzoo, 32-true: ")
    low, high = min(found.errors), max(found.errors)
    assert f"off by {low:+.0%} to {high:+.0%} at 3 points" in line
    assert low < 0 < high
    write_growth_picture(tmp_path / "growth.png", [found], "this machine")
    assert Image.open(tmp_path / "growth.png").height > 400
