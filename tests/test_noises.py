"""Noise distributions: moments and ranges by closed form, where the generator lives, and in every model that takes one."""

from math import inf, nan, sqrt

import pytest
import torch

from ganzoo.errors import InputError
from ganzoo.models import CGAN, DCGAN, GAN, LAPGAN, ConvolutionalGAN, SimultaneousGAN
from ganzoo.noises import DropoutMask, Noise, Normal, Spherical, Uniform
from ganzoo.training.recipes import instantiate, to_recipe

N = 200_000
LIKE = torch.zeros(1)


def drawn(noise, seed=0, like=LIKE):
    return noise.sample((N,), like, torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize(
    ("noise", "mean", "variance", "fourth"),
    # the fourth central moment, with which the variance's standard error is sqrt((fourth - variance^2) / N)
    [
        (Uniform(), 0.0, 1.0, 9 / 5),
        (Uniform(0, 1), 0.5, 1 / 12, 1 / 80),
        (Uniform(-1, 1), 0.0, 1 / 3, 1 / 5),
        (Uniform(2, 6), 4.0, 16 / 12, 256 / 80),
        (Normal(), 0.0, 1.0, 3.0),
        (Normal(-3.0, 0.5), -3.0, 0.25, 3 * 0.5**4),
    ],
)
def test_mean_and_variance_are_those_of_the_distribution(noise, mean, variance, fourth):
    z = drawn(noise)
    assert abs(z.mean().item() - mean) < 5 * sqrt(variance / N)
    assert abs(z.var().item() - variance) < 5 * sqrt((fourth - variance**2) / N)
    assert abs(((z - mean) ** 4).mean().item() - fourth) < 0.03 * fourth


@pytest.mark.parametrize(("low", "high"), [(-sqrt(3), sqrt(3)), (0, 1), (-1, 1), (2, 6)])
def test_uniform_fills_its_range_evenly_and_stays_within(low, high):
    z = drawn(Uniform(low, high))
    assert low - 1e-6 <= z.min() < low + 1e-3 * (high - low)
    assert high - 1e-3 * (high - low) < z.max() <= high + 1e-6
    shares = torch.histc(z, 10, low, high) / N
    assert (shares - 0.1).abs().max() < 5 * sqrt(0.1 * 0.9 / N)


def test_normal_has_the_tails_of_a_normal():
    z = drawn(Normal(1.0, 2.0))
    for deviations, share in [(1, 0.682689), (2, 0.954500), (3, 0.997300)]:
        assert abs(((z - 1).abs() < 2 * deviations).double().mean().item() - share) < 5 * sqrt(share * (1 - share) / N)


@pytest.mark.parametrize("d", [1, 2, 100])
def test_spherical_noise_has_one_length_and_every_direction(d):
    n = 20_000
    z = Spherical().sample((n, d), LIKE, torch.Generator().manual_seed(0)).double()
    assert torch.allclose(z.norm(dim=1), torch.full((n,), sqrt(d), dtype=torch.float64), rtol=1e-5)
    assert (z.mean(0).abs() < 5 / sqrt(n)).all()
    assert ((z.T @ z / n - torch.eye(d)).abs() < 8 / sqrt(n)).all()  # variance 1, no two coordinates together
    assert (z**4).mean().item() == pytest.approx(3 * d / (d + 2), rel=0.03)  # a normal's is 3
    planes = Spherical(2.0).sample((5, 1, 4, 4), LIKE)
    assert torch.allclose(planes.flatten(1).norm(dim=1), torch.full((5,), 2.0))


def test_the_spherical_way_stays_on_the_sphere():
    noise = Spherical()
    start, end = ends(noise)
    between = noise.interpolate(start, end, torch.full((400,), 0.3))
    assert torch.allclose(between.norm(dim=1), torch.full((400,), sqrt(300)), rtol=1e-5)
    chord = noise.interpolate(start, end, torch.full((400,), 0.5), spherical=False)
    assert torch.allclose(chord, (start + end) / 2, atol=1e-5)
    with pytest.raises(InputError, match="truncation is for the noise Normal"):
        noise.truncate(start, 0.5)


@pytest.mark.parametrize("noise", [Uniform(-2, 3), Normal(1.0, 2.0), Spherical(2.0)])
def test_noise_is_drawn_in_float32_where_the_generator_lives_and_then_moved(noise):
    wanted = noise.sample((4, 3), torch.zeros(1), torch.Generator().manual_seed(1))
    assert wanted.dtype == torch.float32
    double = noise.sample((4, 3), torch.zeros(1, dtype=torch.float64), torch.Generator().manual_seed(1))
    assert double.dtype == torch.float64
    assert torch.equal(double.float(), wanted)
    assert not torch.equal(noise.sample((4, 3), LIKE, torch.Generator().manual_seed(2)), wanted)
    torch.manual_seed(1)
    assert torch.equal(noise.sample((4, 3), LIKE), wanted)  # torch's own, if no generator is given
    assert noise.sample((2, 1, 5, 5), LIKE).shape == (2, 1, 5, 5)


def test_a_generator_on_the_cpu_serves_a_model_that_is_elsewhere():
    asked = []

    class Asked(Normal):
        def draw(self, shape, generator, device):
            asked.append(device.type)
            return super().draw(shape, generator, torch.device("cpu"))

    elsewhere = torch.zeros(1, device="meta")  # stands for any other device
    assert Asked().sample((2, 2), elsewhere, torch.Generator()).device.type == "meta"
    Asked().sample((2, 2), elsewhere)
    assert asked == ["cpu", "meta"]


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (-inf, 0), (0, inf), (nan, 1), (0, nan)])
def test_bounds_that_are_none_are_refused(low, high):
    with pytest.raises(InputError, match=r"Uniform: (low|high) is"):
        Uniform(low, high)


