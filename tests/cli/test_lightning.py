"""The command, mostly called in this process, on a toy of two linear players."""

import os
import resource
import shlex
import signal
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.strategies import DDPStrategy
from support.command import (
    BATCHES,
    BROKEN,
    PLAY,
    UNSAVED,
    FullFromHere,
    Toy,
    checkpoint,
    error,
    fill_the_disk,
    fit,
    ganzoo_process,
    saved,
)
from support.training import LIMIT, wait_for
from support.wandb_files import wandb_config, wandb_records

from ganzoo.cli import main
from ganzoo.cli.lightning import ZooCLI
from ganzoo.errors import InputError
from ganzoo.training.strategies import refuse_strategy

pytestmark = pytest.mark.usefixtures("toy_folder")

# -- what needs no torch ----------------------------------------------------------------------------------------------


# -- configs ----------------------------------------------------------------------------------------------------------


def test_an_interpolation_follows_the_command_line():
    assert fit("--data.batch_size", "3") == 0
    assert saved()["model"]["init_args"]["width"] == 3
    assert checkpoint()["state_dict"]["G.weight"].shape == (16, 3)


def test_several_configs_merge_and_the_last_one_wins():
    Path("more.yaml").write_text("trainer: {max_epochs: 2}\nmodel: {init_args: {weight_l1: 7.0}}\n")
    assert fit("--config", "more.yaml", "--config", "{trainer: {log_every_n_steps: 1}}") == 0
    config = saved()
    assert (config["trainer"]["max_epochs"], config["trainer"]["log_every_n_steps"]) == (2, 1)
    assert config["model"]["init_args"] == {"width": 4, "weight_l1": 7.0, **PLAY}


def test_class_names_are_enough():
    assert main(["fit", "--model", "Toy", "--data", "ToyData", "--trainer.max_epochs", "1"]) == 0
    assert saved("runs/toy_toydata/version_0")["model"]["class_path"] == "support.command.Toy"


def test_a_module_from_the_current_folder(tmp_path):
    # the package's whole promise: a file of one's own, and nothing installed
    Path("my_module.py").write_text("from support.command import Toy\nclass MyGAN(Toy):\n    pass\n")
    done = ganzoo_process(
        *("fit", "--model", "my_module.MyGAN", "--data", "support.command.ToyData", "--trainer.max_epochs", "1"),
    )
    assert done.returncode == 0, done.stderr
    assert Path("runs/mygan_toydata/version_0/checkpoints/last.ckpt").is_file()
    assert "Warning" not in done.stderr


def test_a_plain_lightning_module_trains_and_may_be_clipped_by_the_trainer():
    args = [
        "--model",
        "support.command.PlainModule",
        "--data",
        "support.command.ToyData",
        "--trainer.max_epochs",
        "1",
    ]
    assert main(["fit", *args, "--trainer.gradient_clip_val", "1"]) == 0


def test_the_seed_is_0_unless_given_and_decides_the_weights():
    for seed in (None, "0", "1"):
        assert fit(*(["--seed_everything", seed] if seed else [])) == 0
    default, zero, one = (checkpoint(f"runs/toy_noise/version_{n}")["state_dict"]["G.weight"] for n in range(3))
    assert torch.equal(default, zero)
    assert not torch.equal(default, one)


