"""The latent space: coordinates there and back, the plane of quantiles, and arithmetic that is linear in z."""

from itertools import product
from math import sqrt

import pytest
import torch
from support.zoo import build
from torch import nn

from ganzoo.errors import InputError
from ganzoo.inference import around, combine, concept, generate, manifold
from ganzoo.inference.generation import noise_of
from ganzoo.inference.latent_space import LatentSpace, random_directions
from ganzoo.interfaces import NoiseSampler
from ganzoo.noises import DropoutMask, Normal, Uniform

PHI = torch.special.ndtri


class Shown(nn.Module, NoiseSampler):
    """Keeps the noise that it decodes; its images are of the first two numbers."""

    def __init__(self, latent=2, noise=None, classes=None, mask=False):
        super().__init__()
        self.latent, self.z, self.classes, self.mask = latent, noise or Normal(), classes, mask
        self.decoded, self.codes = [], []

    def distributions(self):
        return {"z": self.z} | ({"dropout_0": DropoutMask(0.5)} if self.mask else {})

    def draw_noise(self, n, generator=None):
        like = torch.zeros(1)
        return {name: each.sample((n, self.latent), like, generator) for name, each in self.distributions().items()}

    def decode(self, noise, y=None):
        self.decoded.append({name: each.clone() for name, each in noise.items()})
        self.codes.append(y)
        return noise["z"][:, :2].view(-1, 1, 1, 2) / 8

    def seen(self, name="z"):
        return torch.cat([each[name] for each in self.decoded]).double()


