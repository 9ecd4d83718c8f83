"""``ganzoo translate``: a folder goes in and a folder comes out, today, tomorrow and after an interruption."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.command import error
from support.training import trainer
from support.zoo import cyclegan, pix2pix

from ganzoo.cli import main
from ganzoo.inference import translate as inference
from ganzoo.utils.png import save_png


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with two checkpoints and photographs, to stand in."""
    monkeypatch.chdir(tmp_path)
    for name, model in (("pix2pix", pix2pix()), ("cyclegan", cyclegan())):
        played = trainer(tmp_path)
        played.strategy.connect(model)
        model.trainer = played
        played.save_checkpoint(f"{name}.ckpt")
    for seed, name in enumerate(("a.png", "b.jpg", "sub/a.png", "sub/d.bmp")):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (11 + seed, 21, 3), np.uint8)
        Image.fromarray(pixels).save(Path("photos", name))
    return tmp_path


def files(folder: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_translate_and_predict_write_the_same_files(here, capsys):
    assert main(["translate", "pix2pix.ckpt", "photos"]) == 0
    assert "4 of 4 images are in translated" in capsys.readouterr().err
    made = files("translated")
    assert set(made) == {"a.png", "b.png", "sub/a.png", "sub/d.png"}
    assert Image.open("translated/sub/d.png").size == (21, 14)
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    model = ["--model", "Pix2Pix", "--model.depth", "3", "--model.width", "4", "--model.patch", "16"]
    data = ["--data", "ImageFolder", "--data.root", "photos", "--data.batch_size", "3"]
    assert main(["predict", *model, *data, *quiet, "--ckpt_path", "pix2pix.ckpt", "--run_dir", "run"]) == 0
    assert files("run/predictions") == made


def test_files_in_any_order_with_options(here):
    assert main(["translate", "cyclegan.ckpt", "photos/a.png", "--direction", "BtoA", "photos/b.jpg", "--size", "8"]) == 0
    assert set(files("translated")) == {"a.png", "b.png"}
    assert Image.open("translated/a.png").size == (15, 8)
    assert main(["translate", "cyclegan.ckpt", "photos/a.png", "--size=8", "--out", "there"]) == 0
    assert Image.open("there/a.png").tobytes() != Image.open("translated/a.png").tobytes()


def test_damaged_files_are_counted_and_cost_the_exit_code(here, capsys):
    for i in range(12):
        Path(f"photos/x{i:02d}.png").write_bytes(b"nothing")
    for _ in range(2):
        assert main(["translate", "cyclegan.ckpt", "photos"]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert sum("cannot read the image" in line for line in lines) == 10
        assert any("4 of 16 images are in translated" in line for line in lines)
        assert "12 of 16 files could not be read: x00.png, x01.png" in lines[-1]
        assert "and 2 more" in lines[-1]
        assert len(files("translated")) == 4


def test_an_animation_is_told_of(here, capsys):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save("photos/x.gif", save_all=True, append_images=frames[1:])
    assert main(["translate", "cyclegan.ckpt", "photos"]) == 0
    assert "of 1 animated files the first image was translated: x.gif" in capsys.readouterr().err


def test_finished_files_are_skipped_and_those_of_another_model_refused(here, capsys):
    command = ["translate", "pix2pix.ckpt", "photos"]
    assert main(command) == 0
    made = files("translated")
    assert main(command) == 0
    assert "4 of 4 images are translated already" in capsys.readouterr().err
    assert "b.png (and 3 more)" not in error(capsys, "translate", "cyclegan.ckpt", "photos")
    assert "a.png (and 3 more) is there and was not made by this model" in error(
        capsys, "translate", "cyclegan.ckpt", "photos"
    )
    assert files("translated") == made


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_goes_on(signum, here, capsys, monkeypatch):
    assert main(["translate", "pix2pix.ckpt", "photos", "--out", "wanted"]) == 0
    run, seen = inference.Translation.run, []

    def stopped(self, image, name, output=""):
        if len(seen) == 2:
            signal.raise_signal(signum)
        seen.append(name)
        return run(self, image, name, output)

    command = ["translate", "pix2pix.ckpt", "photos"]
    with monkeypatch.context() as patch:
        patch.setattr(inference.Translation, "run", stopped)
        assert main(command) == 128 + signum
    assert "the same command goes on" in capsys.readouterr().err
    kept = files("translated")
    assert set(kept) == {"a.png", "b.png"}
    assert main(command) == 0
    assert files("translated") == files("wanted")
    assert "2 of 4 images are translated already" in capsys.readouterr().err


def test_what_cannot_be_translated_is_one_line_before_the_work(here, capsys):
    Path("file").write_text("x")
    Path("empty").mkdir()
    Path("empty/notes.doc").write_text("x")
    assert "there are no images in empty" in error(capsys, "translate", "pix2pix.ckpt", "empty")
    assert "there is no file or folder nowhere" in error(capsys, "translate", "pix2pix.ckpt", "nowhere")
    assert "cannot write into file" in error(capsys, "translate", "pix2pix.ckpt", "photos", "--out", "file")
    assert "cannot write into file" in error(capsys, "translate", "pix2pix.ckpt", "photos", "--out", "file/in")
    assert "did you mean 'direction'" in error(capsys, "translate", "pix2pix.ckpt", "photos", "--directoin", "AtoB")
    assert "missing.ckpt" in error(capsys, "translate", "missing.ckpt", "photos")
    assert "out" not in {path.name for path in here.iterdir()}


def test_a_full_disk_is_one_line_and_leaves_no_part(here, capsys, monkeypatch):
    def full(path, image, record):
        if path.name == "b.png":
            raise OSError(28, "No space left on device", str(path))
        save_png(path, image, record)

    monkeypatch.setattr(inference, "save_png", full)
    assert "b.png: No space left on device" in error(capsys, "translate", "pix2pix.ckpt", "photos")
    assert all(name.endswith(".png") and not name.startswith(".") for name in files("translated"))


def test_help_is_quick():
    code = (
        "import sys; from ganzoo.cli import main\ntry: main(['translate', '--help'])\nfinally: print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--direction" in told
    assert told.endswith("False\n")


@pytest.mark.slow  # two more processes that import torch
def test_processes_share_the_files(here):
    for i in range(30):
        Image.new("RGB", (9 + i, 12), (8 * i, 0, 99)).save(f"photos/c{i}.png")
    Path("photos/bad.png").write_bytes(b"nothing")
    assert main(["translate", "pix2pix.ckpt", "photos", "--out", "one"]) == 2
    assert main(["translate", "pix2pix.ckpt", "photos", "--processes", "2"]) == 2
    assert len(files("one")) == 34
    assert files("one") == files("translated")
