"""The wheel, with no checkout in sight."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_wheel_trains_by_a_configs_name(tmp_path):
    def run(*command, **options):
        done = subprocess.run(command, capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path / "dist"), str(CHECKOUT))
    (wheel,) = (tmp_path / "dist").glob("lightning_ganzoo-*.whl")
    run(*pip, "install", "--quiet", "--no-deps", "--target", str(tmp_path / "installed"), str(wheel))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    alone = {"cwd": elsewhere, "env": {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}}
    assert str(tmp_path) in run(sys.executable, "-c", "import ganzoo; print(ganzoo.__file__)", **alone)
    listed = run(sys.executable, "-m", "ganzoo", "list", **alone)
    for config in (CHECKOUT / "configs").glob("*.yaml"):
        assert config.stem in listed
    limits = ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "1"]
    run(sys.executable, "-m", "ganzoo", "fit", "--config", "pix2pix_maps", *limits, **alone)
    assert list(elsewhere.glob("runs/pix2pix_maps/version_0/images/*.png"))
    installed = {path.relative_to(tmp_path / "installed") for path in (tmp_path / "installed" / "ganzoo").rglob("*.py")}
    assert installed == {path.relative_to(CHECKOUT) for path in (CHECKOUT / "ganzoo").rglob("*.py")}
    assert (tmp_path / "installed" / "ganzoo" / "py.typed").is_file()
