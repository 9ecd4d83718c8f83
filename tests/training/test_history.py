"""Historical averaging: its term and its gradient by hand, what it does to the xy game, and its mean in a checkpoint."""

import numpy as np
import pytest
import torch
from support.games import SimultaneousTug, SimultaneousXY, Tug
from support.training import fit, loader, trainer

from ganzoo.errors import InputError

ETA = 0.1


def play(game, tmp_path, steps, **options):
    return fit(game, loader(torch.zeros(steps, 1), batch_size=1), tmp_path, max_epochs=1, **options)


@pytest.mark.parametrize("weight", [0.25, 2.0])
def test_each_step_is_pulled_to_the_mean_of_the_steps_before(weight, tmp_path):
    """x descends ``x y + w (x - mean)^2``, and y alone plays without: recomputed number by number."""
    game = SimultaneousXY(ETA, historical_averaging={"x": weight})
    play(game, tmp_path, 30)
    x, y, past = 1.0, 0.0, []
    for found in game.path:
        pull = 2 * weight * (x - np.mean(past)) if past else 0.0
        x, y = x - ETA * (y + pull), y + ETA * x
        past.append(x)
        assert found == pytest.approx((x, y), abs=1e-12)


def test_it_ends_the_spiral_of_the_xy_game(tmp_path):
    """Simultaneous play leaves the equilibrium, 7.3 times as far after 400 steps; with the term it approaches it."""
    game = SimultaneousXY(ETA, historical_averaging={"x": 0.1, "y": 0.1})
    play(game, tmp_path, 400)
    assert np.hypot(*game.path[-1]) < 0.02
    assert np.hypot(*np.transpose(game.path)).max() < 1.05


def test_the_term_is_logged(tmp_path):
    game = SimultaneousXY(ETA, historical_averaging={"x": 0.5})
    logged = play(game, tmp_path, 2, log_every_n_steps=1).logged_metrics
    assert logged["x/historical_averaging"] == 0  # after one step x is its own mean
    game = SimultaneousXY(ETA, historical_averaging={"y": 0.5})
    logged = play(game, tmp_path, 3, log_every_n_steps=1).logged_metrics
    (_, first), (_, second), _ = game.path
    assert logged["y/historical_averaging"].item() == pytest.approx(0.5 * (second - (first + second) / 2) ** 2)


def test_a_resumed_run_has_the_same_mean(tmp_path):
    torch.manual_seed(1)
    data = loader(torch.randn(12, 3), batch_size=2)

    def tug():
        torch.manual_seed(0)
        return Tug(historical_averaging={"generator": 0.5, "discriminator": 0.1})

    whole, half, rest = tug(), tug(), tug()
    fit(whole, data, tmp_path, max_epochs=2)
    fit(half, data, tmp_path, max_epochs=1).save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path, max_epochs=2).fit(rest, data, ckpt_path=tmp_path / "half.ckpt")
    plain = Tug()
    plain.load_state_dict(half.state_dict())
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name]), name
    means = [
        state["historical_mean"]
        for each in torch.load(tmp_path / "half.ckpt", weights_only=True)["optimizer_states"]
        for state in each["state"].values()
    ]
    assert len(means) == len(list(half.parameters()))


def test_without_it_nothing_changes(tmp_path):
    torch.manual_seed(1)
    data = loader(torch.randn(12, 3), batch_size=2)
    ended = []
    for options in ({}, {"historical_averaging": {}}, {"historical_averaging": {"generator": 1.0}}):
        torch.manual_seed(0)
        model = SimultaneousTug(**options)
        fit(model, data, tmp_path, max_epochs=2)
        ended.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(ended[0], ended[1])
    assert not torch.equal(ended[0], ended[2])


def test_a_weight_that_is_none_or_of_nobody_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"historical_averaging\['x'\] is 0: give a float in \(0"):
        SimultaneousXY(ETA, historical_averaging={"x": 0})
    with pytest.raises(InputError, match="historical_averaging names a player 'z'"):
        play(SimultaneousXY(ETA, historical_averaging={"z": 1.0}), tmp_path, 1)