@pytest.mark.parametrize("name", ["GAN", "DCGAN", "CGAN", "LAPGAN"])
def test_coordinates_lead_there_and_back(name):
    model = build(name).eval()
    space, noise = LatentSpace(model), model.draw_noise(3, torch.Generator().manual_seed(0))
    coordinates = space.coordinates(noise)
    assert coordinates.shape == (3, space.size)
    assert coordinates.dtype == torch.float64
    back = space.noise(coordinates, noise)
    assert list(back) == list(noise)
    for key, each in noise.items():
        assert back[key].dtype == each.dtype
        torch.testing.assert_close(back[key], each, rtol=0, atol=1e-5)
    assert space.size == sum(each[0].numel() for key, each in noise.items() if not key.startswith("dropout"))
    one = {key: each[:1] for key, each in noise.items()}
    turned = space.noise(coordinates.flip(0), one)
    for key, each in noise.items():  # what has no coordinates is that of the one image
        expected = each[:1].expand(3, *each.shape[1:]) if key.startswith("dropout") else each.flip(0)
        torch.testing.assert_close(turned[key], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("noise", [Normal(1.0, 2.0), Uniform(-1, 3)])
def test_the_plane_of_two_numbers_stands_at_the_inverse_distribution_function(noise):
    """In closed form: the quantiles 1/6, 1/2 and 5/6, the first number from left to right, the second downwards."""
    model = Shown(noise=noise)
    assert manifold(model, 3).shape == (9, 1, 1, 2)
    tail = 0.9674215661017014  # Phi^-1(5/6)
    at = [1 - 2 * tail, 1.0, 1 + 2 * tail] if isinstance(noise, Normal) else [-1 + 4 / 6, 1.0, -1 + 20 / 6]
    expected = torch.tensor([[x, y] for y, x in product(at, at)], dtype=torch.float64)
    torch.testing.assert_close(model.seen(), expected, rtol=0, atol=1e-6)


def test_two_chosen_coordinates_vary_and_the_others_are_those_of_the_seed():
    model = Shown(6, Uniform(0, 1))
    manifold(model, 4, axes=(4, 1), seed=7)
    own = noise_of(model, 7)["z"].double()
    seen = model.seen()
    torch.testing.assert_close(seen[:, [0, 2, 3, 5]], own[:, [0, 2, 3, 5]].expand(16, -1), rtol=0, atol=1e-6)
    shares = torch.tensor([1, 3, 5, 7], dtype=torch.float64) / 8
    torch.testing.assert_close(seen[:, 4].view(4, 4), shares.expand(4, 4), rtol=0, atol=1e-6)
    torch.testing.assert_close(seen[:, 1].view(4, 4), shares[:, None].expand(4, 4), rtol=0, atol=1e-6)


def test_a_plane_of_many_numbers_is_flat_and_as_far_out_as_noise():
    model = Shown(50)
    manifold(model, 9, seed=3)
    seen = model.seen()
    assert torch.linalg.matrix_rank(seen, tol=1e-4) == 2
    quantiles = PHI((torch.arange(9, dtype=torch.float64) + 0.5) / 9)
    expected = sqrt(25) * (quantiles[:, None].square() + quantiles.square()).sqrt().flatten()
    torch.testing.assert_close(seen.norm(dim=1), expected, rtol=1e-5, atol=1e-5)
    other = Shown(50)
    manifold(other, 9, seed=4)
    assert not torch.allclose(other.seen(), seen, atol=0.1)
    a, b = random_directions(50, 3)
    assert a.norm() == pytest.approx(1)
    assert b.norm() == pytest.approx(1)
    assert float(a @ b) == pytest.approx(0, abs=1e-12)


def test_the_plane_of_a_class_and_of_a_cascade():
    model = Shown(2, classes=5)
    manifold(model, 2, label=3)
    assert torch.cat(model.codes).tolist() == [3] * 4
    lapgan = build("LAPGAN").eval()
    assert manifold(lapgan, 2).shape[0] == 4


def test_arithmetic_is_linear_in_z_and_in_the_codes():
    """Exactly: 1/3 (z_1 + z_2 + z_3) - 1/2 (z_4 + z_5) + z_6, and the same of the one-hot codes."""
    model = Shown(4, Uniform(), classes=3, mask=True)
    groups, signs = [[1, 2, 3], [4, 5], [6]], [1, -1, 1]
    z = {seed: noise_of(model, seed)["z"].double() for seed in range(1, 7)}
    parts = [concept(model, seeds) for seeds in groups]
    result = combine(model, parts, signs)
    expected = (z[1] + z[2] + z[3]) / 3 - (z[4] + z[5]) / 2 + z[6]
    torch.testing.assert_close(result.noise["z"].double(), expected, rtol=0, atol=2e-7)
    # classes 1, 2, 0; 1, 2; 0
    torch.testing.assert_close(result.code, torch.tensor([[1 / 3 + 1, 1 / 3 - 0.5, 1 / 3 - 0.5]]))
    assert torch.equal(result.noise["dropout_0"], noise_of(model, 1)["dropout_0"])  # a mean of masks is no mask
    same = combine(model, [concept(model, seeds, 2) for seeds in groups], signs)
    assert same.code.tolist() == [[0.0, 0.0, 1.0]]


def test_around_a_point_is_uniform_noise_and_the_point_itself():
    model = Shown(400, classes=3)
    centre = concept(model, [1, 2, 3])
    found = around(model, centre, 8, 0.25, seed=1)
    assert found.code.shape == (9, 3)
    assert torch.equal(found.noise["z"][:1], centre.noise["z"])
    off = (found.noise["z"][1:] - centre.noise["z"]).double()
    assert 0.24 < off.abs().max() <= 0.2500001
    assert off.var().item() == pytest.approx(0.25**2 / 3, rel=0.1)
    assert len({tuple(row) for row in off.tolist()}) == 8
    assert torch.equal(found.noise["z"], around(model, centre, 8, 0.25, seed=1).noise["z"])
    assert not torch.equal(found.noise["z"], around(model, centre, 8, 0.25, seed=2).noise["z"])


def test_one_exemplar_is_its_own_image():
    model = build("CGAN").eval()
    only = combine(model, [concept(model, [5])], [1])
    made = model.decode(only.noise, only.code)
    assert torch.equal(((made + 1) * 127.5).round().clamp(0, 255).byte(), generate(model, [5]))


def test_what_has_no_plane_and_no_sum():
    model = Shown(4)
    mask_only = Shown(4, DropoutMask())
    for wrong, line in (
        (lambda: manifold(model, 2, axes=(1, 4)), "the axes are two of the coordinates 0 to 3, not 1 and 4"),
        (lambda: manifold(model, 2, axes=(1, 1)), "two of the coordinates 0 to 3, not 1 and 1"),
        (lambda: manifold(model, 2, label=0), "trained without classes"),
        (lambda: manifold(Shown(1), 2), "has 1 number of noise, and a plane needs 2"),
        (lambda: concept(model, []), "no seed was given"),
        (lambda: concept(mask_only, [1]), "Shown has the noise DropoutMask, which has no coordinates"),
        (lambda: manifold(build("Pix2Pix")), "use `ganzoo translate`"),
    ):
        with pytest.raises(InputError, match=line):
            wrong()
