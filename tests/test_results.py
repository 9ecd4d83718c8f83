"""docs/results.csv: every row names a config that exists and says how, when and on what it was measured."""

import csv
import datetime
import importlib.util
import re
from pathlib import Path

from ganzoo.utils.configs import config_names

CHECKOUT = Path(__file__).resolve().parent.parent
ROWS = list(csv.DictReader((CHECKOUT / "docs/results.csv").open()))


def test_every_row_says_what_how_and_when():
    assert ROWS
    for row in ROWS:
        assert row["config"] in config_names(), row
        for column in ("metric", "split", "value", "seeds", "checkpoint", "steps", "machine", "commit"):
            assert row[column], (row, column)
        assert datetime.date.fromisoformat(row["date"]).year >= 2026
        assert row["hours"] == "" or float(row["hours"]) > 0, row
        values, seeds = row["value"].split(" / "), row["seeds"].split(" / ")
        assert len(values) == len(seeds), row
        assert all(re.fullmatch(r"-?\d+(\.\d+)?( \+- \d+(\.\d+)?)?", value) for value in values), row


def test_no_two_rows_are_of_the_same_measurement():
    keys = [tuple(row[name] for name in ("config", "options", "metric", "split", "checkpoint")) for row in ROWS]
    assert len(set(keys)) == len(keys)


def test_the_page_is_made_from_the_rows():
    spec = importlib.util.spec_from_file_location("tables", CHECKOUT / "docs/tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert (CHECKOUT / "docs/results.md").read_text() == tables.page(), "python docs/tables.py"
    three = {"value": "1.0 +- 0.5 / 2.0 +- 0.5 / 3.0 +- 0.5", "seeds": "0 / 1 / 2"}
    assert tables.shown(three) == "1.0 ± 0.5, 2.0 ± 0.5, 3.0 ± 0.5 (seeds 0, 1, 2): 2.0 ± 1.0"
    assert tables.shown({"value": "7.25", "seeds": "0"}) == "7.25"
