"""A training's values are arranged in panels."""

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from support.small_models import played, small

from ganzoo import GAN
from ganzoo.callbacks import Dashboard


@pytest.mark.parametrize("fast_dev_run", [False, True])
def test_tensorboard_has_a_chart_for_each_player(fast_dev_run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.custom_scalar import layout_pb2

    logger = TensorBoardLogger(tmp_path, name="", version="")
    played(small(GAN), logger=logger, callbacks=[Dashboard()], fast_dev_run=fast_dev_run)
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    if fast_dev_run:
        assert "custom_scalars__config__" not in events.Tags()["tensors"]
        return
    (layout,) = events.Tensors("custom_scalars__config__")
    players, health, metrics = layout_pb2.Layout.FromString(layout.tensor_proto.string_val[0]).category
    titles = [chart.title for chart in players.chart]
    assert titles == ["losses", "discriminator: terms", "generator: terms"]
    assert list(players.chart[0].multiline.tag) == ["discriminator/loss$", "generator/loss$"]
    assert (health.title, metrics.title) == ("health", "metrics")
