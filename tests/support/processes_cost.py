"""A training step of two processes, and the exchange of its gradients alone, in a module that both can import."""

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import distributed
from torch.utils.data import DataLoader

from ganzoo.models import DCGAN, Pix2Pix
from support.step_cost import Clock, Pair, Same

STEPS = 6


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


CASES: dict[str, tuple[int, Callable[[], Any], Callable[[int], Pair]]] = {
    "DCGAN, 64 px": (32, lambda: DCGAN((3, 64, 64)), lambda n: Pair(images(n, 3, 64, 64), torch.zeros(n))),
    "DCGAN, 64 px, width 16": (64, lambda: DCGAN((3, 64, 64), 16), lambda n: Pair(images(n, 3, 64, 64), torch.zeros(n))),
    "pix2pix, 128 px, depth 5, width 24": (
        4,
        lambda: Pix2Pix(depth=5, width=24),
        lambda n: Pair(images(n, 3, 128, 128), images(n, 3, 128, 128)),
    ),
    "pix2pix, 128 px": (4, lambda: Pix2Pix(depth=7), lambda n: Pair(images(n, 3, 128, 128), images(n, 3, 128, 128))),
}


def seconds_a_step(name: str, share: int, folder: Path, **options: Any) -> float:
    """Seconds of a step at the case's batch divided by `share`, of this process and those that the options add."""
    batch_size, build, batch = CASES[name]
    clock = Clock()
    torch.manual_seed(0)
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", callbacks=[clock], default_root_dir=folder, **quiet, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(build(), DataLoader(Same(batch(batch_size // share), STEPS + 3), batch_size=None))
    return (clock.stop - clock.start) / STEPS


def work(rank: int, folder: str) -> None:
    """What each of two processes does: for each case a training, and the exchange of as many numbers as it has weights."""
    found = {}
    for name, (_, build, _) in CASES.items():
        step = seconds_a_step(name, 2, Path(folder), strategy="ddp", devices=2)
        numbers = torch.zeros(sum(p.numel() for p in build().parameters()))
        for i in range(STEPS + 2):
            if i == 2:
                begun = time.perf_counter()
            distributed.all_reduce(numbers)
        found[name] = {"step": step, "exchange": (time.perf_counter() - begun) / STEPS, "bytes": numbers.nbytes}
    if rank == 0:
        Path(folder, "two.json").write_text(json.dumps(found))
