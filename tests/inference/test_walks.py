"""Walks: the seeds' own images at their frames, the noise between by its distribution, classes and loops."""

from itertools import pairwise

import pytest
import torch
from support.zoo import MODELS, build
from torch import nn

from ganzoo.errors import InputError
from ganzoo.inference import generate, walk
from ganzoo.inference.walks import frame_count, walk_frames
from ganzoo.interfaces import NoiseSampler, Sampler
from ganzoo.noises import Noise, Normal
from ganzoo.utils.images import to_uint8

SAMPLERS = [name for name, cls in MODELS.items() if issubclass(cls, Sampler)]
SEEDS = [8, 3, 2**31]


class Signs(Noise):
    def draw(self, shape, generator, device):
        return torch.randint(0, 2, shape, generator=generator, device=device).float() * 2 - 1


class Shown(nn.Module, NoiseSampler):
    """Its image is its noise, and its class."""

    def __init__(self, noise, classes=None):
        super().__init__()
        self.noise, self.classes = noise, classes

    def distributions(self):
        return {"z": self.noise}

    def draw_noise(self, n, generator=None):
        return {"z": self.noise.sample((n, 4), torch.zeros(1), generator)}

    def decode(self, noise, y=None):
        z = noise["z"].view(-1, 1, 2, 2) / 4
        return z if y is None else torch.cat([z, (y @ torch.arange(3.0)).view(-1, 1, 1, 1).expand(-1, 1, 2, 2) - 1], 1)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("way", ["slerp", "lerp"])
def test_the_frames_of_the_seeds_are_their_images(name, way):
    model = build(name)
    with torch.no_grad():  # untrained weights hardly hear the noise
        for weight in model.G.parameters():
            weight.mul_(4 if weight.ndim > 1 else 1)
    frames = walk(model, SEEDS, 3, way)
    assert frames.shape == (7, *model.hparams["shape"])
    assert torch.equal(frames[::3], generate(model, SEEDS))
    assert not any(torch.equal(a, b) for a, b in pairwise(frames))
    looped = walk(model, SEEDS, 3, way, loop=True)
    assert torch.equal(looped[:7], frames)
    assert len(looped) == 9
    batched = walk(model, SEEDS, 3, way, loop=True, batch_size=4)
    assert (batched.int() - looped.int()).abs().max() <= 1


def test_noise_goes_along_the_circle_or_the_line_at_even_steps():
    model = Shown(Normal())
    a, b = (model.draw_noise(1, torch.Generator().manual_seed(seed))["z"] for seed in (0, 1))
    for way, spherical in (("slerp", True), ("lerp", False)):
        for k, frame in enumerate(walk(model, [0, 1], 4, way)):
            z = Normal().interpolate(a, b, torch.tensor([k / 4]), spherical)
            assert torch.equal(frame, to_uint8(z.view(1, 2, 2) / 4))
    assert not torch.equal(walk(model, [0, 1], 2, "slerp")[1], walk(model, [0, 1], 2, "lerp")[1])


def test_a_loop_goes_back_to_the_first_seed():
    model = Shown(Normal())
    there, back = walk(model, [0, 1], 4), walk(model, [1, 0], 4)
    assert torch.equal(walk(model, [0, 1], 4, loop=True), torch.cat([there, back[1:-1]]))


def test_classes_go_along_a_line_or_stay():
    model = Shown(Normal(), classes=3)
    # class 2 is 1, class 0 is -1: half-way 0
    assert walk(model, [4, 4], 2, classes=[2, 0])[:, 1, 0, 0].tolist() == [255, 128, 0]
    assert walk(model, [4, 9], 2, classes=1)[:, 1, 0, 0].tolist() == [128, 128, 128]
    assert walk(model, [2, 3], 2)[:, 1, 0, 0].tolist() == [255, 128, 0]  # those of the seeds
    cgan = build("CGAN")
    between = walk(cgan, [4, 4], 2, classes=[2, 0])
    assert torch.equal(between[::2], generate(cgan, [4, 4], [2, 0]))
    noise = cgan.eval().draw_noise(1, torch.Generator().manual_seed(4))
    assert torch.equal(between[1], to_uint8(cgan.decode(noise, torch.tensor([[0.5, 0.0, 0.5]])))[0])


def test_truncated_walks():
    model = build("DCGAN")
    assert torch.equal(walk(model, [0, 1], 2, truncation=0.5)[::2], generate(model, [0, 1], truncation=0.5))


def test_a_walk_yields_a_frame_at_a_time():
    model = Shown(Normal())
    frames = walk_frames(model, [0, 1], 50_000)
    assert next(frames).shape == (1, 2, 2)


def test_what_cannot_be_walked():
    class Own(nn.Module, Sampler):
        def sample(self, n, y=None, generator=None):
            return torch.rand(n, 1, 2, 2, generator=generator)

    model = build("GAN")
    for wrong, message in (
        (lambda: walk(Own(), [0, 1]), "Own has only `sample`, and this needs noise that can be chosen"),
        (lambda: walk(model, [0]), "a walk needs at least two seeds"),
        (lambda: walk(model, [0, 1], 0), "at least 1 step from seed to seed, not 0"),
        (lambda: walk(model, [0, 1], 10**9), "1,000,000,001 frames are too many"),
        (lambda: walk(model, [0, -1]), "a seed is a whole number"),
        (lambda: walk(Shown(Signs()), [0, 1]), "this model's is Signs: take straight interpolation"),
        (lambda: walk(build("Pix2Pix"), [0, 1]), "use `ganzoo translate`"),
    ):
        with pytest.raises(InputError, match=message):
            wrong()
    assert walk(Shown(Signs()), [0, 1], 2, "lerp").shape == (3, 1, 2, 2)
    assert frame_count([1, 2, 3], 10, loop=False) == 21
    assert frame_count([1, 2, 3], 10, loop=True) == 30