@pytest.mark.parametrize(("mean", "std"), [(0, 0), (0, -1), (0, nan), (0, inf), (nan, 1), (inf, 1)])
def test_a_normal_that_is_none_is_refused(mean, std):
    with pytest.raises(InputError, match=r"Normal: (mean|std) is .*: give a float in"):
        Normal(mean, std)


SMALL = {
    GAN: {"shape": (1, 4, 4), "hidden": 4},
    SimultaneousGAN: {"shape": (1, 4, 4), "hidden": 4},
    ConvolutionalGAN: {"shape": (1, 32, 32), "hidden": 4},
    DCGAN: {"shape": (1, 8, 8), "width": 2},
    CGAN: {"shape": (1, 4, 4)},
    LAPGAN: {"shape": (1, 8, 8), "sizes": (4, 8), "width": 2, "hidden_G": 4, "hidden_D": 4},
}


def z_of(model, n, generator=None):
    return model.z(1, n, generator) if isinstance(model, LAPGAN) else model.z(n, generator)


@pytest.mark.parametrize(
    ("model", "noise"),
    [
        (GAN, Uniform(-sqrt(3), sqrt(3))),  # mnist.yaml: noise: 'uniform'
        (SimultaneousGAN, Uniform(-sqrt(3), sqrt(3))),
        (ConvolutionalGAN, Normal()),  # cifar10_convolutional.yaml says nothing, and the class's default is gaussian
        (DCGAN, Normal()),
        (CGAN, Uniform(0, 1)),
        (LAPGAN, Uniform(-1, 1)),
    ],
)
def test_each_model_draws_what_its_source_draws_unless_told(model, noise):
    default, other = model(**SMALL[model]), model(**SMALL[model], noise=Normal(5.0, 0.1))
    g = [torch.Generator().manual_seed(3) for _ in range(3)]
    z = z_of(default, 6, g[0])
    assert torch.equal(z, noise.sample(z.shape, LIKE, g[1]))
    assert to_recipe(default.noise) == to_recipe(noise)
    assert abs(z_of(other, 6, g[2]).mean().item() - 5) < 0.3


