"""Tables of features: resumed where they were left, cached whole or not at all, and another folder for whatever matters."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.known_metrics import Pixels, Tiny

import ganzoo.evaluation.table as tables
from ganzoo.errors import InputError
from ganzoo.evaluation.batches import ImageBatch
from ganzoo.evaluation.cache import cache_folder, cached_table, recall
from ganzoo.evaluation.features import Wanted, check_labels, conversion, extract, first_batch, sizes
from ganzoo.evaluation.table import FeatureTable
from ganzoo.metrics.reservoir import Reservoir, subsample
from ganzoo.metrics.statistics import Statistics

SPEC = Tiny().spec("x of 0123", "val")
N = 130


def rows(indices: torch.Tensor, seed: int = 0) -> dict[str, torch.Tensor]:
    pool = torch.randn(N, 4, generator=torch.Generator().manual_seed(seed))
    return {"features": pool[indices], "labels": indices % 3}


def full(folder: Path | None = None, count: int = N, spec=SPEC) -> FeatureTable:
    made = FeatureTable(count, spec, folder)
    made.write(torch.arange(count), rows(torch.arange(count)))
    return made


def batches(n: int, size: int, begin: int = 0, images=None):
    images = torch.arange(n * 4, dtype=torch.uint8).view(n, 1, 2, 2) if images is None else images
    for indices in torch.arange(n).split(size)[begin:]:
        yield ImageBatch("", indices, images[indices], indices % 3)


# -- rows ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_rows_in_any_order_are_the_table(tmp_path, where):
    made = FeatureTable(N, SPEC, tmp_path / "table" if where == "disk" else None)
    assert made.first_missing == 0
    for indices in reversed(torch.arange(N).split(7)):
        made.write(indices, rows(indices))
    assert made.first_missing is None
    assert torch.equal(made.rows("features", slice(None)), rows(torch.arange(N))["features"])
    assert torch.equal(made.labels, torch.arange(N) % 3)
    assert made.labelled(1).tolist() == list(range(1, N, 3))
    if where == "disk":  # which anybody can read
        made.flush()
        assert np.array_equal(np.load(tmp_path / "table" / "features.npy"), rows(torch.arange(N))["features"].numpy())


def test_statistics_are_those_of_the_features_whatever_the_batches():
    x = rows(torch.arange(N))["features"]
    found, wanted = full().statistics(20, 3), Statistics.of(x, SPEC, keep=20)
    assert torch.allclose(found.mean, wanted.mean, rtol=1e-12)
    assert torch.allclose(found.covariance, wanted.covariance, rtol=1e-12)
    kept = Reservoir(20, 4, seed=3)
    kept.add(x, torch.arange(N))
    assert torch.equal(found.features, kept.rows)
    in_parts = FeatureTable(N, SPEC)
    for indices in reversed(torch.arange(N).split(11)):
        in_parts.write(indices, rows(indices))
    again = in_parts.statistics(20, 3)
    assert torch.equal(again.moment, found.moment)
    assert torch.equal(again.mean, found.mean)


@pytest.mark.parametrize("keep", [0, 1, 7, N, N + 1])
def test_a_subsample_is_what_a_reservoir_keeps(keep):
    indices = np.arange(0, 3 * N, 3)
    kept = Reservoir(keep, 1, seed=5)
    kept.add(torch.from_numpy(indices).float()[:, None], torch.from_numpy(indices))
    assert indices[subsample(indices, keep, 5)].tolist() == kept.indices.tolist()


# -- resumed ------------------------------------------------------------------------------------------------------------


def test_what_was_flushed_is_there_and_the_rest_is_missing(tmp_path):
    first = FeatureTable(N, SPEC, tmp_path / "table")
    first.write(torch.arange(50), rows(torch.arange(50)))
    first.flush()
    first.write(torch.arange(50, 70), rows(torch.arange(50, 70)))  # the process is killed here
    again = FeatureTable(N, SPEC, tmp_path / "table")
    assert again.first_missing == 50
    assert torch.equal(again.rows("features", slice(0, 50)), rows(torch.arange(50))["features"])
    assert first_batch({"": again}, 7) == 7  # the batch that has row 50
    again.write(torch.arange(49, N), rows(torch.arange(49, N)))
    assert torch.equal(again.statistics(10, 0).moment, full().statistics(10, 0).moment)
    assert first_batch({"": again}, 7) is None


@pytest.mark.parametrize("harm", ["done.npy", "features.npy", "about.json", "count", "spec"])
def test_what_cannot_be_used_is_begun_anew_with_a_word(tmp_path, capsys, harm):
    full(tmp_path / "table").flush()
    count, spec = N, SPEC
    if harm == "count":
        count = N + 1
    elif harm == "spec":
        spec = Pixels().spec("x", "val")
    else:
        (tmp_path / "table" / harm).write_text("damaged")
    again = FeatureTable(count, spec, tmp_path / "table")
    assert again.first_missing == 0
    assert again.columns == {}
    assert "what an interrupted evaluation left cannot be used, and it starts again" in capsys.readouterr().err
    again.write(torch.arange(3), rows(torch.arange(3)))


def test_a_full_disk_is_one_line_before_anything_is_written(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables, "_reserve", full_disk)
    with pytest.raises(InputError, match=r"cannot write into .*table: No space left on device"):
        full(tmp_path / "table")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write into .*file/below"):
        FeatureTable(N, SPEC, tmp_path / "file" / "below")


# -- one pass -----------------------------------------------------------------------------------------------------------


def test_a_pass_fills_a_table_and_an_interrupted_one_goes_on(tmp_path):
    tiny = Tiny().eval()
    straight = FeatureTable(23, tiny.spec())
    extract({"": straight}, batches(23, 5), Wanted(tiny, logits=True), 5, lambda n: None)
    assert straight.first_missing is None

    def stopped():
        for number, batch in enumerate(batches(23, 5)):
            if number == 3:
                raise KeyboardInterrupt
            yield batch

    table = FeatureTable(23, tiny.spec(), tmp_path / "table")
    with pytest.raises(KeyboardInterrupt):
        extract({"": table}, stopped(), Wanted(tiny, logits=True), 5, lambda n: None)
    again = FeatureTable(23, tiny.spec(), tmp_path / "table")
    begin = first_batch({"": again}, 5)
    assert begin == 2  # the third batch was in hand
    moved: list[int] = []
    extract({"": again}, batches(23, 5, begin), Wanted(tiny, logits=True), 5, moved.append)
    assert moved == [5, 5, 3]
    for name in ("features", "logits", "labels"):
        assert np.array_equal(again.columns[name], straight.columns[name])
    assert sizes({"": again}) == ["1x2x2"]


def test_labels_that_do_not_fit():
    for y in (torch.tensor([3]), torch.tensor([-1])):
        with pytest.raises(InputError, match=r"there are 3 classes, and the data has labels from -?\d to"):
            check_labels(y, 3)
    with pytest.raises(InputError, match="need labelled images"):
        check_labels(None, 3)
    batch = ImageBatch("", torch.arange(2), torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 3]))
    with pytest.raises(InputError, match="there are 3 classes"):
        Wanted(Tiny(), classes=3).columns(batch)


def test_a_conversion_is_said_once_and_only_where_there_is_one(capsys):
    tiny = Tiny().eval()
    colour = torch.randint(0, 255, (10, 3, 2, 2), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    extract({"": FeatureTable(10, tiny.spec())}, batches(10, 3, images=colour), Wanted(tiny), 3, lambda n: None)
    assert capsys.readouterr().err == "ganzoo: colour images, turned into grey for tiny\n"
    assert conversion(tiny, True) == conversion(None, False) == ""


# -- the cache ----------------------------------------------------------------------------------------------------------


def test_the_usual_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GANZOO_CACHE", raising=False)
    assert cache_folder("default") == tmp_path / ".cache" / "ganzoo" / "features"
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "other"))
    assert cache_folder("default") == tmp_path / "other" / "features"
    assert cache_folder(None) is None
    assert cache_folder("~/mine") == tmp_path / "mine"
    assert cache_folder(tmp_path) == tmp_path


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_there_and_back(tmp_path, where):
    folder = cached_table(tmp_path / "a" / "b", SPEC, N)
    assert recall(folder, FeatureTable(N, SPEC)) is None
    full(tmp_path / "work" if where == "disk" else None).save(folder)
    again = recall(folder, FeatureTable(N, SPEC))
    assert again.first_missing is None
    assert again.columns.keys() == {"features", "labels"}
    assert torch.equal(again.statistics(10, 0).moment, full().statistics(10, 0).moment)
    assert torch.equal(again.statistics_of_class(1, 9, 9, 0).features, full().statistics_of_class(1, 9, 9, 0).features)
    assert folder.name.startswith("tiny-val-")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_whatever_matters_is_another_folder(tmp_path):
    others = [
        *(cached_table(tmp_path, replace(SPEC, **{name: "another"}), N)
          for name in ("extractor", "weights", "resize", "preprocessing", "source", "split")),
        cached_table(tmp_path, replace(SPEC, dimension=5), N),
        cached_table(tmp_path, SPEC, N + 1),
    ]  # fmt: skip
    assert len({cached_table(tmp_path, SPEC, N), *others}) == 1 + len(others)


@pytest.mark.parametrize("name", ["features.npy", "labels.npy", "about.json"])
@pytest.mark.parametrize(
    "harm", [lambda whole: whole[:-20], lambda whole: b"", lambda whole: whole[:199] + b"x" + whole[200:]]
)
def test_damage_is_noticed(tmp_path, name, harm, capsys):
    full().save(tmp_path / "table")
    path = tmp_path / "table" / name
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(InputError, match="damaged"):
        FeatureTable.load(tmp_path / "table", SPEC, N)
    assert recall(tmp_path / "table", FeatureTable(N, SPEC)) is None
    assert "it is made anew" in capsys.readouterr().err
    full().save(tmp_path / "table")
    assert recall(tmp_path / "table", FeatureTable(N, SPEC)) is not None


def test_a_table_under_a_wrong_name_is_refused(tmp_path):
    full().save(tmp_path / "table")
    with pytest.raises(InputError, match="split is 'val' there and 'train' here"):
        FeatureTable.load(tmp_path / "table", replace(SPEC, split="train"), N)
    with pytest.raises(InputError, match=f"count is {N} there and {N + 1} here"):
        FeatureTable.load(tmp_path / "table", SPEC, N + 1)


def test_a_reader_finds_a_whole_table_while_others_write(tmp_path):
    made, stop, found = full(), threading.Event(), []
    made.save(tmp_path / "table")

    def write() -> None:
        while not stop.is_set():
            made.save(tmp_path / "table")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(40):
            found.append(FeatureTable.load(tmp_path / "table", SPEC, N).labels.tolist())
    finally:
        stop.set()
        writer.join()
    assert all(labels == (torch.arange(N) % 3).tolist() for labels in found)
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_a_folder_that_cannot_be_made_and_what_a_killed_process_left(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write into .*file"):
        full().save(tmp_path / "file" / "below")
    full().save(tmp_path / "first")
    with tables.atomic_folder(tmp_path / "half") as part:
        left = part.name.replace(f".{os.getpid()}.", ".99999999.")
        (part / "features.npy").write_text("")
    os.rename(tmp_path / "half", tmp_path / left)
    full().save(tmp_path / "second")
    assert not (tmp_path / left).exists()
