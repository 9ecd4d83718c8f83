"""What a start of a training costs on a folder of very many files: seconds to the first batch, and memory.

    GANZOO_FILES=10000,100000,1000000 python -m pytest -s tests/benchmarks/test_folder_start.py
    GANZOO_FILES=10000000 GANZOO_UNCHECKED=1 python -m pytest -s tests/benchmarks/test_folder_start.py

Prints a table of a first start, which lists the files and looks into each, and of a second one; each in a process of its
own. The second line leaves out the look into each file, which takes most of a first start's time. The files are hard links
of a few small JPEGs, 1,000 in a folder. Of time nothing is asserted; that both starts have the same first batch is.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COUNTS = [int(each) for each in os.environ.get("GANZOO_FILES", "10000,100000").split(",")]
UNCHECKED = ["unchecked"] * bool(os.environ.get("GANZOO_UNCHECKED"))
IN_A_FOLDER, LINKS = 1000, 30_000  # a file has at most 65,000 names on ext4
START = """
import json, resource, sys, time
from ganzoo.data import ImageFolder, image_files
import torch
if len(sys.argv) > 2:
    image_files._size_or_error = lambda path, **_: (40, 48)
def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, began = memory(), time.perf_counter()
data = ImageFolder(sys.argv[1], size=32, batch_size=16, val_share=0.01)
data.setup()
seconds = time.perf_counter() - began
x = next(iter(data.train_dataloader())).x
print(json.dumps([seconds, time.perf_counter() - began, memory() - before, len(data.train_set), x.sum().item()]))
"""


def filled(folder: Path, count: int) -> Path:
    """A folder of so many files that has not been touched for a minute."""
    rng = np.random.default_rng(0)
    sources = [folder / f"source{i}.jpg" for i in range(-(-count // LINKS))]
    folder.mkdir()
    for source in sources:
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((48, 40)).save(source)
    top, past = folder / "root", time.time_ns() - 60 * 10**9
    for start in range(0, count, IN_A_FOLDER):
        inner = top / f"{start // IN_A_FOLDER:05}"
        inner.mkdir(parents=True)
        for i in range(start, min(start + IN_A_FOLDER, count)):
            os.link(sources[i % len(sources)], inner / f"{i:08}.jpg")
        os.utime(inner, ns=(past, past))
    os.utime(top, ns=(past, past))
    return top


@pytest.mark.parametrize("count", COUNTS)
def test_a_first_and_a_second_start(count, tmp_path, capfd):
    root = filled(tmp_path / "files", count)
    environment = {**os.environ, "GANZOO_CACHE": str(tmp_path / "cache")}
    try:
        found = []
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", START, str(root), *UNCHECKED],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            found.append(json.loads(done.stdout.splitlines()[-1]))
    finally:
        shutil.rmtree(tmp_path / "files")
    with capfd.disabled():
        for name, (setup, batch, memory, *_) in zip(("first", "second"), found, strict=True):
            print(
                f"\n{count:9,} files, {name:6} start: setup {setup:8.2f} s, first batch {batch:8.2f} s, {memory:7.0f} MiB",
                end="",
            )
    assert found[0][3:] == found[1][3:]
