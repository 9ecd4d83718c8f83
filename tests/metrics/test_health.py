"""The numbers of GAN failures by hand, and each detector fed by hand."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
import yaml

from ganzoo.losses import NonSaturating, discriminator_stats
from ganzoo.metrics.health import Diagnosis, Observation, centre_and_spread, diversity, overfitting, swing

# -- numbers ------------------------------------------------------------------------------------------


def test_diversity_is_the_mean_distance_of_all_pairs():
    x = torch.randn(7, 2, 3, 3)
    pairs = [(a - b).square().mean().sqrt() for a, b in combinations(x, 2)]
    assert diversity(x).item() == pytest.approx(float(sum(pairs) / 21), rel=1e-5)
    assert diversity(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).item() == pytest.approx(5 / math.sqrt(2))
    assert diversity(x[:1].expand(5, -1, -1, -1)).item() == pytest.approx(0, abs=1e-6)
    assert math.isnan(diversity(x[:1]))


def test_diversity_of_standard_normals_in_many_dimensions_is_the_root_of_two():
    assert diversity(torch.randn(64, 4096)).item() == pytest.approx(math.sqrt(2), rel=0.005)


def test_diversity_with_labels_compares_within_a_class():
    x, y = torch.randn(6, 4), torch.tensor([0, 0, 0, 1, 1, 2])
    pairs = [(x[i] - x[j]).square().mean().sqrt() for i, j in combinations(range(6), 2) if y[i] == y[j]]
    assert len(pairs) == 4
    assert diversity(x, y).item() == pytest.approx(float(sum(pairs) / 4), rel=1e-5)
    # an image a class: far apart from each other, and no diversity
    assert diversity(10.0 * y[:, None].expand(-1, 4), y).item() == 0
    assert math.isnan(diversity(x[3:6:2], y[3:6:2]))


def test_centre_and_spread_of_places():
    x = torch.randn(9, 3, 8, 8)
    places = x.numpy().reshape(9, 3, 4, 2, 4, 2).mean((3, 5)).reshape(9, -1)
    centre, spread = centre_and_spread(x)
    assert np.allclose(centre, places.mean(0), atol=1e-6)
    assert spread.item() == pytest.approx(math.sqrt(places.var(0).sum()), rel=1e-5)
    points = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
    centre, spread = centre_and_spread(points)
    assert centre.tolist() == [1, 1]
    assert spread.item() == 1


def test_r_t_is_the_mean_sign_of_the_discriminator_on_real_samples():
    """From the logits, through the accuracy that the model logs; a logit of 0 has the sign 0."""
    logits = torch.tensor([3.0, 0.1, -0.2, 0.0, 5.0])
    shown = discriminator_stats(NonSaturating(), logits, torch.full((3,), 9.0))
    assert overfitting([shown["discriminator/accuracy_real"].item()]) == pytest.approx(logits.sign().mean().item(), abs=1e-6)
    assert overfitting([1.0, 0.5]) == 0.5  # several discriminators: their mean
    assert (overfitting([1.0]), overfitting([0.5]), overfitting([0.0])) == (1, 0, -1)


def wave(looks=50, period=12.5, amplitude=1.0, drift=0.0, decay=0.0, seed=0):
    """A point that swings along (3, 4) / 5 in the plane."""
    t = np.arange(looks)
    along = amplitude * np.exp(-decay * t) * np.sin(2 * np.pi * t / period) + drift * t
    return (along[:, None] * [0.6, 0.8] + 7).tolist()


def test_swing_of_a_sine():
    far, turns, smooth = swing(wave(period=12.5))
    assert far == pytest.approx(1 / math.sqrt(2), rel=0.02)
    assert turns == 7  # eight half periods
    assert smooth == pytest.approx(math.cos(2 * math.pi / 12.5), abs=0.03)


def test_swing_of_what_does_not_swing():
    assert swing([[1.0, 2.0]] * 30) == (0.0, 0, 0.0)
    assert swing(wave(amplitude=0, drift=0.1))[1] == 1  # a path from one side to the other
    assert swing(wave(period=12.5, decay=0.1))[0] < 0.06  # the half in which it has come to rest
    noise = np.random.default_rng(0).normal(size=(50, 2)).tolist()
    assert abs(swing(noise)[2]) < 0.3
    assert swing(wave(period=1.9))[2] < -0.5  # there and back between two looks


# -- each detector, fed by hand -----------------------------------------------------------------------


def pair(value):
    return {"": value}


def healthy(**other):
    """What a training shows that is well."""
    seen = {
        "accuracy_real": pair(0.6),
        "accuracy_fake": pair(0.7),
        "gradient_ratio": pair(0.9),
        "gradient": pair(1.0),
        "diversity": 0.9,
        "of_real": 1.0,
        "centre": [0.0, 0.0],
        "spread": 1.0,
    }
    return Observation(**{**seen, **other})


LOST = {"accuracy_real": pair(0.99), "accuracy_fake": pair(1.0), "gradient_ratio": pair(2e-3), "gradient": pair(1e-4)}


def named(looks, patience=500, every=50):
    """Names and steps of what is said of these looks, one each ``every`` steps."""
    diagnosis, said = Diagnosis(patience), []
    for i, seen in enumerate(looks):
        said += [(failure.name, i * every) for failure in diagnosis.observe(i * every, seen)]
    return said


def test_a_training_that_is_well_is_not_named():
    assert named([healthy()] * 200) == []


def test_a_vanishing_gradient_is_named_when_it_has_lasted():
    assert named([healthy()] * 4 + [healthy(**LOST)] * 100) == [("vanishing gradient", 200 + 500)]
    assert named([healthy()] * 4 + ([healthy(**LOST)] * 9 + [healthy()]) * 9) == []  # it never lasts
    # of the gradient ratio or the gradient alone; by the gradient's own greatest, or by nothing
    assert named([healthy()] * 4 + [healthy(**{**LOST, "gradient_ratio": {}})] * 20) == [("vanishing gradient", 700)]
    assert named([healthy()] * 4 + [healthy(**{**LOST, "gradient": {}})] * 20) == [("vanishing gradient", 700)]
    assert named([healthy(**{**LOST, "gradient_ratio": {}, "gradient": pair(1e-8)})] * 20) == [("vanishing gradient", 500)]


@pytest.mark.parametrize(
    "other",
    [
        {"accuracy_real": pair(0.5)},  # it does not win: it calls everything generated
        {"accuracy_fake": pair(0.9)},
        {"gradient_ratio": pair(1.9), "gradient": pair(1.0)},  # it wins, and teaches
        {"gradient_ratio": {}, "gradient": pair(2e-3)},  # a small gradient, of a generator whose gradients are small
    ],
)
def test_what_is_no_vanishing_gradient(other):
    assert named([healthy()] * 4 + [healthy(**{**LOST, **other})] * 50) == []


def test_each_level_of_a_pyramid_has_its_own_discriminator():
    both = {key: {"_0": getattr(healthy(), key)[""], "_1": value[""]} for key, value in LOST.items()}
    diagnosis = Diagnosis(500)
    said = [failure for step in range(0, 1000, 50) for failure in diagnosis.observe(step, healthy(**both))]
    assert len(said) == 1
    assert "generator_1 gradient" in said[0].words


def test_a_collapse_is_named_when_it_has_lasted():
    alike = healthy(diversity=0.15)
    assert named([healthy()] * 4 + [alike] * 100) == [("mode collapse", 700)]
    assert named([healthy()] * 4 + ([alike] * 9 + [healthy()]) * 9) == []
    assert named([healthy(diversity=0.25)] * 50) == []
    assert named([healthy(diversity=0.25, of_real=2.0)] * 50) == [("mode collapse", 500)]  # beside the real ones
    assert named([healthy(diversity=0.0, of_real=0.0)] * 50) == []  # the real ones are alike as well


def test_samples_that_are_not_different_yet_are_no_collapse():
    told = {"accuracy_real": pair(0.95), "accuracy_fake": pair(1.0), "diversity": 0.05}
    assert named([healthy(**told)] * 50) == []  # the discriminator tells them, and they never were different
    assert named([healthy(), *[healthy(**told)] * 50]) == [("mode collapse", 550)]  # they were
    believed = {**told, "accuracy_real": pair(0.5)}
    assert named([healthy(**believed)] * 50) == [("mode collapse", 500)]
    assert named(([healthy(**believed)] * 4 + [healthy(**told)]) * 10) == [("mode collapse", 500)]  # nearly always


def test_an_oscillation_is_named_when_there_is_no_doubt():
    # the fourth crossing is over where the fifth half wave, from 25 on, has reached 0.35
    assert named([healthy(centre=c) for c in wave(100, period=12.5)]) == [("oscillation", 26 * 50)]
    assert named([healthy(centre=c) for c in wave(100, period=12.5, amplitude=0.5)]) == []
    assert named([healthy(centre=c, spread=3.0) for c in wave(100, period=12.5)]) == []
    assert named([healthy(centre=c) for c in wave(100, amplitude=0, drift=0.2)]) == []
    assert named([healthy(centre=c) for c in wave(100, period=12.5, decay=0.05)]) == []
    assert named([healthy(centre=c) for c in np.random.default_rng(0).normal(size=(200, 2)).tolist()]) == []


def test_a_collapsed_generator_that_goes_round_is_a_collapse():
    looks = [healthy(centre=c, diversity=0.01) for c in wave(100, period=12.5)]
    assert [name for name, _ in named(looks)] == ["mode collapse"]


def test_a_diagnosis_goes_on_from_its_state():
    looks = (
        [healthy(**LOST, centre=[7.0, 7.0])] * 8
        + [healthy(centre=c, diversity=0.6) for c in wave(40, period=10)]
        + [healthy(diversity=0.1)] * 30
    )
    whole, said = Diagnosis(300), []
    for i, seen in enumerate(looks):
        said += [(i, *failure) for failure in whole.observe(50 * i, seen)]
    assert {name for _, name, _ in said} == {"vanishing gradient", "oscillation", "mode collapse"}
    for cut in (5, 20, 45, 60):
        first, second, again = Diagnosis(300), Diagnosis(300), []
        for i, seen in enumerate(looks):
            if i == cut:
                second.load_state_dict(yaml.safe_load(yaml.safe_dump(first.state_dict())))  # plain types only
            again += [(i, *failure) for failure in (first if i < cut else second).observe(50 * i, seen)]
        assert again == said
        assert second.state_dict() == whole.state_dict()
