"""DANN's networks: published parameter counts, initial weights, input ranges, features of every family."""

import math

import pytest
import torch
from torch import nn

from ganzoo.errors import InputError
from ganzoo.networks import dann as families


def count(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


@pytest.mark.parametrize(
    ("same", "label", "domain", "total"), [(False, 88_010, 77_001, 205_891), (True, 246_410, 235_401, 522_691)]
)
def test_the_mnist_family_has_the_known_counts(same, label, domain, total):
    G_f, G_y, G_d = families.MNISTFamily(same).networks((3, 28, 28), 10)
    assert (count(G_f), count(G_y), count(G_d)) == (40_880, label, domain)
    assert count(G_f, G_y, G_d) == total


def test_the_mnist_family_begins_as_tf_dann_does():
    torch.manual_seed(0)
    built = families.MNISTFamily(same=True, std=0.1, bias=0.1).networks((3, 28, 28), 10)
    layers = [part for net in built for part in net.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(layers) == 7
    assert all((layer.bias == 0.1).all() for layer in layers)
    weights = torch.cat([layer.weight.flatten() for layer in layers]).double()
    assert weights.abs().max() <= 0.2
    # of a normal cut off at two deviations: 0.1 sqrt(1 - 2 * 2 phi(2) / (2 Phi(2) - 1)) = 0.08796; 5 standard errors
    assert abs(weights.std().item() - 0.08796) < 5 * 0.08796 / math.sqrt(2 * len(weights))
    assert abs(weights.mean().item()) < 5 * 0.08796 / math.sqrt(len(weights))


def test_the_mnist_familys_input_may_be_of_another_range():
    torch.manual_seed(0)
    plain = families.MNISTFamily().networks((3, 28, 28), 10)[0]
    torch.manual_seed(0)
    mean = (0.3, 0.2, 0.1)
    unit = families.MNISTFamily(input_scale=0.5, input_shift=tuple(0.5 - m for m in mean)).networks((3, 28, 28), 10)[0]
    x = torch.rand(4, 3, 28, 28)  # in [0, 1]
    assert torch.allclose(unit(2 * x - 1), plain(x - torch.tensor(mean).view(3, 1, 1)), atol=1e-6)
    assert count(unit) == count(plain) == 40_880
    with pytest.raises(InputError, match="one for each of 3 channels, not 2"):
        families.MNISTFamily(input_shift=(0.1, 0.2)).networks((3, 28, 28), 10)


@pytest.mark.parametrize(
    ("family", "shape", "classes", "features"),
    [
        (families.MNISTFamily(), (3, 28, 28), 10, 768),
        (families.NormedFamily(), (3, 28, 28), 10, 50 * 4 * 4),
        (families.SVHNFamily(), (3, 32, 32), 10, 128 * 7 * 7),
        (families.GTSRBFamily(), (3, 40, 40), 43, 256 * 2 * 2),
        (families.TorchvisionFamily("resnet18"), (3, 64, 64), 31, 256),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, families.DomainNetworks) else None,
)
def test_every_family_gives_features_labels_and_a_domain(family, shape, classes, features):
    G_f, G_y, G_d = family.networks(shape, classes)
    f = G_f.eval()(torch.zeros(2, *shape))
    assert f.shape == (2, features)
    assert G_y.eval()(f).shape == (2, classes)
    assert G_d.eval()(f).shape == (2, 1)


def test_building_a_family_draws_nothing_and_leaves_the_averages_alone():
    G_f, _, _ = families.NormedFamily().networks((3, 28, 28), 10)
    norms = [part for part in G_f if isinstance(part, nn.BatchNorm2d)]
    assert G_f.training
    assert all(norm.num_batches_tracked == 0 and not norm.running_mean.any() for norm in norms)


def test_a_pretrained_backbone_sees_what_imagenet_looked_like():
    seen = families.Photographs()(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1))
    assert seen[0].flatten().tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    assert seen[1].flatten().tolist() == pytest.approx([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225])


@pytest.mark.parametrize(
    ("family", "shape", "says"),
    [
        (families.MNISTFamily(), (3, 8, 8), "too small"),
        (families.TorchvisionFamily("resnet18"), (1, 64, 64), "colour"),
        (families.TorchvisionFamily("nonsense"), (3, 64, 64), "nonsense"),
        (families.TorchvisionFamily("vgg11"), (3, 64, 64), "ResNet"),
        (families.TorchvisionFamily("googlenet"), (3, 64, 64), "ResNet"),
    ],
)
def test_a_family_that_does_not_fit_is_one_clear_line(family, shape, says):
    with pytest.raises(InputError, match=says) as caught:
        family.networks(shape, 10)
    assert "\n" not in str(caught.value)
