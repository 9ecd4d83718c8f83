"""DiffAugment and input noise: ranges, places and gradients of each change, and that both players see the same."""

import math

import pytest
import torch
from support.training import fit, loader, trainer

from ganzoo.augmentations import (
    DiffAugment,
    InputNoise,
    change_contrast,
    change_saturation,
    cut_out,
    translate,
)
from ganzoo.errors import InputError
from ganzoo.models import GAN

N = 2000


def begun() -> float:
    return 0.0


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_brightness_saturation_and_contrast_have_their_ranges():
    """Each image has one number, uniform in its range; what it leaves alone stays."""
    images = torch.randn(1, 3, 4, 4, dtype=torch.float64).expand(N, 3, 4, 4)
    mean, grey = images.mean((1, 2, 3), keepdim=True), images.mean(1, keepdim=True)
    for found, around, low, high in (
        (change_contrast(images), mean, 0.5, 1.5),
        (change_saturation(images), grey, 0.0, 2.0),
    ):
        factors = ((found - around) / (images - around)).flatten(1)
        assert torch.allclose(factors, factors[:, :1].expand_as(factors), atol=1e-6)
        factor = factors[:, 0]
        assert low <= factor.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < factor.max() <= high
        assert abs(factor.mean() - 1) < 5 * (high - low) / math.sqrt(12 * N)
    flat = torch.full(
        (N, 1, 2, 2), 0.25
    )  # contrast and saturation leave a flat grey image alone: what is left is brightness
    shift = DiffAugment(translation=0, cutout=0)(flat, begun).flatten(1) - 0.25
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=1e-6)
    assert -0.5 <= shift.min() < -0.49
    assert 0.49 < shift.max() <= 0.5


def test_a_translation_moves_by_whole_pixels_and_brings_in_zeros():
    images = torch.zeros(N, 2, 16, 8)
    images[:, :, 8, 4] = torch.tensor([1.0, -2.0])
    moved = translate(images, 0.125)
    assert torch.equal(moved[:, 1], -2 * moved[:, 0])
    places = moved[:, 0].nonzero()
    assert len(places) == N  # one bright pixel in each
    rows, columns = places[:, 1] - 8, places[:, 2] - 4
    assert set(rows.tolist()) == {-2, -1, 0, 1, 2}  # an eighth of 16
    assert set(columns.tolist()) == {-1, 0, 1}  # of 8
    for shift, count in ((rows, 5), (columns, 3)):
        shares = torch.unique(shift, return_counts=True)[1] / N
        assert (shares - 1 / count).abs().max() < 5 * math.sqrt(1 / count / N)
    assert set(translate(torch.ones(N, 1, 16, 8), 0.25).flatten(1).sum(1).int().tolist()) == {
        (16 - r) * (8 - c) for r in range(5) for c in range(3)
    }


def test_a_cutout_is_a_rectangle_of_zeros_that_an_edge_may_cut():
    left = cut_out(torch.ones(N, 2, 8, 8), 0.5)
    assert torch.equal(left[:, 0], left[:, 1])
    holes = left[:, 0] == 0
    assert holes.any(0).all()  # anywhere
    sizes = holes.flatten(1).sum(1)
    assert sizes.max() == 16  # half by half
    for hole in holes[:50]:
        rows, columns = hole.any(1), hole.any(0)
        assert torch.equal(hole, rows[:, None] & columns)
        assert rows.sum() in (2, 3, 4)  # the centre is within the image
        assert rows.nonzero().max() - rows.nonzero().min() == rows.sum() - 1


def test_gradients_reach_the_image():
    """Each value that is still seen has a gradient, and one that was cut has none."""
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    for T in (DiffAugment(), DiffAugment(color=False, translation=0.25), InputNoise(0.5)):

        def seen(x, T=T):
            torch.manual_seed(3)
            return T(x, begun)

        assert torch.autograd.gradcheck(seen, images, eps=1e-5, atol=1e-4)
        (gradient,) = torch.autograd.grad(seen(images).sum(), images)
        assert gradient.abs().sum() > 0


def test_images_of_a_batch_are_changed_apart_and_calls_draw_anew():
    images = torch.randn(1, 3, 8, 8).expand(4, 3, 8, 8)
    once, again = DiffAugment()(images, begun), DiffAugment()(images, begun)
    assert not any(torch.equal(once[0], other) for other in (*once[1:], again[0]))


def test_noise_decays_linearly_to_none():
    images = torch.zeros(N, 1, 8, 8)
    for until, progress, expected in ((1.0, 0.0, 0.2), (1.0, 0.75, 0.05), (0.5, 0.25, 0.1), (0.5, 0.5, 0), (0.5, 1.0, 0)):
        noise = InputNoise(0.2, until)(images, lambda progress=progress: progress)
        assert noise.std().item() == pytest.approx(expected, rel=0.02, abs=1e-9)
        assert noise.mean().abs() < 5 * 0.2 / math.sqrt(noise.numel())
    assert InputNoise(0.2)(images, lambda: 1.0) is images


@pytest.mark.parametrize("arguments", [{"sigma": 0}, {"sigma": -1}, {"until": 0}, {"until": 1.5}])
def test_noise_that_is_none_is_refused(arguments):
    with pytest.raises(InputError, match="give a float in"):
        InputNoise(**arguments)


def test_an_augmentation_that_changes_nothing_is_refused():
    with pytest.raises(InputError, match="changes nothing: leave it out"):
        DiffAugment(color=False, translation=0, cutout=0)
    with pytest.raises(InputError, match=r"for images \[N, C, H, W\], and these have the shape \[4, 2\]"):
        DiffAugment()(torch.zeros(4, 2), begun)


def gan(**arguments):
    torch.manual_seed(0)
    return GAN(shape=(1, 8, 8), hidden=16, latent=4, **arguments)


def test_noise_follows_the_progress_of_the_training(tmp_path):
    model, spreads = gan(augment=InputNoise(0.5)), []

    def note(part, inputs):
        spreads.append((inputs[0] - 1).std().item())

    data = loader(torch.ones(8, 1, 8, 8), batch_size=8)
    # the first call of each step is of real images, all 1
    model.D.register_forward_pre_hook(note)
    fit(model, data, tmp_path, max_epochs=4)
    assert spreads[::3] == pytest.approx([0.5, 0.375, 0.25, 0.125], rel=0.1)


def test_the_checkpoint_keeps_it_and_samples_are_not_augmented(tmp_path):
    model = gan(augment=DiffAugment(cutout=0.25))
    fit(model, loader(torch.rand(4, 1, 8, 8), batch_size=4), tmp_path, max_steps=1).save_checkpoint(tmp_path / "kept.ckpt")
    again = GAN.load_from_checkpoint(tmp_path / "kept.ckpt")
    assert isinstance(again.augment, DiffAugment)
    assert again.augment.cutout == 0.25
    noise = model.draw_noise(3)
    assert torch.equal(model.eval().decode(noise), model.G(noise["z"]))
    assert gan().hparams["augment"] is None


def test_a_resumed_run_draws_the_same_augmentations(tmp_path):
    data = loader(torch.rand(16, 1, 8, 8) * 2 - 1, batch_size=4)
    whole = gan(augment=DiffAugment())
    fit(whole, data, tmp_path, max_epochs=2)
    first = gan(augment=DiffAugment())
    fit(first, data, tmp_path, max_epochs=1).save_checkpoint(tmp_path / "half.ckpt")
    rest = gan(augment=DiffAugment())
    trainer(tmp_path, max_epochs=2).fit(rest, data, ckpt_path=tmp_path / "half.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name]), name