def test_a_recipe_in_the_config_stays_a_recipe():
    recipe = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.125}}
    Path("sgd.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"optimizers": {"generator": recipe}}}}))
    assert fit("--config", "sgd.yaml") == 0
    assert checkpoint()["hyper_parameters"]["optimizers"] == {"generator": recipe}
    discriminator, generator = checkpoint()["optimizer_states"]
    assert "betas" in discriminator["param_groups"][0]
    assert generator["param_groups"][0]["lr"] == 0.125


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(capsys):
    assert "CUDA" in error(capsys, "fit", "--config", "toy_noise", "--trainer.accelerator", "cuda")


def test_a_module_of_one_s_own_that_does_not_import(capsys):
    Path("broken_module.py").write_text("import torch\nnn.Linear\n")
    line = error(capsys, "fit", "--model", "broken_module.MyGAN", "--data", "ToyData")
    assert line == "model: broken_module.MyGAN cannot be used: name 'nn' is not defined"


def test_a_plug_in_is_imported_and_one_that_fails_is_named(capsys, monkeypatch):
    Path("a_plugin.py").write_text("from support.command import Toy\nclass PluggedIn(Toy):\n    pass\n")
    found = [EntryPoint("mine", "a_plugin", "ganzoo.plugins")]
    monkeypatch.setattr("ganzoo.cli.parser.plugins", lambda: found)
    assert main(["fit", "--model", "PluggedIn", "--data", "ToyData", "--trainer.max_epochs", "1"]) == 0
    found.append(EntryPoint("theirs", "no_such_plugin", "ganzoo.plugins"))
    assert "the plug-in 'theirs' (no_such_plugin) cannot be imported" in error(capsys, "fit")


def test_yaml_that_does_not_parse_names_its_file(capsys):
    Path("bad.yaml").write_text("model: {class_path: [\n")
    assert error(capsys, "fit", "--config", "bad.yaml").startswith(f"{Path('bad.yaml')}: ")


@pytest.mark.parametrize(
    "args",
    [
        ["--model.width", "0"],
        ["--trainer.gradient_clip_val", "1"],
        ["--trainer.strategy", "fsdp"],
        ["--data", "support.command.BrokenData"],  # found when the first batch is asked for
        ["--data", "support.command.BrokenData", "--run_dir", "runs/toy_noise/mine"],
    ],
)
def test_an_error_before_the_first_step_leaves_no_folder(capsys, args):
    error(capsys, "fit", "--config", "toy_noise", *args)
    assert not Path("runs/toy_noise").exists()


def test_a_resumed_run_that_takes_no_step_leaves_no_folder_and_one_that_did_stays(capsys):
    assert fit() == 0
    error(capsys, "fit", "--config", "toy_noise", "--ckpt_path", "last", "--trainer.max_epochs", "2", *BROKEN)
    assert os.listdir("runs/toy_noise") == ["version_0"]
    error(capsys, "fit", "--config", "toy_noise", "--trainer.callbacks", "support.command.FullDisk", *UNSAVED)
    assert os.listdir("runs/toy_noise/version_1") == ["config.yaml"]


@pytest.mark.parametrize("strategy", ["fsdp", "FSDPStrategy", "deepspeed", "deepspeed_stage_3_offload"])
def test_a_strategy_that_players_cannot_use(strategy):
    with pytest.raises(InputError, match=r"use --trainer\.strategy ddp"):
        refuse_strategy(strategy)


@pytest.mark.parametrize("strategy", ["auto", "ddp", "ddp_spawn", "ddp_find_unused_parameters_true", DDPStrategy()])
def test_a_strategy_that_players_can_use(strategy):
    refuse_strategy(strategy)


def test_a_strategy_is_the_affair_of_a_module_without_players(capsys):
    plain = [
        "--model",
        "support.command.PlainModule",
        "--data",
        "support.command.ToyData",
        "--trainer.accelerator",
        "cpu",
    ]
    assert "cannot train several players" not in error(capsys, "fit", *plain, "--trainer.strategy", "fsdp")


@pytest.mark.parametrize(
    ("options", "begun", "file"),
    [
        ([], False, "cannot write runs/toy_noise/version_0/config.yaml: File too large"),
        (["--trainer.log_every_n_steps", "1"], True, "a file of the run: File too large"),
        (["--trainer.logger", "false", "--trainer.callbacks+", "SampleGrid"], True, "a file of the run: File too large"),
        (["--trainer.logger", "false"], True, "cannot write the checkpoint runs/toy_noise/version_0/checkpoints/epoch=0"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_line(capsys, monkeypatch, options, begun, file):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(FullFromHere, "now", begun)
    monkeypatch.setattr("ganzoo.cli.lightning.remove_empty", lambda folder: None)
    try:
        if not begun:
            fill_the_disk()
        args = ["--trainer.callbacks", "support.command.FullFromHere", *options]
        line = error(capsys, "fit", "--config", "toy_noise", *args)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file in line
    assert not [path for path in Path("runs").rglob("*.*") if path.suffix in (".ckpt", ".part")]
    assert Path("runs/toy_noise/version_0/config.yaml").exists() == begun  # whole, or not there


@pytest.mark.parametrize("args", [["--run_dir", "file/run"], ["--trainer.default_root_dir", "file"]])
def test_a_folder_that_cannot_be_made_is_refused_before_training(capsys, args, monkeypatch):
    Path("file").touch()
    monkeypatch.setattr(ZooCLI, "_run_subcommand", lambda *_: pytest.fail("trained"))
    assert "cannot make a folder for the run, file" in error(capsys, "fit", "--config", "toy_noise", *args)


def test_an_interrupted_run_leaves_its_last_state_and_130():
    assert fit("--trainer.callbacks", "support.command.Interrupt") == 130
    assert checkpoint()["global_step"] == 2


def test_sigterm_leaves_a_validation_at_once_and_the_run_goes_on_exactly(capsys):
    two = ["--trainer.max_epochs", "2"]
    assert fit(*two) == 0
    before = signal.getsignal(signal.SIGTERM)
    assert fit(*two, "--trainer.callbacks", "support.command.TermInValidation") == 143
    assert signal.getsignal(signal.SIGTERM) == before
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"ganzoo: stopped by SIGTERM after step {BATCHES}; to resume from its last checkpoint: ")
    assert main([*shlex.split(line.split("checkpoint: ")[1])[1:], "--trainer.callbacks", "null"]) == 0
    straight, resumed = (checkpoint(f"runs/toy_noise/version_{n}") for n in (0, 2))
    assert straight["global_step"] == resumed["global_step"] == 2 * BATCHES
    assert all(torch.equal(w, resumed["state_dict"][name]) for name, w in straight["state_dict"].items())


SLURM = {"NTASKS": "1", "JOB_NAME": "train", "JOB_ID": "12", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}


@pytest.mark.parametrize(
    ("args", "seen"),
    [
        ([], "SLURMEnvironment False"),
        (["--trainer.plugins", "lightning.pytorch.plugins.environments.SLURMEnvironment"], "SLURMEnvironment True"),
    ],
)
def test_slurm_s_requeueing_is_off_unless_asked_for(capsys, monkeypatch, args, seen):
    for name, value in SLURM.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert fit("--trainer.callbacks", "support.command.ShowsSlurm", *args) == 0
    assert seen in capsys.readouterr().out


def test_outside_slurm_nothing_is_chosen(capsys):
    assert fit("--trainer.callbacks", "support.command.ShowsSlurm") == 0
    assert "LightningEnvironment None" in capsys.readouterr().out


# -- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_has_everything_in_its_folder():
    assert fit("--trainer.log_every_n_steps", "1", "--trainer.callbacks", "SampleGrid") == 0
    run = Path("runs/toy_noise/version_0")
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert names == {
        "config.yaml",
        "hparams.yaml",
        "metrics.csv",
        f"checkpoints/epoch=0-step={BATCHES}.ckpt",
        "checkpoints/last.ckpt",
        "images/step_000000.png",
        f"images/step_{BATCHES:06d}.png",
    }
    assert os.listdir() == ["runs"]  # nothing beside it


@pytest.mark.parametrize("chosen", [[], ["--run_dir", "mine"], ["--trainer.logger", "TensorBoardLogger"]])
def test_a_run_can_be_made_again_from_its_config(chosen):
    assert fit(*chosen, "--model.weight_l1", "5") == 0
    first = "mine" if "mine" in chosen else "runs/toy_noise/version_0"
    assert fit(config=f"{first}/config.yaml") == 0
    again = sorted(Path("runs").glob("*/*"))[-1]
    assert again.parent.name == ("toy_toydata" if "mine" in chosen else "toy_noise")
    assert saved(str(again)) == saved(first)
    weights, weights_again = checkpoint(first)["state_dict"], checkpoint(str(again))["state_dict"]
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)


def test_fast_dev_run_writes_nothing():
    assert fit("--trainer.fast_dev_run", "true", "--trainer.callbacks", "SampleGrid") == 0
    assert os.listdir() == []


def test_a_checkpoint_callback_of_one_s_own_replaces_the_default():
    every = ["--trainer.callbacks.every_n_train_steps", "1", "--trainer.callbacks.save_top_k", "-1"]
    assert fit("--trainer.callbacks", "Checkpoints", *every) == 0
    names = sorted(path.name for path in Path("runs/toy_noise/version_0/checkpoints").iterdir())
    assert names == [*(f"epoch=0-step={step}.ckpt" for step in (1, 2, 3)), "last.ckpt"]


def test_a_loggers_own_folder_is_not_used_and_that_is_said(capsys):
    assert fit("--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "mine") == 0
    assert "CSVLogger writes into the run's folder, and not into mine: --trainer.default_root_dir" in capsys.readouterr().err
    assert os.listdir() == ["runs"]


def test_tensorboard_writes_into_the_run():
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    args = ("--trainer.logger", "TensorBoardLogger", "--trainer.log_every_n_steps", "1")
    assert fit(*args, "--trainer.callbacks", "SampleGrid") == 0
    run = Path("runs/toy_noise/version_0")
    assert list(run.glob("events.out.tfevents.*"))
    assert (run / "checkpoints" / "last.ckpt").is_file()
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("generator/loss")] == [0, 1, 2]
    assert [event.step for event in events.Images("images")] == [0, BATCHES]


def test_wandb_offline_twice(monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    for its in ("WANDB__SERVICE_WAIT", "WANDB_INIT_TIMEOUT"):  # 30 and 90 s, which a busy machine may need
        monkeypatch.setenv(its, str(LIMIT))
    for _ in range(2):
        args = ("--trainer.logger", "WandbLogger", "--trainer.logger.offline", "true")
        assert fit(*args, "--trainer.log_every_n_steps", "1", "--trainer.callbacks", "SampleGrid") == 0
    ids = set()
    for run in (Path("runs/toy_noise/version_0"), Path("runs/toy_noise/version_1")):
        assert {"config.yaml", "checkpoints", "images", "wandb"} <= set(os.listdir(run))
        records = wandb_records(run)
        described = next(record.run for record in records if record.HasField("run"))
        assert (described.project, described.display_name) == ("ganzoo", f"toy_noise/{run.name}")
        ids.add(described.run_id)
        history = [
            {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            for record in records
            if record.HasField("history")
        ]
        steps = [int(row["trainer/global_step"]) for row in history if "generator/loss" in row]
        assert steps == [0, 1, 2]
        images = [row for row in history if any(key.startswith("images") for key in row)]
        assert [int(row["trainer/global_step"]) for row in images] == [0, BATCHES]
        config = wandb_config(records)["config"]
        assert config["data"]["init_args"]["batch_size"] == config["model"]["init_args"]["width"] == 4
        wait_for(lambda run=run: list(run.glob("wandb/offline-run-*/files/media/images/*.png")), f"images of {run}")
    assert len(ids) == 2
    assert os.listdir() == ["runs"]


def test_wandb_is_imported_only_when_asked_for():
    """Neither by the package's own modules nor by a training."""
    code = (
        "import ganzoo.models, ganzoo.data, ganzoo.callbacks, sys; sys.argv = ['ganzoo']; from ganzoo.cli import main;"
        "assert main('fit --model support.command.Toy --data support.command.ToyData --trainer.max_epochs 1'.split()) == 0;"
        "assert 'wandb' not in sys.modules"
    )
    done = ganzoo_process(code=code)
    assert done.returncode == 0, done.stderr


# -- checkpoints ------------------------------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_checkpoint():
    assert fit("--model.weight_l1", "50") == 0
    last = "runs/toy_noise/version_0/checkpoints/last.ckpt"
    assert fit("--model.weight_l1", "999", "--ckpt_path", last, "--trainer.max_epochs", "2") == 0
    assert checkpoint("runs/toy_noise/version_1")["hyper_parameters"]["weight_l1"] == 999


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_evaluating_a_checkpoint(command, capsys):
    assert fit() == 0
    capsys.readouterr()
    assert main([command, "--config", "toy_noise", "--ckpt_path", "last", "--trainer.callbacks", "SampleGrid"]) == 0
    run = Path(f"runs/toy_noise/{command}_0")
    assert saved(str(run))["ckpt_path"] == "runs/toy_noise/version_0/checkpoints/last.ckpt"
    assert "untrained" not in capsys.readouterr().err
    if command != "predict":
        assert "weight_l1" in (run / "metrics.csv").read_text()
        assert (run / "images" / f"{command}.png").is_file()


def test_evaluating_without_a_checkpoint_says_so(capsys):
    assert main(["test", "--config", "toy_noise"]) == 0
    assert "untrained model" in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_read(capsys):
    assert fit() == 0
    whole = Path("runs/toy_noise/version_0/checkpoints/last.ckpt").read_bytes()
    Path("half.ckpt").write_bytes(whole[: len(whole) // 2])
    Path("text.ckpt").write_text("hello")
    torch.save({"weights": torch.zeros(1)}, "other.ckpt")
    torch.save({"state_dict": {}, "path": Path("x")}, "code.ckpt")
    for name, line in {
        "half.ckpt": "half.ckpt is damaged",
        "text.ckpt": "text.ckpt is damaged",
        "other.ckpt": "it has no state_dict",
        "code.ckpt": "holds more than weights",
    }.items():
        assert line in error(capsys, "fit", "--config", "toy_noise", "--ckpt_path", name)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil"),))


def test_a_checkpoint_s_own_code_does_not_run(capsys):
    assert fit() == 0
    torch.save({**checkpoint(), "payload": Evil()}, "evil.ckpt")
    for command in ("fit", "validate", "test", "predict"):
        assert "holds more than weights" in error(capsys, command, "--config", "toy_noise", "--ckpt_path", "evil.ckpt")
        address = f"file://{Path('evil.ckpt').absolute()}"  # which only Lightning reads
        assert "holds more than weights" in error(capsys, command, "--config", "toy_noise", "--ckpt_path", address)
    with pytest.raises(InputError, match="it could run code"):
        Toy.load_from_checkpoint("evil.ckpt")
    assert not Path("evil").exists()
    torch.load("evil.ckpt", weights_only=False)
    assert Path("evil").exists()  # it is a pickle that would have
