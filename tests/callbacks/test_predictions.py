"""``ganzoo predict`` writes what it predicts: one file for each input, and a list of which is which."""

import csv
import gc
import subprocess
import sys
import weakref
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from PIL import Image
from support.training import loader, trainer
from support.zoo import cyclegan, pix2pix
from torch.utils.data import DataLoader

from ganzoo.callbacks import PredictionWriter
from ganzoo.cli import main
from ganzoo.data import ImageFolder
from ganzoo.errors import InputError
from ganzoo.prediction import Inputs
from ganzoo.utils.images import to_float, to_uint8

QUIET = ("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false")
SMALL = ("--model.depth", "3", "--model.width", "4", "--model.patch", "16", "--data.size", "16")


def listed(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "predictions.csv").read_text().splitlines()))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def photos(folder: Path, *names: str, size: tuple[int, int] = (20, 11)) -> str:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return str(folder)


def written(tmp_path: Path, model: L.LightningModule, root: str, **options) -> Path:
    """Where the predictions of a folder's images are."""
    played = trainer(tmp_path, callbacks=[PredictionWriter()])
    assert played.predict(model, datamodule=ImageFolder(root, **options), return_predictions=False) is None
    return tmp_path


# -- samples --------------------------------------------------------------------------------------------------------------


def test_predict_writes_a_sample_for_each_of_the_test_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for config in ("gan_digits", "cgan_digits"):
        assert main(["fit", "--config", config, "--trainer.max_steps", "1"]) == 0
        args = ["predict", "--config", config, "--ckpt_path", f"runs/{config}/version_0/checkpoints/last.ckpt"]
        assert main(args) == 0, capsys.readouterr().err
        run = tmp_path / f"runs/{config}/predict_0"
        made = sorted((run / "predictions").iterdir())
        assert [path.name for path in made] == [f"{i:06d}.png" for i in range(353)]
        pixels = np.stack([np.asarray(Image.open(path)) for path in made[:5]])
        assert pixels.shape == (5, 8, 8)
        assert len({image.tobytes() for image in pixels}) == 5
        rows = listed(run)
        assert [(int(row["number"]), row["input"], row["output"]) for row in rows] == [
            (i, "", f"{i:06d}.png") for i in range(353)
        ]
        classes = {row["class"] for row in rows}
        assert classes == ({""} if config == "gan_digits" else set("0123456789"))
        assert "353 images are in" in capsys.readouterr().err


def test_going_on_with_a_finished_run_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", "gan_digits", "--trainer.max_epochs", "1"]) == 0
    again = ["fit", "--config", "gan_digits", "--trainer.max_epochs", "1", "--ckpt_path", "last"]
    assert main(again) == 0
    assert "all 1 epochs are done" in capsys.readouterr().err


# -- translations ---------------------------------------------------------------------------------------------------------


def test_translations_have_the_names_folders_and_sizes_of_their_inputs(tmp_path):
    names = ["a.png", "sub/a.png", "b.png", "b.jpg", "deep/er/c.bmp"]
    root = photos(tmp_path / "photos", *names)
    photos(tmp_path / "photos", "odd.png", size=(9, 31))
    model = pix2pix()
    run = written(tmp_path / "run", model, root, batch_size=4)
    made = ["a.png", "b.jpg.png", "b.png.png", "deep/er/c.png", "odd.png", "sub/a.png"]
    assert files(run / "predictions") == made
    rows = listed(run)
    assert [row["input"] for row in rows] == sorted([*names, "odd.png"])
    assert sorted(row["output"] for row in rows) == made
    for row in rows:
        given, out = Image.open(tmp_path / "photos" / row["input"]), Image.open(run / "predictions" / row["output"])
        assert given.size == out.size
        # what the model makes of this very file
        x = to_float(torch.from_numpy(np.array(given.convert("RGB"))).permute(2, 0, 1))
        (y,) = model.predict_step(Inputs([x], None, [0], [row["input"]], ["x"]), 0)
        assert np.array_equal(np.asarray(out), to_uint8(y).permute(1, 2, 0).numpy())


def test_batch_size_changes_no_file(tmp_path):
    root, model = photos(tmp_path / "photos", *(f"{i}.png" for i in range(5))), pix2pix()
    one, four = (written(tmp_path / f"by_{size}", model, root, batch_size=size) for size in (1, 4))
    for name in files(one / "predictions"):
        assert (one / "predictions" / name).read_bytes() == (four / "predictions" / name).read_bytes()


