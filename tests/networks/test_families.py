"""Families of a generator and a discriminator: what each builds, and for which shapes."""

import pytest
import torch
from torch import nn

from ganzoo.errors import InputError
from ganzoo.networks.families import (
    DCGANFamily,
    LayerNormDCGANFamily,
    MLPFamily,
    MLPGeneratorFamily,
    NoNormDCGANFamily,
    ResidualFamily,
    SmallFamily,
)
from ganzoo.training.recipes import instantiate, to_recipe

SHAPES = [
    (DCGANFamily(width=4), (2, 16, 16)),
    (NoNormDCGANFamily(width=4), (2, 16, 16)),
    (LayerNormDCGANFamily(width=4), (2, 16, 16)),
    (MLPGeneratorFamily(width=4, hidden=8), (2, 16, 16)),
    (MLPFamily(hidden=8), (2, 5, 5)),
    (MLPFamily(hidden=8, layers=1), (3,)),
    (ResidualFamily(width=4), (2, 16, 16)),
    (SmallFamily(width=4), (2, 28, 28)),
]


@pytest.mark.parametrize(("family", "shape"), SHAPES, ids=lambda value: type(value).__name__)
def test_a_family_builds_a_pair_for_a_shape(family, shape):
    G, D = family.networks(shape, 6)
    samples = G(torch.randn(4, 6))
    assert samples.shape == (4, *shape)
    assert D(samples).shape == (4, 1)
    if len(shape) == 3:
        assert G(1e4 * torch.randn(4, 6)).abs().max() <= 1
    assert vars(instantiate(to_recipe(family), type(family))) == vars(family)  # as a checkpoint keeps it


def test_points_have_no_bounds():
    G, _ = MLPFamily(hidden=8).networks((2,), 6)
    assert G(1e4 * torch.randn(4, 6)).abs().max() > 1


def test_the_norm_of_the_discriminator_is_the_familys():
    found = {}
    for family in (DCGANFamily(4), NoNormDCGANFamily(4), LayerNormDCGANFamily(4), MLPGeneratorFamily(4)):
        G, D = family.networks((1, 32, 32), 6)
        parts = [sum(isinstance(part, kind) for part in D.modules()) for kind in (nn.BatchNorm2d, nn.GroupNorm)]
        found[type(family).__name__] = (*parts, sum(isinstance(part, nn.BatchNorm2d) for part in G.modules()))
    assert found == {
        "DCGANFamily": (2, 0, 3),
        "NoNormDCGANFamily": (0, 0, 3),
        "LayerNormDCGANFamily": (0, 2, 3),
        "MLPGeneratorFamily": (2, 0, 0),
    }


@pytest.mark.parametrize("family", [DCGANFamily(), MLPGeneratorFamily(), ResidualFamily(), SmallFamily()])
@pytest.mark.parametrize("shape", [(2,), (3, 32, 64)])
def test_a_shape_that_a_family_does_not_make_is_one_clear_line(family, shape):
    with pytest.raises(InputError, match=rf"{type(family).__name__} is for square images, not for shape .*: MLPFamily"):
        family.networks(shape, 6)


def test_the_small_networks_are_for_28_pixels():
    with pytest.raises(InputError, match=r"28 x 28 pixels, not 32 x 32: set data\.size"):
        SmallFamily().networks((1, 32, 32), 6)
