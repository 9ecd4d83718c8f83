"""Minibatch discrimination and virtual batch norm: known answers, which samples each output depends on, checkpoints."""

import math

import pytest
import torch
from support.small_models import small
from support.torchrun import spawn_two
from support.training import fit, loader
from torch import nn

from ganzoo.errors import InputError
from ganzoo.models import CGAN, DCGAN, GAN, LAPGAN
from ganzoo.networks.extra_layers import (
    Closeness,
    ComparedSamples,
    MinibatchDiscrimination,
    ReferenceBatch,
    VirtualBatchNorm,
)
from ganzoo.penalties import r1
from ganzoo.regularizers import R1


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# -- minibatch discrimination -----------------------------------------------------------------------------------------


def test_closeness_by_hand():
    layer = Closeness(2, kernels=2, dims=1).eval()
    layer.T.data = torch.tensor([[[1.0], [0.0]], [[0.0], [2.0]]])  # the first kernel sees x, the second 2 y
    found = layer(torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 1.0]]))
    e = math.exp
    expected = [[e(-1) + e(-3), 1 + e(-2)], [e(-1) + e(-2), 1 + e(-2)], [e(-3) + e(-2), 2 * e(-2)]]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-6)
    three = Closeness(1, kernels=1, dims=3).eval()
    three.T.data = torch.ones(1, 1, 3)  # the distance is the sum over a kernel's dimensions
    assert three(torch.tensor([[0.0], [0.5]])).flatten().tolist() == pytest.approx([e(-1.5)] * 2)


def test_a_batch_of_one_sample_n_times_counts_the_others():
    """n - 1 and not n: the sample itself is left out. Far samples count 0, and a sample alone has no company."""
    layer = Closeness(4, kernels=3).eval()
    assert torch.equal(layer(torch.ones(7, 4)), torch.full((7, 3), 6.0))
    assert layer(1e4 * torch.randn(7, 4)).max() < 1e-6
    assert torch.equal(layer(torch.ones(1, 4)), torch.zeros(1, 3))


def test_another_order_of_the_batch_is_another_order_of_the_outputs():
    layer, features, order = Closeness(4, kernels=3).eval(), torch.randn(6, 4), torch.randperm(6)
    assert torch.allclose(layer(features[order]), layer(features)[order], atol=1e-6)


def test_the_gradient_pushes_samples_apart():
    layer = Closeness(1, kernels=1, dims=1).eval()
    layer.T.data = torch.ones(1, 1, 1)
    features = torch.tensor([[0.0], [0.5]], requires_grad=True)
    (slope,) = torch.autograd.grad(layer(features).sum(), features)
    assert slope.flatten().tolist() == pytest.approx([2 * math.exp(-0.5), -2 * math.exp(-0.5)])  # down this: apart


def test_the_first_batch_in_training_sets_the_scale():
    layer, features = Closeness(8, kernels=3), 50 * torch.randn(16, 8)
    layer(features)
    nearest = (layer.distances(features) + 1e6 * torch.eye(16)).amin(2).mean(1)
    assert torch.allclose(nearest, torch.full((3,), 2.0), rtol=1e-3)
    T = layer.T.clone()
    layer(features * 100)
    assert torch.equal(layer.T, T)
    alike = Closeness(8, kernels=3)
    alike(torch.ones(4, 8))
    assert alike.T.isfinite().all()


def test_a_discriminator_starts_as_it_is_and_compares_its_samples_once_it_has_learned():
    D = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 1))
    x = torch.randn(5, 1, 3, 3)
    before = D(x)
    _, D = MinibatchDiscrimination(4, 2).extend(nn.Identity(), D, (2,), (1, 3, 3))
    assert isinstance(D[3], ComparedSamples)
    assert torch.equal(D(x), before)
    nn.init.ones_(D[3].weight)
    D[3].offset.data += 3
    closeness = D[3].closeness(D[2](D[1](D[0](x))))
    assert torch.allclose(D(x), before + closeness.sum(1, keepdim=True) + 3, atol=1e-6)
    # a collapsed batch is told from a diverse one by this alone
    assert (D(x[:1].expand(5, -1, -1, -1)) - before[:1]).min() > (D(x) - before).max()