def test_a_checkpoint_keeps_the_noise(tmp_path):
    import lightning.pytorch as L

    model = GAN(**SMALL[GAN], noise={"class_path": "ganzoo.noises.Normal", "init_args": {"mean": 2.0, "std": 0.5}})
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, max_epochs=0)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    again = GAN.load_from_checkpoint(tmp_path / "one.ckpt")
    assert to_recipe(again.noise) == to_recipe(Normal(2.0, 0.5))
    assert to_recipe(instantiate(to_recipe(Uniform(0, 3)), Noise)) == to_recipe(Uniform(0, 3))


def ends(noise, n=400, size=300):
    g = torch.Generator().manual_seed(0)
    return noise.sample((n, size), LIKE, g), noise.sample((n, size), LIKE, g)


@pytest.mark.parametrize("noise", [Normal(), Normal(2.0, 0.5), Uniform(), Uniform(0, 1), DropoutMask(0.3), Spherical()])
@pytest.mark.parametrize("spherical", [True, False])
def test_interpolated_noise_has_exact_ends(noise, spherical):
    start, end = ends(noise, 5)
    assert torch.equal(noise.interpolate(start, end, torch.zeros(5), spherical), start)
    assert torch.equal(noise.interpolate(start, end, torch.ones(5), spherical), end)
    between = noise.interpolate(start, end, torch.tensor([0, 0.3, 0.5, 0.7, 1]), spherical)
    assert torch.equal(between[0], start[0])
    assert torch.equal(between[-1], end[-1])
    assert between.dtype == start.dtype


@pytest.mark.parametrize("noise", [Normal(2.0, 0.5), Uniform(), Uniform(0, 1), DropoutMask(0.3)])
def test_what_lies_between_has_the_distribution_of_the_ends(noise):
    """Moments of 120,000 numbers half-way; a straight line would have half the variance."""
    start, end = ends(noise)
    between = noise.interpolate(start, end, torch.full((400,), 0.5)).double()
    exact = drawn(noise)
    assert between.mean().item() == pytest.approx(exact.mean().item(), abs=0.02 * exact.std().item())
    assert between.var().item() == pytest.approx(exact.var().item(), rel=0.02)
    fourth = ((between - between.mean()) ** 4).mean().item()
    assert fourth == pytest.approx(((exact - exact.mean()) ** 4).mean().item(), rel=0.06)
    if not isinstance(noise, DropoutMask):
        straight = noise.interpolate(start, end, torch.full((400,), 0.5), spherical=False)
        assert straight.var().item() == pytest.approx(exact.var().item() / 2, rel=0.02)
        assert torch.allclose(straight, (start + end) / 2, atol=1e-6)


def test_uniform_noise_goes_through_the_normal_numbers_of_its_quantiles():
    """In two dimensions by hand: quantiles (Phi(1), 1/2) to (1/2, Phi(1)) are the quarter circle from (1, 0) to (0, 1)."""
    one = 0.8413447460685429
    start, end = torch.tensor([[one, 0.5]]), torch.tensor([[0.5, one]])
    middle = 0.7602499389065233  # Phi(1 / sqrt(2))
    found = Uniform(0, 1).interpolate(start, end, torch.tensor([0.5]))
    assert torch.allclose(found, torch.tensor([[middle, middle]]), atol=1e-6)
    wide = Uniform(-1, 3).interpolate(start * 4 - 1, end * 4 - 1, torch.tensor([0.5]))
    assert torch.allclose(wide, torch.tensor([[middle, middle]]) * 4 - 1, atol=1e-5)
    edges = torch.tensor([[0.0, 1.0, 0.25]])
    assert torch.isfinite(Uniform(0, 1).interpolate(edges, edges.flip(1), torch.tensor([0.4]))).all()