def test_damaged_files_are_told_of_and_the_others_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", "a.png", "c.png")
    Path("photos/b.png").write_bytes(b"nothing")
    args = ["predict", "--model", "Pix2Pix", "--data", "ImageFolder", "--data.root", "photos", *SMALL, *QUIET]
    assert main([*args, "--run_dir", "made"]) == 2
    err = capsys.readouterr().err
    assert "predicting from 3 images, all of photos" in err
    assert "2 images are in made/predictions" in err
    (line,) = [line for line in err.splitlines() if "could not be read" in line]
    assert "1 of 3 files" in line
    assert "photos/b.png" in line
    assert "Traceback" not in err
    assert files(Path("made/predictions")) == ["a.png", "c.png"]
    assert [(row["input"], row["output"], bool(row["error"])) for row in listed(Path("made"))] == [
        ("a.png", "a.png", False), ("b.png", "", True), ("c.png", "c.png", False)
    ]  # fmt: skip


def test_predictions_of_two_times_are_not_mixed(tmp_path):
    root, model = photos(tmp_path / "photos", "sub/a.png"), cyclegan()
    run = written(tmp_path / "run", model, root)
    with pytest.raises(InputError, match="already exists"):
        written(tmp_path / "run", model, root)
    (run / "predictions.csv").unlink()
    with pytest.raises(InputError, match="predictions already exists"):
        written(tmp_path / "run", model, root)
    assert files(run / "predictions") == ["sub/a.png"]


def test_a_command_keeps_no_prediction_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept: list[int] = []
    made: list[weakref.ref] = []
    step = type(cyclegan()).predict_step

    def noted(self, batch, batch_idx):
        out = step(self, batch, batch_idx)
        gc.collect()
        kept.append(sum(each() is not None for each in made))
        made.append(weakref.ref(out))
        return out

    monkeypatch.setattr(type(cyclegan()), "predict_step", noted)
    photos(tmp_path / "photos", *(f"{i}.png" for i in range(9)))
    args = ["predict", "--model", "CycleGAN", "--model.blocks", "0", "--model.width", "1", "--model.patch", "1"]
    args += ["--data", "ImageFolder", "--data.root", "photos", "--data.batch_size", "1"]
    assert main([*args, *QUIET, "--run_dir", "made"]) == 0
    assert len(kept) == 9
    assert max(kept) <= 1
    assert len(files(Path("made/predictions"))) == 9


# -- anybody's predictions ------------------------------------------------------------------------------------------------


class Tells(L.LightningModule):
    """Predicts whatever stands in the batch."""

    def predict_step(self, batch, batch_idx):
        return batch.x


def test_class_probabilities_become_rows(tmp_path):
    p = torch.rand(7, 4, generator=torch.Generator().manual_seed(0)).softmax(1)
    p[5] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    for where in ({}, {"folder": tmp_path / "far" / "away"}):
        played = trainer(tmp_path, callbacks=[PredictionWriter(**where)])
        played.predict(Tells(), loader(p, batch_size=3))
        rows = listed(where.get("folder", tmp_path))
        assert [int(row["number"]) for row in rows] == list(range(7))
        assert [int(row["class"]) for row in rows] == p.argmax(1).tolist()
        assert [float(row["probability"]) for row in rows] == [round(value, 6) for value in p.amax(1).tolist()]
        assert {row["input"] for row in rows} == {""}
        with pytest.raises(InputError, match="already exists"):
            played.predict(Tells(), loader(p, batch_size=3))
    assert not (tmp_path / "predictions").exists()


def test_classes_are_told_with_their_files_and_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("car", "plane"):
        photos(tmp_path / "src" / name, "0.png", "1.png", "2.png", size=(8, 8))
    photos(tmp_path / "tgt", "x.png", "z.png", "y.png", size=(8, 8))
    Path("tgt/w.png").write_bytes(b"nothing")
    args = ["predict", "--model", "DANN", "--model.classes", "2", "--data", "Domains", "--data.batch_size", "1"]
    args += ["--data.source", "DomainFolder", "--data.source.root", "src", "--data.source.size", "28"]
    args += ["--data.target", "DomainFolder", "--data.target.root", "tgt", "--data.target.size", "28"]
    assert main([*args, *QUIET, "--run_dir", "told"]) == 2
    rows = listed(Path("told"))
    assert [row["input"] for row in rows] == ["w.png", "x.png", "y.png", "z.png"]
    for row in rows:
        if row["input"] == "w.png":
            assert "cannot read" in row["error"]
            assert not row["class"] + row["probability"]
        else:
            assert row["class_name"] == ("car", "plane")[int(row["class"])]
            assert 0.5 <= float(row["probability"]) <= 1
    assert "1 of 4 files could not be read" in capsys.readouterr().err


