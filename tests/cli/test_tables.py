"""Tables of text."""

from ganzoo.cli.tables import aligned


def test_columns():
    rows = [["", "b"], ["aa", "1.25"], ["a", "3"]]
    assert aligned(rows) == ["    b", "aa  1.25", "a   3"]
    assert aligned(rows, right=[1]) == ["       b", "aa  1.25", "a      3"]
    assert aligned([]) == []
