"""What bf16-mixed saves in a training step of each config, with random images of its size.

    OMP_NUM_THREADS=1 python -m pytest -s tests/benchmarks/test_precision_cost.py

Prints a row for each config: milliseconds of a step in float32 and in bf16-mixed, in loops that take turns, and the ratio.
It is processor time, which other work on the machine disturbs less than the clock on the wall. Nothing is asserted of time.
"""

import logging
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from omegaconf import OmegaConf
from support.step_cost import WARM_UP, seconds_a_step
from support.zoo import Two
from torch import Tensor

import ganzoo.models
from ganzoo.callbacks import ChannelsLast
from ganzoo.interfaces import Classifier, Translator

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
CONFIGS = {path.stem: path for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))}
PRECISIONS = ("32-true", "bf16-mixed")
IMAGE_SIZES = {"pix2pix_maps": 128, "pix2pix_maps_paper": 256, "pix2pix_folder": 256, "cyclegan_maps": 64}
SECONDS, ROUNDS = 1.0, 5  # of each loop


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


def full_paths(part: Any) -> Any:
    """A part of a config with the short names of classes written out, as the command does."""
    if isinstance(part, list):
        return [full_paths(each) for each in part]
    if not isinstance(part, dict):
        return part
    part = {key: full_paths(value) for key, value in part.items()}
    name = part.get("class_path", ".")
    if "." not in name:
        modules = [module for path, module in sys.modules.items() if path.startswith(("ganzoo.", "torch.optim."))]
        (part["class_path"],) = {
            f"{found.__module__}.{name}" for found in (getattr(each, name, None) for each in modules) if found is not None
        }
    return part


def build(config: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    model = config["model"]
    return getattr(ganzoo.models, model["class_path"])(**full_paths(model.get("init_args", {})))


def random_batch(name: str, model: Any, n: int) -> Any:
    if isinstance(model, Translator):
        h, size = model.hparams, IMAGE_SIZES.get(name, 256)
        channels = (h["channels_x"], h["channels_y"]) if "channels_x" in h else (h["inputs"], h["outputs"])
        return Pair(*(torch.rand(n, each, size, size) * 2 - 1 for each in channels))
    x, y = torch.rand(n, *model.shape) * 2 - 1, torch.arange(n) % 3
    return Two(x, y, x.flip(0)) if isinstance(model, Classifier) else Pair(x, y)


@pytest.mark.parametrize("name", CONFIGS)
def test_both_precisions(name, tmp_path):
    config = OmegaConf.to_container(OmegaConf.load(CONFIGS[name]), resolve=True)
    models = {precision: build(config) for precision in PRECISIONS}
    batch = random_batch(name, models["32-true"], config["data"].get("init_args", {}).get("batch_size", 1))
    last = "ChannelsLast" in str(config["trainer"].get("callbacks"))

    def step(precision: str, n: int) -> float:
        callbacks = [ChannelsLast(only_avx512=True)] if last else []
        return seconds_a_step(models[precision], batch, n, tmp_path, *callbacks, now=time.process_time, precision=precision)

    start = time.perf_counter()
    step("32-true", 2)
    rough = (time.perf_counter() - start) / (2 + WARM_UP)
    n = max(2, min(50, round(SECONDS / rough)))
    took: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for i in range(ROUNDS if rough < 3 else 2):
        for precision in PRECISIONS if i % 2 == 0 else PRECISIONS[::-1]:
            took[precision].append(step(precision, n))
    ratios = [bf16 / plain for plain, bf16 in zip(*took.values(), strict=True)]
    plain, bf16 = (1000 * statistics.median(mine) for mine in took.values())
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"\n| `{name}` | {plain:.1f} | {bf16:.1f} | {ratio} | {len(ratios)} rounds of {n} steps")
