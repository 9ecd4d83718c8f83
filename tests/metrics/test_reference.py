"""Statistics of real pictures on disk: whole or not there, and another file for whatever matters."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.known_metrics import Tiny

from ganzoo.errors import InputError
from ganzoo.metrics.extractors.base import Features
from ganzoo.metrics.quality import ByClass, Seen, Settings
from ganzoo.metrics.reference import Reference, folder_of

HEADER = Tiny().header("x of 0123", "val")
N = 30


def reference(folder: Path, **other) -> Reference:
    return Reference(**{"folder": folder, "header": HEADER, "count": N, "settings": Settings(), **other})


def seen(seed: int = 0, header=HEADER, settings=None) -> Seen:
    found = Seen(header, settings or Settings())
    pool = torch.randn(N, 4, generator=torch.Generator().manual_seed(seed))
    found.update(Features(pool, None), torch.arange(N))
    return found


def classes(settings=None) -> ByClass:
    found = ByClass(HEADER, settings or Settings(), 3)
    found.update(Features(seen().statistics.features, None), torch.arange(4), torch.tensor([0, 1, 2, 0]))
    return found


def test_the_usual_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GANZOO_CACHE", raising=False)
    assert folder_of("default") == tmp_path / ".cache" / "ganzoo" / "statistics"
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "other"))
    assert folder_of("default") == tmp_path / "other" / "statistics"
    assert folder_of(None) is None
    assert folder_of("~/mine") == tmp_path / "mine"
    assert folder_of(tmp_path) == tmp_path


def test_there_and_back(tmp_path):
    kept = reference(tmp_path / "a" / "b")
    assert kept.load() is None
    assert kept.load_by_class(3) is None
    kept.save(seen())
    kept.save(classes())
    again = kept.load()
    assert torch.equal(again.statistics.mean, seen().statistics.mean)
    assert torch.equal(again.statistics.moment, seen().statistics.moment)
    assert torch.equal(again.statistics.features, seen().statistics.features)
    assert again.count == N
    assert kept.load_by_class(3).counts == [2, 1, 1]
    assert len(list(kept.folder.iterdir())) == 2
    assert kept.path().name.startswith("tiny-val-")
    assert kept.path(3).name.startswith("tiny-val-classes-")


def test_whatever_matters_is_another_file(tmp_path):
    many = Settings(manifold=True)
    alike = [reference(tmp_path, settings=s) for s in (Settings(), Settings(k=7), Settings(score=True), Settings(subsets=3))]
    assert len({each.path() for each in alike}) == 1
    assert len({reference(tmp_path, settings=replace(many, k=k)).path() for k in (1, 2)}) == 1
    others = [
        *(reference(tmp_path, header=replace(HEADER, **{name: "another"}))
          for name in ("extractor", "weights", "resize", "preprocessing", "source", "split")),
        reference(tmp_path, header=replace(HEADER, dimension=5)),
        reference(tmp_path, count=31),
        reference(tmp_path, settings=many),
        reference(tmp_path, settings=replace(many, keep=99)),
        reference(tmp_path, settings=replace(many, seed=1)),
    ]  # fmt: skip
    assert len({each.path() for each in [*alike, *others]}) == 1 + len(others)
    assert len({each.path(3) for each in [alike[0], *others]}) == 11  # class by class, all features count anyway
    assert len({alike[0].path(n) for n in (0, 3, 4)}) == 3


@pytest.mark.parametrize(
    "harm", [lambda whole: whole[:-20], lambda whole: b"", lambda whole: whole[:99] + b"x" + whole[100:]]
)
def test_damage_is_noticed(tmp_path, harm):
    kept = reference(tmp_path)
    kept.save(seen())
    kept.path().write_bytes(harm(kept.path().read_bytes()))
    with pytest.raises(InputError, match="damaged"):
        kept.load()


def test_a_file_under_a_wrong_name_is_refused(tmp_path):
    kept, other = reference(tmp_path), reference(tmp_path, header=replace(HEADER, split="train"))
    kept.save(seen())
    os.replace(kept.path(), other.path())
    with pytest.raises(InputError, match="split is 'val' there and 'train' here"):
        other.load()
    more = reference(tmp_path, count=31)
    kept.save(seen())
    os.replace(kept.path(), more.path())
    with pytest.raises(InputError, match="count is 30 there and 31 here"):
        more.load()


def test_a_reader_finds_a_whole_file_while_others_write(tmp_path):
    kept, stop, found = reference(tmp_path), threading.Event(), []
    kept.save(seen())

    def write() -> None:
        while not stop.is_set():
            kept.save(seen())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(40):
            found.append(kept.load().count)
    finally:
        stop.set()
        writer.join()
    assert set(found) == {N}
    assert [path.name for path in tmp_path.iterdir()] == [kept.path().name]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write into .*file/below"):
        reference(tmp_path / "file" / "below").save(seen())
