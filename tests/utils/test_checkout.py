"""The commit of a checkout is recorded, and that files were changed since."""

import re
import subprocess
from pathlib import Path

import pytest
import torch
from support.training import fit, loader
from support.zoo import build

from ganzoo.utils.checkout import commit, commit_of


def git(folder: Path, *command: str) -> str:
    mine = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", str(folder), *mine, *command], check=True, capture_output=True, text=True).stdout


def test_a_changed_file_makes_a_checkout_dirty(tmp_path):
    assert commit_of(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "tag", "v1")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    assert commit_of(tmp_path) == head
    (tmp_path / "a").write_text("2")
    assert commit_of(tmp_path) == f"{head}-dirty"


@pytest.mark.skipif(commit() is None, reason="an installed ganzoo has no commit")
def test_a_checkpoint_has_the_commit(tmp_path):
    trainer = fit(build("GAN"), loader(torch.zeros(2, 1, 8, 8), batch_size=2), tmp_path, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    found = torch.load(tmp_path / "last.ckpt", weights_only=True)["ganzoo"]["commit"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found)
    assert found == commit()
