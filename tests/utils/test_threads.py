"""Threads that wait: told once, before torch, and not where the user has said something."""

import os
import subprocess
import sys

import pytest

from ganzoo.cli import main
from ganzoo.utils import threads


@pytest.fixture
def environment(monkeypatch):
    for name in threads.OWN:
        monkeypatch.setenv(name, "0")  # so that it is put back at the end
        monkeypatch.delenv(name)


def test_the_command_tells_the_threads(environment, capsys):
    assert main(["--version"]) == 0
    assert os.environ["GOMP_SPINCOUNT"] == str(threads.SPINS)


@pytest.mark.parametrize("name", threads.OWN)
def test_what_the_user_says_wins(name, environment, monkeypatch):
    monkeypatch.setenv(name, "7")
    assert not threads.wait_briefly()
    assert {each: os.environ.get(each) for each in threads.OWN} == dict.fromkeys(threads.OWN) | {name: "7"}


def test_it_is_told_before_torch_is_imported():
    """Libgomp reads the environment once, when torch loads it."""
    code = """
import os, sys
from ganzoo.cli import main
class Torch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
            sys.exit(3)
sys.meta_path.insert(0, Torch())
main(["fit", "--config", "gan_digits"])
"""
    free = {name: value for name, value in os.environ.items() if name not in threads.OWN}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=free, check=False)
    assert done.stdout.split() == [str(threads.SPINS)], done.stderr
    assert done.returncode == 3
