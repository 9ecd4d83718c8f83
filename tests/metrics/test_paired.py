"""L1, PSNR, SSIM and LPIPS by closed forms, by a second implementation, and by torchmetrics where it is right."""

import hashlib
from math import inf, isnan, log10, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torchmetrics.functional.image import (
    learned_perceptual_image_patch_similarity,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from ganzoo.errors import InputError
from ganzoo.metrics import paired
from ganzoo.metrics.paired import LPIPS, MEASURES, Paired, Sums, l1, psnr, ssim
from ganzoo.utils.images import to_uint8


def noisy(n: int = 4, channels: int = 3, side: int = 24, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 256, (n, channels, side, side), generator=g)
    scale = torch.tensor([3.0, 15.0, 60.0, 120.0])[torch.arange(n) % 4].view(-1, 1, 1, 1)
    noise = (torch.randn(truth.shape, generator=g) * scale).round()
    return (truth + noise).clamp(0, 255).to(torch.uint8), truth.to(torch.uint8)


# -- closed forms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 128, 250, 255])
def test_equal_images(level):
    flat = torch.full((2, 3, 16, 20), level, dtype=torch.uint8)
    for x in (flat, noisy(2)[1]):
        assert l1(x, x).tolist() == [0, 0]
        assert psnr(x, x).tolist() == [inf, inf]
        assert ssim(x, x).tolist() == pytest.approx([1, 1], abs=1e-12)


@pytest.mark.parametrize("offset", [1, 10, 100])
def test_a_constant_offset(offset):
    truth = torch.randint(0, 256 - offset, (3, 1, 12, 15), dtype=torch.uint8)
    output = truth + offset
    assert l1(output, truth).tolist() == pytest.approx([offset / 127.5] * 3)
    assert psnr(output, truth).tolist() == pytest.approx([20 * log10(255 / offset)] * 3)


def test_flat_images_differ_in_luminance_alone():
    a, b = 200.0, 100.0
    c1 = (0.01 * 255) ** 2
    x, y = (torch.full((1, 1, 11, 11), int(v), dtype=torch.uint8) for v in (a, b))
    assert ssim(x, y).item() == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1))


def test_the_whole_range():
    black, white = torch.zeros(1, 3, 12, 12, dtype=torch.uint8), torch.full((1, 3, 12, 12), 255, dtype=torch.uint8)
    assert l1(black, white).item() == 2
    assert psnr(black, white).item() == pytest.approx(0, abs=1e-6)


def test_units_are_those_of_images_in_minus_one_to_one():
    """A tanh image 0.1 off is so in L1; a PSNR of the range 1 on [-1, 1] would be 6.02 dB too low."""
    truth = torch.full((1, 3, 16, 16), -0.5)
    output, stored = to_uint8(truth + 0.1), to_uint8(truth)
    # 12 grey levels of 255
    assert l1(output, stored).item() == pytest.approx(24 / 255)
    assert psnr(output, stored).item() == pytest.approx(20 * log10(255 / 12))


# -- other implementations ---------------------------------------------------------------------------------------------


