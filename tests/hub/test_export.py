import json
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
from lightning.pytorch import LightningModule
from support.zoo import MODELS, build, pix2pix
from torch import nn

from ganzoo import __version__
from ganzoo.errors import InputError
from ganzoo.hub import export as module
from ganzoo.hub.export import FORMATS, Parity, export
from ganzoo.hub.exportable import example_images
from ganzoo.interfaces import Sampler
from ganzoo.models import GAN
from ganzoo.utils.images import to_float


@pytest.fixture(scope="module")
def onnx_pix2pix(tmp_path_factory):
    """An exported pix2pix, and what was told of it."""
    (found,) = export(pix2pix(), tmp_path_factory.mktemp("export") / "maps.onnx")
    return found


def test_a_translator_takes_any_batch_and_size(onnx_pix2pix):
    assert onnx_pix2pix.parity.holds
    session, model = onnxruntime.InferenceSession(onnx_pix2pix.path), pix2pix()
    assert {value.name: value.type for value in session.get_inputs()} == {"image": "tensor(uint8)", "seed": "tensor(int64)"}
    for n, size in ((1, (8, 8)), (3, (32, 16)), (2, (40, 72))):  # the first has one pixel in the bottleneck's input
        image, seed = example_images(n, 3, size, 1), torch.arange(n)
        (found,) = session.run(None, {"image": image.numpy(), "seed": seed.numpy()})
        part = module.exportable(model, module.PixelFormat(), None)[""]
        expected = part.expected(model, {"image": image, "seed": seed})
        assert (torch.from_numpy(found).int() - expected.int()).abs().max() <= 1


def test_the_noise_of_a_file_is_that_of_training(onnx_pix2pix):
    """Mean and deviation over many draws, which a file without noise, or with louder noise, would miss."""
    model, n = pix2pix(), 200
    image = example_images(1, 3, (16, 16), 0)
    torch.manual_seed(0)
    drawn = torch.cat([model.translate(to_float(image)) for _ in range(n)]).add(1).mul(127.5)
    session = onnxruntime.InferenceSession(onnx_pix2pix.path)
    (found,) = session.run(None, {"image": image.expand(n, -1, -1, -1).numpy(), "seed": torch.arange(n).numpy()})
    own = torch.from_numpy(found).float()
    deviation = drawn.std(0).mean()
    assert deviation > 3
    assert own.std(0).mean() == pytest.approx(float(deviation), rel=0.15)
    assert (own.mean(0) - drawn.mean(0)).abs().mean() < deviation * 3 * (2 / n) ** 0.5
    (again,) = session.run(None, {"image": image.expand(n, -1, -1, -1).numpy(), "seed": torch.arange(n).numpy()})
    assert (again == found).all()  # the same seeds


def test_the_metadata_tell_how_to_use_a_file(onnx_pix2pix):
    told = onnxruntime.InferenceSession(onnx_pix2pix.path).get_modelmeta().custom_metadata_map
    assert told["model"] == "maps"
    assert told["class"] == "ganzoo.models.pix2pix.Pix2Pix"
    assert told["ganzoo"] == __version__
    assert told["size_multiple"] == "8"
    assert told["pixels"] == "uint8 in [0, 255]"
    assert told["layout"] == "NCHW"
    assert len(told["weights_sha256"]) == 64
    assert "seed" in told["noise"]


def test_a_file_holds_no_paths_and_no_discriminator(onnx_pix2pix):
    content = onnx_pix2pix.path.read_bytes()
    assert str(Path(module.__file__).parents[2]).encode() not in content
    assert sys.prefix.encode() not in content
    model = pix2pix()
    assert len(content) < 4 * sum(p.numel() for p in model.G.parameters()) + 60_000


