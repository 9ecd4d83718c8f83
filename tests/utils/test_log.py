"""Messages: one line on stderr, from rank 0 only."""

from lightning.pytorch.utilities import rank_zero_only

from ganzoo.utils.log import log_info


def test_a_message_is_one_line_on_stderr(capsys):
    log_info("two\nlines")
    assert capsys.readouterr() == ("", "ganzoo: two\\nlines\n")


def test_other_ranks_are_silent(capsys, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    log_info("here")
    assert capsys.readouterr() == ("", "")