def test_normal_coordinates_are_the_normal_numbers_of_the_same_quantiles():
    """In closed form: the distribution functions are (z - 2) / 4 of Uniform(2, 6), and Phi((z - 5) / 2) of Normal(5, 2)."""
    sigma = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    shares = [0.15865525393145707, 0.5, 0.9772498680518208]  # Phi(-1), Phi(0), Phi(2)
    assert Normal(5.0, 2.0).from_normal(sigma).tolist() == [3.0, 5.0, 9.0]
    assert Uniform(2, 6).from_normal(sigma).tolist() == pytest.approx([2 + 4 * share for share in shares], abs=1e-12)
    for noise in (Uniform(2, 6), Uniform(), Normal(5.0, 2.0)):
        assert noise.to_normal(noise.from_normal(sigma)).tolist() == pytest.approx(sigma.tolist(), abs=1e-12)
        point = sigma.clone().requires_grad_(True)
        noise.from_normal(point).sum().backward()
        assert (point.grad > 0).all()
    assert torch.isfinite(Uniform(0, 1).to_normal(torch.tensor([0.0, 1.0]))).all()


def test_a_sphere_has_the_normal_coordinates_of_its_directions():
    for noise, radius in ((Spherical(), sqrt(6)), (Spherical(2.0), 2.0)):
        z = noise.sample((5, 2, 3), LIKE)
        coordinates = noise.to_normal(z)
        assert coordinates.flatten(1).norm(dim=1).tolist() == pytest.approx([sqrt(6)] * 5)
        torch.testing.assert_close(noise.from_normal(coordinates).float(), z)
        anywhere = torch.randn(5, 2, 3, dtype=torch.float64)
        there = noise.from_normal(anywhere)
        assert there.flatten(1).norm(dim=1).tolist() == pytest.approx([radius] * 5)
        assert torch.cosine_similarity(there.flatten(1), anywhere.flatten(1)).tolist() == pytest.approx([1] * 5)


def test_a_dropout_mask_changes_each_value_once_and_evenly():
    start, end = torch.zeros(1, 10_000), torch.full((1, 10_000), 2.0)
    shares = torch.linspace(0, 1, 6)
    walk = torch.cat([DropoutMask().interpolate(start, end, share.view(1)) for share in shares])
    assert set(walk.unique().tolist()) == {0.0, 2.0}
    assert (walk.diff(dim=0) >= 0).all()
    # 5 standard errors of a share of 10,000
    assert torch.allclose((walk == 2).float().mean(1), shares, atol=5 * 0.5 / 100)
    assert torch.equal(walk, torch.cat([DropoutMask().interpolate(start, end, share.view(1)) for share in shares]))


def test_a_drawn_dropout_mask_has_its_rate():
    mask = drawn(DropoutMask(0.2))
    assert mask.unique().tolist() == pytest.approx([0, 1.25])
    assert (mask == 0).double().mean().item() == pytest.approx(0.2, abs=5 * sqrt(0.2 * 0.8 / N))


def test_truncation_shrinks_normal_noise_towards_its_mean():
    z = torch.tensor([[3.0, 5.0, 6.0]])
    assert Normal(5.0, 2.0).truncate(z, 0.5).tolist() == [[4.0, 5.0, 5.5]]
    assert Normal(5.0, 2.0).truncate(z, 1).tolist() == z.tolist()
    assert Normal(5.0).truncate(z, 0).tolist() == [[5.0, 5.0, 5.0]]
    mask = DropoutMask().sample((1, 9), LIKE)
    assert torch.equal(DropoutMask().truncate(mask, 0.5), mask)
    with pytest.raises(InputError, match="truncation is for the noise Normal, and this model's is Uniform: leave it out"):
        Uniform().truncate(z, 0.5)


def test_a_distribution_of_ones_own_goes_straight():
    class Signs(Noise):
        def draw(self, shape, generator, device):
            return torch.randint(0, 2, shape, generator=generator, device=device).float() * 2 - 1

    a, b = torch.ones(2, 3), -torch.ones(2, 3)
    assert torch.equal(Signs().interpolate(a, b, torch.tensor([0.0, 0.25]), spherical=False)[1], torch.full((3,), 0.5))
    with pytest.raises(InputError, match="this model's is Signs: take straight interpolation"):
        Signs().interpolate(a, b, torch.tensor([0.0, 0.25]))
