"""Time to quality: which seconds are counted, and where the search ends."""

import importlib
import json
import sys
import time
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from support.training import fit, loader

from ganzoo.models import GAN

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
harness = importlib.import_module("time_to_quality")


def test_a_checkpoint_is_named_after_the_seconds_of_training(tmp_path, monkeypatch):
    clock = [5.0]  # a batch takes five seconds, and a checkpoint a hundred
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def save(trainer: L.Trainer, path: Path) -> None:
        path.touch()
        clock[0] += 100

    def begin(*_: object) -> None:
        clock[0] += 5

    monkeypatch.setattr(L.Trainer, "save_checkpoint", save)
    images = torch.rand(12, 1, 8, 8) * 2 - 1
    callbacks = [LambdaCallback(on_train_batch_start=begin), harness.KeepTimed(str(tmp_path), every=2)]
    fit(GAN(**GAN.small), loader(images, batch_size=2), tmp_path, max_epochs=1, callbacks=callbacks)
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == [
        "000002_10.0.ckpt",
        "000004_20.0.ckpt",
        "000006_30.0.ckpt",
    ]


@pytest.mark.parametrize(("wanted", "said", "evaluated"), [("4", "20.5 seconds to 4", 2), ("1", "1 was not reached", 3)])
def test_the_search_ends_at_the_first_checkpoint_that_is_near_enough(wanted, said, evaluated, tmp_path, monkeypatch, capsys):
    asked = []

    def command(words):
        asked.append(words)
        if words[0] == "fit":
            folder = tmp_path / "seed_0"
            folder.mkdir()
            for name in ("000250_10.0", "000500_20.5", "000750_31.0"):
                (folder / f"{name}.ckpt").touch()
        if words[0] == "evaluate":
            value = {"000250": 6.0, "000500": 3.5, "000750": 3.0}[Path(words[1]).name[:6]]
            Path(words[words.index("--out") + 1]).write_text(json.dumps({"metrics": {harness.METRIC: {"value": value}}}))
        return 0

    monkeypatch.setattr(harness, "command", command)
    words = ["--distance", wanted, "--out", str(tmp_path), "--options", "--trainer.precision", "bf16-mixed"]
    monkeypatch.setattr(sys, "argv", ["time_to_quality.py", *words])
    harness.main()
    assert said in capsys.readouterr().out
    (training,) = (words for words in asked if words[0] == "fit")
    assert training[-2:] == ["--trainer.precision", "bf16-mixed"]
    assert sum(words[0] == "evaluate" for words in asked) == evaluated
