"""What an evaluation costs, beside torch-fidelity and torchmetrics called plainly on the same images.

    OMP_NUM_THREADS=1 python -m pytest -s tests/benchmarks/test_evaluation_cost.py

Prints tables; ratios are of what took turns within this run. Inception has random weights, which cost what real ones cost.
Of speed nothing is asserted; that all three tools find the same metrics, and how much memory ours takes, is.
"""

import json
import multiprocessing
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.cli import evaluate
from ganzoo.evaluation.metrics import FEATURE_METRICS, MetricOptions, compute, reduce
from ganzoo.evaluation.table import FeatureTable
from ganzoo.metrics.extractors.inception import network
from ganzoo.metrics.frechet import frechet_distance
from ganzoo.metrics.statistics import FeatureSpec

GPU = torch.cuda.is_available()
N, SIZE, ROUNDS = 2_000 if GPU else 40, 32, 2
BATCH = 100 if GPU else 20
FEW, MANY, WIDTH = 500, 50_000, 2048
WHERE = torch.cuda.get_device_name() if GPU else f"{torch.get_num_threads()} threads"
ALLOWED = 2 * 2**30  # bytes beyond the network


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    net = network()
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):  # the usual start lets features die out on the way
            torch.nn.init.kaiming_normal_(layer.weight)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    made = []
    for spread in (40, 70):
        folder = tmp_path_factory.mktemp("images")
        for i in range(N):
            coarse = rng.normal(128, spread, (4, 4, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(coarse).resize((SIZE, SIZE), Image.BICUBIC).save(folder / f"{i:03}.png")
        made.append(folder)
    return made[0], made[1]


def ours(real: Path, fake: Path, weights: Path, out: Path) -> dict[str, float]:
    figures_of = ["--metrics", "distance,score,kernel", "--splits", "2", "--subsets", "10", "--subset_size", "20"]
    where = ["--weights", str(weights), "--cache", "none", "--out", str(out)]
    assert evaluate.run([str(fake), str(real), "--batch_size", str(BATCH), *figures_of, *where]) == 0
    found = json.loads(out.read_text())["metrics"]
    return {name[:2]: each["value"] for name, each in found.items()}


def torch_fidelity(real: Path, fake: Path, weights: Path, out: Path) -> dict[str, float]:
    from torch_fidelity import calculate_metrics

    found = calculate_metrics(
        input1=str(fake), input2=str(real), isc=True, fid=True, kid=True, isc_splits=2, kid_subsets=10, kid_subset_size=20,
        feature_extractor_weights_path=str(weights), cuda=GPU, batch_size=BATCH, cache=False, verbose=False,
    )  # fmt: skip
    return {"fd": found["frechet_inception_distance"], "kd": found["kernel_inception_distance_mean"]}


def torchmetrics(real: Path, fake: Path, weights: Path, out: Path) -> dict[str, float]:
    from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    def net(features: str) -> NoTrainInceptionV3:
        return NoTrainInceptionV3("inception-v3-compat", [features], str(weights), antialias=False)

    fid, kid, score = (
        FrechetInceptionDistance(net("2048")),
        KernelInceptionDistance(net("2048"), subsets=10, subset_size=20),
        InceptionScore(net("logits_unbiased"), splits=2),
    )
    on = "cuda" if GPU else "cpu"
    for metric in (fid, kid, score):
        metric.to(on)
    for folder, is_real in ((real, True), (fake, False)):
        images = torch.stack([torch.from_numpy(np.array(Image.open(path))) for path in sorted(folder.iterdir())])
        for batch in images.permute(0, 3, 1, 2).to(on).split(BATCH):
            fid.update(batch, real=is_real)
            kid.update(batch, real=is_real)
            if not is_real:
                score.update(batch)
    score.compute()
    return {"fd": fid.compute().item(), "kd": kid.compute()[0].item()}


def test_from_folders_to_figures(folders, weights, tmp_path, capfd):
    tools = {"ganzoo": ours, "torch-fidelity": torch_fidelity, "torchmetrics": torchmetrics}
    took, found = {name: [] for name in tools}, {}
    for i in range(ROUNDS):
        for name in list(tools) if i % 2 == 0 else list(tools)[::-1]:
            began = time.perf_counter()
            found[name] = tools[name](*folders, weights, tmp_path / f"{i}.json")
            took[name].append(time.perf_counter() - began)
    with capfd.disabled():
        print(f"\n{N} + {N} PNGs, FID, KID and IS, {WHERE}, {ROUNDS} rounds")
        for name, mine in took.items():
            ratio = statistics.median(a / b for a, b in zip(mine, took["ganzoo"], strict=True))
            print(f"  {name:16} {2 * N / statistics.median(mine):6.2f} images/s  x {ratio:.2f}   {found[name]}")
    for name in ("torch-fidelity", "torchmetrics"):
        assert found[name]["fd"] == pytest.approx(found["ganzoo"]["fd"], rel=1e-2 if GPU else 1e-5)  # TF32


def test_the_distance_of_few(capfd):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(FEW, WIDTH, generator=g).abs() * scale for scale in (1.0, 1.2))

    def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.double().mean(0), x.double().T.cov()

    def theirs() -> float:
        both = (fid_features_to_statistics(x) for x in (a, b))
        return fid_statistics_to_metric(*both, verbose=False)["frechet_inception_distance"]

    ways = {
        "ganzoo": lambda: frechet_distance(a, b),
        "torch-fidelity": theirs,
        "torchmetrics": lambda: _compute_fid(*moments(a), *moments(b)).item(),
    }
    took, found = {}, {}
    for name, way in ways.items():
        began = time.perf_counter()
        found[name] = way()
        took[name] = time.perf_counter() - began
    with capfd.disabled():
        print(f"\nFrechet distance of {FEW} and {FEW} features of {WIDTH} values, {torch.get_num_threads()} threads")
        for name, seconds in took.items():
            print(f"  {name:16} {seconds:7.2f} s  x {seconds / took['ganzoo']:.1f}   {found[name]:.9f}")
    assert found["torch-fidelity"] == pytest.approx(found["ganzoo"], rel=1e-6)
    assert found["torchmetrics"] == pytest.approx(found["ganzoo"], rel=1e-6)


class Named:
    """What metrics are called by; there is no network."""

    name, label, known, has_logits = "random", "random", False, True


def peak(pipe, folder: Path) -> None:
    torch.set_num_threads(1)
    g = torch.Generator().manual_seed(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tables = []
    for scale, logits in ((1.0, 0), (1.1, 1008)):  # of real images nobody wants them
        table = FeatureTable(MANY, FeatureSpec("random", WIDTH), folder / str(scale))
        for indices in torch.arange(MANY).split(500):
            rows = {"features": torch.randn(len(indices), WIDTH, generator=g) * scale}
            table.write(indices, rows | ({"logits": torch.randn(len(indices), logits, generator=g)} if logits else {}))
        table.flush()
        tables.append(table)
    gathered = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    real, fake = (reduce(table, list(FEATURE_METRICS), MetricOptions()) for table in tables)
    found = compute(Named(), list(FEATURE_METRICS), MetricOptions(), real, fake)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send(((gathered - before) * 1024, (after - before) * 1024, found))


def test_memory_of_many(capfd, tmp_path):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=peak, args=(there, tmp_path))
    child.start()
    gathered, whole, found = here.recv()
    child.join()
    with capfd.disabled():
        print(f"\n{MANY} + {MANY} images, all metrics: {whole / 2**20:.0f} MiB at the peak beyond what was there")
        print(f"  of these {gathered / 2**20:.0f} MiB while the features came in")
    assert found
    assert whole < ALLOWED