@pytest.mark.parametrize("cls", [GAN, CGAN, DCGAN, LAPGAN])
def test_every_image_gan_takes_it(cls, tmp_path):
    options = dict(LAPGAN.small) if cls is LAPGAN else {}
    model = small(cls, **options, layers=[MinibatchDiscrimination(4, 2)])
    parts = [part for part in model.D.modules() if isinstance(part, ComparedSamples)]
    assert len(parts) == (3 if cls is LAPGAN else 1)
    before = [part.weight.clone() for part in parts]
    x = torch.rand(8, *model.hparams["shape"]) * 2 - 1
    fit(model, loader(x, torch.arange(8) % 3, batch_size=4), tmp_path, max_epochs=1).save_checkpoint(tmp_path / "kept.ckpt")
    assert all(not torch.equal(part.weight, w) for part, w in zip(parts, before, strict=True))
    again = cls.load_from_checkpoint(tmp_path / "kept.ckpt")
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert again.hparams["layers"][0]["init_args"] == {"kernels": 4, "dims": 2}


def test_what_does_not_fit_minibatch_discrimination_is_refused(tmp_path):
    with pytest.raises(InputError, match="with 5000 kernels, and MaxoutDiscriminator has 240 features"):
        small(GAN, layers=[MinibatchDiscrimination(5000)])
    with pytest.raises(InputError, match=r"layers is a list, \[MinibatchDiscrimination\] for one"):
        small(GAN, layers=MinibatchDiscrimination())
    with pytest.raises(InputError, match="with one logit, and not for Linear"):
        MinibatchDiscrimination(1).extend(nn.Identity(), nn.Linear(3, 2), (2,), (3,))
    patches = nn.Conv2d(1, 1, 3)
    _, patches = MinibatchDiscrimination(1).extend(nn.Identity(), patches, (2,), (1, 8, 8))
    with pytest.raises(InputError, match="has one of a patch"):
        patches(torch.zeros(2, 1, 8, 8))
    model = small(GAN, layers=[MinibatchDiscrimination(4)], regularizers=[R1()])
    with pytest.raises(InputError, match="minibatch discrimination compares the samples of a batch: take one"):
        fit(model, loader(torch.zeros(4, 1, 8, 8), batch_size=4), tmp_path, max_steps=1)


class Forgetful(GAN):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.G, self.D = self.networks()
        self._layers_missing = bool(self.layers)  # as in a class that never called add_layers


def test_a_model_that_forgets_its_layers_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"write self\.G, self\.D = self\.add_layers"):
        fit(
            Forgetful(shape=(1, 8, 8), hidden=8, layers=[MinibatchDiscrimination(4)]),
            loader(torch.zeros(4, 1, 8, 8), batch_size=4),
            tmp_path,
            max_steps=1,
        )


# -- virtual batch norm -----------------------------------------------------------------------------------------------


def normed() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(12, 4))
    nn.init.normal_(network[1].weight, 1, 0.3)
    nn.init.normal_(network[1].bias)
    network.append(nn.BatchNorm1d(4))
    return network


def filled(n=5) -> ReferenceBatch:
    network = ReferenceBatch(normed(), n, (2, 4, 4))
    network(torch.randn(n + 3, 2, 4, 4) * 2 + 1)
    return network


def test_a_samples_output_does_not_depend_on_the_other_samples():
    network, x = filled(), torch.randn(6, 2, 4, 4)
    whole = network(x)
    assert torch.allclose(network(x[2:3]), whole[2:3], atol=1e-5)
    x = x.requires_grad_()
    slopes = torch.autograd.grad(network(x)[0].sum(), x)[0].flatten(1).abs().sum(1)
    assert slopes[0] > 0
    assert torch.equal(slopes[1:], torch.zeros(5))
    assert torch.allclose(network.eval()(x), whole, atol=1e-6)  # in evaluation as in training


def test_statistics_have_the_sample_at_the_weight_of_one_in_n_plus_1():
    """By hand on one layer: exactly the batch norm of the reference and the sample together."""
    norm = nn.BatchNorm2d(3, eps=0.1)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    reference, x = torch.randn(4, 3, 5, 5) * 2 + 1, torch.randn(2, 3, 5, 5) - 3
    network = ReferenceBatch(nn.Sequential(norm), 4, (3, 5, 5))
    network(reference)
    plain = nn.BatchNorm2d(3, eps=0.1)
    plain.load_state_dict(norm.state_dict())
    for sample in (0, 1):
        together = plain(torch.cat([reference, x[sample : sample + 1]]))[-1]
        assert torch.allclose(network(x)[sample], together, atol=1e-5)
    vectors = ReferenceBatch(nn.Sequential(nn.BatchNorm1d(3)), 4, (3,))
    vectors(reference[:, :, 0, 0])
    together = nn.BatchNorm1d(3)(torch.cat([reference[:, :, 0, 0], x[:1, :, 0, 0]]))[-1]
    assert torch.allclose(vectors(x[:, :, 0, 0])[0], together, atol=1e-5)