def wang(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of one channel by scipy's filter, the edges cut off."""
    x, y = x.astype(np.float64), y.astype(np.float64)

    def blur(z):
        return gaussian_filter(z, 1.5, truncate=3.5, mode="constant")[5:-5, 5:-5]

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 2.55**2, 7.65**2
    return ((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_scipys_filter(channels):
    x, y = noisy(4, channels, 31)
    x, y = x[..., :25], y[..., :25]  # not square
    expected = [np.mean([wang(a, b) for a, b in zip(p, q, strict=True)]) for p, q in zip(x.numpy(), y.numpy(), strict=True)]
    assert ssim(x, y).tolist() == pytest.approx(expected, abs=1e-12)
    assert max(expected) - min(expected) > 0.5


def test_they_are_those_of_torchmetrics_where_it_works_in_float64():
    x, y = noisy()
    wide = x.double(), y.double()
    expected = peak_signal_noise_ratio(*wide, data_range=255.0, reduction="none", dim=(1, 2, 3))
    assert torch.allclose(psnr(x, y), expected)
    _, everywhere = structural_similarity_index_measure(*wide, data_range=255.0, return_full_image=True)
    assert torch.allclose(ssim(x, y), everywhere[..., 5:-5, 5:-5].mean((1, 2, 3)), atol=1e-9)


def test_equal_white_images_are_not_equal_to_torchmetrics_in_float32():
    """Why SSIM is written here; if this fails, torchmetrics' may do."""
    white = torch.full((1, 3, 32, 32), 250, dtype=torch.uint8)
    theirs = structural_similarity_index_measure(white / 255, white / 255, data_range=1.0)
    assert 1 - theirs > 1e-3
    assert 1 - ssim(white, white).item() < 1e-12


def test_images_do_not_depend_on_their_batch():
    x, y = noisy()
    for name, measure in MEASURES.items():
        alone = torch.cat([measure(a[None], b[None]) for a, b in zip(x, y, strict=True)])
        assert torch.allclose(measure(x, y), alone, atol=1e-12), name


def test_more_noise_is_worse():
    x, y = noisy()
    assert l1(x, y).diff().gt(0).all()
    assert psnr(x, y).diff().lt(0).all()
    assert ssim(x, y).diff().lt(0).all()


# -- of a set ----------------------------------------------------------------------------------------------------------


def test_mean_and_standard_error():
    x, y = noisy(7)
    found = Paired()
    each = [found.update(a, b) for a, b in zip(x.split(3), y.split(3), strict=True)]
    for name, measure in MEASURES.items():
        values = measure(x, y).numpy()
        assert torch.cat([part[name] for part in each]).tolist() == pytest.approx(values.tolist())
        score = found.scores()[name]
        assert score.n == 7
        assert score.mean == pytest.approx(values.mean())
        assert score.error == pytest.approx(values.std(ddof=1) / sqrt(7))


def test_parts_are_the_whole():
    x, y = noisy(9)
    whole, parts = Paired(), [Paired(), Paired(), Paired()]
    whole.update(x, y)
    for part, chosen in zip(parts, (slice(0, 5), slice(5, 9), slice(0, 0)), strict=True):
        part.update(x[chosen], y[chosen])
        assert part.scores()["l1"].n == len(x[chosen])
    parts[0].merge(parts[1].sums)
    parts[0].merge(parts[2].sums)
    for name, score in whole.scores().items():
        assert parts[0].scores()[name] == pytest.approx(score), name


def test_one_image_none_and_an_infinite_value():
    one, none, some = Sums(), Sums(), Sums()
    one.add(torch.tensor([3.0]))
    some.add(torch.tensor([3.0, inf]))
    assert one.score()[0] == 3
    assert isnan(one.score().error)
    assert isnan(none.score().mean)
    assert some.score()[0] == inf
    assert isnan(some.score().error)


def test_equal_values_have_no_error():
    same = Sums()
    same.add(torch.full((1000,), 0.1, dtype=torch.float64))
    assert same.score().error < 1e-9


# -- what cannot be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_floats_and_unlike_shapes_are_refused(measure):
    x, y = noisy(2)
    with pytest.raises(InputError, match=r"outputs are torch\.float32.*to_uint8"):
        measure(x / 127.5 - 1, y)
    with pytest.raises(InputError, match=r"truths are torch\.float32"):
        measure(x, y / 255)
    with pytest.raises(InputError, match="one shape"):
        measure(x, y[:, :1])
    with pytest.raises(InputError, match="one shape"):
        measure(x, y[:1])
    with pytest.raises(InputError, match="N, C, H, W"):
        measure(x[0], y[0])


def test_a_image_smaller_than_the_window():
    small = torch.zeros(1, 1, 28, 10, dtype=torch.uint8)
    with pytest.raises(InputError, match="at least 11 x 11 pixels, not 28 x 10"):
        ssim(small, small)


def test_nothing_of_a_refused_batch_is_counted():
    found, small = Paired(), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(InputError):
        found.update(small, small)
    assert found.scores()["l1"].n == 0


# -- LPIPS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """An empty hub folder, and a network where nobody answers."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr(paired, "fetch", lambda url, path: fetch_once(url, path))
    return tmp_path / "checkpoints"


def fetch_once(url: str, path: Path) -> Path:
    from ganzoo.utils.download import fetch

    return fetch(url, path, tries=1)


@pytest.fixture
def alex(hub, monkeypatch) -> Path:
    """Weights that are nobody's, in a file whose name has their hash, in AlexNet's place."""
    torch.manual_seed(3)
    hub.mkdir()
    written = hub / "written.pth"
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), written)
    found = hashlib.sha256(written.read_bytes()).hexdigest()[:8]
    path = hub / f"alexnet-owt-{found}.pth"
    written.rename(path)

    weights = torchvision.models.AlexNet_Weights.IMAGENET1K_V1
    monkeypatch.setattr(weights.value, "url", f"http://127.0.0.1:9/{path.name}")
    return path


@pytest.mark.parametrize(("net", "file"), [("alex", "alexnet-owt-7be5be79"), ("vgg", "vgg16-397923af")])
def test_without_its_weights_there_is_no_lpips_but_a_line(hub, net, file):
    with pytest.raises(InputError) as error:
        LPIPS(net)
    line = str(error.value)
    assert "\n" not in line
    assert str(hub / f"{file}.pth") in line
    assert f"https://download.pytorch.org/models/{file}.pth" in line
    assert line.startswith(f"LPIPS needs the weights of {file.partition('-')[0]}")


def test_weights_of_another_hash_are_refused(hub):
    hub.mkdir()
    torch.save({}, hub / "alexnet-owt-7be5be79.pth")
    with pytest.raises(InputError, match=r"alexnet-owt-7be5be79\.pth.*not 7be5be79; delete"):
        LPIPS()


def test_another_backbone_is_refused(hub):
    with pytest.raises(InputError, match="alex, vgg, squeeze"):
        LPIPS("resnet")


def test_lpips_is_that_of_torchmetrics_with_the_same_weights(alex):
    before = torch.get_rng_state()
    lpips = LPIPS()
    assert torch.equal(before, torch.get_rng_state())
    assert alex.stem.endswith(lpips.weights)
    assert len(lpips.weights) == 8
    x, y = noisy(3, side=40)
    theirs = learned_perceptual_image_patch_similarity(
        x.float() / 127.5 - 1, y.float() / 127.5 - 1, net_type="alex", reduction="none"
    )
    found = lpips(x, y)
    assert found.tolist() == pytest.approx(theirs.tolist(), rel=1e-5)
    assert found.diff().gt(0).all()
    assert lpips(x[:1], y[:1]).shape == (1,)
    assert lpips(x, x).tolist() == [0, 0, 0]
    assert not lpips.net.training
    # the file's weights, and not others
    kept = torch.load(alex, weights_only=True)["features.0.weight"]
    assert torch.equal(next(lpips.net.net.parameters()), kept)

    grey = x[:, :1], y[:, :1]
    assert lpips(*grey).tolist() == pytest.approx(lpips(*(z.expand(-1, 3, -1, -1) for z in grey)).tolist())
    assert set(Paired({**MEASURES, "lpips": lpips}).update(x, y)) == {"l1", "psnr", "ssim", "lpips"}
    for wrong in (x[:, :2], x[..., :31]):
        with pytest.raises(InputError, match="grey or colour images of at least 32 x 32"):
            lpips(wrong, wrong)
    with pytest.raises(InputError, match="to_uint8"):
        lpips(x / 255, y / 255)
