"""Instance norm against torch's; batch norm of each domain against one plain batch norm per domain; of classes."""

import pytest
import torch
from torch import nn

from ganzoo.networks.norms import SOURCE, TARGET, ConditionalBatchNorm, DomainNorm, InstanceNorm, of_domain, per_domain


def test_each_domain_has_its_own_averages_and_both_have_one_scale():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Sequential(nn.BatchNorm1d(2, momentum=0.5)))
    before = [p.detach().clone() for p in plain.parameters()]
    network = per_domain(plain)
    assert [type(part) for part in network.modules() if "Norm" in type(part).__name__] == [DomainNorm] * 2
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True))
    norm, oracles = network[3][0], [nn.BatchNorm1d(2, momentum=0.5) for _ in range(2)]
    for i in range(6):
        domain = i % 2
        x = torch.randn(8, 2) * (1 + 3 * domain) + 5 * domain
        with of_domain(domain, network):
            assert torch.allclose(norm(x), oracles[domain](x), atol=1e-6)
    network.eval()
    for domain in (SOURCE, TARGET):
        assert torch.allclose(norm.running_mean[domain], oracles[domain].running_mean)
        assert torch.allclose(norm.running_var[domain], oracles[domain].running_var)
        with of_domain(domain, network):
            assert torch.allclose(norm(x), oracles[domain].eval()(x), atol=1e-6)
    assert torch.allclose(norm(x), oracles[TARGET](x), atol=1e-6)  # outside
    kept = nn.BatchNorm1d(2, track_running_stats=False)
    assert per_domain(kept) is kept


def test_pretrained_averages_serve_both_domains_at_first():
    norm = nn.BatchNorm2d(3)
    norm.running_mean.fill_(4.0)
    assert per_domain(norm).running_mean.tolist() == [[4.0] * 3] * 2


def test_conditional_batch_norm_scales_and_shifts_by_the_class():
    """The statistics are of the whole batch, whatever its classes; at the start it is a plain batch norm."""
    torch.manual_seed(0)
    norm, plain = ConditionalBatchNorm(4, 3), nn.BatchNorm2d(4, affine=False)
    x, labels = torch.randn(6, 4, 2, 2) * 3 + 1, torch.tensor([0, 2, 1, 1, 0, 2])
    codes = torch.eye(3)[labels]
    assert torch.allclose(norm(x, codes), plain(x), atol=1e-6)
    with torch.no_grad():
        norm.scale.copy_(torch.randn(3, 4))
        norm.shift.copy_(torch.randn(3, 4))
    normed, found = plain(x), norm(x, codes)
    for n, label in enumerate(labels):
        by_hand = normed[n] * norm.scale[label][:, None, None] + norm.shift[label][:, None, None]
        assert torch.allclose(found[n], by_hand, atol=1e-6)
    for part in (norm, plain):
        part.eval()
    half = norm(x, 0.5 * (torch.eye(3)[[0] * 6] + torch.eye(3)[[1] * 6]))
    assert torch.allclose(half, 0.5 * (norm(x, torch.eye(3)[[0] * 6]) + norm(x, torch.eye(3)[[1] * 6])), atol=1e-5)
    assert torch.allclose(norm.norm.running_mean, plain.running_mean)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("images", [1, 2])
def test_instance_norm_of_channels_last_is_torchs_and_keeps_the_layout_of_one_image(affine, images):
    torch.manual_seed(0)
    layer, torchs = InstanceNorm(affine).layer(3), nn.InstanceNorm2d(3, affine=affine)
    for parameter in torchs.parameters():
        nn.init.normal_(parameter)
    layer.load_state_dict(torchs.state_dict())
    x = (torch.randn(images, 3, 4, 5) * 3 + 7).requires_grad_()
    expected = torchs(x)
    (wanted,) = torch.autograd.grad(expected.pow(3).sum(), x)
    last = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    for training in (True, False):
        found = layer.train(training)(last)
        assert torch.allclose(found, expected, atol=1e-5)
        (gradient,) = torch.autograd.grad(found.pow(3).sum(), last)
        assert torch.allclose(gradient, wanted, atol=1e-4)
        assert found.is_contiguous(memory_format=torch.channels_last) is (training and images == 1)
    assert torch.equal(layer(x), expected)  # channels first: the same function
