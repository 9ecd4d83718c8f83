"""The U-Net and the PatchGAN: published parameter counts, receptive fields by gradient, sizes."""

import pytest
import torch
from support.small_models import small
from torch import nn

from ganzoo.errors import InputError
from ganzoo.models import Pix2Pix
from ganzoo.networks.dropout import NoiseDropout
from ganzoo.networks.norms import InstanceNorm
from ganzoo.networks.pix2pix import PatchGAN, UNet

instance_norm = InstanceNorm().layer


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: UNet(), 54_413_955),
        (lambda: UNet(depth=7), 41_828_995),
        (lambda: UNet(norm=instance_norm), 54_409_603),
        (lambda: UNet(1, 2), 54_409_858),
        (lambda: PatchGAN(), 2_768_705),
        (lambda: PatchGAN(norm=instance_norm), 2_767_809),
        (lambda: PatchGAN(3), 2_765_633),
        (lambda: PatchGAN(3, norm=instance_norm), 2_764_737),
        (lambda: PatchGAN(layers=1), 139_585),
        (lambda: PatchGAN(layers=5), 11_159_361),
        (lambda: PatchGAN(layers=0), 9_024),
    ],
)
def test_parameter_counts(build, parameters):
    assert sum(p.numel() for p in build().parameters()) == parameters


@pytest.mark.parametrize(("layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_receptive_field_measured_by_gradient(layers, field):
    D = PatchGAN(2, layers, width=4, norm=lambda maps: nn.Identity())
    for p in D.parameters():  # all positive, so that nothing cancels
        p.data.abs_()
    x = torch.ones(1, 2, 400, 400, requires_grad=True)
    out = D(x)
    out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
    rows, columns = torch.nonzero(x.grad[0, 0], as_tuple=True)
    assert int(rows.max() - rows.min()) + 1 == field
    assert int(columns.max() - columns.min()) + 1 == field


@pytest.mark.parametrize(("size", "patches"), [(256, 30), (128, 14)])
def test_the_70_pixel_judge_gives_one_logit_a_patch(size, patches):
    assert PatchGAN(6, width=4)(torch.zeros(1, 6, size, size)).shape == (1, 1, patches, patches)


def test_unet_keeps_the_size_and_reaches_one_pixel():
    G = UNet(3, 1, depth=5, width=4)
    sizes = []
    for module in G.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, out: sizes.append(out.shape[-1]))
    assert G(torch.zeros(2, 3, 32, 64)).shape == (2, 1, 32, 64)
    assert sizes == [32, 16, 8, 4, 2]  # width 64 halved five times


def levels(G):
    level = G.block
    while level is not None:
        yield level
        level = level.inside


def test_the_bottleneck_matters_and_has_no_norm():
    G = UNet(3, 3, depth=4, width=4, dropout=0.0)
    bottleneck = list(levels(G))[-1]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in bottleneck.down.modules())
    x = torch.randn(1, 3, 16, 16)
    before = G(x)
    bottleneck.down[-1].weight.data.zero_()
    assert (G(x) - before).abs().max() > 1e-4


def test_skips_join_layer_i_with_layer_n_minus_i():
    with_skips, without = UNet(depth=8), UNet(depth=8, skips=False)
    ups = [next(m for m in level.up if isinstance(m, nn.ConvTranspose2d)).in_channels for level in levels(with_skips)]
    # from the outside in; the paper's list C128 ... CD1024 CD512 read backwards
    assert ups == [128, 256, 512, 1024, 1024, 1024, 1024, 512]
    plain = [next(m for m in level.up if isinstance(m, nn.ConvTranspose2d)).in_channels for level in levels(without)]
    assert plain == [64, 128, 256, 512, 512, 512, 512, 512]


def test_dropout_sits_in_the_decoders_first_three_layers_and_stays_on():
    G = UNet(depth=8, width=4)
    drops = [any(isinstance(m, NoiseDropout) for m in level.up) for level in levels(G)]
    assert drops == [False] * 5 + [True] * 3
    G.eval()
    x = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        assert not torch.equal(G(x), G(x))


def test_batch_statistics_at_test_are_those_of_the_batch():
    G = UNet(depth=4, width=4, dropout=0.0)
    x = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        training, testing = G.train()(x), G.eval()(x)
        alone = G(x[:1])
    assert torch.equal(training, testing)
    assert not torch.allclose(alone, testing[:1])
    assert not [name for name, _ in G.named_buffers()]


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (8, 8)])
def test_a_size_that_cannot_be_halved_is_refused(size):
    with pytest.raises(InputError, match=r"multiples of 32, not \d+x\d+"):
        UNet(depth=5, width=2)(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(("layers", "least"), [(0, 1), (1, 6), (3, 24), (5, 96)])
def test_the_smallest_image_of_a_patch_discriminator(layers, least):
    D = PatchGAN(3, layers, 2, nn.InstanceNorm2d)
    D(torch.zeros(1, 3, least, least + 8))
    if least > 1:
        with pytest.raises(InputError, match=f"at least {least} pixels, not {least - 1}x"):
            D(torch.zeros(1, 3, least - 1, least + 8))


def test_the_unets_decoder_is_relu_and_its_encoder_leaky():
    G = small(Pix2Pix).G
    level = G.block
    while level is not None:
        assert type(level.up[0]) is nn.ReLU
        assert level is G.block or type(level.down[0]) is nn.LeakyReLU
        level = level.inside
