"""examples/dcgan_features.py as a reader runs it: a model, its data, and a line for each kind of features."""

import re

import lightning.pytorch as L
from support.training import trainer
from support.zoo import example

from ganzoo.data import Digits
from ganzoo.models import DCGAN


def test_it_names_three_accuracies(tmp_path, monkeypatch, capsys):
    L.seed_everything(0, verbose=False)
    model = DCGAN(shape=(1, 8, 8), width=16, latent=8)
    fitted = trainer(tmp_path, max_steps=2, limit_val_batches=0)
    fitted.fit(model, datamodule=Digits(batch_size=64))
    fitted.save_checkpoint(tmp_path / "last.ckpt")
    script = example("dcgan_features")
    options = ["--data", "Digits", "--per-class", "10", "--test", "200", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", ["dcgan_features.py", str(tmp_path / "last.ckpt"), *options])
    script.main()
    said = capsys.readouterr().out
    assert "10 labelled images a class" in said
    found = dict(re.findall(r"^(\w+) +([\d.]+)%", said, re.MULTILINE))
    assert list(found) == ["pixels", "random", "trained"]
    assert all(40 < float(value) <= 100 for value in found.values())  # 10 is chance
