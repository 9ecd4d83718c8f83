"""Files are translated nearly as fast as the network runs alone: threads read and write beside it.

pytest tests/benchmarks/test_translate_throughput.py -s -n0
"""

import time

import numpy as np
import torch
from PIL import Image

from ganzoo.inference.translate import Translation, find_inputs, translate_files
from ganzoo.models import Pix2Pix
from ganzoo.utils.images import to_float

IMAGES, ROUNDS = 16, 4


def test_translating_files_is_as_fast_as_the_network(tmp_path):
    torch.manual_seed(0)
    model = Pix2Pix(depth=8, width=32, patch=16).eval()
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        coarse = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
        coarse.resize((256, 256), Image.Resampling.BICUBIC).save(tmp_path / f"{i:02d}.jpg")
    files = find_inputs([tmp_path], tmp_path / "out")
    translation = Translation(model)
    tensors = [to_float(translation.read(file.path))[None] for file in files]
    model.translate(tensors[0])

    def alone() -> float:
        began = time.perf_counter()
        for x in tensors:
            model.translate(x)
        return time.perf_counter() - began

    def from_files(turn: int) -> float:
        began = time.perf_counter()
        done = list(translate_files(files, tmp_path / f"out{turn}", translation, ""))
        assert len(done) == IMAGES
        return time.perf_counter() - began

    pairs = [(alone(), from_files(turn)) for turn in range(ROUNDS)]
    shares = sorted(network / whole for network, whole in pairs)
    print(f"\n{IMAGES / min(whole for _, whole in pairs):.1f} images/s; shares of the network alone: {shares}")
    assert shares[-1] > 0.9
