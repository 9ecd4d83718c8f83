"""Lightning's messages: reports are shown, greetings are not."""

import pytest
from lightning.pytorch.utilities import rank_zero_info
from support.command import fit

from ganzoo.cli.lightning_log import filter_log

pytestmark = pytest.mark.usefixtures("toy_folder")


def test_lightnings_reports_are_shown_and_its_greetings_are_not(caplog, capsys):
    filter_log()
    for line in (
        "GPU available: False",
        "`Trainer.fit` stopped: `max_epochs=1` reached.",
        "💡 Tip: buy",
        "Time limit reached.",
    ):
        rank_zero_info(line)
    assert caplog.messages == ["Time limit reached."]
    caplog.clear()
    assert fit("--trainer.profiler", "simple") == 0
    (report,) = caplog.messages
    assert "run_training_epoch" in report
