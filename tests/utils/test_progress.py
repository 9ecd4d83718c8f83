"""One progress bar for all long work: a bar on a terminal, lines elsewhere, nothing where it is switched off."""

import io

import ganzoo.utils.progress as progress
from ganzoo.utils.progress import ProgressBar, tracked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch) -> Terminal:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    return screen


def test_a_bar_on_a_terminal(monkeypatch):
    screen = terminal(monkeypatch)
    with ProgressBar(10, "real images", done=4) as bar:
        bar.update(3)
        bar.update(9)
        assert bar.done == 10
    assert "real images:  40%" in screen.getvalue()
    assert "ganzoo:" not in screen.getvalue()


def test_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    assert list(tracked([5, 6], "files", unit="files")) == [5, 6]
    assert capsys.readouterr().err.splitlines() == ["ganzoo: files: 1 of 2 files", "ganzoo: files: 2 of 2 files"]


def test_no_line_sooner_than_every_half_minute(capsys):
    assert list(tracked(range(100), "files")) == list(range(100))
    assert capsys.readouterr().err == ""


def test_switched_off(monkeypatch):
    screen = terminal(monkeypatch)
    with ProgressBar(10, "real images", shown=False) as bar:
        bar.update(10)
    assert screen.getvalue() == ""
