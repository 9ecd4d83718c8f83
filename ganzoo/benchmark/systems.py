"""The systems that ``ganzoo bench`` knows: names, sizes, batch sizes, published codes. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from ganzoo.benchmark.setups import Setup


@dataclass(frozen=True)
class System:
    """A model at one setting, whose training step is timed.

    Attributes:
        summary: what it is, in a few words.
        size: pixels of an image's side, if the user says nothing else.
        batch_size: samples in a batch, if the user says nothing else.
        setup: name of a class of ``ganzoo.benchmark.setups``.
        arguments: of that class, beside the size.
        published: the repository whose training loop is timed beside it; None if there is none.
    """

    summary: str
    size: int
    batch_size: int
    setup: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    published: str | None = None

    def build(self) -> "Setup":
        """Builds the setup, which imports torch."""
        setups = import_module("ganzoo.benchmark.setups")
        return getattr(setups, self.setup)(self.size, **self.arguments)  # type: ignore[no-any-return]


TRANSLATION = "junyanz/pytorch-CycleGAN-and-pix2pix"
SYSTEMS = {
    "pix2pix-256": System("the paper's setting", 256, 1, "Pix2PixSetup", {"depth": 8}, TRANSLATION),
    "pix2pix-128": System("a U-Net of 7 layers each way", 128, 4, "Pix2PixSetup", {"depth": 7}, TRANSLATION),
    "cyclegan-128": System("6 blocks", 128, 1, "CycleGANSetup", {"blocks": 6}, TRANSLATION),
    "dcgan-64": System("the paper's networks", 64, 64, "DCGANSetup", published="pytorch/examples"),
    "gan-28": System("grey images, maxout and ReLU", 28, 100, "GANSetup"),
    "sngan-32": System("5 critic steps to a generator step", 32, 64, "SNGANSetup"),
    "wgan_gp-64": System("5 critic steps to a generator step", 64, 64, "WGANGPSetup"),
    "lapgan-28": System("three levels", 28, 64, "LAPGANSetup"),
}
MAIN = ("pix2pix-256", "pix2pix-128", "cyclegan-128", "dcgan-64")


def find_system(name: str) -> System:
    """Returns a system by its name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in SYSTEMS:
        near = did_you_mean(name, list(SYSTEMS), f"they are {', '.join(SYSTEMS)}")
        raise InputError(f"there is no system '{name}'{near}")
    return SYSTEMS[name]
