"""Models, random data and loops of the systems that are timed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from ganzoo.adversarial import AdversarialModule
from ganzoo.benchmark.loops.base import Loop
from ganzoo.benchmark.loops.cyclegan import PlainCycleGAN, PublishedCycleGAN
from ganzoo.benchmark.loops.dcgan import PlainDCGAN, PublishedDCGAN
from ganzoo.benchmark.loops.gan import PlainGAN
from ganzoo.benchmark.loops.lapgan import PlainLAPGAN
from ganzoo.benchmark.loops.pix2pix import PlainPix2Pix, PublishedPix2Pix
from ganzoo.benchmark.loops.sngan import PlainSNGAN
from ganzoo.benchmark.loops.wgan_gp import PlainWGANGP
from ganzoo.callbacks import ChannelsLast
from ganzoo.data.batches import ImagePairs, Images, Unpaired
from ganzoo.models import DCGAN, GAN, LAPGAN, SNGAN, WGANGP, CycleGAN, Pix2Pix

KEPT = 64  # random samples in memory; batches are drawn from them
ENDLESS = 10**6  # batches of an epoch


class Setup(ABC):
    """A model at one setting, data of its shape, and the loops that have its mathematics.

    Attributes:
        plain: the loop in plain PyTorch.
        published: the published code's loop; None if there is none.
        cycle: steps after which a step is like the first again.
    """

    cycle: ClassVar[int] = 1
    plain: ClassVar[type[Loop]]
    published: ClassVar[type[Loop] | None] = None

    @abstractmethod
    def model(self) -> AdversarialModule:
        """Builds the model, with ganzoo's defaults."""

    @abstractmethod
    def sample(self, rng: torch.Generator) -> tuple[Tensor, ...]:
        """Draws one training sample: a NamedTuple of uint8 images [C, H, W]."""

    def callbacks(self) -> list[L.Callback]:
        """Builds the callbacks that the system's configs have for speed."""
        return []

    def loader(self, batch_size: int) -> DataLoader:
        """Loads batches of random uint8 images, drawn from memory, without worker processes."""
        rng = torch.Generator().manual_seed(0)
        samples = Samples([self.sample(rng) for _ in range(KEPT)])
        drawn = RandomSampler(samples, replacement=True, num_samples=ENDLESS * batch_size, generator=rng)
        return DataLoader(samples, batch_size, sampler=drawn)


class Samples(Dataset):
    """Samples that are kept in memory."""

    def __init__(self, samples: Sequence[Any]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return self.samples[index]


def random_image(rng: torch.Generator, *shape: int) -> Tensor:
    """Draws a uint8 image of noise."""
    return torch.randint(256, shape, generator=rng, dtype=torch.uint8)


class Pix2PixSetup(Setup):
    """pix2pix.

    Args:
        size: pixels of a side.
        options: arguments of ``Pix2Pix``.
    """

    plain, published = PlainPix2Pix, PublishedPix2Pix

    def __init__(self, size: int, **options: Any) -> None:
        self.size, self.options = size, options

    def model(self) -> Pix2Pix:
        return Pix2Pix(**self.options)

    def sample(self, rng: torch.Generator) -> ImagePairs:
        return ImagePairs(random_image(rng, 3, self.size, self.size), random_image(rng, 3, self.size, self.size))


class CycleGANSetup(Setup):
    """CycleGAN.

    Args:
        size: pixels of a side.
        options: arguments of ``CycleGAN``.
    """

    plain, published = PlainCycleGAN, PublishedCycleGAN

    def __init__(self, size: int, **options: Any) -> None:
        self.size, self.options = size, options

    def model(self) -> CycleGAN:
        return CycleGAN(**self.options)

    def callbacks(self) -> list[L.Callback]:
        return [ChannelsLast(only_avx512=True)]

    def sample(self, rng: torch.Generator) -> Unpaired:
        return Unpaired(random_image(rng, 3, self.size, self.size), random_image(rng, 3, self.size, self.size))


class GeneratorSetup(Setup):
    """A model that generates square images.

    Args:
        size: pixels of a side.
        options: further arguments of the model.
    """

    kind: ClassVar[type[AdversarialModule]]
    channels: ClassVar[int] = 3

    def __init__(self, size: int, **options: Any) -> None:
        self.size, self.options = size, options

    def model(self) -> AdversarialModule:
        return self.kind(shape=(self.channels, self.size, self.size), **self.options)

    def sample(self, rng: torch.Generator) -> Images:
        return Images(random_image(rng, self.channels, self.size, self.size))


class DCGANSetup(GeneratorSetup):
    """DCGAN; see ``GeneratorSetup``."""

    kind, plain, published = DCGAN, PlainDCGAN, PublishedDCGAN

    def callbacks(self) -> list[L.Callback]:
        return [ChannelsLast(only_avx512=True)]


class GANSetup(GeneratorSetup):
    """The GAN of 2014 on grey images, without its schedules; see ``GeneratorSetup``."""

    kind, plain, channels = GAN, PlainGAN, 1

    def model(self) -> GAN:
        return GAN(shape=(1, self.size, self.size), schedules={"discriminator": [], "generator": []}, **self.options)


class SNGANSetup(GeneratorSetup):
    """SNGAN without its schedule; see ``GeneratorSetup``."""

    kind, plain, cycle = SNGAN, PlainSNGAN, 5

    def model(self) -> SNGAN:
        return SNGAN(shape=(3, self.size, self.size), schedules={"discriminator": [], "generator": []}, **self.options)


class WGANGPSetup(GeneratorSetup):
    """WGAN-GP; see ``GeneratorSetup``."""

    kind, plain, cycle = WGANGP, PlainWGANGP, 5


class LAPGANSetup(GeneratorSetup):
    """LAPGAN with three levels, each twice as large as the one before; see ``GeneratorSetup``."""

    kind, plain = LAPGAN, PlainLAPGAN

    def model(self) -> LAPGAN:
        sizes = (self.size // 4, self.size // 2, self.size)
        return LAPGAN(shape=(3, self.size, self.size), sizes=sizes, **self.options)
