"""What the command says of a run: Lightning's reports, where the results are, and mistakes in one line."""

from pathlib import Path

import pytest
from support.command import BATCHES, Toy, error, fit

from ganzoo.cli import main

pytestmark = pytest.mark.usefixtures("toy_folder")


def told(capsys, *args: str) -> tuple[str, list[str]]:
    """What a command that does not fail writes to stdout, and its own lines."""
    capsys.readouterr()
    assert main(list(args)) == 0
    out, err = capsys.readouterr()
    return out, [line.removeprefix("ganzoo: ") for line in err.splitlines() if line.startswith("ganzoo: ")]


def test_a_run_ends_with_where_its_results_are(capsys):
    args = ["fit", "--config", "toy_noise", "--trainer.callbacks", "SampleGrid"]
    out, (first, last) = told(capsys, *args)
    run = "runs/toy_noise/version_0"
    assert first == f"this run is in {run}"
    assert last.startswith(f"trained to epoch 1 of 1, step {BATCHES}; results: {run}/checkpoints/last.ckpt, {run}/images")
    assert f"epoch 1/1  step {BATCHES}" in out
    assert told(capsys, *args, "--trainer.fast_dev_run", "true")[1] == [
        "trained to epoch 1 of 1, step 1; fast_dev_run writes nothing"
    ]


@pytest.mark.parametrize(("command", "name"), [("validate", "validation"), ("test", "test")])
def test_an_evaluation_says_what_it_found(capsys, command, name):
    _, lines = told(capsys, command, "--config", "toy_noise")
    run = f"runs/toy_noise/{command}_0"
    assert lines[-1] == f"{name} of {BATCHES} batches: weight_l1 1; results: {run}/metrics.csv"
    _, lines = told(capsys, command, "--config", "toy_noise", "--model", "cli.test_messages.Silent", "--model.width", "2")
    assert "no metric is logged: `ganzoo evaluate CHECKPOINT` measures the images; results: runs/" in lines[-1]


def test_a_training_that_stops_early_says_why(capsys):
    early = [
        "--trainer.callbacks",
        "EarlyStopping",
        "--trainer.callbacks.monitor",
        "weight_l1",
        "--trainer.callbacks.patience",
        "1",
    ]
    _, lines = told(capsys, "fit", "--config", "toy_noise", "--trainer.max_epochs", "9", *early)
    assert "of 9" in lines[-1]
    assert "stopped early: Monitored metric weight_l1 did not improve" in lines[-1]


def test_barebones_runs(capsys):
    args = ("--trainer.barebones", "true", "--trainer.callbacks", "Checkpoints", "--trainer.log_every_n_steps", "1")
    _, lines = told(capsys, "fit", "--config", "toy_noise", *args)
    assert lines[0].startswith("barebones: no logger, no checkpoints")
    assert [path.name for path in Path("runs/toy_noise/version_0").iterdir()] == ["config.yaml"]


def test_a_summary_has_no_column_that_reads_0(capsys):
    out, _ = told(capsys, "fit", "--config", "toy_noise", "--trainer.enable_model_summary", "true")
    assert "Params" in out
    assert "FLOPs" not in out
    assert "97 parameters" in out


def test_lightnings_timer_can_be_named():
    assert fit("--trainer.callbacks", "Timer", "--trainer.callbacks.duration", "00:00:01:00") == 0


def test_tensorboard_that_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr("ganzoo.cli.loggers.find_spec", lambda name: None)
    line = error(capsys, "fit", "--config", "toy_noise", "--trainer.logger", "TensorBoardLogger")
    assert 'pip install "lightning-ganzoo[tensorboard]"' in line
    assert not Path("runs/toy_noise").exists()


class Silent(Toy):
    def validation_step(self, batch, batch_idx):
        pass

    test_step = validation_step
