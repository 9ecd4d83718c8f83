"""The comparison of systems at one budget: what it counts, that it goes on where it was, and what it says of known runs."""

import importlib
import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
harness = importlib.import_module("compare_systems")


def test_the_operations_of_a_linear_layer_are_two_for_each_weight_and_sample():
    layer, x = nn.Linear(5, 7, bias=False), torch.ones(3, 5)
    with harness.Operations() as counter:
        y = layer(x)
    assert counter.total == 2 * 3 * 5 * 7
    with counter:
        y.sum().backward()
    assert counter.total == 2 * (2 * 3 * 5 * 7)  # x needs no gradient


def test_the_operations_of_a_convolution_are_two_for_each_weight_and_place():
    layer, x = nn.Conv2d(2, 4, 3, padding=1, bias=False), torch.ones(1, 2, 8, 8, requires_grad=True)
    forward = 2 * (2 * 4 * 9) * 64
    with harness.Operations() as counter:
        y = layer(x)
    assert counter.total == forward
    with counter:
        y.sum().backward()
    assert counter.total == 3 * forward  # the gradients of the weights and of the input


def test_the_gradient_of_a_gradient_is_counted():
    layer, x = nn.Linear(5, 7, bias=False), torch.ones(3, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    with harness.Operations() as counter:
        gradient.square().sum().backward()
    assert counter.total > 0


def row(system, seed, distance):
    return {"system": system, "seed": seed, "operations_of_a_step": "1.5e9", "steps": 3, "seconds": 1} | dict(
        zip(harness.METRICS, (distance, 0.5, 0.25), strict=True)
    )


@pytest.fixture
def trainings(monkeypatch):
    """The trainings that are asked for; the third is interrupted."""
    asked = []

    def run(name, seed, each, given):
        asked.append((name, seed))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return row(name, seed, 2.0 + seed)

    monkeypatch.setattr(harness, "run", run)
    monkeypatch.setattr(harness, "operations", lambda name, given: 1.5e9)
    monkeypatch.setattr(harness, "ganzoo", lambda *words: None)
    return asked


def test_a_run_that_is_there_is_not_trained_again(tmp_path, monkeypatch, capsys, trainings):
    words = ["compare_systems.py", "--systems", "LSGAN", "GAN", "--seeds", "0", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(KeyboardInterrupt):
        harness.main()
    harness.main()
    assert trainings == [("LSGAN", 0), ("LSGAN", 1), ("GAN", 0), ("GAN", 0), ("GAN", 1)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [f"| {name} | 1.50 | 3 | 2.50 | 2.00, 3.00 | 0.50 | 0.25 | 2 |" for name in ("GAN", "LSGAN")]


def test_a_system_is_trained_to_the_budget_and_evaluated(tmp_path, monkeypatch):
    asked = []

    def ganzoo(*words):
        asked.append([str(word) for word in words])
        folder = tmp_path / "WGAN" / "seed_1"
        if words[0] == "fit":
            (folder / "checkpoints").mkdir(parents=True)
            (folder / "checkpoints" / "last.ckpt").touch()
        if words[0] == "evaluate":
            values = ", ".join(f'"{metric}": {{"value": 1.23456}}' for metric in harness.METRICS)
            (folder / "metrics.json").write_text(f'{{"metrics": {{{values}}}}}')

    monkeypatch.setattr(harness, "ganzoo", ganzoo)
    given = type("Given", (), {"root": "data", "out": tmp_path, "operations": 9e9, "seeds": [0, 1]})()
    found = harness.run("WGAN", 1, 2e9, given)
    fit, evaluate = asked  # and no sheet: this is not the first seed
    assert fit[fit.index("--trainer.max_steps") + 1] == "4"
    assert fit[fit.index("--seed_everything") + 1] == "1"
    assert fit[fit.index("--config") + 1] == "wgan_fashion"
    assert evaluate[1].endswith("last.ckpt")
    assert evaluate[evaluate.index("--n") + 1] == "10000"
    assert found["steps"] == 4
    assert all(found[metric] == 1.2346 for metric in harness.METRICS)


def test_the_script_finds_what_the_commands_counted(tmp_path, monkeypatch, capsys):
    """The command imports the script again for its callback, so there are two copies of the class."""
    budgets = []

    def command(words):
        if any("CountOperations" in word for word in words):
            harness.CountOperations.each = 2.5e9
        elif words[0] == "fit":
            budgets.append(int(words[words.index("--trainer.max_steps") + 1]))
            folder = Path(words[words.index("--trainer.default_root_dir") + 1])
            folder.mkdir(parents=True)
            (folder / "last.ckpt").touch()
        elif words[0] == "evaluate":
            values = ", ".join(f'"{metric}": {{"value": 2}}' for metric in harness.METRICS)
            Path(words[words.index("--out") + 1]).write_text(f'{{"metrics": {{{values}}}}}')
        return 0

    monkeypatch.setattr("ganzoo.cli.main", command)
    words = ["--systems", "WGAN", "--seeds", "0", "--operations", "1e10", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["compare_systems.py", *words])
    runpy.run_path(harness.__file__, run_name="__main__")
    assert budgets == [4]
    assert "| WGAN | 2.50 | 4 | 2.00 | 2.00, 2.00 | 2.00 | 2.00 | 1 |" in capsys.readouterr().out
