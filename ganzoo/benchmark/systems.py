"""The systems that ``ganzoo bench`` knows: names, batch sizes, published codes. Imports no torch."""

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
        batch_size: samples in a batch, if the user says nothing else.
        setup: name of a class of ``ganzoo.benchmark.setups``.
        arguments: of that class.
        published: the repository whose training loop is timed beside it; None if there is none.
    """

    summary: str
    batch_size: int
    setup: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    published: str | None = None

    def build(self) -> "Setup":
        """Builds the setup, which imports torch."""
        setups = import_module("ganzoo.benchmark.setups")
        return getattr(setups, self.setup)(**self.arguments)  # type: ignore[no-any-return]


TRANSLATION = "junyanz/pytorch-CycleGAN-and-pix2pix"
SYSTEMS = {
    "pix2pix-256": System("256 x 256 px, the paper's setting", 1, "Pix2PixSetup", {"depth": 8}, TRANSLATION),
    "pix2pix-128": System("128 x 128 px", 4, "Pix2PixSetup", {"depth": 7}, TRANSLATION),
    "cyclegan-128": System("128 x 128 px, 6 blocks", 1, "CycleGANSetup", {"size": 128, "blocks": 6}, TRANSLATION),
    "dcgan-64": System("64 x 64 px", 64, "DCGANSetup", {"size": 64}, "pytorch/examples"),
    "gan-28": System("1 x 28 x 28 px, maxout and ReLU", 100, "GANSetup", {"size": 28}),
    "sngan-32": System("32 x 32 px, 5 critic steps to a generator step", 64, "SNGANSetup", {"size": 32}),
    "wgan_gp-64": System("64 x 64 px, 5 critic steps to a generator step", 64, "WGANGPSetup", {"size": 64}),
    "lapgan-28": System("levels of 7, 14 and 28 px", 64, "LAPGANSetup", {"sizes": (7, 14, 28)}),
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
