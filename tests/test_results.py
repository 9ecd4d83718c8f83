"""docs/results.csv: every row names a config that exists and says how, when and on what it was measured."""

import csv
import datetime
import re
from pathlib import Path

from ganzoo import catalogue

CHECKOUT = Path(__file__).resolve().parent.parent
ROWS = list(csv.DictReader((CHECKOUT / "docs/results.csv").open()))


def test_every_row_says_what_how_and_when():
    assert ROWS
    for row in ROWS:
        assert row["config"] in catalogue.names(), row
        for column in ("metric", "split", "value", "seeds", "checkpoint", "steps", "machine", "commit"):
            assert row[column], (row, column)
        assert datetime.date.fromisoformat(row["date"]).year >= 2026
        values, seeds = row["value"].split(" / "), row["seeds"].split(" / ")
        assert len(values) == len(seeds), row
        assert all(re.fullmatch(r"-?\d+(\.\d+)?( \+- \d+(\.\d+)?)?", value) for value in values), row


def test_no_two_rows_are_of_the_same_measurement():
    keys = [(row["config"], row["options"], row["metric"], row["split"]) for row in ROWS]
    assert len(set(keys)) == len(keys)
