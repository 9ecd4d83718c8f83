"""The Laplacian pyramid: exact for any operators, and each operator against a second implementation."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from ganzoo.errors import InputError
from ganzoo.ops.laplacian_pyramid import BurtAdelson, Operators, Resize, build, collapse, gaussian

PYRAMIDS = [(8, 14, 28), (7, 14, 28), (8, 16, 32, 64, 96), (4, 8, 16, 32, 64), (1, 3, 10)]


class AnyLinear(Operators):
    """Each pixel is the sum or difference of two others, drawn at random: no blur, and one does not undo the other.

    Whole numbers stay whole, so nothing is rounded.
    """

    def down(self, x, size):
        g = torch.Generator().manual_seed(1000 * x.shape[-1] + size)
        first, second = torch.randint(x.shape[-1] ** 2, (2, size**2), generator=g)
        sign = torch.randint(2, (size**2,), generator=g) * 2 - 1
        pixels = x.flatten(2)
        return (pixels[..., first] + sign.to(x) * pixels[..., second]).unflatten(2, (size, size))

    up = down


class Nonsense(Operators):
    """Not linear, it forgets the image, and of whole numbers it makes whole numbers."""

    def down(self, x, size):
        return x[..., :size, :size].remainder(7) - x.amax()

    def up(self, x, size):
        return x.abs().amax((2, 3), keepdim=True).expand(-1, -1, size, size) + 2 * x.flip(-1).amin()


@pytest.mark.parametrize("operators", [AnyLinear(), Nonsense()], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("sizes", PYRAMIDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reconstruction_is_exact_for_any_operators(operators, sizes, dtype):
    """To the bit, in whole numbers, whose sums and differences are exact (below 2^24) on every machine."""
    g = torch.Generator().manual_seed(0)
    x = torch.randint(-128, 128, (2, 3, sizes[-1], sizes[-1]), generator=g).to(dtype)
    h = build(x, sizes, operators)
    assert [tuple(level.shape) for level in h] == [(2, 3, size, size) for size in sizes]
    assert torch.equal(collapse(h, operators), x)
    assert not torch.equal(h[-1], x)


def rounding(dtype, sizes, taps):
    """How far an image within [-1, 1] may come back from a pyramid whose operators take means.

    u = eps / 2 is the rounding of a number within [-1, 1]. A level's difference of two images is within [-2, 2], and so
    off by 2 u; its sum is off by u. An enlarged image is off by ``2 taps u``: sums of that many terms in each direction.
    It is computed twice, to build and to collapse. The next level passes on the error of this one, and does not enlarge it.
    """
    return (3 + 4 * taps) * torch.finfo(dtype).eps / 2 * (len(sizes) - 1)


@pytest.mark.parametrize(
    ("sizes", "operators", "taps"),
    [
        *((sizes, Resize(), 2) for sizes in PYRAMIDS),
        *((sizes, BurtAdelson(), 3) for sizes in [(4, 8, 16), (3, 6, 11, 22), (2, 3, 6, 12, 24, 48)]),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reconstruction_is_right_to_rounding(sizes, operators, taps, dtype):
    x = (torch.rand(2, 3, sizes[-1], sizes[-1], generator=torch.Generator().manual_seed(0)) * 2 - 1).to(dtype)
    assert (collapse(build(x, sizes, operators), operators) - x).abs().max() <= rounding(dtype, sizes, taps)


def test_another_pair_does_not_reconstruct():
    """The operators that build must collapse: this is what sampling with other operators than in training would do."""
    x = torch.rand(2, 1, 16, 16)
    assert (collapse(build(x, (4, 8, 16), Resize()), BurtAdelson()) - x).abs().max() > 0.05


@pytest.mark.parametrize("sizes", PYRAMIDS)
def test_the_gaussian_levels_are_made_one_from_the_other(sizes):
    x = torch.rand(2, 3, sizes[-1], sizes[-1])
    levels = gaussian(x, sizes, Resize())
    assert [level.shape[-1] for level in levels] == list(sizes)
    assert levels[-1] is x
    for coarse, fine in pairwise(levels):
        assert torch.equal(coarse, Resize().down(fine, coarse.shape[-1]))


def test_the_coefficients_by_hand():
    # down: means of four; up: linear, corners on corners, so of two pixels a and b the thirds are a, 2a/3 + b/3, ...
    x = torch.tensor([[1.0, 3.0, 5.0, 5.0], [1.0, 3.0, 5.0, 5.0], [0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
    coarse, h = build(x[None, None], (2, 4), Resize())
    assert torch.allclose(coarse[0, 0], torch.tensor([[2.0, 5.0], [0.0, 2.0]]))
    assert torch.allclose(h[0, 0, 0], torch.tensor([1 - 2.0, 3 - 3.0, 5 - 4.0, 5 - 5.0]), atol=1e-6)
    assert torch.allclose(h[0, 0, 1, 0], torch.tensor(1 - (2 * 2 / 3 + 0 / 3)), atol=1e-6)


def area_means(row: np.ndarray, size: int) -> np.ndarray:
    """Means over areas, as differences of the integral of a step function: another way to the same numbers."""
    edges = np.arange(len(row) + 1)
    integral = np.concatenate([[0], np.cumsum(row)])
    at = np.linspace(0, len(row), size + 1)
    return np.diff(np.interp(at, edges, integral)) * size / len(row)


@pytest.mark.parametrize(("before", "after"), [(28, 14), (14, 8), (96, 64), (7, 3), (5, 1)])
def test_shrinking_takes_means_over_areas(before, after):
    x = torch.rand(1, 1, before, before, dtype=torch.float64)
    rows = np.apply_along_axis(area_means, 1, x[0, 0].numpy(), after)
    wanted = np.apply_along_axis(area_means, 0, rows, after)
    assert np.allclose(Resize().down(x, after)[0, 0].numpy(), wanted, atol=1e-12)
    if before % after == 0:
        assert torch.allclose(Resize().down(x, after), adaptive_avg_pool2d(x, after))


@pytest.mark.parametrize(("before", "after"), [(8, 14), (14, 28), (64, 96), (1, 3), (4, 4)])
def test_enlarging_is_linear_with_the_corners_in_place(before, after):
    x = torch.rand(2, 3, before, before, dtype=torch.float64)
    wanted = interpolate(x, (after, after), mode="bilinear", align_corners=True)
    assert torch.allclose(Resize().up(x, after), wanted, atol=1e-12)


def test_burt_adelsons_taps():
    taps = np.array([1, 4, 6, 4, 1]) / 16
    x = torch.rand(1, 1, 10, 10, dtype=torch.float64)
    blurred = convolve1d(convolve1d(x[0, 0].numpy(), taps, axis=0, mode="mirror"), taps, axis=1, mode="mirror")
    assert np.allclose(BurtAdelson().down(x, 5)[0, 0].numpy(), blurred[::2, ::2], atol=1e-12)
    # expanding: zeros between the pixels, the same taps, times four; away from the border
    spread = np.zeros((20, 20))
    spread[::2, ::2] = x[0, 0].numpy()
    smooth = 4 * convolve1d(convolve1d(spread, taps, axis=0), taps, axis=1)
    assert np.allclose(BurtAdelson().up(x, 20)[0, 0].numpy()[2:-3, 2:-3], smooth[2:-3, 2:-3], atol=1e-12)


@pytest.mark.parametrize("operators", [Resize(), BurtAdelson()])
@pytest.mark.parametrize("size", [2, 5, 16])
def test_a_plain_image_stays_plain(operators, size):
    plain = torch.full((1, 1, 2 * size, 2 * size), 0.7, dtype=torch.float64)
    small = operators.down(plain, size)
    assert torch.allclose(small, torch.full_like(small, 0.7))
    assert torch.allclose(operators.up(small, 2 * size), plain)


def test_half_precision_of_the_run_does_not_reach_the_images():
    x = torch.rand(1, 1, 28, 28)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h = build(x, (8, 14, 28), Resize())
        again = collapse(h, Resize())
    assert all(level.dtype == torch.float32 for level in h)
    assert (again - x).abs().max() <= rounding(torch.float32, (8, 14, 28), 2)
    assert torch.equal(h[0], build(x, (8, 14, 28), Resize())[0])


def test_what_validation_asked_first_training_can_use():
    with torch.inference_mode():
        Resize().up(torch.rand(1, 1, 9, 9), 17)
    x = torch.rand(1, 1, 9, 9, requires_grad=True)
    Resize().up(x, 17).sum().backward()
    assert x.grad.sum().item() == pytest.approx(17 * 17, rel=1e-5)


def test_images_that_do_not_fit_are_one_clear_line():
    with pytest.raises(InputError, match="8, 16 pixels needs images of 16, not 14x14"):
        gaussian(torch.zeros(1, 1, 14, 14), (8, 16), Resize())
    with pytest.raises(InputError, match="not 16x14"):
        gaussian(torch.zeros(1, 1, 16, 14), (8, 16), Resize())
    with pytest.raises(InputError, match="14 pixels become 7, not 8"):
        build(torch.zeros(1, 1, 28, 28), (8, 14, 28), BurtAdelson())
    with pytest.raises(InputError, match="8 pixels become 16, not 14"):
        BurtAdelson().up(torch.zeros(1, 1, 8, 8), 14)
