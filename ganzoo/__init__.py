"""ganzoo: adversarial networks as Lightning modules, each right to its paper.

Importing the package imports nothing else, so that ``ganzoo --help`` answers at once; a name is fetched when it
is first asked for (PEP 562).
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "AdversarialModule": "ganzoo.adversarial",
    "CGAN": "ganzoo.models",
    "ConvolutionalGAN": "ganzoo.models",
    "CycleGAN": "ganzoo.models",
    "DANN": "ganzoo.models",
    "DCGAN": "ganzoo.models",
    "DomainNormDANN": "ganzoo.models",
    "GAN": "ganzoo.models",
    "LAPGAN": "ganzoo.models",
    "Pix2Pix": "ganzoo.models",
    "SimultaneousGAN": "ganzoo.models",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'ganzoo' has no attribute '{name}'")
