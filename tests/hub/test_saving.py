"""A saved folder gives the model back to the bit, and holds no code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.command import Toy
from support.evaluate import saved
from support.small_models import played, small
from support.zoo import build, every_model_and_example

import ganzoo
from ganzoo.errors import InputError
from ganzoo.evaluation.protocol import MetricValue, Result
from ganzoo.hub import save, verify
from ganzoo.hub.examples import example_input, example_output
from ganzoo.hub.facts import sha256
from ganzoo.hub.folder import FILES, read_folder
from ganzoo.inference.discriminator import discriminator_output
from ganzoo.models import GAN, LAPGAN
from ganzoo.utils.ranges import Checked
from ganzoo.utils.weights import weights_sha256


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def averaged(**options: Any) -> str:
    """A checkpoint of a GAN with averaged weights that differ from the others."""
    trainer = played(small(GAN, ema_half_life=8.0, ema_ramp=0.0, **options), n=3)
    trainer.save_checkpoint("last.ckpt")
    return "last.ckpt"


def equal(one: Any, other: Any) -> bool:
    inputs = example_input(one)
    outputs = example_output(one, inputs), example_output(other, inputs)
    return outputs[0].keys() == outputs[1].keys() and all(torch.equal(outputs[0][k], outputs[1][k]) for k in outputs[0])


@every_model_and_example
def test_a_folder_gives_the_model_back_to_the_bit(name):
    path = saved(build(name))
    before, folder = ganzoo.load(path), save(path, "folder")
    after = ganzoo.load(folder)
    assert type(after) is type(before)
    assert json.dumps(dict(after.hparams)) == json.dumps(dict(before.hparams))  # JSON has no tuples
    assert equal(before, after)
    tensors = {k: v for k, v in before.state_dict().items() if not k.endswith("_extra_state")}
    assert all(torch.equal(after.state_dict()[k], v) for k, v in tensors.items())
    assert {each.name for each in folder.iterdir()} <= set(FILES)
    found = verify(folder)
    assert found.difference == 0
    assert 0 < found.tolerance < 0.1


def test_both_kinds_of_weights_are_kept():
    path = averaged()
    folder = save(path, "folder")
    assert read_folder(folder)["weights"]["kinds"] == ["averaged", "raw"]
    assert equal(ganzoo.load(folder), ganzoo.load(path))
    assert equal(ganzoo.load(folder, raw=True), ganzoo.load(path, raw=True))
    assert not equal(ganzoo.load(folder, raw=True), ganzoo.load(folder))
    assert ganzoo.load(folder).ema.seen == ganzoo.load(path).ema.seen > 0
    assert equal(ganzoo.load(save(path, "raw", raw=True)), ganzoo.load(path, raw=True))


def test_generators_alone_in_half_precision_are_small():
    path = averaged()
    folder = save(path, "small", generators_only=True, half=True)
    weights = load_file(folder / "model.safetensors")
    assert {name.partition(".")[0] for name in weights} == {"G"}
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    content = read_folder(folder)
    assert content["weights"]["kinds"] == ["averaged"]
    assert content["weights"]["precision"] == "float16"
    before, after = ganzoo.load(path), ganzoo.load(folder)
    assert after.ema is None
    assert after.dtype == torch.float32
    for name, tensor in before.ema["G"].state_dict().items():
        assert torch.equal(after.G.state_dict()[name], tensor.half().float())
    assert verify(folder).difference == 0
    with pytest.raises(InputError, match="holds the averaged weights only"):
        ganzoo.load(folder, raw=True)


def test_a_network_whose_weights_were_not_saved_is_not_used():
    folder = save(averaged(), "small", generators_only=True)
    one, other = ganzoo.load(folder), ganzoo.load(folder)
    line = "small was saved without the weights of D: give a checkpoint of the training, which has them"
    with pytest.raises(InputError, match=line):
        discriminator_output(one, one.sample(2))
    assert weights_sha256(one) == weights_sha256(other)  # not those of random weights
    levels = ganzoo.load(save(saved(small(LAPGAN, shape=(1, 16, 16), sizes=(8, 16))), "levels", generators_only=True))
    x, low = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    with pytest.raises(InputError, match="levels was saved without the weights of D"):
        levels.discriminate(1, low, levels.one_hot(None, 1), x)
    whole = ganzoo.load(save(averaged(), "whole"))
    assert discriminator_output(whole, whole.sample(2)).shape == (2, 1, 1)


def test_values_beyond_half_precision_are_refused():
    model = small(GAN)
    with torch.no_grad():
        model.D.layers[-1].bias.fill_(1e6)
    with pytest.raises(InputError, match="half precision does not reach"):
        save(saved(model), "half", half=True)
    assert not Path("half").exists()


def test_a_class_of_ones_own_needs_to_be_named_or_imported():
    path = saved(Toy(width=3))
    folder = save(path, "toy")
    assert equal(ganzoo.load(folder), ganzoo.load(path))
    content = json.loads((folder / "config.json").read_text())
    content["model"]["class_path"] = "a_module_of_nobody.Toy"
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"names 'a_module_of_nobody.Toy'.*give --model a_module_of_nobody.Toy"):
        ganzoo.load(folder)


class Shift(Checked):
    def __init__(self, by: float = 0.0) -> None:
        self.by = by


class Shifted(Toy):
    """Needs an object that only Lightning's command makes of its recipe."""

    def __init__(self, shift: Shift) -> None:
        super().__init__()
        self.shift = shift
        self.save_hyperparameters()

    def sample(self, n, y=None, generator=None):
        return super().sample(n, y, generator) * self.shift.by


