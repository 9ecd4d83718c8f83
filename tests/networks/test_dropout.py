"""Dropout as noise: on in evaluation too, with the mean and the rate of ordinary dropout."""

import pytest
import torch

from ganzoo.networks.dropout import NoiseDropout


@pytest.mark.parametrize("training", [True, False])
def test_it_drops_in_training_and_in_evaluation(training):
    out = NoiseDropout(0.25).train(training)(torch.ones(40_000))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    # 5 standard errors of a share of 40,000
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 40_000) ** 0.5)


def test_without_a_rate_nothing_is_dropped():
    x = torch.randn(10)
    assert torch.equal(NoiseDropout(0.0).eval()(x), x)
