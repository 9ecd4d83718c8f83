"""``ganzoo predict`` writes what it predicts."""

import numpy as np
from PIL import Image

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
