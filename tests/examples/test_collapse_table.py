"""The table of mode collapse: what it trains, that it goes on where it was, and what it says of known runs."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
harness = importlib.import_module("collapse_table")


def row(data, name, seed, modes, quality):
    return {
        "data": data,
        "system": name,
        "seed": str(seed),
        "batches": "9",
        "modes": str(modes),
        "high_quality": str(quality),
        "kl": "0.1",
        "seconds": "1",
    }


@pytest.mark.parametrize("name", list(harness.SYSTEMS))
def test_all_systems_have_the_same_networks_and_the_same_schedule(name):
    model = harness.SYSTEMS[name](100)
    parts = [part for part in (*model.G.modules(), *model.D.modules()) if isinstance(part, torch.nn.Linear)]
    assert [part.weight.shape[0] for part in parts[:5]] == [128, 128, 2, 128, 128]
    assert model.sample(7).shape == (7, 2)
    assert model.hparams["optimizers"] == harness.adam()
    assert model.hparams["schedules"] == harness.falling(100)


def test_the_rate_falls_to_0_in_the_second_half():
    (entry,) = harness.falling(100)["generator"]
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, rates = harness.LinearDecay(optimizer, **entry["init_args"]), []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[49] == 1
    assert 0 < rates[-1] < 0.05


def test_a_run_that_is_there_is_not_trained_again(tmp_path, monkeypatch, capsys):
    asked = []

    def run(data, name, seed, steps, folder):
        asked.append((data, name, seed))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return row(data, name, seed, 8, 0.5)

    monkeypatch.setattr(harness, "run", run)
    monkeypatch.setattr(sys, "argv", ["collapse_table.py", "--systems", "GAN", "--seeds", "2", "--folder", str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        harness.main()
    harness.main()
    assert asked == [("ring", "GAN", 0), ("grid", "GAN", 0), ("ring", "GAN", 1), ("ring", "GAN", 1), ("grid", "GAN", 1)]
    assert "| GAN | 8 | 50.0% | 8 | 50.0% | 2 |" in capsys.readouterr().out


def test_a_short_training_is_measured(tmp_path):
    found = harness.run("ring", "Wasserstein + gradient penalty", 0, 3, tmp_path)
    assert set(found) == set(harness.FIELDS)
    assert 0 <= found["modes"] <= 8
    assert 0 <= found["high_quality"] < 0.5
    assert torch.load(tmp_path / "ring_Wasserstein_+_gradient_penalty_0.pt", weights_only=True).shape == (2500, 2)


def test_the_table_has_the_fewest_and_the_most_modes_of_the_seeds():
    rows = [row("grid", "GAN", 0, 16, 0.2), row("grid", "GAN", 1, 10, 0.1), row("ring", "GAN", 0, 8, 0.9)]
    assert harness.table(rows).splitlines()[2:] == ["| GAN | 8 | 90.0% | 10 to 16 | 15.0% | 2 |"]
