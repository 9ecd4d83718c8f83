"""Small npm packages of emoji in the published form, and what is in them."""

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganzoo.data.emoji import CLASSES

# by their own codes, the man would test, the woman validate and the person train
OFFICE_WORKERS = ["1F468-200D-1F4BC", "1F469-200D-1F4BC", "1F9D1-200D-1F4BC"]
CODES = [f"2{number:03X}" for number in range(87)] + OFFICE_WORKERS
CATEGORIES = [CLASSES[number * 7 % 9] for number in range(len(CODES))]
VAL = ["200D", "2018", "2019", "201F", "2026", "2043", "204B"]
TEST = ["200E", "201C", "2021", "2039", "203C", "2044"]
GOOGLE = "emoji-datasource-google-16.0.0"


def png(number: int, design: str) -> bytes:
    """Red tells the emoji's number, green the design; the left half is opaque, the right half a fifth of that."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., :2] = number, 10 if design == "google" else 20
    pixels[:, :32, 3], pixels[:, 32:, 3] = 255, 51
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def listed() -> list[dict]:
    """emoji.json, in an order that is not the official one, with a swatch of skin."""
    known = [
        {"unified": code, "image": f"{code.lower()}.png", "category": category, "sort_order": number + 1}
        for number, (code, category) in enumerate(zip(CODES, CATEGORIES, strict=True))
    ]
    swatch = {"unified": "1F3FB", "image": "1f3fb.png", "category": "Component", "sort_order": 999}
    return [swatch, *reversed(known)]


def pack(path: Path, design: str, extra: dict[str, bytes] | None = None) -> Path:
    """A package as npm packs it; its sha512 is what ganzoo must expect."""
    files = {f"img/{design}/64/{code.lower()}.png": png(number, design) for number, code in enumerate(CODES)}
    files |= {
        "package.json": b"{}",
        "emoji.json": json.dumps(listed()).encode(),
        "emoji_pretty.json": b"[]",
        "README.md": b"whose art it is",
        "LICENSE": b"whose data it is",
        f"img/{design}/64/1f3fb.png": png(0, design),
        f"img/{design}/64/1f468-1f3fe-200d-1f4bc.png": png(0, design),
        f"img/{design}/sheets/64.png": b"a large sheet",
        **(extra or {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def sha512(archive: Path) -> str:
    """As npm publishes it."""
    return base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()


def numbers(images: torch.Tensor) -> list[int]:
    """Of the emoji in a batch, told by the red of the opaque half."""
    return images[:, 0, 0, 0].tolist()