def test_images_go_where_they_are_wanted_and_other_predictions_nowhere(tmp_path):
    writer = PredictionWriter(tmp_path / "here")
    trainer(tmp_path, callbacks=[writer]).predict(Tells(), loader(torch.zeros(3, 1, 2, 2), batch_size=2))
    assert files(tmp_path / "here") == [*(f"{i:06d}.png" for i in range(3)), "predictions.csv"]
    other = PredictionWriter(tmp_path / "there")
    trainer(tmp_path, callbacks=[other]).predict(Tells(), loader(torch.zeros(3, 1, 2), batch_size=2))
    assert not (tmp_path / "there").exists()
    assert not list(tmp_path.glob("*.csv"))


def test_two_loaders_do_not_overwrite_each_other(tmp_path):
    class Both(Tells):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return batch.x

    data = [loader(torch.zeros(2, 1, 2, 2), batch_size=2), loader(torch.ones(3, 1, 2, 2), batch_size=2)]
    trainer(tmp_path, callbacks=[PredictionWriter()]).predict(Both(), data)
    assert files(tmp_path / "predictions") == [
        "000000.png", "000001.png", *(f"loader_1/{i:06d}.png" for i in range(3))
    ]  # fmt: skip


def test_one_prediction_for_an_image(tmp_path):
    class Half(Tells):
        def predict_step(self, batch, batch_idx):
            return batch.x[:1]

    named = [Inputs(torch.zeros(2, 1, 2, 2), None, [0, 1], ["a.png", "b.png"], ["a", "b"])]
    with pytest.raises(InputError, match="gives 1 predictions for a batch of 2 images"):
        trainer(tmp_path, callbacks=[PredictionWriter()]).predict(Half(), DataLoader(named, batch_size=None))


@pytest.mark.parametrize("name", ["../out", "/tmp/ganzoo_out"])
def test_a_name_that_leads_out_of_the_folder(name, tmp_path):
    named = [Inputs(torch.zeros(1, 1, 2, 2), None, [0], ["a.png"], [name])]
    with pytest.raises(InputError, match="outside"):
        trainer(tmp_path, callbacks=[PredictionWriter()]).predict(Tells(), DataLoader(named, batch_size=None))
    assert not (tmp_path / "out.png").exists()


def test_a_trial_run_writes_nothing(tmp_path):
    for _ in range(2):
        played = trainer(tmp_path, callbacks=[PredictionWriter()], fast_dev_run=True)
        played.predict(Tells(), loader(torch.zeros(3, 1, 2, 2), batch_size=2))
    assert files(tmp_path) == []


# -- two processes --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_write_each_image_once_to_one_folder(tmp_path):
    """By the command, whose second process has another folder for its own."""
    photos(tmp_path / "photos", *(f"{i}.png" for i in range(7)), "sub/0.png")
    (tmp_path / "photos/3.jpg").write_bytes(b"nothing")
    args = ["predict", "--model", "Pix2Pix", "--data", "ImageFolder", "--data.root", "photos", *SMALL, *QUIET]
    for name, devices in (("one", []), ("two", ["--trainer.devices", "2", "--trainer.strategy", "ddp"])):
        command = [sys.executable, "-m", "ganzoo", *args, "--data.batch_size", "2", *devices]
        done = subprocess.run(
            [*command, "--trainer.default_root_dir", name], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("1 of 9 files could not be read") == 1
    one, two = (tmp_path / name / "pix2pix_imagefolder" for name in ("one", "two"))
    assert [path.name for path in two.iterdir()] == ["predict_0"]
    one, two = one / "predict_0", two / "predict_0"
    assert (one / "predictions.csv").read_text() == (two / "predictions.csv").read_text()
    assert files(one / "predictions") == files(two / "predictions")
    assert len(files(one / "predictions")) == 8
    for name in files(one / "predictions"):
        assert (one / "predictions" / name).read_bytes() == (two / "predictions" / name).read_bytes()
    assert not list(two.glob("predictions.*.csv"))
