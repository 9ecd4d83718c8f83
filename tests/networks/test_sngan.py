"""SNGAN's networks: parameter counts, and the singular values, against torch.linalg and the iteration by hand."""

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import is_parametrized

from ganzoo.errors import InputError
from ganzoo.networks.families import SNGANFamily, StandardCNNFamily
from ganzoo.networks.sngan import (
    ConditionalResidualGenerator,
    ProjectionDiscriminator,
    SNGANDiscriminator,
    StandardCNNDiscriminator,
    StandardCNNGenerator,
    spectral_normed,
)
from ganzoo.networks.wgan_gp import ResidualGenerator

DISCRIMINATORS = {
    "residual": lambda: spectral_normed(SNGANDiscriminator(width=16)),
    "convolutional": lambda: spectral_normed(StandardCNNDiscriminator(size=8, width=8)),
    "projection": lambda: spectral_normed(ProjectionDiscriminator(width=16)),
}


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        # of the released code's layers, added up by hand
        (lambda: ResidualGenerator(width=256), 4_276_739),
        (lambda: SNGANDiscriminator(), 1_053_824),
        (lambda: ProjectionDiscriminator(), 1_053_824 + 10 * 128),
        # six norms have a scale and a shift of each of ten classes
        (lambda: ConditionalResidualGenerator(), 4_276_739 + 9 * 6 * 2 * 256),
        (lambda: StandardCNNGenerator(), 3_813_379),
        (lambda: StandardCNNDiscriminator(), 5_860_865),
    ],
)
def test_parameter_counts(build, parameters):
    assert sum(p.numel() for p in build().parameters()) == parameters


def test_the_families_have_the_paper_s_widths():
    for family, counts in ((SNGANFamily(), (4_276_739, 1_053_824)), (StandardCNNFamily(), (3_813_379, 5_860_865))):
        found = tuple(sum(p.numel() for p in network.parameters()) for network in family.networks((3, 32, 32), 128))
        assert found == counts


@pytest.mark.parametrize("size", [0, 4, 28, 48])
@pytest.mark.parametrize("network", [ConditionalResidualGenerator, StandardCNNGenerator, StandardCNNDiscriminator])
def test_a_size_that_is_not_four_doubled_is_refused(network, size):
    with pytest.raises(InputError, match=rf"not {size}: set the data's size"):
        network(size=size)


@pytest.mark.parametrize("size", [8, 16, 32])
def test_sizes(size):
    z, x, y = torch.randn(2, 5), torch.randn(2, 1, size, size), torch.eye(3)[:2]
    for made in (StandardCNNGenerator(5, 1, size, 4)(z), ConditionalResidualGenerator(5, 1, 3, size, 4)(z, y)):
        assert made.shape == x.shape
        assert made.abs().max() <= 1
    for D in (SNGANDiscriminator(1, 4), StandardCNNDiscriminator(1, size, 4)):
        assert D(x).shape == (2, 1)
    assert ProjectionDiscriminator(1, 3, 4)(x, y).shape == (2, 1)
    assert SNGANDiscriminator(1, 4).blocks(x).shape == (2, 4, size // 4, size // 4)


def test_while_the_classes_do_not_differ_the_generator_is_that_of_wgan_gp():
    """At the start every class has scale 1 and shift 0; with the same weights both make the same images."""
    torch.manual_seed(4)
    plain, conditional = ResidualGenerator(5, 1, 16, 4), ConditionalResidualGenerator(5, 1, 3, 16, 4)
    start, _, *blocks, norm, _, image, _ = plain.layers
    pairs = [(start, conditional.start[0]), (norm, conditional.image[0]), (image, conditional.image[2])]
    for its, mine in zip(blocks, conditional.blocks, strict=True):
        pairs += [(its.main[3], mine.conv1), (its.main[6], mine.conv2), (its.shortcut[1], mine.shortcut)]
    for its, mine in pairs:
        mine.load_state_dict(its.state_dict())
    z, y = torch.randn(6, 5), torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    assert torch.allclose(conditional(z, y), plain(z), atol=1e-5)


def weighty(network: nn.Module) -> dict[str, nn.Module]:
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.ConvTranspose2d)}


