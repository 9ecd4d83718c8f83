"""Tables of moments: they give what a table with a row for each image gives, resumed, cached and merged likewise."""

import resource

import numpy as np
import pytest
import torch
from support.known_metrics import Tiny

from ganzoo.errors import InputError
from ganzoo.evaluation.cache import cached_table, recall
from ganzoo.evaluation.features import FeatureSet, first_batch
from ganzoo.evaluation.metrics import MetricOptions, compute, reduce
from ganzoo.evaluation.table import MAPPED_BYTES, FeatureTable, MomentTable
from ganzoo.metrics.frechet import frechet_of_statistics
from ganzoo.metrics.statistics import FeatureSpec

SPEC = Tiny().spec("x of 0123", "val")
N, KEEP = 130, 20


def rows(indices: torch.Tensor, seed: int = 0) -> dict[str, torch.Tensor]:
    pool = torch.randn(N, 4, generator=torch.Generator().manual_seed(seed)) + seed
    return {"features": pool[indices], "logits": indices[:, None].float()}


def filled(table: FeatureTable, size: int = 7, seed: int = 0, begin: int = 0, end: int = N) -> FeatureTable:
    for indices in torch.arange(begin, end).split(size):
        table.write(indices, rows(indices, seed))
    return table


def moments(folder=None, **options) -> MomentTable:
    return MomentTable(N, SPEC, folder, **{"keep": KEEP, "seed": 3, **options})


def same(a: FeatureTable, b: FeatureTable) -> None:
    one, two = a.statistics(KEEP, 3), b.statistics(KEEP, 3)
    assert one.count == two.count == N
    assert torch.allclose(one.mean, two.mean, rtol=1e-12, atol=1e-12)
    assert torch.allclose(one.moment, two.moment, rtol=1e-12, atol=1e-12)
    assert torch.equal(one.features, two.features)


@pytest.mark.parametrize("size", [1, 7, N])
def test_moments_are_those_of_the_rows(size):
    whole = filled(FeatureTable(N, SPEC))
    found = filled(moments(), size)
    assert "features" not in found.columns
    assert torch.equal(found.rows("logits", slice(None)), whole.rows("logits", slice(None)))
    same(found, whole)


@pytest.mark.parametrize("metrics", [["distance"], ["distance", "kernel", "manifold"]])
def test_every_metric_is_that_of_the_table(metrics):
    options = MetricOptions(keep=KEEP, subsets=4, subset_size=10)
    found = []
    for kind in (lambda: FeatureTable(N, SPEC), lambda: moments(seed=0)):
        real, fake = (reduce(filled(kind(), seed=seed), ["kernel", *metrics], options) for seed in (0, 1))
        found.append({name: each.value for name, each in compute(Tiny(), metrics, options, real, fake).items()})
    by_rows, by_moments = found
    assert by_rows["fd_tiny"] > 1
    assert by_moments == pytest.approx(by_rows, rel=1e-9)


def test_rows_that_are_written_again_count_once():
    table = filled(moments(), end=60)
    same(filled(table, begin=40), filled(FeatureTable(N, SPEC)))


def test_an_interrupted_table_is_resumed_from_its_last_saving(tmp_path):
    first = filled(moments(tmp_path / "table"), end=50)
    first.flush()
    filled(first, begin=50, end=70).flush()
    filled(first, begin=70, end=90)  # the process is killed here
    again = moments(tmp_path / "table")
    assert first_batch({"": again}, 7) == 10
    assert len(list((tmp_path / "table").glob("moments_*.npz"))) == 1
    same(filled(again, begin=63), filled(FeatureTable(N, SPEC)))


def test_a_saving_that_was_cut_short_leaves_the_one_before(tmp_path, monkeypatch):
    first = filled(moments(tmp_path / "table"), end=50)
    first.flush()
    filled(first, begin=50, end=70)
    monkeypatch.setattr(FeatureTable, "flush", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):  # between the moments and done.npy
        first.flush()
    monkeypatch.undo()
    again = moments(tmp_path / "table")
    assert again.first_missing == 50
    same(filled(again, begin=50), filled(FeatureTable(N, SPEC)))


@pytest.mark.parametrize("harm", ["moments", "keep"])
def test_what_cannot_be_used_is_begun_anew(tmp_path, capsys, harm):
    filled(moments(tmp_path / "table")).flush()
    if harm == "moments":
        next((tmp_path / "table").glob("moments_*.npz")).write_bytes(b"damaged")
    again = moments(tmp_path / "table", keep=KEEP + (harm == "keep"))
    assert again.first_missing == 0
    assert again.moments.count == 0
    assert "it starts again" in capsys.readouterr().err
    assert filled(again).statistics(KEEP + (harm == "keep"), 3).count == N


def test_ranks_give_theirs_to_the_first():
    one, other = moments(), moments()
    for number, indices in enumerate(torch.arange(N).split(7)):
        (one, other)[number % 2].write(indices, rows(indices))
    for piece in other.pieces():
        one.take(piece())
    assert one.first_missing is None
    assert np.array_equal(one.columns["logits"][:, 0], np.arange(N))
    same(one, filled(FeatureTable(N, SPEC)))


def test_the_cache_has_a_file_for_each_choice_and_prefers_a_table(tmp_path, capsys):
    folder = cached_table(tmp_path, SPEC, N)
    assert recall(folder, moments()) is None
    filled(moments()).save(folder)
    same(recall(folder, moments()), filled(FeatureTable(N, SPEC)))
    assert recall(folder, moments(keep=KEEP + 1)) is None
    assert recall(folder, FeatureTable(N, SPEC)) is None
    filled(FeatureTable(N, SPEC)).save(folder)
    assert not isinstance(recall(folder, moments()), MomentTable)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(b"damaged")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert recall(folder, moments()) is None
    assert "it is made anew" in capsys.readouterr().err


def test_a_full_disk_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write into .*file"):
        filled(moments()).save(tmp_path / "file" / "below")


def test_a_table_on_disk_does_not_stay_in_memory(tmp_path):
    """200 MB go through a table, and less than half of them count as the process's memory."""
    wide, many, size = 2048, 24_000, 500
    spec = FeatureSpec("wide", wide)
    block = torch.ones(size, wide)
    table = FeatureTable(many, spec, tmp_path / "table")
    before = resident()
    most = 0
    for indices in torch.arange(many).split(size):
        table.write(indices, {"features": block})
        most = max(most, resident() - before)
    assert most < MAPPED_BYTES + 2**25
    before, most = resident(), 0
    for begin in range(0, many, size):
        assert table.rows("features", slice(begin, begin + size)).sum() == size * wide
        most = max(most, resident() - before)
    assert most < MAPPED_BYTES + 2**25


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_a_distance_of_few_images_takes_the_kept_features():
    """With fewer images than dimensions the distance is computed from the features themselves."""
    pools = [torch.randn(3, 4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    found = []
    for kind in (FeatureTable, MomentTable):
        tables = [kind(3, SPEC, None, *((4, 0) if kind is MomentTable else ())) for _ in pools]
        for table, pool in zip(tables, pools, strict=True):
            table.write(torch.arange(3), {"features": pool})
        a, b = (FeatureSet(table.statistics(4, 0)) for table in tables)
        found.append(frechet_of_statistics(a.statistics, b.statistics))
    assert found[0] == pytest.approx(found[1], rel=1e-9)
