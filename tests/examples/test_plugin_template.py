"""The template of a plug-in in a fresh environment: it is found, trains, and passes its tests."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from support.command import PACKAGE_PARENT
from support.training import LIMIT

TEMPLATE = Path(__file__).resolve().parent.parent.parent / "examples" / "plugin_template"


@pytest.mark.slow
def test_the_template_is_installed_found_trained_and_tested(tmp_path):
    def run(*command: str) -> str:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, cwd=tmp_path / "elsewhere", env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    (tmp_path / "elsewhere").mkdir()
    copy = shutil.copytree(TEMPLATE, tmp_path / "copy", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    venv.create(tmp_path / "fresh", with_pip=False, symlinks=True)
    python = str(tmp_path / "fresh" / "bin" / "python")
    (site,) = (tmp_path / "fresh" / "lib").glob("python*/site-packages")
    # what is installed here, ganzoo among it, but nothing of a plug-in
    seen = [PACKAGE_PARENT, *(entry for entry in sys.path if entry.endswith("site-packages"))]
    (site / "here.pth").write_text("\n".join(seen) + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", str(copy))
    assert (site / "ganzoo_my_plugin.py").is_file()
    shutil.copy(copy / "smoothed_digits.yaml", tmp_path / "elsewhere")
    shutil.copy(copy / "test_ganzoo_my_plugin.py", tmp_path / "elsewhere")
    shutil.rmtree(copy)  # what is found from here on is what was installed
    run(python, "-m", "ganzoo", "fit", "--config", "smoothed_digits.yaml", "--trainer.max_steps", "1")
    written = (tmp_path / "elsewhere/runs/smoothed_digits/version_0/config.yaml").read_text()
    assert "class_path: ganzoo_my_plugin.SmoothedGAN" in written
    assert "class_path: ganzoo_my_plugin.Smoothed\n" in written
    # the checkpoint names the plug-in's classes, and is read without being told them
    last = "runs/smoothed_digits/version_0/checkpoints/last.ckpt"
    again = ["--config", "smoothed_digits.yaml", "--ckpt_path", last, "--trainer.max_steps", "2"]
    assert "step 2" in run(python, "-m", "ganzoo", "fit", *again)
    assert "3 passed" in run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_ganzoo_my_plugin.py")


def test_without_the_template_its_model_is_unknown(tmp_path, monkeypatch, capsys):
    from ganzoo.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--model", "SmoothedGAN", "--data", "Digits"]) == 2
    assert "SmoothedGAN" in capsys.readouterr().err
