"""The encoder: it recovers the noise of new images, sees new noise in each step, and its file is for one model only."""

import pytest
import torch
from safetensors.torch import save_file
from support.zoo import build
from torch import nn

from ganzoo.errors import InputError
from ganzoo.inference import encoder as module
from ganzoo.inference import train_encoder
from ganzoo.inference.encoder import Encoder, r_squared
from ganzoo.interfaces import NoiseSampler
from ganzoo.noises import Normal
from ganzoo.utils.weights import weights_sha256


class Linear(nn.Module, NoiseSampler):
    """G(z) = A z, which is one to one: the noise can be recovered from 36 pixels."""

    def __init__(self, seed=0):
        super().__init__()
        self.A = nn.Parameter(torch.randn(36, 3, generator=torch.Generator().manual_seed(seed)) / 12)

    def distributions(self):
        return {"z": Normal(0.5, 2.0)}

    def draw_noise(self, n, generator=None):
        return {"z": self.distributions()["z"].sample((n, 3), self.A, generator)}

    @torch.no_grad()
    def decode(self, noise, y=None):
        return (noise["z"] @ self.A.T).view(-1, 1, 6, 6)


def small(model, steps=100, seed=0):
    return train_encoder(model, steps, 32, width=4, seed=seed)


# R^2 of seeds 0 to 7 after 100 steps: 0.990 to 0.995; of seeds 0 to 2 after 20 steps: 0.45 to 0.51
def test_the_noise_of_new_images_is_recovered():
    model = Linear()
    trained = small(model)
    assert 0.96 < trained.r_squared < 1
    assert not trained.training
    noise = model.draw_noise(500, torch.Generator().manual_seed(5))
    recovered = trained(model.decode(noise)).detach()
    z = (noise["z"] - 0.5) / 2  # normal coordinates of Normal(0.5, 2)
    assert 1 - float((recovered - z).square().sum() / (z - z.mean(0)).square().sum()) == pytest.approx(
        trained.r_squared, abs=0.02
    )
    assert small(model, 10).r_squared < 0.6  # of an encoder that has hardly learned


def test_every_step_has_new_noise(monkeypatch):
    seen, whole = [], module.pairs

    def pairs(model, space, n):
        images, coordinates = whole(model, space, n)
        seen.append(coordinates)
        return images, coordinates

    monkeypatch.setattr(module, "pairs", pairs)
    small(Linear(), 20)
    drawn = torch.cat(seen)
    assert len(drawn) == 20 * 32 + 1000
    assert len(drawn.unique(dim=0)) == len(drawn)


def test_r_squared_in_closed_form():
    model = Linear()
    A = model.A.detach()

    def exact(images):
        return ((images.flatten(1) @ torch.linalg.pinv(A).T) - 0.5) / 2

    assert r_squared(exact, model) == pytest.approx(1, abs=1e-9)
    assert r_squared(lambda images: torch.zeros(len(images), 3), model) == pytest.approx(0, abs=0.01)
    assert r_squared(lambda images: 0.5 * exact(images), model) == pytest.approx(0.75, abs=0.01)
    assert r_squared(lambda images: -exact(images), model) == pytest.approx(-3, abs=0.02)


def test_training_is_repeatable_and_leaves_the_random_numbers_and_the_model_alone():
    model = Linear()
    before, state = weights_sha256(model), torch.get_rng_state()
    first, again, other = small(model, 5), small(model, 5), small(model, 5, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert weights_sha256(model) == before
    images = model.decode(model.draw_noise(2))
    assert torch.equal(first(images), again(images))
    assert not torch.equal(first(images), other(images))


@pytest.mark.parametrize("name", ["CGAN", "LAPGAN"])
def test_a_file_gives_the_encoder_back(name, tmp_path):
    model = build(name).eval()
    trained = train_encoder(model, 2, 4, width=2)
    trained.save(tmp_path / "e.safetensors")
    back = Encoder.load(tmp_path / "e.safetensors", model)
    images = model.sample(3)
    assert torch.equal(back(images), trained(images))
    assert (back.r_squared, back.size, back.training) == (trained.r_squared, trained.size, False)


def test_files_that_are_not_the_encoder_of_the_model(tmp_path):
    model, file = Linear(), tmp_path / "e.safetensors"
    small(model, 2).save(file)
    with pytest.raises(InputError, match=r"e.safetensors was trained on the images of another model"):
        Encoder.load(file, Linear(1))
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("nothing")
    for name in ("other.safetensors", "text.safetensors", "none.safetensors"):
        with pytest.raises(InputError, match=rf"{name} is no encoder of `ganzoo explore encoder`"):
            Encoder.load(tmp_path / name, model)