def test_the_reference_is_the_first_batch_of_training_and_stays():
    network, first = ReferenceBatch(normed(), 5, (2, 4, 4)), torch.randn(8, 2, 4, 4)
    before = network.reference.clone()
    assert network.eval()(torch.randn(8, 2, 4, 4)).isfinite().all()
    assert torch.equal(network.reference, before)
    assert not network.filled
    network.train()(first)
    network(torch.randn(8, 2, 4, 4))
    assert torch.equal(network.reference, first[:5])
    again = ReferenceBatch(normed(), 5, (2, 4, 4))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(first), network(first))


def dcgan(**options):
    return DCGAN(shape=(1, 16, 16), width=4, latent=4, **options)


def test_dcgan_trains_with_it_and_its_checkpoint_has_the_reference(tmp_path):
    data = loader(torch.rand(8, 1, 16, 16) * 2 - 1, batch_size=4)
    model = dcgan(layers=[VirtualBatchNorm(4, discriminator=True)], ema_half_life=10.0, regularizers=[R1()])
    fit(model, data, tmp_path, max_epochs=2).save_checkpoint(tmp_path / "kept.ckpt")
    assert not [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    assert model.G.reference.shape == (4, 4)
    assert model.D.reference.shape == (4, 1, 16, 16)
    assert model.G.filled
    assert model.D.filled
    again = DCGAN.load_from_checkpoint(tmp_path / "kept.ckpt").eval()
    noise = model.eval().draw_noise(3)
    images = model.decode(noise)
    assert torch.equal(again.decode(noise), images)
    alone = torch.cat([model.decode({"z": noise["z"][n : n + 1]}) for n in range(3)])
    assert torch.allclose(alone, images, atol=1e-5)


def test_what_does_not_fit_virtual_batch_norm_is_refused(tmp_path):
    with pytest.raises(InputError, match="replaces batch norm, and MLPGenerator has none"):
        small(GAN, layers=[VirtualBatchNorm()])
    with pytest.raises(InputError, match="changes nothing: leave it out"):
        VirtualBatchNorm(generator=False)
    with pytest.raises(InputError, match="takes its 64 reference samples from the first batch, and that has 4"):
        fit(dcgan(layers=[VirtualBatchNorm()]), loader(torch.zeros(4, 1, 16, 16), batch_size=4), tmp_path, max_steps=1)
    with pytest.raises(InputError, match="for networks with one input"):
        filled()(torch.zeros(2, 2, 4, 4), torch.zeros(2, 3))


def test_a_penalty_may_be_of_a_discriminator_with_virtual_batch_norm():
    """Its samples stay apart, so that the penalty of a batch is the mean of the penalties of its samples."""
    network, x = filled(), torch.randn(3, 2, 4, 4)
    alone = torch.stack([r1(network, x[n : n + 1]) for n in range(3)])
    assert r1(network, x).item() == pytest.approx(alone.mean().item(), rel=1e-4)


# -- several processes ------------------------------------------------------------------------------------------------


def of_rank(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo")
    torch.manual_seed(0)
    closeness, network = Closeness(4, kernels=3), filled_by(ReferenceBatch(normed(), 5, (2, 4, 4)), rank)
    torch.manual_seed(rank + 1)
    closeness((rank + 1) * torch.randn(6, 4))
    torch.save([closeness.T.detach(), network.reference], f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def filled_by(network: ReferenceBatch, rank: int) -> ReferenceBatch:
    network(torch.full((5, 2, 4, 4), float(rank)))
    return network


@pytest.mark.slow
def test_processes_agree_on_the_scale_and_on_the_reference(tmp_path):
    spawn_two(of_rank, tmp_path)
    (scale, reference), other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(scale, other[0])
    assert torch.equal(reference, torch.zeros(5, 2, 4, 4))  # rank 0's
    assert torch.equal(reference, other[1])
