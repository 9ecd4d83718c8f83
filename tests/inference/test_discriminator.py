"""What a discriminator says of images is its loss's output, with the condition that it needs."""

import pytest
import torch
from support.zoo import build, cyclegan, pix2pix

from ganzoo.errors import InputError
from ganzoo.inference.discriminator import discriminator_opinion, discriminator_output, overlay, undecided_output
from ganzoo.losses import LeastSquares, Wasserstein
from ganzoo.models import CGAN, GAN


def images(n: int, *shape: int) -> torch.Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_gans_is_one_probability_for_each_image():
    model = build("GAN")
    x = images(3, *model.shape)
    found = discriminator_output(model, x)
    assert model.training
    torch.testing.assert_close(found, model.eval().D(x).sigmoid().detach().view(3, 1, 1))
    torch.testing.assert_close(discriminator_output(model, x[:1]), found[:1])


def test_a_critics_is_its_score():
    model = GAN(shape=(1, 8, 8), latent=4, hidden=8, loss=Wasserstein()).eval()
    x = images(2, 1, 8, 8)
    torch.testing.assert_close(discriminator_output(model, x).view(2), model.D(x).detach().view(2))


def test_a_conditional_gans_sees_the_class():
    model = build("CGAN").eval()
    x, y = images(2, *model.shape), torch.tensor([2, 0])
    found = discriminator_output(model, x, y)
    torch.testing.assert_close(found.view(2), model.D(x, model.one_hot(y, 2)).detach().sigmoid().view(2))
    assert not torch.equal(found, discriminator_output(model, x, torch.tensor([0, 2])))


def test_pix2pixs_is_a_map_of_patches_that_sees_the_input():
    model = pix2pix()
    x, y = images(2, 3, 32, 48), images(2, 3, 32, 48).flip(0)
    found = discriminator_output(model, y, x)
    assert found.ndim == 3
    assert found.shape[1] < found.shape[2]
    torch.testing.assert_close(found, model.D(torch.cat([x, y], 1)).detach().sigmoid()[:, 0])
    with pytest.raises(InputError, match="sees the input too"):
        discriminator_output(model, y)


def test_cyclegans_is_of_the_side_that_the_direction_leads_to():
    model = cyclegan()
    x = images(1, 3, 16, 16)
    to_b, to_a = (discriminator_output(model, x, direction=way) for way in ("AtoB", "BtoA"))
    torch.testing.assert_close(to_b, model.D_Y(x).detach()[:, 0])
    torch.testing.assert_close(to_a, model.D_X(x).detach()[:, 0])
    torch.testing.assert_close(discriminator_output(model, x), to_b)
    model.direction = "BtoA"  # the images of B were x in training
    torch.testing.assert_close(discriminator_output(model, x, direction="BtoA"), to_b)


@pytest.mark.parametrize("name", ["LAPGAN", "DANN"])
def test_a_model_without_a_discriminator_of_images(name):
    with pytest.raises(InputError, match=r"whole images|no discriminator of images"):
        discriminator_output(build(name), images(1, 3, 16, 16))


def test_the_opinion_of_a_whole_image_is_the_length_of_the_gradient():
    """In closed form: the logit a(y) . x of a linear discriminator has the gradient a(y) at every image."""
    model = CGAN(shape=(2, 3, 4), classes=2, latent=2).eval()
    weights = images(2, 2, 3, 4).double()

    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = torch.nn.Parameter(weights.float())

        def forward(self, x, y):
            return ((y @ self.weights.flatten(1)).view_as(x) * x).flatten(1).sum(1, keepdim=True)

    model.D = Linear()
    x, y = images(3, 2, 3, 4), torch.tensor([1, 0, 1])
    found = discriminator_opinion(model, x, y)
    assert not found.patches
    torch.testing.assert_close(found.map.double(), weights[y].square().sum(1).sqrt(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.output, discriminator_output(model, x, y).flatten())
    assert model.D.weights.grad is None


def test_the_opinion_of_patches_is_theirs():
    model = cyclegan()
    x = images(2, 3, 16, 16)
    found = discriminator_opinion(model, x)
    assert found.patches
    assert torch.equal(found.map, discriminator_output(model, x))
    torch.testing.assert_close(found.output, found.map.mean((1, 2)))


def test_an_undecided_discriminator_says_one_half_or_what_its_loss_knows():
    assert undecided_output(build("GAN"), torch.zeros(1)) == 0.5
    assert undecided_output(GAN(shape=(1, 8, 8), hidden=8, loss=LeastSquares()), torch.zeros(1)) == 0.5
    critic = GAN(shape=(1, 8, 8), hidden=8, loss=Wasserstein())
    assert undecided_output(critic, torch.tensor([[1.0, 4.0]])) == 2.5  # it knows none


def test_the_map_lies_over_the_image_in_its_colours():
    grey = torch.full((1, 8, 8), 100, dtype=torch.uint8)
    drawn = overlay(grey, torch.tensor([[0.0, 1.0]]), 0.5).int()
    assert drawn[0, 0, 0] > 100 > drawn[1, 0, 0]  # red where it says generated
    assert drawn[1, 0, -1] > 100 > drawn[0, 0, -1]  # green where it says real
    assert torch.equal(overlay(grey, torch.tensor([[0.5]]), 0.5), grey.expand(3, -1, -1))
    other = overlay(grey, torch.tensor([[0.0, 1.0]]), 0.5, above=(0.0, 0.0, 255.0)).int()
    assert torch.equal(other[:, :, 0], drawn[:, :, 0])
    assert other[2, 0, -1] > 100 > other[1, 0, -1]
