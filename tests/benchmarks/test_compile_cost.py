"""What compiling the networks costs and saves.

    python -m pytest -s tests/benchmarks/test_compile_cost.py

Prints a table; ratios are of two loops that take turns within this run, each with networks of its own, in processor time of
all threads, which other work on the machine disturbs less than the clock on the wall. Compiling happens before anything is
timed, and is printed by itself, on the wall. Nothing is asserted of time.
"""

import logging
import shutil
import statistics
import time

import pytest
import torch
from support.step_cost import Pair, seconds_a_step

from ganzoo.callbacks import Compile
from ganzoo.models import DCGAN, GAN

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize(
    ("name", "build", "shape", "n", "rounds"),
    [
        ("GAN 8x8, batch 64", lambda: GAN(shape=(1, 8, 8), latent=16, hidden=128), (64, 1, 8, 8), 100, 7),
        ("DCGAN 32x32, batch 64, width 32", lambda: DCGAN(shape=(3, 32, 32), width=32), (64, 3, 32, 32), 5, 7),
    ],
)
def test_compiled_and_not(name, build, shape, n, rounds, tmp_path):
    torch._dynamo.reset()
    batch = Pair(torch.rand(*shape) * 2 - 1, torch.zeros(shape[0], dtype=torch.long))
    loops = {"as written": (build(), []), "compiled": (build(), [Compile(fullgraph=True)])}
    start = time.perf_counter()
    model, callbacks = loops["compiled"]
    seconds_a_step(model, batch, 1, tmp_path, *callbacks, now=time.process_time)
    first = time.perf_counter() - start
    took = {kind: [] for kind in loops}
    for i in range(rounds):
        for kind in list(loops) if i % 2 == 0 else list(loops)[::-1]:
            model, callbacks = loops[kind]
            took[kind].append(seconds_a_step(model, batch, n, tmp_path, *callbacks, now=time.process_time))
    ratios = [a / b for a, b in zip(took["compiled"], took["as written"], strict=True)]
    print(f"\n{name}, {torch.get_num_threads()} threads, {rounds} rounds of {n} steps")
    for kind, mine in took.items():
        print(f"  {kind:12} {1000 * statistics.median(mine):8.2f} ms a step")
    print(f"  compiled / as written {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    print(f"  compiling {first:.0f} s")