def test_a_torch_file_runs_without_ganzoo(tmp_path):
    model = build("GAN").eval()
    (found,) = export(model, tmp_path / "gan.pt2", "torch")
    assert found.parity.greatest <= 1
    code = (
        "import json, sys, torch; sys.modules['ganzoo'] = None; extra = {'metadata.json': ''}\n"
        f"program = torch.export.load({str(found.path)!r}, extra_files=extra)\n"
        f"image = program.module()(noise={{'z': torch.ones(3, {model.latent})}})\n"
        "print(json.dumps([image.tolist(), json.loads(extra['metadata.json']), len(program.state_dict)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    image, told, weights = json.loads(done.stdout.splitlines()[-1])
    expected = module.PixelFormat().write(model.decode({"z": torch.ones(3, model.latent)}))
    assert (torch.tensor(image) - expected.int()).abs().max() <= 1
    assert told["distribution_of_z"] == "Uniform(low=-1.73205, high=1.73205)"
    assert weights == len(list(model.G.parameters()))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("format", FORMATS)
def test_every_model_can_be_exported(name, format, tmp_path):
    found = export(build(name).eval(), tmp_path / f"model{FORMATS[format].suffix}", format)
    assert [path.exists() for path, _ in found] == [True] * (2 if name == "CycleGAN" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_floats_with_the_channels_last(format, tmp_path):
    (found,) = export(build("CycleGAN").eval(), tmp_path / "x", format, direction="BtoA", uint8=False, channels_last=True)
    assert found.parity.greatest < 1e-4
    assert found.parity.unit == ""


def test_a_file_that_differs_is_not_left(tmp_path, monkeypatch):
    for wrong in (2.0, float("nan")):
        monkeypatch.setattr(module, "compare", lambda *_, wrong=wrong: Parity(wrong, 0.1, "levels of 255", "1 photograph"))
        with pytest.raises(InputError, match="differs from the model: max abs difference"):
            export(build("GAN").eval(), tmp_path / "gan.pt2", "torch")
    assert list(tmp_path.iterdir()) == []


def test_an_unlike_file_is_seen(monkeypatch):
    model = build("GAN").eval()
    part = module.exportable(model, module.PixelFormat(), None)[""]
    assert module.compare(part, model, lambda inputs: part(**inputs)).holds
    assert not module.compare(part, model, lambda inputs: part(**inputs) ^ 4).holds
    floats = module.exportable(model, module.PixelFormat(uint8=False), None)[""]
    assert not module.compare(floats, model, lambda inputs: floats(**inputs) + 0.01).holds
    assert not module.compare(floats, model, lambda inputs: floats(**inputs) * float("nan")).holds


class Random(GAN):
    def generate(self, noise, y):
        return super().generate(noise, y) + torch.rand(())


class Closed(LightningModule, Sampler):
    def sample(self, n, y=None, generator=None):
        return torch.rand(n, 1, 2, 2)


def test_what_cannot_be_exported_is_refused(tmp_path, monkeypatch):
    out = tmp_path / "x.pt2"
    gan = build("GAN").eval()
    with pytest.raises(InputError, match="no format 'tensorflow'"):
        export(gan, out, "tensorflow")
    with pytest.raises(InputError, match="did you mean 'onnx'"):
        export(gan, out, "onx")
    with pytest.raises(InputError, match="--direction is for models that translate"):
        export(gan, out, "torch", direction="AtoB")
    with pytest.raises(InputError, match="no Translator, Sampler or Classifier"):
        export(LightningModule(), out, "torch")
    with pytest.raises(InputError, match="draws its noise inside of sample"):
        export(Closed(), out, "torch")
    with pytest.raises(InputError, match="draws random numbers with aten"):
        export(Random(**GAN.small).eval(), out, "torch")
    assert list(tmp_path.iterdir()) == []
    model = pix2pix()
    model.direction = "AtoB"
    with pytest.raises(InputError, match="goes that way only"):
        export(model, out, "torch", direction="BtoA")
    out.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        export(gan, out, "torch")
    assert out.read_text() == "mine"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'pip install "lightning-ganzoo\[export\]"'):
        export(gan, tmp_path / "x.onnx")


class Unexportable(GAN):
    def generate(self, noise, y):
        if float(noise["z"].sum()) > 0:  # a graph has no numbers to look at
            return super().generate(noise, y)
        return -super().generate(noise, y)


def test_a_network_that_torch_cannot_export_is_one_line(tmp_path):
    with pytest.raises(InputError, match="Unexportable cannot be exported: ") as refused:
        export(Unexportable(**GAN.small).eval(), tmp_path / "x.pt2", "torch")
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, ValueError)
    assert list(tmp_path.iterdir()) == []
    assert issubclass(Unexportable, nn.Module)
