"""Small images on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Save = Callable[..., Path]


@pytest.fixture
def save() -> Save:
    """Writes an image of random pixels, the same ones for the same seed, and returns its path."""

    def save(path: Path, height: int = 12, width: int = 16, channels: int = 3, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
        Image.fromarray(pixels.squeeze()).save(path)
        return path

    return save
