import pytest
import torch
from support.zoo import MODELS, build, cyclegan, pix2pix
from torch import nn

from ganzoo.hub.export import exportable
from ganzoo.hub.exportable import ExportableTranslator, PixelFormat, example_images, per_image
from ganzoo.interfaces import isolated_rng
from ganzoo.networks.dropout import NoiseDropout
from ganzoo.training.ema import EMA
from ganzoo.utils.images import to_float, to_uint8

FLOATS = PixelFormat(uint8=False)


def test_pixels_go_in_and_out_in_every_format():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5)
    for uint8 in (True, False):
        for channels_last in (True, False):
            pixels = PixelFormat(uint8, channels_last)
            given = pixels.given(images)
            assert given.dtype == (torch.uint8 if uint8 else torch.float32)
            assert given.shape == ((2, 4, 5, 3) if channels_last else (2, 3, 4, 5))
            assert torch.equal(pixels.read(given), to_float(images))
            assert torch.equal(pixels.write(to_float(images)), given)
    assert PixelFormat().write(torch.tensor([[[[1.005, -1.2]]]])).flatten().tolist() == [255, 0]  # clamped, not wrapped


def test_axes_are_those_of_the_layout():
    assert PixelFormat().axes(sizes=True) == {0: "batch", 2: "height", 3: "width"}
    assert PixelFormat(channels_last=True).axes(sizes=True) == {0: "batch", 1: "height", 2: "width"}


def test_the_norm_of_a_batch_is_that_of_each_image_alone():
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.rand(4, 3, 5, 5) * torch.tensor([1.0, 2, 3, 4]).view(4, 1, 1, 1)
    alone = torch.cat([norm(image) for image in x.split(1)])
    assert (norm(x) - alone).abs().max() > 0.1
    replaced = per_image(nn.Sequential(norm, nn.BatchNorm2d(3)))
    torch.testing.assert_close(replaced[0](x), alone)
    assert isinstance(replaced[1], nn.BatchNorm2d)  # its averages are those of the training


def translator(model: nn.Module) -> ExportableTranslator:
    (part,) = exportable(model, FLOATS, None if isinstance(model, type(pix2pix())) else "AtoB").values()
    return part


def test_an_image_depends_on_its_seed_and_not_on_its_neighbours():
    part = translator(pix2pix())
    images, seed = to_float(example_images(3, 3, (16, 24), 1)), torch.tensor([4, 5, 4])
    together = part(images, seed)
    torch.testing.assert_close(together[1:2], part(images[1:2], seed[1:2]), rtol=0, atol=1e-5)
    torch.testing.assert_close(part(images[:1].expand(3, -1, -1, -1), seed)[2], together[0], rtol=0, atol=1e-5)
    assert (part(images[1:2], torch.tensor([6])) - together[1:2]).abs().max() > 0.01


def moments(draws: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The mean of every pixel, and the mean of the pixels' standard deviations."""
    return draws.mean(0), float(draws.std(0).mean())


def louder(network: nn.Module, factor: float) -> None:
    """Multiplies the variance of the dropout's factors, p / (1 - p), by a number."""
    for part in network.modules():
        if isinstance(part, NoiseDropout):
            odds = part.p / (1 - part.p) * factor
            part.p = odds / (1 + odds)


def test_the_noise_has_the_distribution_of_training():
    model, n = pix2pix(), 400
    x = to_float(example_images(1, 3, (16, 16), 0))
    with isolated_rng(1, x.device):
        mean, deviation = moments(torch.cat([model.translate(x) for _ in range(n)]))
    bound = 5 * deviation * (2 / n) ** 0.5  # of the difference of two means of n draws

    def fits(part: ExportableTranslator) -> bool:
        own_mean, own_deviation = moments(part(x.expand(n, -1, -1, -1), torch.arange(n)))
        return bool((own_mean - mean).abs().mean() < bound / 4) and abs(own_deviation / deviation - 1) < 0.1

    assert fits(translator(model))
    for wrong in (0.0, 4.0):  # no noise, and noise of twice the standard deviation
        changed = pix2pix()
        louder(changed, wrong)
        assert not fits(translator(changed))


@pytest.mark.parametrize("name", MODELS)
def test_a_function_is_what_the_model_gives(name):
    """Also of the averaged weights: those of the tests differ from the others."""
    model = build(name).eval()
    for part in exportable(model, PixelFormat(), None).values():
        for n, size in zip((1, 3), (*part.sizes(), *part.sizes()), strict=False):
            inputs = part.examples(n, size, 1)
            difference = (part(**inputs).double() - part.expected(model, inputs).double()).abs().max()
            assert difference <= (1e-5 if part.output == "probabilities" else 1)
            assert len(part(**inputs)) == n


def test_averaged_weights_are_used():
    model = cyclegan()
    model.ema = EMA({"G": model.G, "F": model.F}, half_life=100, ramp=0)
    with torch.no_grad():
        for network in (model.G, model.F):
            network.layers[-2].bias.add_(5)  # white, where the averaged network is not
    part = translator(model)
    image = to_float(example_images(1, 3, (16, 16), 1))
    assert part(image).mean() < 0.9
    assert torch.equal(to_uint8(part(image)), to_uint8(model.translate(image)))


def test_directions_of_a_cyclegan():
    model = build("CycleGAN").eval()  # x has 3 channels, y has 1
    ways = exportable(model, PixelFormat(), None)
    assert {name: (part.channels, part.back) for name, part in ways.items()} == {"_AtoB": (3, False), "_BtoA": (1, True)}
    model.direction = "BtoA"  # x were the images of B
    ways = exportable(model, PixelFormat(), None)
    assert {name: (part.channels, part.back) for name, part in ways.items()} == {"_AtoB": (1, True), "_BtoA": (3, False)}
    (part,) = exportable(model, PixelFormat(), "AtoB").values()
    assert part.back


def test_example_images():
    assert example_images(2, 1, (8, 9), 0).shape == (2, 1, 8, 9)
    photo = example_images(2, 3, (32, 32), 0)
    assert photo.dtype == torch.uint8
    assert not torch.equal(photo[0], photo[1])
    smooth = (photo[..., 1:].float() - photo[..., :-1].float()).abs().mean()
    noise = example_images(2, 3, (32, 32), 1).float()
    assert smooth < (noise[..., 1:] - noise[..., :-1]).abs().mean() / 2
