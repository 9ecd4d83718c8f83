"""The bounds of trainings: what keeps to one, and that what was measured does."""

import math
from statistics import median

import pytest
import support.training_bounds as bounds
from support.training_bounds import Limit, Training


@pytest.mark.parametrize(
    ("text", "kept", "broken", "worst"),
    [
        ("< 0.5", 0.49, 0.5, 0.7),
        ("<= 2", 2, 2.1, 3),
        ("> 0.5", 0.6, 0.5, 0.1),
        (">= 0.9", 0.9, 0.89, 0.2),
        ("== 8", 8, 7, 7),
    ],
)
def test_a_limit(text, kept, broken, worst):
    limit = Limit(text)
    assert limit.kept(kept)
    assert not limit.kept(broken)
    assert not limit.kept(math.nan)
    assert limit.worst([kept, worst, broken]) == worst


def test_a_training_is_checked_by_the_median_of_its_seeds():
    ends = [0.1, 0.9, 0.3]
    trained = []
    Training(lambda seed: trained.append(seed) or {"error": ends[seed]}, {"error": Limit("< 0.5")}, median_of=3).check()
    assert trained == [0, 1, 2]
    ends[1] = 0.2
    Training(lambda seed: trained.append(seed) or {"error": ends[seed]}, {"error": Limit("< 0.5")}, median_of=3).check()
    assert trained[3:] == [0, 1]  # two of three decide
    two = {"error": Limit("< 0.5"), "other": Limit("> 0")}
    with pytest.raises(AssertionError, match="other is"):  # each number has its own majority
        Training(lambda seed: {"error": 0.1, "other": seed - 1}, two, median_of=3).check()
    ends[1] = 0.9
    Training(lambda seed: {"error": ends[seed]}, {"error": Limit("< 0.5")}).check()
    with pytest.raises(AssertionError, match=r"error is \[0.1, 0.9, 0.3\], and not < 0.2"):
        Training(lambda seed: {"error": ends[seed]}, {"error": Limit("< 0.2")}, median_of=3).check()
    with pytest.raises(AssertionError, match=r"error is \[nan\]"):
        Training(lambda seed: {"error": math.nan}, {"error": Limit("< 0.2")}).check()


def test_what_was_measured_keeps_to_its_bounds():
    trainings, rows = bounds.load(), bounds.recorded()
    assert {row["training"] for row in rows} <= trainings.keys()
    for name, training in trainings.items():
        for number, limit in training.limits.items():
            values = [float(row["value"]) for row in rows if (row["training"], row["number"]) == (name, number)]
            if training.median_of > 1 and values:
                values = [median(values)]
            assert all(map(limit.kept, values)), f"{name}: {number} is {values}, and not {limit.text}"


def test_the_page_is_made_from_what_was_measured():
    text = bounds.PAGE.read_text(encoding="utf-8")
    assert text == bounds.page(text), "python tests/support/training_bounds.py --table"
