"""``ganzoo bench``: its help and its refusals at once, and a run of small systems."""

import csv
import subprocess
import sys

import pytest
import torch
from PIL import Image
from support.small_systems import SMALL_SYSTEMS

from ganzoo.benchmark import runner, systems
from ganzoo.benchmark.machine import Ceiling
from ganzoo.benchmark.runner import Process, jobs, measure, planned_steps
from ganzoo.benchmark.systems import SYSTEMS, find_system
from ganzoo.benchmark.worker import GanzooJob, PlainJob, PublishedJob
from ganzoo.cli import bench, main
from ganzoo.errors import InputError


def test_help_names_the_systems_and_imports_no_torch():
    code = "import sys; from ganzoo.cli import main\ntry: main(['bench', '--help'])\nfinally: print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(name in shown for name in SYSTEMS)
    assert shown.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["dcgan-46"], "there is no system 'dcgan-46': did you mean 'dcgan-64'?"),
        (["nothing"], "there is no system 'nothing': they are pix2pix-256, "),
        (["--precision", "32-true,bf16"], "--precision bf16: there is no such precision: give 32-true or bf16-mixed"),
        (["--rounds", "0"], "rounds"),
        (
            ["--batch_size", "1,0"],
            "--batch_size 1,0: give a whole number of at least 1, or several with commas between them: 1,2,4",
        ),
        (["--size", "64,big"], "--size 64,big: give a whole number of at least 1"),
        (["pix2pix-128", "--size", "128,192"], "--size 192, pix2pix-128: give a multiple of 128, at least 128"),
        (["cyclegan-128", "--size", "4"], "--size 4, cyclegan-128: give a multiple of 4, at least 8"),
        (["dcgan-64", "--size", "48"], "--size 48, dcgan-64: these networks make images of 8, 16, 32, 64 ... pixels"),
        (["--device", "tpu"], "device"),
        (["--picture", "steps.jpg"], "--picture steps.jpg is none of PNG, SVG, PDF: give a name that ends in .png"),
        (["--csv", "no/such/folder.csv"], "--csv no/such/folder.csv cannot be written"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *args]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_device_that_is_not_there_is_refused(capsys):
    assert main(["bench", "--device", "cuda"]) == 2
    assert "torch finds no CUDA device here" in capsys.readouterr().err


def test_loops_of_a_system():
    kinds = [(type(job), job.precision) for job in jobs(SYSTEMS["dcgan-64"], "cpu", ["32-true", "bf16-mixed"])]
    assert kinds == [
        (GanzooJob, "32-true"),
        (PlainJob, "32-true"),
        (GanzooJob, "bf16-mixed"),
        (PlainJob, "bf16-mixed"),
        (PublishedJob, "32-true"),
    ]
    assert len(jobs(SYSTEMS["lapgan-28"], "cpu", ["32-true"])) == 2
    # two steps to warm up, three rounds of two, and ganzoo's parts
    assert planned_steps(find_system("dcgan-64"), ["32-true"], rounds=3, steps=2) == 3 * (2 + 6) + 2
    # a generator step comes with every fifth
    assert planned_steps(find_system("wgan_gp-64"), ["32-true"], rounds=1, steps=6) == 2 * (5 + 10) + 10


class Told(runner.Worker):
    """A worker without a process, which writes down its orders."""

    told: list[tuple[str, int, bool]] = []

    def __init__(self, job) -> None:
        self.job, self.rounds = job, []

    def __exit__(self, *_) -> None:
        pass

    def run(self, order):
        self.told.append((self.job.label, order.steps, order.split))
        return runner.Round(len(self.told), 2.0 * order.steps)

    def finish(self):
        return runner.Final(1, 2.0)


