"""Loggers write into the run's folder; a W&B run is continued, and its checkpoints are artifacts."""

from pathlib import Path

import pytest
from support.command import error, fit
from support.training import LIMIT
from support.wandb_files import wandb_config, wandb_records

from ganzoo.cli import loggers
from ganzoo.cli.loggers import wandb_run


@pytest.fixture
def patient_wandb(monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    for its in ("WANDB__SERVICE_WAIT", "WANDB_INIT_TIMEOUT"):  # 30 and 90 s, which a busy machine may need
        monkeypatch.setenv(its, str(LIMIT))


def test_a_run_of_wandb_is_found_by_its_checkpoint(tmp_path):
    assert wandb_run(None) is None
    assert wandb_run(str(tmp_path / "version_3/checkpoints/last.ckpt")) is None
    for name in ("run-20260101_000000-old", "offline-run-20260102_000000-new1", "latest-run", "run-20250101_000000-x"):
        (tmp_path / "version_3/wandb" / name).mkdir(parents=True)
    assert wandb_run(str(tmp_path / "version_3/checkpoints/last.ckpt")) == ("new1", "version_3")


@pytest.mark.usefixtures("toy_folder", "patient_wandb")
def test_an_offline_run_of_wandb_is_complete_and_goes_on_when_resumed(capsys):
    """The file that `wandb sync` uploads has the config, the metrics and the checkpoints; a resumed run has the same id."""
    offline = ("--trainer.logger", "WandbLogger", "--trainer.logger.offline", "true", "--trainer.log_every_n_steps", "1")
    assert fit(*offline, "--trainer.logger.log_model", "true") == 0
    first, second = (Path(f"runs/toy_noise/version_{n}") for n in (0, 1))
    records = wandb_records(first)
    described = next(record.run for record in records if record.HasField("run"))
    config = wandb_config(records)["config"]
    assert config["model"]["init_args"]["width"] == 4  # ${data.init_args.batch_size}
    artifacts = [record.artifact for record in records if record.HasField("artifact")]
    aliases = {alias for artifact in artifacts for alias in artifact.aliases}
    assert aliases == {"latest", "best"}
    for artifact in artifacts:
        assert (artifact.type, artifact.name) == ("model", f"model-{described.run_id}")
        (content,) = artifact.manifest.contents
        size = (first / "checkpoints" / "last.ckpt").stat().st_size
        assert (content.path, content.size) == ("model.ckpt", size)
    said = capsys.readouterr().err
    assert f"W&B artifact model-{described.run_id}: " in said
    assert "last.ckpt (0.0 MB)" in said
    assert fit(*offline, "--ckpt_path", "last", "--trainer.max_epochs", "2") == 0
    resumed = wandb_records(second)
    assert next(record.run.run_id for record in resumed if record.HasField("run")) == described.run_id
    assert not [record for record in resumed if record.HasField("artifact")]  # only where it is asked for


@pytest.mark.usefixtures("toy_folder")
@pytest.mark.parametrize(("logger", "package"), [("MLFlowLogger", "mlflow"), ("CometLogger", "comet_ml")])
def test_a_package_that_is_not_installed_is_one_line(logger, package, monkeypatch, capsys):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    assert f"pip install {package}" in error(capsys, "fit", "--config", "toy_noise", "--trainer.logger", logger)


@pytest.mark.usefixtures("toy_folder")
def test_mlflow_needs_a_store(monkeypatch, capsys):
    monkeypatch.setattr(loggers, "find_spec", lambda name: True)
    line = error(capsys, "fit", "--config", "toy_noise", "--trainer.logger", "MLFlowLogger")
    assert "--trainer.logger.tracking_uri sqlite:///mlflow.db" in line
    assert not list(Path("runs").glob("*"))  # no folder of a run stays
