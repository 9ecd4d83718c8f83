"""How the time of each metric grows with the number of images, once their features are there.

    OMP_NUM_THREADS=1 python -m pytest -s tests/benchmarks/test_evaluation_growth.py

Prints seconds of processor time: of the moments of both sets, which are computed once for all metrics, and of each metric.
Features are random, 2048 values each, as Inception's; the kernel distance and the manifold metrics keep at most 10,000 of
each set. Of time nothing is asserted; that each metric is a finite number is.
"""

import math
import time
from pathlib import Path

import pytest
import torch

from ganzoo.evaluation.metrics import FEATURE_METRICS, MetricOptions, compute, reduce
from ganzoo.evaluation.table import FeatureTable
from ganzoo.metrics.statistics import FeatureSpec

COUNTS, WIDTH, LOGITS = (1_000, 2_500, 5_000, 10_000, 20_000, 50_000), 2048, 1008


class Named:
    """What metrics are called by; there is no network."""

    name, label, known, has_logits = "random", "random", False, True


def filled(n: int, scale: float, folder: Path) -> FeatureTable:
    g = torch.Generator().manual_seed(0)
    table = FeatureTable(n, FeatureSpec("random", WIDTH), folder)
    for indices in torch.arange(n).split(500):
        rows = {"features": torch.randn(len(indices), WIDTH, generator=g) * scale}
        table.write(indices, rows | {"logits": torch.randn(len(indices), LOGITS, generator=g)})
    table.flush()
    return table


@pytest.mark.parametrize("n", COUNTS)
def test_seconds_of_each_metric(n, tmp_path, capfd):
    real, fake = (filled(n, scale, tmp_path / str(scale)) for scale in (1.0, 1.1))
    options, began = MetricOptions(), time.process_time()
    sets = [reduce(table, list(FEATURE_METRICS), options) for table in (real, fake)]
    took, found = {"moments": time.process_time() - began}, {}
    for name in FEATURE_METRICS:
        began = time.process_time()
        found |= compute(Named(), [name], options, *sets)
        took[name] = time.process_time() - began
    with capfd.disabled():
        if n == COUNTS[0]:
            print(
                f"\n{'images':>8} {' '.join(f'{name:>10}' for name in took)}   ({torch.get_num_threads()} threads)", end=""
            )
        print(f"\n{n:8} {' '.join(f'{seconds:8.2f} s' for seconds in took.values())}", end=" ")
    assert all(math.isfinite(each.value) for each in found.values())
