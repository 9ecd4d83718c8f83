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


def hidden(network):
    """The sizes of a network's hidden layers."""
    return [part.out_features for part in network.modules() if isinstance(part, torch.nn.Linear)][:3]


@pytest.mark.parametrize("name", list(harness.SYSTEMS))
def test_all_systems_have_the_same_networks_noise_and_rates(name):
    model = harness.SYSTEMS[name](100)
    assert hidden(model.G) == hidden(model.D) == [128, 128, 128]
    assert model.sample(7).shape == (7, 2)
    assert type(model.noise).__name__ == "Normal"
    kind = "RMSprop" if name in ("WGAN", "WGAN, clip 0.1") else "Adam"
    for player in ("discriminator", "generator"):
        optimizer = model.hparams["optimizers"][player]
        assert optimizer["init_args"]["lr"] == 1e-3
        assert optimizer["class_path"] == f"torch.optim.{kind}"


@pytest.mark.parametrize("name", list(harness.SYSTEMS))
def test_the_generator_steps_as_often_as_in_the_paper_and_its_rate_falls_with_its_steps(name):
    model = harness.SYSTEMS[name](100)
    steps = 20 if name in ("WGAN", "WGAN, clip 0.1", "WGAN-GP", "SNGAN") else 100
    assert getattr(model, "n_critic", 1) == 100 // steps
    (entry,) = model.hparams["schedules"]["generator"]
    assert entry["init_args"] == {"constant": steps // 2, "decay": steps // 2}


def test_what_each_paper_changes_is_there():
    built = {name: build(100) for name, build in harness.SYSTEMS.items()}
    assert built["WGAN"].clip == 0.01
    assert {name: [part.name for part in model.regularizers] for name, model in built.items() if model.regularizers} == {
        "GAN + R1": ["r1"],
        "WGAN-GP": ["gradient_penalty"],
    }
    losses = {name: type(model.loss).__name__ for name, model in built.items()}
    assert losses["GAN, minimax"] == "Minimax"
    assert losses["GAN"] == "NonSaturating"
    assert losses["LSGAN"] == "LeastSquares"
    assert losses["SNGAN"] == "Hinge"
    assert {losses[name] for name in ("WGAN", "WGAN, clip 0.1", "WGAN-GP", "BEGAN")} == {"Wasserstein"}
    normed = [name for name, model in built.items() if any("parametrizations" in key for key in model.D.state_dict())]
    assert normed == ["SNGAN"]


def test_the_score_of_the_autoencoder_is_minus_its_error():
    D = harness.SYSTEMS["BEGAN"](100).D
    v = torch.rand(5, 2)
    again = D.decoder(D.encoder(v)).tolist()
    expected = torch.tensor(
        [[-sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2] for p, q in zip(v.tolist(), again, strict=True)]
    )
    assert torch.allclose(D(v), expected)


def test_the_rate_falls_to_0_in_the_second_half():
    (entry,) = harness.rates(100, 1)["schedules"]["generator"]
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
    found = harness.run("ring", "WGAN-GP", 0, 3, tmp_path)
    assert set(found) == set(harness.FIELDS)
    assert 0 <= found["modes"] <= 8
    assert 0 <= found["high_quality"] < 0.5
    assert torch.load(tmp_path / "ring_WGAN-GP_0.pt", weights_only=True).shape == (2500, 2)


def test_the_table_has_the_fewest_and_the_most_modes_of_the_seeds():
    rows = [row("grid", "GAN", 0, 16, 0.2), row("grid", "GAN", 1, 10, 0.1), row("ring", "GAN", 0, 8, 0.9)]
    assert harness.table(rows).splitlines()[2:] == ["| GAN | 8 | 90.0% | 10 to 16 | 15.0% | 2 |"]
