"""The processes of a run end together, by whatever one of them ended, and one line says why."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support.interrupted_runs import SMALL, environment, whole

from ganzoo.cli import main
from ganzoo.utils.processes import MAIN, end_launched, launched_by

LIMIT = 100  # seconds to wait for another process


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int) -> bool:
    """Whether a process ends within the limit."""
    give_up = time.monotonic() + LIMIT
    while alive(pid) and time.monotonic() < give_up:
        time.sleep(0.05)
    return not alive(pid)


def launched_ranks(pid: int) -> list[int]:
    """The processes that Lightning has launched, and not the moment's `ldconfig` of a library that is imported."""
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [each for each in children if b"LOCAL_RANK=1" in Path(f"/proc/{each}/environ").read_bytes().split(b"\0")]
    except OSError:
        return []


@pytest.mark.parametrize(
    ("main_is", "rank", "launched"),
    [("", "1", False), ("me", "1", False), ("7", "0", False), ("7", "1", True), ("x", "1", False)],
)
def test_who_is_launched(main_is, rank, launched, monkeypatch):
    monkeypatch.setenv(MAIN, str(os.getpid()) if main_is == "me" else main_is)
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert launched_by() == (7 if launched else None)


FIRST = """
import os, subprocess, sys, time
from ganzoo.utils.processes import together
with together():
    second = "import time\\nfrom ganzoo.utils.processes import together\\nwith together():\\n    time.sleep(300)"
    launched = subprocess.Popen([sys.executable, "-c", second], env={**os.environ, "LOCAL_RANK": "1"})
    print(launched.pid, flush=True)
    time.sleep(300)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_launched_process_does_not_outlive_the_first(signum, code):
    first = subprocess.Popen([sys.executable, "-c", FIRST], env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        launched = int(first.stdout.readline())
        assert alive(launched)
        first.send_signal(signum)
        assert first.wait(LIMIT) == code
        assert gone(launched)
    finally:
        first.kill()
        first.stdout.close()


def test_launched_processes_are_ended_and_a_failed_one_is_told_of():
    failed = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    failed.wait(LIMIT)
    waiting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    launcher = SimpleNamespace(procs=[failed, waiting])
    seen = launcher.procs  # by the thread that looks after them
    assert end_launched(launcher, 0.2) == 7
    assert waiting.returncode == -signal.SIGKILL
    assert seen == []
    assert end_launched(None, 0) is None


def test_sigterm_while_compiling_ends_after_the_step(capsys, monkeypatch):
    """The signal comes while a network of the first step is compiled."""
    compiled = []

    def slow(graph, inputs):
        compiled.append(graph)
        if len(compiled) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
        return graph.forward

    torch._dynamo.reset()
    torch._dynamo.register_backend(slow, name="slow_backend")
    config = "{trainer: {callbacks: [{class_path: Compile, init_args: {backend: slow_backend}}]}}"
    try:
        assert main(["fit", *SMALL, "--config", config, "--trainer.max_epochs", "2"]) == 143
    finally:
        torch._dynamo.reset()
    assert compiled
    assert "ganzoo: stopped by SIGTERM after step 1; to resume" in capsys.readouterr().err
    assert whole(Path("runs/filled_rows/version_0/checkpoints/last.ckpt")) == 1


TWO = ["--trainer.strategy", "ddp", "--trainer.devices", "2", "--trainer.max_epochs", "3"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("later", [0.0, 2.0, 6.0])
def test_sigterm_in_the_first_seconds_leaves_nobody_behind(later):
    command = [sys.executable, "-m", "ganzoo", "fit", *SMALL, *TWO, "--model.pause", "0.5"]
    with open("said.txt", "w") as said:
        run = subprocess.Popen(command, env=environment(), stdout=said, stderr=said)
        try:
            give_up = time.monotonic() + LIMIT
            while not launched_ranks(run.pid) and time.monotonic() < give_up:
                time.sleep(0.05)
            launched = launched_ranks(run.pid)
            assert launched
            time.sleep(later)
            run.send_signal(signal.SIGTERM)
            assert run.wait(LIMIT) == 143
            assert all(gone(each) for each in launched)
        finally:
            run.kill()
    said = Path("said.txt").read_text()
    assert "Traceback" not in said
    assert said.count("stopped by SIGTERM") <= 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_a_checkpoint_that_cannot_be_written_ends_both_with_one_line():
    def small_files() -> None:  # as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    command = [sys.executable, "-m", "ganzoo", "fit", *SMALL, *TWO, "--model.size", "1000000"]
    with open("said.txt", "w") as said:
        run = subprocess.Popen(command, env=environment(), stdout=said, stderr=said, preexec_fn=small_files)
        try:
            launched: list[int] = []
            while run.poll() is None:
                launched = launched_ranks(run.pid) or launched
                time.sleep(0.05)
            assert run.returncode == 2
            assert all(gone(each) for each in launched)
        finally:
            run.kill()
    said = Path("said.txt").read_text()
    assert "Traceback" not in said
    assert said.count("ganzoo: error: cannot write the checkpoint") == said.count("ganzoo: error") == 1
