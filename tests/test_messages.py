"""What the command says of a run: Lightning's reports, where the results are, and mistakes in one line."""

import sys
from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_info
from support.command import BATCHES, Toy, _home, error, fit  # noqa: F401  # a folder to stand in

from ganzoo.cli import main
from ganzoo.cli.lightning_log import filter_log
from ganzoo.cli.runs import wandb_run


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
    assert last.startswith(f"trained to epoch 1 of 1, step {BATCHES}; results: {run}/checkpoints/last.ckpt, {run}/pictures")
    assert f"epoch 1/1  step {BATCHES}" in out
    assert told(capsys, *args, "--trainer.fast_dev_run", "true")[1] == [
        "trained to epoch 1 of 1, step 1; fast_dev_run writes nothing"
    ]


@pytest.mark.parametrize(("command", "name"), [("validate", "validation"), ("test", "test")])
def test_an_evaluation_says_what_it_found(capsys, command, name):
    _, lines = told(capsys, command, "--config", "toy_noise")
    run = f"runs/toy_noise/{command}_0"
    assert lines[-1] == f"{name} of {BATCHES} batches: weight_l1 1; results: {run}/metrics.csv"
    _, lines = told(capsys, command, "--config", "toy_noise", "--model", "test_messages.Silent", "--model.width", "2")
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


def test_lightnings_reports_are_shown_and_its_greetings_are_not(caplog, capsys):
    filter_log()
    for line in (
        "GPU available: False",
        "`Trainer.fit` stopped: `max_epochs=1` reached.",
        "💡 Tip: buy",
        "Time limit reached.",
    ):
        rank_zero_info(line)
    assert caplog.messages == ["Time limit reached."]
    caplog.clear()
    assert fit("--trainer.profiler", "simple") == 0
    (report,) = caplog.messages
    assert "run_training_epoch" in report


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


EARLY = [
    "--trainer.callbacks",
    "EarlyStopping",
    "--trainer.callbacks.monitor",
    "x",
    "--trainer.check_val_every_n_epoch",
    "1",
]
GROWING = ["--trainer.callbacks", "GradientAccumulationScheduler", "--trainer.callbacks.scheduling", "{0: 2}"]
TWO = ["--trainer.callbacks+", "Checkpoints", "--trainer.callbacks+", "Checkpoints"]
RANGE = "--trainer.callbacks.n"
MINE = """
from support.command import Toy
class Odd(Toy):
    def __init__(self, **kw):
        super().__init__(**kw)
        raise ValueError("side must be even")
"""


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--model", "mine.Odd"], "mine.Odd cannot be built: ValueError: side must be even (GANZOO_TRACEBACK=1"),
        (EARLY, "metric `x` which is not available"),
        (GROWING, "manual optim"),
        (TWO, "two callbacks of the kind Checkpoints"),
        (["--trainer.callbacks+", "Progress", "--trainer.callbacks+", "Progress"], "progress bar"),
        (["--trainer.callbacks", "SampleGrid", RANGE, "0"], "trainer.callbacks.n: give an int in [1, 10000], not 0"),
        (["--trainer.callbacks", "Health", RANGE, "1e12"], "give an int in"),
        (["--trainer.callbacks", "Quality", "--trainer.callbacks.seed", "-1"], "give an int in [0, 2**32)"),
        (["--model.optimizers", "{generator: {class_path: 3}}"], "class_path is a name"),
        (["--model.optimizers", "{generator: {class_path: torch.optim.SGD, init_args: [x]}}"], "init_args a mapping"),
        (["--model.optimizers", "{generator: {class_path: .x.SGD}}"], "there is no class '.x.SGD'"),
        (["--trainer.callbacks", "Checkpoints", "--trainer.callbacks.monitor", ""], "monitor is empty"),
        (["--trainer.devices", "1.5"], "devices"),
        (["--trainer.max_epochs", "-2"], "trainer: max_epochs is -2: give an int in [-1, 2**31) or null"),
        (["--trainer.check_val_every_n_epoch", "0"], "check_val_every_n_epoch is 0"),
        (["--seed_everything", "9999999999"], "seed is 9999999999: give an int in [0, 2**32)"),
        (["--seed_everything", "-1"], "seed is -1"),
        (["--model.weight_l1", "null"], "model.weight_l1: expected float, not null"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(capsys, args, line):
    Path("mine.py").write_text(MINE)
    sys.modules.pop("mine", None)
    assert line in error(capsys, "fit", "--config", "toy_noise", *args)


def test_lightnings_timer_can_be_named():
    assert fit("--trainer.callbacks", "Timer", "--trainer.callbacks.duration", "00:00:01:00") == 0


def test_tensorboard_that_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr("ganzoo.cli.lightning.find_spec", lambda name: None)
    line = error(capsys, "fit", "--config", "toy_noise", "--trainer.logger", "TensorBoardLogger")
    assert 'pip install "lightning-ganzoo[tensorboard]"' in line
    assert not Path("runs/toy_noise").exists()


def test_a_run_of_wandb_is_found_by_its_checkpoint(tmp_path):
    assert wandb_run(None) is None
    assert wandb_run(str(tmp_path / "version_3/checkpoints/last.ckpt")) is None
    for name in ("run-20260101_000000-old", "offline-run-20260102_000000-new1", "latest-run", "run-20250101_000000-x"):
        (tmp_path / "version_3/wandb" / name).mkdir(parents=True)
    assert wandb_run(str(tmp_path / "version_3/checkpoints/last.ckpt")) == ("new1", "version_3")


class Silent(Toy):
    def validation_step(self, batch, batch_idx):
        pass

    test_step = validation_step