def test_rounds_are_interleaved_and_begin_with_another_loop_each(monkeypatch):
    monkeypatch.setattr(runner, "Worker", Told)
    monkeypatch.setattr(Told, "told", [])
    done = []
    result = measure("small", SMALL_SYSTEMS["dcgan"], ceilings={}, rounds=4, steps=3, done=done.append)
    a, b, c = "ganzoo", "plain PyTorch", "published code"
    names = [label for label, _, _ in Told.told]
    assert names == [a, b, c, a, b, c, b, c, a, c, a, b, a, b, c, a]
    assert Told.told[-1] == (a, 3, True)
    assert [loop.seconds for loop in result.loops] == [[4, 9, 11, 13], [5, 7, 12, 14], [6, 8, 10, 15]]
    assert [loop.processor for loop in result.loops] == [[2.0] * 4] * 3
    assert sum(done) == planned_steps(SMALL_SYSTEMS["dcgan"], ["32-true"], 4, 3)
    assert result.reference.label == c


def test_each_size_is_timed_with_each_batch(monkeypatch, capsys, tmp_path):
    """A machine whose steps take 10 ms and 2 ms for a thousand pixels."""

    class Exact(Told):
        def run(self, order):
            system = self.job.system
            return runner.Round(0.010 + 0.002 * system.size**2 * system.batch_size / 1e3, 1.0)

    monkeypatch.setattr(bench, "find_system", SMALL_SYSTEMS.__getitem__)
    monkeypatch.setattr(runner, "Worker", Exact)
    monkeypatch.setattr(runner, "ceiling", lambda device, precision: Ceiling(1e9, 2e9))
    files = ["--csv", str(tmp_path / "steps.csv"), "--picture", str(tmp_path / "steps.png")]
    assert main(["bench", "gan", "--size", "8,16", "--batch_size", "1,2,2,4", "--rounds", "1", *files]) == 0
    shown = capsys.readouterr().out
    titles = [f"gan, {size} px, batch {batch}: small" for size in (8, 16) for batch in (1, 2, 4)]
    assert [line for line in shown.splitlines() if line.startswith("gan, ")] == titles
    law = "10 ms + 2000 ms a megapixel; the line is off by "
    assert f"a step of gan, ganzoo, 32-true: {law}" in shown
    assert f"a step of gan, plain PyTorch, 32-true: {law}" in shown
    with (tmp_path / "steps.csv").open() as file:
        found = [(row["size"], row["batch_size"]) for row in csv.DictReader(file) if row["loop"] == "ganzoo"]
    assert found == [(str(size), str(batch)) for size in (8, 16) for batch in (1, 2, 4)]
    assert Image.open(tmp_path / "steps.png").width > 500


@pytest.mark.slow
def test_loops_are_timed_in_processes_of_their_own(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "find_system", SMALL_SYSTEMS.__getitem__)
    monkeypatch.setattr(runner, "ceiling", lambda device, precision: Ceiling(1e9, 2e9))
    files = ["--csv", str(tmp_path / "steps.csv"), "--picture", str(tmp_path / "steps.png")]
    assert main(["bench", "dcgan", "--precision", "32-true,bf16-mixed", "--rounds", "2", "--steps", "1", *files]) == 0
    shown = capsys.readouterr().out
    with (tmp_path / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    loops = ["ganzoo", "plain PyTorch"] * 2
    assert [row["loop"] for row in rows] == [*loops, "published code"]
    assert all(float(row["step_ms"]) > 0 and float(row["floor_ms"]) > 0 for row in rows)
    assert all(row["framework_ms"] for row in rows if row["loop"] == "ganzoo")
    assert "published code: one/repository" in shown
    assert shown.count("of ganzoo's step") == 2
    assert Image.open(tmp_path / "steps.png").width > 500

    # a process that fails, and one that is killed
    wrong = systems.System("too small", 9, 2, "DCGANSetup")
    with pytest.raises(InputError, match="a process of the benchmark failed: InputError: "):
        measure("wrong", wrong, ceilings={})
    with Process(_leave) as process, pytest.raises(InputError, match=r"was ended \(exit code 3\)"):
        process.receive()


def _leave(connection) -> None:
    sys.exit(3)