def test_a_model_that_the_command_built_is_built_by_it_again():
    path = saved(Shifted(Shift(0.5)))
    by_command = {"_class_path": f"{__name__}.Shifted", "_instantiator": "lightning.pytorch.cli.instantiate_module"}
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"].update(by_command)
    torch.save(content, path)
    folder = save(path, "folder")
    assert isinstance(ganzoo.load(folder).shift, Shift)
    assert equal(ganzoo.load(save(folder, "again")), ganzoo.load(path))


def test_the_files_can_be_read_by_others():
    folder = save(saved(small(GAN)), "folder")
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {(folder / "config.json").stat().st_mode & 0o777}


def test_metrics_and_training_are_recorded_without_paths_of_the_machine():
    path = averaged()
    protocol = {"n_fake": 50, "n_real": 60, "split": "test", "real": "/data/photos", "extractor": None}
    about = {"sha256": sha256(Path(path)), "data": {"class": "ganzoo.data.Digits"}, "date": "2026-01-01"}
    Result(protocol, about, {"fd_tiny": MetricValue(12.5), "kd_tiny": MetricValue(0.25, 0.01, "5 subsets")}).save(
        Path("a.json")
    )
    other = {**about, "sha256": "0" * 64, "path": "other.ckpt"}
    Result(protocol, other, {"fd_tiny": MetricValue(1.0)}).save(Path("b.json"))
    Path("c.json").write_text("{}")
    content = read_folder(save(path, "folder", license="cc-by-4.0"))
    assert [(row["name"], row["value"]) for row in content["metrics"]] == [("fd_tiny", 12.5), ("kd_tiny", 0.25)]
    assert content["metrics"][0]["protocol"] == {"n_fake": 50, "n_real": 60, "split": "test"}
    assert content["metrics"][1]["deviation"] == 0.01
    assert content["training"]["step"] == 3
    assert content["license"] == "cc-by-4.0"
    again = read_folder(save("folder", "second"))
    assert again["metrics"] == content["metrics"]
    with pytest.raises(InputError, match=r"b\.json is a result of another checkpoint, other\.ckpt"):
        save(path, "third", metrics=["b.json"])
    assert not Path("third").exists()


def test_the_card_is_one_that_the_hub_reads():
    path = averaged()
    about = {"sha256": sha256(Path(path)), "data": {"class": "ganzoo.data.Digits"}}
    Result({"n_fake": 50}, about, {"fd_tiny": MetricValue(12.5)}).save(Path("a.json"))
    folder = save(path, "my_gan", license="cc-by-4.0")
    card = huggingface_hub.ModelCard.load(folder / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.library_name == "ganzoo"
    assert card.data.pipeline_tag == "unconditional-image-generation"
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("fd_tiny", 12.5, "Digits")
    assert card.data.model_name == "my_gan"
    assert "| fd_tiny | 12.5 |" in card.text
    assert "| steps | 3 |" in card.text
    with Image.open(folder / "samples.png") as image:
        assert image.size == (274, 274)  # 8 x 8 samples of 32 pixels, with gaps of 2
    plain = huggingface_hub.ModelCard.load(save(saved(build("DANN")), "plain") / "README.md")
    assert plain.data.license == "unknown"
    assert not Path("plain/samples.png").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class_path": "os.system"}, "names 'os.system', which is neither ganzoo's"),
        ({"class_path": "evil.Model"}, "names 'evil.Model', which is neither ganzoo's nor an installed plug-in's"),
        ({"init_args": {"loss": {"class_path": "os.system", "init_args": {"command": "touch ran"}}}}, "names 'os.system'"),
        ({"init_args": {"loss": {"class_path": "evil.Loss"}}}, "names 'evil.Loss'"),
        ({"init_args": {"shape": [1, 8, 8], "wide": 3}}, "does not fit GAN: "),
        ({"init_args": {"shape": "no"}}, "does not fit GAN: "),
        (
            {"class_path": "ganzoo.models.pix2pix.Pix2Pix", "init_args": {"depth": 3}},
            "model.safetensors is of another model",
        ),
        ({"init_args": {"shape": [1, 8, 8], "latent": 6, "hidden": 8}}, "model.safetensors is of another model"),
    ],
)
def test_a_config_that_lies_is_refused_and_runs_nothing(change, said, here):
    folder = save(saved(small(GAN)), "folder")
    content = json.loads((folder / "config.json").read_text())
    content["model"].update(change)
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as refused:
        ganzoo.load(folder)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (here / "ran").exists()


