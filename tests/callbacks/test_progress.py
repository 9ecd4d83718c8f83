"""The progress bar's values and its plain lines."""

import sys

import torch
from support.games import Tug
from support.training import LIMIT, fit, loader

from ganzoo.callbacks import Progress


def train(tmp_path, progress: Progress, **options) -> None:
    data = loader(torch.rand(8, 3), batch_size=2)
    fit(Tug(), data, tmp_path, callbacks=[progress], enable_progress_bar=True, log_every_n_steps=1, max_epochs=2, **options)


def test_a_file_gets_one_line_of_a_short_training(tmp_path, capsys):
    train(tmp_path, Progress(plain_interval=LIMIT))  # short beside the interval, on any machine
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("epoch 2/2  step 8  discriminator/loss ")
    assert "  generator/loss " in line
    assert "v_num" not in line


def test_a_long_training_has_a_line_now_and_then(tmp_path, capsys):
    train(tmp_path, Progress(plain_interval=0))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[3] for line in lines] == [*map(str, range(1, 9)), "8"]


def test_a_terminal_gets_the_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich asks for itself
    train(tmp_path, Progress(plain_interval=0))
    written = capsys.readouterr().out
    assert "Epoch 1/2" in written
    assert "Epoch 2/2" in written
    assert "Epoch 0/" not in written
    assert "step 8" not in written


def test_values_are_fetched_no_more_often_than_they_are_drawn(tmp_path, monkeypatch):
    fetched = []

    class Slow(Progress):
        def get_metrics(self, trainer, pl_module):
            before = self._fetched
            values = super().get_metrics(trainer, pl_module)
            fetched.append(self._fetched != before)
            return values

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    progress = Slow(refresh_rate=1)
    now = iter(x / 10 for x in range(10_000))  # a tenth of a second passes between two looks at the clock
    monkeypatch.setattr("ganzoo.callbacks.progress.time.monotonic", lambda: next(now))
    train(tmp_path, progress)
    assert 1 < sum(fetched) < len(fetched) / 2


def test_none_at_all(tmp_path, capsys):
    train(tmp_path, Progress(refresh_rate=0))
    assert capsys.readouterr().out == ""