def seen(network: nn.Module, times: int) -> None:
    for _ in range(times):
        given = (torch.randn(2, 3, 8, 8),)
        network(*given, torch.eye(10)[:2]) if isinstance(network, ProjectionDiscriminator) else network(*given)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_the_largest_singular_value_of_every_layer_is_one(kind):
    torch.manual_seed(0)
    D = DISCRIMINATORS[kind]()
    for part in weighty(D).values():
        with torch.no_grad():
            part.parametrizations.weight.original.mul_(7).add_(0.1)  # far from what it was built with
    seen(D, 100)
    D.eval()
    layers = weighty(D)
    assert len(layers) == {"residual": 11, "convolutional": 4, "projection": 12}[kind]
    for name, part in layers.items():
        assert torch.linalg.matrix_norm(part.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02), name
        raw = part.parametrizations.weight.original
        largest = torch.linalg.svdvals(raw.flatten(1))[0]
        assert torch.allclose(part.weight, raw / largest, rtol=0.02, atol=1e-6), name


def test_what_is_not_a_weight_matrix_is_left_alone():
    network = spectral_normed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 1)))
    assert [is_parametrized(part) for part in network] == [True, False, False, True]
    assert not is_parametrized(network[0], "bias")


def test_a_forward_pass_of_training_is_one_step_of_the_power_iteration():
    """u = W v / |W v|, v = W^T u / |W^T u|, and the weight is W / u^T W v. In evaluation nothing moves."""
    torch.manual_seed(1)
    layer = spectral_normed(nn.Sequential(nn.Conv2d(2, 5, 3)))[0]
    inside = layer.parametrizations.weight[0]
    W = layer.parametrizations.weight.original
    with torch.no_grad():
        W.copy_(torch.randn_like(W))  # the vectors are still those of the old weight
    for _ in range(3):
        v = inside._v.clone()
        u = normalize(W.flatten(1) @ v, dim=0)
        v = normalize(W.flatten(1).T @ u, dim=0)
        weight = layer.weight
        assert torch.allclose(inside._u, u, atol=1e-6)
        assert torch.allclose(inside._v, v, atol=1e-6)
        assert torch.allclose(weight, W / (u @ W.flatten(1) @ v), atol=1e-6)
    layer.eval()
    assert torch.equal(layer.weight, layer.weight)
    assert torch.allclose(inside._u, u, atol=1e-6)


def test_sigma_is_differentiated_too():
    """W / sigma(W) is the same for every multiple of W, so no gradient points along W (section 2.3 of the paper)."""
    torch.manual_seed(2)
    D = spectral_normed(SNGANDiscriminator(width=8))
    D(torch.randn(4, 3, 8, 8)).square().sum().backward()
    for part in weighty(D).values():
        raw = part.parametrizations.weight.original
        assert raw.grad.norm() > 0
        assert abs((raw.grad * raw).sum()) < 1e-4 * raw.grad.norm() * raw.norm()


def test_the_projection_is_the_inner_product_of_class_and_features():
    torch.manual_seed(3)
    D = spectral_normed(ProjectionDiscriminator(1, classes=3, width=8)).eval()
    x = torch.randn(4, 1, 8, 8)
    phi = D.phi(x)
    assert torch.allclose(phi, D.blocks(x).sum((2, 3)))
    V = D.V.weight.T  # [classes, maps]
    for y in range(3):
        codes = torch.eye(3)[[y] * 4]
        assert torch.allclose(D(x, codes), phi @ V[y][:, None] + D.psi(phi), atol=1e-5)
    mixed = 0.5 * (D(x, torch.eye(3)[[0] * 4]) + D(x, torch.eye(3)[[2] * 4]))
    assert torch.allclose(D(x, torch.tensor([[0.5, 0.0, 0.5]] * 4)), mixed, atol=1e-5)
