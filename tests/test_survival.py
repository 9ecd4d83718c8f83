"""Whatever ends a run (kill -9, a full disk, a scheduler, Ctrl-C), its last good checkpoint is whole and goes on."""

import multiprocessing
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from support.interrupted_runs import SMALL, Filled, Rows, Unreadable, environment, whole
from support.training import LIMIT, wait_for

from ganzoo.callbacks import Checkpoints
from ganzoo.cli import main
from ganzoo.training.checkpoint_io import AtomicCheckpointIO
from ganzoo.utils.files import atomic_write, remove_stale

KILLS = 50


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# -- kill -9 ----------------------------------------------------------------------------------------------------------


class NaiveIO(TorchCheckpointIO):
    """What one would write without thinking."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            torch.save(checkpoint, file)


class Tells(L.Callback):
    """The step that the run has begun from."""

    def __init__(self, pipe) -> None:
        self.pipe = pipe

    def on_train_start(self, trainer, pl_module):
        self.began = trainer.global_step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.began + 2:  # the first step is slow, for what it imports and looks up
            self.pipe.send(self.began)


def train_for_ever(folder: Path, last: Path | None, io: type, pipe: Any) -> None:
    torch.set_num_threads(1)
    L.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[Checkpoints(dirpath=folder, every_n_train_steps=1), Tells(pipe)],
        plugins=[io()],
    ).fit(Filled(), Rows(), ckpt_path=last, weights_only=True)


def kill_again_and_again(kills: int, io: type) -> tuple[int, int]:
    """Runs, killed at random moments, each going on from the one before: how often a part was left, and the last step."""
    processes = multiprocessing.get_context("forkserver")  # one process imports everything, and forks for each run
    processes.set_forkserver_preload(["ganzoo.cli.lightning"])
    moments = random.Random(4)
    parts, step, last = 0, 0, None
    for n in range(kills):
        here, there = processes.Pipe()
        folder = Path(f"run_{n}").absolute()
        run = processes.Process(target=train_for_ever, args=(folder, last, io, there))
        run.start()
        assert here.poll(LIMIT)
        assert here.recv() == step  # the run goes on from where the one before it was killed
        time.sleep(moments.uniform(0, 0.4))
        if n % 2 and io is AtomicCheckpointIO:  # half of them while a file is written, however fast the disk is
            wait_for(lambda folder=folder: list(folder.glob(".*.part")), "a part of a checkpoint")
        run.kill()
        run.join()
        assert run.exitcode == -signal.SIGKILL
        steps = {path.name: whole(path) for path in folder.glob("*.ckpt")}
        parts += len(list(folder.glob(".*.part")))
        remove_stale([folder])
        assert {path.name for path in folder.iterdir()} == steps.keys() if folder.exists() else not steps
        if "last.ckpt" in steps:
            assert steps["last.ckpt"] >= step + 1
            step, before, last = steps["last.ckpt"], last, folder / "last.ckpt"
            if before is not None:
                shutil.rmtree(before.parent)
    return parts, step


@pytest.mark.slow
def test_fifty_kills_leave_no_broken_checkpoint():
    parts, step = kill_again_and_again(KILLS, AtomicCheckpointIO)
    assert parts > 0  # kills did come while files were written: of those that waited for one, about half
    assert step >= KILLS


@pytest.mark.slow
def test_a_naive_writer_is_caught():
    with pytest.raises(Unreadable):
        kill_again_and_again(20, NaiveIO)


def test_the_next_run_sweeps_what_a_killed_one_left():
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with atomic_write(Path("x")) as part:
        part.touch()
    left = Path(f"runs/filled_rows/version_0/checkpoints/{part.name.replace(str(os.getpid()), str(dead.pid))}")
    left.parent.mkdir(parents=True)
    left.touch()
    assert main(["fit", *SMALL, "--trainer.max_epochs", "1"]) == 0
    assert not left.exists()


# -- a full disk ------------------------------------------------------------------------------------------------------

SMALL += ["--trainer.enable_model_summary", "false", "--trainer.accelerator", "cpu"]
KEEP_ALL = "{trainer: {callbacks: [{class_path: Checkpoints, init_args: {every_n_train_steps: 1, save_top_k: -1}}]}}"


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0,
    reason="this machine lets nobody mount a file system of his own",
)
def test_a_full_disk_keeps_the_last_good_checkpoint():
    Path("disk").mkdir()
    fit = shlex.join([sys.executable, "-m", "ganzoo", "fit", *SMALL, "--config", KEEP_ALL, "--trainer.max_epochs", "9"])
    script = f"mount -t tmpfs -o size=1m tmpfs disk && cd disk && {fit}; echo $? > ../code; cp -r runs .."
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], env=environment(), capture_output=True, text=True)
    assert Path("code").read_text() == "2\n", done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("ganzoo: error: cannot write the checkpoint runs/filled_rows/version_0/checkpoints/epoch=")
    assert error.endswith("No space left on device")
    assert "Traceback" not in done.stderr
    folder = Path("runs/filled_rows/version_0/checkpoints")
    steps = {path.name: whole(path) for path in folder.iterdir()}  # no part is left either
    assert steps["last.ckpt"] == max(steps.values()) >= 2
    more = ["--trainer.max_epochs", "-1", "--trainer.max_steps", str(steps["last.ckpt"] + 2)]
    assert main(["fit", *SMALL, *more, "--ckpt_path", "last"]) == 0
    assert whole(Path("runs/filled_rows/version_1/checkpoints/last.ckpt")) == steps["last.ckpt"] + 2


# -- signals ----------------------------------------------------------------------------------------------------------


def lines() -> list[str]:
    return Path("steps.txt").read_text().splitlines() if Path("steps.txt").exists() else []


def interrupt(signum: int, group: bool, *options: str, after: int = 6) -> tuple[int, str]:
    """Sends a signal in the middle of a step of a real run of the command: its exit code, and what it said."""
    command = [sys.executable, "-m", "ganzoo", "fit", *SMALL, "--model.pause", "0.1", *options]
    with open("stderr.txt", "w") as err:
        run = subprocess.Popen(command, env=environment(), stderr=err, stdout=err, start_new_session=True)
        try:
            wait_for(lambda: len(lines()) >= after or run.poll() is not None, f"step {after}")
            (os.killpg if group else os.kill)(run.pid, signum)
            return run.wait(LIMIT), Path("stderr.txt").read_text()
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)


def goes_on(said: str, processes: int = 1) -> None:
    """The command that was printed does what it promises."""
    step = whole(Path("runs/filled_rows/version_0/checkpoints/last.ckpt"))
    assert lines()[-1].endswith(f" {step}")  # the step in hand was finished
    stopped, again = said.splitlines()[-1].split(" from its last checkpoint: ")
    assert f" after step {step};" in stopped
    program, command, *args = shlex.split(again)
    assert (program, command) == ("ganzoo", "fit")
    limits = ["--model.pause", "0", "--trainer.max_epochs", "-1", "--trainer.max_steps", str(step + 3)]
    if processes == 1:
        assert main([command, *args, *limits]) == 0
    else:  # which start as commands of their own
        subprocess.run([sys.executable, "-m", "ganzoo", command, *args, *limits], env=environment(), check=True)
    assert whole(Path("runs/filled_rows/version_1/checkpoints/last.ckpt")) == step + 3
    ranks = [str(rank) for rank in range(processes)]
    assert sorted(lines()[-3 * processes :]) == sorted(f"{rank} {step + n}" for n in (1, 2, 3) for rank in ranks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "group", "workers", "code"),
    [(signal.SIGTERM, False, 0, 143), (signal.SIGTERM, True, 2, 143), (signal.SIGINT, True, 2, 130)],
)
def test_a_signal_ends_a_run_between_two_steps_and_it_goes_on(signum, group, workers, code):
    """(A scheduler and a terminal send their signals to the whole group, workers that load data included.)"""
    got, said = interrupt(signum, group, "--data.num_workers", str(workers))
    assert got == code, said
    assert f"ganzoo: stopped by {signum.name} after step " in said.splitlines()[-1]
    assert "Traceback" not in said
    goes_on(said)


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "alone"), [(signal.SIGTERM, "0"), (0, "4")], ids=["all", "one"])
def test_two_processes_stop_at_the_same_step(signum, alone):
    """Whether a scheduler ends all of them, or only one, at the worst moment."""
    two = ["--trainer.strategy", "ddp", "--trainer.devices", "2", "--data.num_workers", "1", "--model.term_after", alone]
    got, said = interrupt(signum, True, *two, after=12)
    assert got == 143, said
    step = whole(Path("runs/filled_rows/version_0/checkpoints/last.ckpt"))
    ends = {rank: [int(s) for r, s in map(str.split, lines()) if r == rank][-1] for rank in "01"}
    assert ends == {"0": step, "1": step}
    assert said.count("stopped by SIGTERM") == 1
    goes_on(said, processes=2)