def test_files_of_another_model_are_refused():
    one, other = save(saved(small(GAN)), "one"), save(saved(build("CGAN")), "other")
    shutil.copy(other / "model.safetensors", one / "model.safetensors")
    with pytest.raises(InputError, match=r"model.safetensors is of another model: .* \(and \d+ more differences\)"):
        ganzoo.load(one)
    (one / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"model.safetensors cannot be read: "):
        ganzoo.load(one)


def test_nothing_is_written_over_or_left_half_written(monkeypatch):
    path = saved(small(GAN))
    Path("taken").mkdir()
    Path("taken/file").touch()
    for target, said in (("taken", "taken is not empty"), ("taken/file", "is a file")):
        with pytest.raises(InputError, match=said):
            save(path, target)
    monkeypatch.setattr("ganzoo.hub.saving.model_card", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(path, "folder")
    assert {each.name for each in Path().iterdir() if each.is_dir()} == {"taken"}


class Forgetful(Toy):
    """Has state that no checkpoint holds."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.shift = shift

    def on_load_checkpoint(self, checkpoint):
        super().on_load_checkpoint(checkpoint)
        self.shift = 1.0 if "global_step" in checkpoint else 0.0

    def sample(self, n, y=None, generator=None):
        return super().sample(n, y, generator) + self.shift


def test_a_model_that_forgets_something_is_not_saved():
    with pytest.raises(InputError, match="does not compute the same once it is saved and loaded"):
        save(saved(Forgetful()), "folder")
    assert not Path("folder").exists()


# -- verify -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Pix2Pix", "LAPGAN", "DANN"])
def test_a_wrong_weight_is_found(name):
    folder = save(saved(build(name)), "folder")
    content = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    used = next(k for k, v in weights.items() if k.startswith(("G.", "G_f.")) and v.ndim > 1)
    weights[used] = weights[used] * 1.05
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="its sha256 differs"):
        verify(folder)
    content["weights"]["sha256"] = sha256(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"the test output is off by .*, and .* is allowed"):
        verify(folder)


def test_a_folder_without_its_test_is_said():
    folder = save(saved(small(GAN)), "folder")
    (folder / "test_output.safetensors").unlink()
    with pytest.raises(InputError, match=r"test_output.safetensors cannot be read"):
        verify(folder)


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["default", "avx2"])
def test_another_processor_is_within_the_tolerance(instructions, monkeypatch):
    """Torch's kernels for other processors, chosen by the environment, in a process of its own."""
    names = ["GAN", "CGAN", "DCGAN", "LAPGAN", "Pix2Pix", "CycleGAN", "DANN"]
    for name in names:
        save(saved(build(name)), name)
    code = "import sys; from ganzoo.cli import main; sys.exit(max(main(['verify', name]) for name in sys.argv[1:]))"
    here = {**os.environ, "ATEN_CPU_CAPABILITY": instructions, "DNNL_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code, *names], env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(names)
    print(done.stdout)


def test_a_metric_of_one_direction_has_the_counts_of_that_direction():
    path = saved(build("CycleGAN"))
    protocol = {"n_fake": {"to_y": 5, "to_x": 7}, "split": "test"}
    metrics = {"l1_to_x": MetricValue(0.5), "l1_to_y": MetricValue(0.25)}
    Result(protocol, {"sha256": sha256(Path(path))}, metrics).save(Path("a.json"))
    folder = save(path, "folder")
    found = {row["name"]: row["protocol"]["n_fake"] for row in read_folder(folder)["metrics"]}
    assert found == {"l1_to_x": 7, "l1_to_y": 5}
    assert "l1_to_x (7 generated)" in (folder / "README.md").read_text()
