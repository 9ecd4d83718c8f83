"""Points in the plane are drawn where they are."""

import numpy as np
import torch

from ganzoo.utils.scatter import CENTRES, EXTENT, SAMPLES, SIZE, TITLE, scatter


def places(image, colour):
    """The mean place of the pixels near a colour, in the plane: x to the right and y up."""
    pixels = np.asarray(image.crop((0, TITLE, SIZE, TITLE + SIZE))).astype(int)
    rows, columns = np.nonzero(np.abs(pixels - np.array(colour)).sum(2) < 60)
    assert len(rows)
    return (columns.mean() / (SIZE - 1) * 2 - 1) * EXTENT, -(rows.mean() / (SIZE - 1) * 2 - 1) * EXTENT


def test_samples_and_modes_are_where_they_should_be():
    nowhere = torch.zeros(0, 2)
    for point in ((0.0, 0.0), (1.0, 0.0), (0.5, -0.8)):
        dot = scatter(torch.tensor([point]), nowhere, 0.1)
        assert np.allclose(places(dot, SAMPLES), point, atol=0.01)
        ring = scatter(nowhere, torch.tensor([point]), 0.1)
        assert np.allclose(places(ring, CENTRES), point, atol=0.01)


def test_a_point_outside_is_drawn_at_the_edge():
    outside = scatter(torch.tensor([[9.0, -9.0]]), torch.zeros(0, 2), 0.1)
    assert np.allclose(places(outside, SAMPLES), (EXTENT, -EXTENT), atol=0.02)


def test_a_ring_has_its_radius_and_a_narrow_one_is_still_seen():
    def width(radius):
        pixels = np.asarray(scatter(torch.zeros(0, 2), torch.zeros(1, 2), radius)).astype(int)[TITLE:]
        columns = np.nonzero(np.abs(pixels - np.array(CENTRES)).sum(2) < 60)[1]
        return columns.max() - columns.min()

    assert abs(width(0.5) - 1.0 / (2 * EXTENT) * SIZE) < 4
    assert 8 <= width(0.001) <= 12
