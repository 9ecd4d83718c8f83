"""Images are decided by their seed and class: not by their number, their neighbours or the batch."""

import os
import subprocess
import sys

import pytest
import torch
from support.zoo import MODELS, build
from torch import nn

from ganzoo.errors import InputError
from ganzoo.inference import generate, generate_levels
from ganzoo.inference.generation import generate_each, requests
from ganzoo.interfaces import NoiseSampler, Sampler
from ganzoo.models import DCGAN, GAN
from ganzoo.training.ema import EMA
from ganzoo.utils.images import to_uint8

SAMPLERS = [name for name, cls in MODELS.items() if issubclass(cls, Sampler)]
every_sampler = pytest.mark.parametrize("name", SAMPLERS)


class Own(nn.Module, Sampler):
    """A user's module that has only ``sample``, and draws from torch's own generator too."""

    def __init__(self, classes=None):
        super().__init__()
        self.classes = classes
        self.drop = nn.Dropout()

    def sample(self, n, y=None, generator=None):
        assert not self.training
        image = torch.rand(n, 1, 2, 2, generator=generator) / 2 + torch.rand(n, 1, 2, 2) / 4
        return self.drop(image if y is None else image - y.view(-1, 1, 1, 1))


@every_sampler
def test_an_image_depends_on_its_seed_and_class_only(name):
    model = build(name)
    classes = None if model.classes is None else [2, 0, 1, 2]
    many = generate(model, [7, 3, 2**32 - 1, 0], classes)
    assert many.dtype == torch.uint8
    assert many.shape == (4, *model.hparams["shape"])
    assert len({image.numpy().tobytes() for image in many}) == 4
    torch.manual_seed(99)
    assert torch.equal(generate(model, [3], None if classes is None else 0)[0], many[1])
    assert torch.equal(generate(model, [0, 7], None if classes is None else 2), many[[3, 0]])


@every_sampler
def test_larger_batches_differ_by_rounding_only(name):
    model = build(name)
    one = generate(model, range(5)).int()
    for batch_size in (2, 5, 9):
        assert (generate(model, range(5), batch_size=batch_size).int() - one).abs().max() <= 1


def test_the_image_of_a_seed_is_the_sample_of_a_generator_with_that_seed():
    """It is that of ``sample``, so of the averaged weights, in evaluation mode, by torch's own noise."""
    torch.manual_seed(0)
    model = DCGAN(**DCGAN.small, ema_half_life=10.0)
    model.ema = EMA({"G": model.G}, 10.0, 0.05)
    with torch.no_grad():
        for p in model.ema["G"].parameters():
            p.mul_(1.5)
    expected = model.eval().sample(1, generator=torch.Generator().manual_seed(11))
    model.train()
    assert torch.equal(generate(model, [11]), to_uint8(expected))
    assert model.training  # as it was
    z = torch.randn(1, 4, generator=torch.Generator().manual_seed(11))
    with torch.no_grad():
        assert torch.equal(to_uint8(model.ema["G"].eval()(z)), generate(model, [11]))


def test_without_a_class_an_image_has_that_of_its_seed():
    model = build("CGAN")
    assert [each.label for each in requests(model, [0, 4, 9])] == [0, 1, 0]
    assert torch.equal(generate(model, [4]), generate(model, [4], 1))
    assert not torch.equal(generate(model, [4]), generate(model, [4], 2))


def test_every_level_of_a_cascade():
    model = build("LAPGAN")
    levels = generate_levels(model, [5, 6], [1, 2])
    assert [tuple(level.shape) for level in levels] == [(2, 3, 4, 4), (2, 3, 8, 8), (2, 3, 16, 16)]
    assert torch.equal(levels[-1], generate(model, [5, 6], [1, 2]))
    assert torch.equal(levels[0][:1], generate_levels(model, [5], [1])[0])
    with pytest.raises(InputError, match="GAN has no levels"):
        generate_levels(build("GAN"), [0])


def test_truncation_shrinks_the_noise():
    model = build("DCGAN").eval()
    z = torch.randn(1, 4, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(generate(model, [2], truncation=0.25), to_uint8(model.G(z * 0.25)))
    assert torch.equal(generate(model, [2, 3], truncation=0.0)[0], generate(model, [2, 3], truncation=0.0)[1])
    with pytest.raises(InputError, match="truncation is for the noise Normal"):
        generate(build("GAN"), [0], truncation=0.5)
    with pytest.raises(InputError, match="Own has no draw_noise and decode"):
        generate(Own(), [0], truncation=0.5)


@pytest.mark.parametrize("classes", [None, 3])
def test_a_module_that_has_only_sample(classes):
    model = Own(classes)
    assert not isinstance(model, NoiseSampler)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    images = generate(model, range(4), batch_size=3)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(generate(model, [2])[0], images[2])
    assert len({image.numpy().tobytes() for image in images}) == 4
    assert model.training


def test_what_cannot_be_generated():
    gan, cgan = build("GAN"), build("CGAN")
    for model, seeds, classes, message in (
        (build("Pix2Pix"), [0], None, "Pix2Pix translates images and generates none from noise: use `ganzoo translate`"),
        (build("DANN"), [0], None, "DANN classifies images and generates none: use `ganzoo classify`"),
        (nn.Linear(1, 1), [0], None, "Linear does not generate images from noise"),
        (gan, [], None, "no seed was given"),
        (gan, [-1], None, r"a seed is a whole number from 0 to 2\^32 - 1, not -1"),
        (gan, [2**32], None, "a seed is a whole number"),
        (gan, [True], None, "a seed is a whole number"),
        (gan, [0], 1, "GAN was trained without classes"),
        (cgan, [0], 3, "the model has no class 3: its classes are 0 to 2"),
        (cgan, [0, 1], [1], "there are 2 seeds and 1 classes"),
    ):
        with pytest.raises(InputError, match=message):
            generate(model, seeds, classes)


def test_a_want_of_memory_and_of_neighbours_is_explained(monkeypatch):
    model = build("GAN")
    for error, message in (
        (
            torch.OutOfMemoryError("CUDA out of memory."),
            "not enough memory for 8 images at a time: give a smaller batch size",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory"),
        (ValueError("Expected more than 1 value per channel when training"), "takes the statistics of the batch"),
    ):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(GAN, "generate", fail)
        with pytest.raises(InputError, match=message):
            list(generate_each(model, requests(model, [0]), batch_size=8))
    monkeypatch.setattr(GAN, "generate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generate(model, [0])


@pytest.mark.slow
def test_other_instructions_of_the_processor_change_a_pixel_by_one_level_at_most(tmp_path):
    """As on another machine: torch and oneDNN with and without AVX."""
    code = (
        "import sys, torch; from ganzoo.inference import generate; from ganzoo.models import CGAN, DCGAN, GAN, LAPGAN;"
        "torch.manual_seed(0); torch.set_num_threads(1);"
        "torch.save([generate(m, range(8)) for m in (GAN(), CGAN(), DCGAN((3, 32, 32)), LAPGAN())], sys.argv[1])"
    )
    found = []
    for number, settings in enumerate(({}, {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"})):
        file = tmp_path / f"{number}.pt"
        subprocess.run([sys.executable, "-c", code, file], env={**os.environ, **settings}, check=True)
        found.append(torch.load(file))
    for here, there in zip(*found, strict=True):
        apart = (here.int() - there.int()).abs()
        assert apart.max() <= 1
        assert (apart > 0).float().mean() < 1e-3
