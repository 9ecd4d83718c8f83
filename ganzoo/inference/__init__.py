"""What a trained model is used for, with images from files or from Python; no trainer is needed.

Importing this package imports no torch: a function is imported when it is first used (PEP 562).
"""

from importlib import import_module
from typing import Any

_MODULES = {
    "around": "latent_space",
    "classify_files": "classify",
    "combine": "latent_space",
    "concept": "latent_space",
    "discriminator_features": "features",
    "discriminator_opinion": "discriminator",
    "edit": "inversion",
    "generate": "generation",
    "generate_levels": "generation",
    "invert": "inversion",
    "manifold": "latent_space",
    "train_encoder": "encoder",
    "translate_images": "translate",
    "walk": "walks",
}
__all__ = [
    "around",
    "classify_files",
    "combine",
    "concept",
    "discriminator_features",
    "discriminator_opinion",
    "edit",
    "generate",
    "generate_levels",
    "invert",
    "manifold",
    "train_encoder",
    "translate_images",
    "walk",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"ganzoo.inference.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'ganzoo.inference' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
