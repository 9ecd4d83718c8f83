"""Loggers write into the run's folder; a W&B run is continued."""

from ganzoo.cli.loggers import wandb_run


def test_a_run_of_wandb_is_found_by_its_checkpoint(tmp_path):
    assert wandb_run(None) is None
    assert wandb_run(str(tmp_path / "version_3/checkpoints/last.ckpt")) is None
    for name in ("run-20260101_000000-old", "offline-run-20260102_000000-new1", "latest-run", "run-20250101_000000-x"):
        (tmp_path / "version_3/wandb" / name).mkdir(parents=True)
    assert wandb_run(str(tmp_path / "version_3/checkpoints/last.ckpt")) == ("new1", "version_3")
