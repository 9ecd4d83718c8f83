"""The xy game: what the lectures say of oscillation, as laws that the grammar must obey to the last digits."""

from math import atan, pi, sqrt

import numpy as np
import pytest
import torch
from support.games import XY, SimultaneousXY
from support.training import fit, loader

ETA, T = 0.1, 1000


def play(game, tmp_path):
    fit(game, loader(torch.zeros(T, 1), batch_size=1), tmp_path, max_epochs=1)
    return np.array([(1.0, 0.0), *game.path])


def test_simultaneous_play_spirals_outwards(tmp_path):
    path = play(SimultaneousXY(ETA), tmp_path)
    radius = np.hypot(*path.T)
    assert radius[-1] == pytest.approx((1 + ETA**2) ** (T / 2), rel=1e-10)
    assert radius[-1] == pytest.approx(144.77, abs=0.01)
    assert np.allclose(np.diff(np.log(radius)), 0.5 * np.log(1 + ETA**2), atol=1e-12)


def test_simultaneous_play_turns_once_in_two_pi_over_atan_eta(tmp_path):
    path = play(SimultaneousXY(ETA), tmp_path)
    turned = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))
    assert 2 * pi / abs(np.diff(turned)).mean() == pytest.approx(2 * pi / atan(ETA), rel=1e-9)
    assert 2 * pi / atan(ETA) == pytest.approx(63.04, abs=0.01)


def test_alternating_play_stays_on_an_ellipse(tmp_path):
    x, y = play(XY(ETA), tmp_path).T
    # x moves first, so it is x^2 + y^2 - eta x y that is conserved
    conserved = x**2 + y**2 - ETA * x * y
    assert np.abs(conserved - 1).max() < 1e-13
    radius = np.hypot(x, y)
    assert radius.min() >= 1 / sqrt(1 + ETA / 2) - 1e-12
    assert radius.max() <= 1 / sqrt(1 - ETA / 2) + 1e-12
    assert radius.min() == pytest.approx(0.9759, abs=1e-3)
    assert radius.max() == pytest.approx(1.0260, abs=1e-3)
