"""Which file a source means: a checkpoint, a run's folder, a name."""

import os
from pathlib import Path

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.hub.sources import find_model, is_model, selection


def checkpoint(path: Path, age: int = 0, best: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    states = {
        "Checkpoints": {"monitor": "val/fd" if best else None, "best_model_path": f"/elsewhere/{best}" if best else ""}
    }
    torch.save({"state_dict": {}, "callbacks": states}, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_a_file_is_itself(tmp_path):
    path = checkpoint(tmp_path / "x.ckpt")
    assert find_model(path) == (path, "")
    assert is_model(path)


@pytest.mark.parametrize("inside", ["", "checkpoints"])
def test_a_run_stands_for_its_best_checkpoint_or_else_its_last(inside, tmp_path):
    run = tmp_path / "version_0"
    last = checkpoint(run / "checkpoints" / "last.ckpt", age=9)
    newer = checkpoint(run / "checkpoints" / "epoch=1.ckpt")
    assert is_model(run / inside)
    assert find_model(run / inside) == (last, f"{run / inside}: loads last.ckpt, its last checkpoint")
    checkpoint(last, best="epoch=1.ckpt")
    assert find_model(run / inside) == (newer, f"{run / inside}: loads epoch=1.ckpt, its best checkpoint by val/fd")
    assert (selection(newer, {}), selection(last, {})) == ("best by val/fd", "last")
    newer.unlink()  # the best is gone
    assert find_model(run / inside).path == last


def test_a_run_without_last_stands_for_its_newest(tmp_path):
    checkpoint(tmp_path / "a.ckpt", age=5)
    newest = checkpoint(tmp_path / "b.ckpt")
    assert find_model(tmp_path).path == newest


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere.ckpt", "nowhere.ckpt: there is no such checkpoint or folder, and no model of this name"),
        ("gan_mnits", "did you mean 'gan_mnist'?"),
        ("gan_digits", "train them with `ganzoo fit --config gan_digits`"),
        (".", "is no model: it holds neither a saved model"),
        ("runs", "is the folder of several runs: give one of them, such as runs/version_3"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(source, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "runs" / "version_2" / "checkpoints" / "last.ckpt", age=1)
    checkpoint(tmp_path / "runs" / "version_3" / "checkpoints" / "last.ckpt")
    with pytest.raises(InputError) as refused:
        find_model(source)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_of_images_is_no_model(tmp_path):
    (tmp_path / "a.png").touch()
    assert not is_model(tmp_path)
    assert not is_model(tmp_path / "nothing")
