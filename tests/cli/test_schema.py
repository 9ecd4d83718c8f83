"""The JSON schema accepts every config that ganzoo accepts, and refuses what ganzoo refuses."""

import json
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from ganzoo.cli import main
from ganzoo.cli.schema import config_schema
from ganzoo.utils.yaml_text import load_yaml, read_yaml

TOP = Path(__file__).resolve().parent.parent.parent
SHIPPED = sorted([*(TOP / "configs").glob("*.yaml"), *(TOP / "examples").rglob("*_digits.yaml")])


@pytest.fixture(scope="module")
def validator():
    made = config_schema()
    jsonschema.Draft7Validator.check_schema(made)
    return jsonschema.Draft7Validator(made)


def errors(validator, config: str) -> list:
    return list(validator.iter_errors(load_yaml(config, "config")))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_config_that_comes_with_ganzoo_is_accepted(path, validator):
    content = read_yaml(path)
    if "plugin_template" in path.parts:  # its class is known by its dotted path where the plug-in is not installed
        content["model"]["class_path"] = "ganzoo_my_plugin.SmoothedGAN"
    assert not list(validator.iter_errors(content))


ACCEPTED = """\
model: Pix2Pix
---
model: my_module.MyGAN
---
model: {class_path: my_module.MyGAN, init_args: {anything: 1}}
---
model: {init_args: {lambda_L1: 10}}
---
model: {class_path: ganzoo.models.Pix2Pix, init_args: {depth: 7, lambda_L1: "${data.init_args.size}", ema_half_life: null}}
---
model: {class_path: ganzoo.models.gan.GAN, init_args: {loss: {class_path: Hinge}, shape: [1, 8, 8]}}
---
model: {class_path: GAN, init_args: {loss: LeastSquares, optimizers: {generator: {class_path: torch.optim.Adam}}}}
---
data: data.yaml
---
data: {class_path: Domains, init_args: {source: MNIST, target: {class_path: MNISTM}}}
---
trainer: {logger: true}
---
trainer: {logger: {class_path: WandbLogger, init_args: {offline: true, tags: [a]}}}
---
trainer: {callbacks: {class_path: lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: val/l1}}}
---
trainer: {callbacks: [Health, {class_path: Quality, init_args: {metrics: [distance], subsets: 20}}], devices: auto}
---
$schema: ganzoo.schema.json
seed_everything: true
run_dir: null
compile: true
"""
REFUSED = """\
modle: {class_path: GAN}
---
model: Pix2Pixx
---
model: ganzoo.models.Nothing
---
model: {class_path: Digits}
---
model: {class_path: Pix2Pix, init_args: {lambda_11: 10}}
---
model: {class_path: Pix2Pix, init_arg: {lambda_L1: 10}}
---
model: {class_path: Pix2Pix, init_args: {depth: many}}
---
model: {class_path: Pix2Pix, init_args: {depth: 7.5}}
---
model: {class_path: Pix2Pix, init_args: {depth: null}}
---
model: {class_path: Pix2Pix, init_args: {lr: -1}}
---
model: {class_path: GAN, init_args: {k: 0}}
---
model: {class_path: GAN, init_args: {shape: [1, 8]}}
---
model: {class_path: GAN, init_args: {loss: {class_path: Hinge, init_args: {margins: 2}}}}
---
data: {class_path: Digits, init_args: {batchsize: 4}}
---
data: {class_path: Domains, init_args: {source: {class_path: GAN}}}
---
trainer: {max_epoch: 3}
---
trainer: {max_epochs: three}
---
trainer: {callbacks: [{class_path: SampleGrid, init_args: {rows: 3}}]}
---
trainer: {callbacks: [SampleGird]}
---
trainer: {logger: {class_path: CSVLogger, init_args: {folder: x}}}
---
trainer: [1]
"""


@pytest.mark.parametrize("config", ACCEPTED.split("---\n"))
def test_what_a_config_may_say_is_accepted(config, validator):
    assert not errors(validator, config)


@pytest.mark.parametrize("config", REFUSED.split("---\n"))
def test_a_mistake_in_a_config_is_refused(config, validator):
    assert errors(validator, config)


@pytest.mark.slow
@pytest.mark.parametrize("config", REFUSED.split("---\n"))
def test_the_command_refuses_it_as_well(config, validator, tmp_path, monkeypatch, capsys):
    """Or the schema would be stricter than ganzoo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    whole = {"model": {"class_path": "GAN"}, "data": {"class_path": "Digits"}} | yaml.safe_load(config)
    Path("wrong.yaml").write_text(yaml.safe_dump(whole))
    assert main(["fit", "--config", "wrong.yaml", "--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu"]) == 2
    assert "ganzoo: error: " in capsys.readouterr().err


def test_a_saved_config_of_a_run_is_accepted(validator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    args = ["--config", "gan_digits", "--trainer.max_steps", "1", "--trainer.accelerator", "cpu", "--model.hidden", "8"]
    assert main(["fit", *args, "--trainer.limit_val_batches", "0"]) == 0
    assert not list(validator.iter_errors(read_yaml(Path("runs/gan_digits/version_0/config.yaml"))))


def test_editors_can_show_what_an_option_is(validator):
    schema = validator.schema
    pix2pix = schema["definitions"]["ganzoo.models.pix2pix.Pix2Pix"]["properties"]
    assert "L1" in pix2pix["lambda_L1"]["description"]
    assert schema["properties"]["trainer"]["properties"]["max_epochs"]["description"]


def test_the_command_prints_it(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert main(["schema", "more"]) == 2
    assert "takes no arguments" in capsys.readouterr().err
