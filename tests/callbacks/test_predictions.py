"""``ganzoo predict`` writes what it predicts."""

import csv

import lightning.pytorch as L
import numpy as np
import torch
from PIL import Image
from toys import loader, trainer

from ganzoo.callbacks import PredictionWriter
from ganzoo.cli import main


def test_predict_writes_a_picture_for_each_of_the_test_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", "gan_digits", "--trainer.max_steps", "1"]) == 0
    args = ["predict", "--config", "gan_digits", "--ckpt_path", "runs/gan_digits/version_0/checkpoints/last.ckpt"]
    assert main(args) == 0, capsys.readouterr().err
    written = sorted((tmp_path / "runs/gan_digits/predict_0/predictions").glob("*.png"))
    assert [path.name for path in written] == [f"{i:06d}.png" for i in range(353)]
    pixels = np.stack([np.asarray(Image.open(path)) for path in written[:5]])
    assert pixels.shape == (5, 8, 8)
    assert len({picture.tobytes() for picture in pixels}) == 5


def test_going_on_with_a_finished_run_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", "gan_digits", "--trainer.max_epochs", "1"]) == 0
    again = ["fit", "--config", "gan_digits", "--trainer.max_epochs", "1", "--ckpt_path", "last"]
    assert main(again) == 0
    assert "all 1 epochs are done" in capsys.readouterr().err


class Tells(L.LightningModule):
    """Predicts whatever stands in the batch."""

    def predict_step(self, batch, batch_idx):
        return batch.x


def test_class_probabilities_become_rows(tmp_path):
    p = torch.rand(7, 4, generator=torch.Generator().manual_seed(0)).softmax(1)
    p[5] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    for where in ({}, {"folder": tmp_path / "far" / "away"}):
        played = trainer(tmp_path, callbacks=[PredictionWriter(**where)])
        for _ in range(2):  # the second time writes a new file
            played.predict(Tells(), loader(p, batch_size=3))
        written = (where.get("folder", tmp_path) / "predictions.csv").read_text()
        rows = list(csv.DictReader(written.splitlines()))
        assert [int(row["number"]) for row in rows] == list(range(7))
        assert [int(row["class"]) for row in rows] == p.argmax(1).tolist()
        assert [float(row["probability"]) for row in rows] == [round(value, 6) for value in p.amax(1).tolist()]
    assert not (tmp_path / "predictions").exists()


def test_pictures_go_where_they_are_wanted_and_other_predictions_nowhere(tmp_path):
    writer = PredictionWriter(tmp_path / "here")
    played = trainer(tmp_path, callbacks=[writer])
    played.predict(Tells(), loader(torch.zeros(3, 1, 2, 2), batch_size=2))
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == [f"{i:06d}.png" for i in range(3)]
    played.predict(Tells(), loader(torch.zeros(3, 1, 2), batch_size=2))
    assert len(list((tmp_path / "here").iterdir())) == 3
    assert not list(tmp_path.glob("*.csv"))
