import pytest
import torch
from support.training import fit
from support.zoo import build, data

from ganzoo.cli import main
from ganzoo.hub import export as module


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    trainer = fit(build("CGAN"), data(build("CGAN")), folder, max_steps=2)
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


def test_the_command_writes_a_file_and_tells_its_parity(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(checkpoint), "--format", "torch"]) == 0
    assert "max abs difference" in capsys.readouterr().out
    program = torch.export.load(tmp_path / "cgan.pt2").module()
    noise = {"z": torch.zeros(2, 4)}
    images = program(noise=noise, label=torch.tensor([0, 2]), seed=torch.tensor([1, 1]))
    assert images.shape == (2, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert main(["export", str(checkpoint), "--format", "torch"]) == 2  # it is there
    assert "exists" in capsys.readouterr().err


def test_options_reach_the_export(checkpoint, tmp_path, monkeypatch):
    given = {}

    def record(model, out, format, **options):
        given.update(options, out=str(out), format=format)
        return []

    monkeypatch.setattr(module, "export", record)
    out = str(tmp_path / "x.onnx")
    assert main(["export", str(checkpoint), "--out", out, "--io", "float", "--layout", "nhwc", "--direction", "BtoA"]) == 0
    expected = {"out": out, "format": "onnx", "direction": "BtoA", "uint8": False, "channels_last": True}
    assert given == expected


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["nothing.ckpt"], "nothing.ckpt"),
        (["{checkpoint}", "--format", "tflite"], "format: expected one of onnx, torch, not tflite"),
        (["{checkpoint}", "--fromat", "onnx"], "did you mean 'format'"),
        (["{checkpoint}", "--out", "nowhere/x.onnx"], "nowhere/x.onnx cannot be written"),
    ],
)
def test_bad_input_is_one_line(args, line, checkpoint, capsys):
    assert main(["export", *(arg.format(checkpoint=checkpoint) for arg in args)]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
