"""What averages, health and checkpoints cost.

    python -m pytest -s tests/benchmarks/test_trust_cost.py

Prints a table; ratios are of loops that take turns within this run. Nothing is asserted of time.
"""

import logging
import statistics
import time
import warnings

import lightning.pytorch as L
import pytest
import torch
from support.step_cost import Pair, Same, seconds_a_step
from torch.utils.data import DataLoader

from ganzoo.callbacks import Health
from ganzoo.models import DCGAN, GAN, CycleGAN, Pix2Pix
from ganzoo.training.checkpoint_io import AtomicCheckpointIO

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


@pytest.mark.parametrize(
    ("name", "build", "shape", "n", "rounds"),
    [
        ("GAN 8x8, batch 64", lambda **o: GAN(shape=(1, 8, 8), latent=16, hidden=128, **o), (64, 1, 8, 8), 300, 7),
        ("DCGAN 32x32, width 32, batch 64", lambda **o: DCGAN((3, 32, 32), 32, **o), (64, 3, 32, 32), 100, 5),
    ],
)
def test_averages_and_health(name, build, shape, n, rounds, tmp_path):
    batch = Pair(torch.rand(*shape) * 2 - 1, torch.zeros(shape[0], dtype=torch.long))
    kinds = {
        "bare": lambda: (build(), []),
        "ema_half_life": lambda: (build(ema_half_life=10_000.0), []),
        "average + Health": lambda: (build(ema_half_life=10_000.0), [Health()]),
    }
    took = {kind: [] for kind in kinds}
    for i in range(rounds):
        order = list(kinds) if i % 2 == 0 else list(kinds)[::-1]
        for kind in order:
            torch.manual_seed(0)
            model, callbacks = kinds[kind]()
            took[kind].append(seconds_a_step(model, batch, n, tmp_path, *callbacks))
    print(f"\n{name}, {torch.get_num_threads()} threads, {rounds} rounds of {n} steps")
    for kind, mine in took.items():
        ratios = sorted(a / b for a, b in zip(mine, took["bare"], strict=True))
        print(
            f"  {kind:18} {1000 * statistics.median(mine):8.2f} ms  x {statistics.median(ratios):.3f}"
            f" ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        )


@pytest.mark.parametrize(
    ("name", "build", "channels", "size"),
    [
        ("DCGAN 64x64", lambda: DCGAN(), 3, 64),
        ("pix2pix 128 (width 32, depth 7)", lambda: Pix2Pix(depth=7, width=32), 3, 128),
        ("CycleGAN 128, two full histories", lambda: CycleGAN(blocks=6), 3, 128),
    ],
)
def test_checkpoints(name, build, channels, size, tmp_path):
    """Seconds for one checkpoint, written, flushed to the disk and renamed."""
    model = build()
    for part in ("past_x", "past_y"):
        if part in dict(model.named_modules()):
            getattr(model, part)(torch.zeros(50, channels, size, size))
    batch = Pair(*(torch.rand(1, channels, size, size) * 2 - 1 for _ in "xy"))
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, plugins=[AtomicCheckpointIO()],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model, DataLoader(Same(batch, 1), batch_size=None))
    took = []
    for i in range(5):
        start = time.perf_counter()
        trainer.save_checkpoint(tmp_path / f"{i}.ckpt")
        took.append(time.perf_counter() - start)
    size_mb = (tmp_path / "0.ckpt").stat().st_size / 1e6
    print(f"\n{name}: {size_mb:.0f} MB, {statistics.median(took):.2f} s (of 5: {min(took):.2f} to {max(took):.2f})")
