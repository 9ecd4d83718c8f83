"""The splits of very many files are remembered between starts; what has changed in a folder is listed again."""

import json
import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ganzoo.data import ImageFolder, UnpairedFolders, folder_base
from ganzoo.data.folder import DomainFolder
from ganzoo.data.split_cache import CachedFiles, SplitCache, cached_path

ODD = [
    "plain.png",
    "with space.png",
    "é.png",
    "e\u0301.png",
    "line\nbreak.png",
    os.fsdecode(b"\xff\xfe.png"),
    "x/.hidden/no.png",
]


@pytest.fixture(autouse=True)
def few_are_many(tmp_path, monkeypatch):
    """Any number of files counts as very many, folders are settled at once, and the cache is the test's own."""
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(folder_base, "LEAST", 1)


@pytest.fixture
def root(tmp_path, save) -> Path:
    """Two classes, in odd names and deeper folders, and a link to a class elsewhere."""
    for i in range(30):
        save(tmp_path / "root" / ("cat", "dog/in")[i % 2] / f"{i}.png", 8, 8, seed=i)
    for i, name in enumerate(ODD):
        save(tmp_path / "root/cat" / name, 8, 8, seed=100 + i)
    for i in range(4):
        save(tmp_path / "elsewhere" / f"{i}.png", 8, 8, seed=200 + i)
    (tmp_path / "root/fox").symlink_to(tmp_path / "elsewhere")
    settle(tmp_path)
    return tmp_path / "root"


def settle(top: Path) -> None:
    """Folders as if they had not been touched for a minute."""
    past = time.time_ns() - 60 * 10**9
    for folder, _, _ in os.walk(top):
        os.utime(folder, ns=(past, past))


def start(root: Path, kind=ImageFolder, **options) -> ImageFolder:
    data = kind(str(root), size=8, batch_size=4, **options)
    data.setup()
    return data


def items(data) -> list[list]:
    return [[] if each is None else list(each.items) for each in (data.train_set, data.val_set, data.test_set)]


def plain(root: Path, kind=ImageFolder, **options) -> list[list]:
    """The same without a cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_base, "LEAST", 10**9)
        patch.setattr(SplitCache, "recall", lambda *_: None)
        return items(start(root, kind, **options))


def is_cached(data) -> bool:
    return isinstance(data.train_set.items, CachedFiles)


class Looks:
    """Counts what is asked of the file system about single files, and the folders that are listed."""

    def __init__(self, monkeypatch) -> None:
        self.listed, self.opened = [], []
        scandir = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: self.listed.append(os.fspath(path)) or scandir(path))
        from ganzoo.data import image_files

        monkeypatch.setattr(image_files, "_size_or_error", lambda path, **_: self.opened.append(path))


@pytest.mark.parametrize("options", [{}, {"labelled": True}, {"val_share": 0.4, "damaged": "skip"}, {"val_share": 0.0}])
def test_a_second_start_has_the_same_files_and_lists_none(root, options, monkeypatch, capsys):
    wanted = plain(root, **options)
    assert any("\udcff" in file.name for file in wanted[0] + wanted[1])
    first = start(root, **options)
    assert is_cached(first)
    assert items(first) == wanted
    assert "are known from" not in capsys.readouterr().err
    looks = Looks(monkeypatch)
    second = start(root, **options)
    assert items(second) == wanted
    assert looks.opened == []
    assert [path for path in looks.listed if not options.get("labelled") and "cache" not in path] == []
    count = len(wanted[0]) + len(wanted[1])
    assert f"{count} files are known from" in capsys.readouterr().err
    batches = [next(iter(each.train_dataloader())).x for each in (first, second)]
    assert torch.equal(*batches)
    assert second.origin == first.origin != ""


def test_folders_of_splits_are_kept_apart(tmp_path, save, monkeypatch):
    for split, count in (("train", 9), ("Validation", 4), ("test", 3)):
        for i in range(count):
            save(tmp_path / "root" / split / f"{i}.png", 8, 8, seed=i)
    settle(tmp_path)
    wanted = plain(tmp_path / "root")
    for _ in range(2):
        assert items(start(tmp_path / "root")) == wanted
    assert [len(files) for files in wanted] == [9, 4, 3]


def test_two_domains_without_pairs(tmp_path, save):
    for side, count in (("A", 12), ("B", 17)):
        for i in range(count):
            save(tmp_path / "root" / side / "in" / f"{i}.png", 8, 8, seed=i)
    settle(tmp_path)

    def both(**options):
        data = UnpairedFolders(str(tmp_path / "root"), size=8, load_size=8, val_share=0.2, **options)
        data.setup()
        return data, [
            list(each) for each in (data.train_set.x, data.train_set.y, data.val_set.x.items, data.val_set.y.items)
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_base, "LEAST", 10**9)
        _, wanted = both()
    assert all(wanted)
    for _ in range(2):
        data, found = both()
        assert found == wanted
        assert isinstance(data.train_set.x, CachedFiles)
    assert both(direction="BtoA")[1] == [wanted[1], wanted[0], wanted[3], wanted[2]]
    roots = {"root": str(tmp_path / "root/A"), "root_b": str(tmp_path / "root/B")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_base, "LEAST", 10**9)
        wanted_of_two = UnpairedFolders(**roots, size=8, load_size=8, val_share=0.2)
        wanted_of_two.setup()
    data = UnpairedFolders(**roots, size=8, load_size=8, val_share=0.2)
    data.setup()
    assert list(data.train_set.y) == wanted_of_two.train_set.y
    assert all(path.is_file() for path in data.train_set.y)


def test_a_domain_is_shuffled_as_without_the_cache(root):
    for options in ({}, {"val_share": 0.0}):
        wanted = plain(root, DomainFolder, **options)
        for _ in range(2):
            data = start(root, DomainFolder, **options)
            assert items(data) == wanted
    without = data.without_labels(data.train_set.items)
    assert [file.label for file in without] == [None] * len(wanted[0])
    assert {file.label for file in data.train_set.items} == {0, 1, 2}


CHANGES = {
    "a new file": lambda root: os.link(root / "cat/0.png", root / "dog/in/new.png"),
    "a new folder": lambda root: (root / "cat/more").mkdir() or os.link(root / "cat/0.png", root / "cat/more/new.png"),
    "a file that is gone": lambda root: (root / "dog/in/1.png").unlink(),
    "another name": lambda root: (root / "dog/in/1.png").rename(root / "dog/in/one.png"),
    "a file behind a link": lambda root: os.link(root / "cat/0.png", root.parent / "elsewhere/new.png"),
    "another folder behind a link": lambda root: (
        (root / "fox").unlink() or (root / "fox").symlink_to(root / "dog/in")  # whose files are there already
    ),
    "a file of another length": lambda root: (root / "cat/0.png").write_bytes((root / "dog/in/1.png").read_bytes() + b" "),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(root, change, capsys):
    start(root)
    change(root)
    capsys.readouterr()
    found = start(root)
    assert "are known from" not in capsys.readouterr().err
    assert items(found) == plain(root)


def test_a_link_that_leads_elsewhere_is_seen(root, tmp_path, save, capsys):
    """Its target has the same files and the time of the old one, and one file more."""
    start(root)
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "other")
    save(tmp_path / "other/more.png", 8, 8, seed=300)
    old = (tmp_path / "elsewhere").stat()
    os.utime(tmp_path / "other", ns=(old.st_atime_ns, old.st_mtime_ns))
    parent = root.stat()
    (root / "fox").unlink()
    (root / "fox").symlink_to(tmp_path / "other")
    os.utime(root, ns=(parent.st_atime_ns, parent.st_mtime_ns))
    capsys.readouterr()
    assert items(start(root)) == plain(root)


def test_a_folder_that_has_just_changed_is_not_remembered(root, capsys):
    """Its time may stay the same if it changes again at once."""
    os.utime(root / "dog/in")
    for _ in range(2):
        data = start(root)
        assert not is_cached(data)
    assert "are known from" not in capsys.readouterr().err
    settle(root)
    assert is_cached(start(root))


def test_a_change_while_files_are_listed_is_not_missed(root, monkeypatch):
    listed = ImageFolder._files

    def slow(self, folder):
        found = listed(self, folder)
        os.link(root / "cat/0.png", root / "dog/in/late.png")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "_files", slow)
        assert not is_cached(start(root))
    assert items(start(root)) == plain(root)


@pytest.mark.parametrize(
    "option", [{"val_share": 0.5}, {"splits": False}, {"labelled": True}, {"damaged": "skip"}, {"max_value": 4095.0}]
)
def test_other_settings_are_remembered_apart(root, option, capsys):
    start(root)
    capsys.readouterr()
    assert items(start(root, **option)) == plain(root, **option)
    assert "are known from" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["splits.json", "0.names.npy", "0.ends.npy"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"no array"])
def test_a_damaged_cache_is_written_anew(root, tmp_path, name, content):
    start(root)
    (folder,) = (tmp_path / "cache/splits").iterdir()
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    for _ in range(2):
        data = start(root)
        assert is_cached(data)
        assert items(data) == plain(root)
    assert [each.name for each in (tmp_path / "cache/splits").iterdir()] == [folder.name]


def test_a_cache_that_cannot_be_written_is_done_without(root, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    for _ in range(2):
        data = start(root)
        assert not is_cached(data)
        assert items(data) == plain(root)


def test_packed_images_are_listed_each_time(root):
    """The name of a pack depends on each file."""
    start(root)
    for _ in range(2):
        data = start(root, packed=True)
        assert not is_cached(data)
        assert items(data) == plain(root)


def test_few_files_are_listed_each_time(root, monkeypatch):
    count = sum(map(len, plain(root)[:2]))
    for least, cached in ((count + 1, False), (count, True)):
        monkeypatch.setattr(folder_base, "LEAST", least)
        assert is_cached(start(root)) == cached


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_load_the_same_batches(root, method):
    data = start(root)
    loader = data.train_dataloader()
    alone = [batch.x for batch in loader]
    data = start(root, num_workers=2)
    loader = data.train_dataloader()
    loader.multiprocessing_context = method
    assert all(map(torch.equal, alone, [batch.x for batch in loader]))


def test_a_pickle_holds_the_path_alone(root):
    files = start(root).train_set.items
    assert len(pickle.dumps(files)) < 600
    again = pickle.loads(pickle.dumps(files))
    assert list(again) == list(files)
    assert list(files[3:-2:4]) == list(files)[3:-2:4]
    assert files[-1] == list(files)[-1]
    order = np.array([4, 0, 2])
    assert list(files.take(order).take(np.array([2, 1]))) == [files[2], files[0]]
    assert [file.label for file in files.without_labels().take(order)] == [None] * 3
    for index in (len(files), -len(files) - 1):
        with pytest.raises(IndexError, match=f"number {index} is asked for"):
            files[index]


def test_what_was_written_can_be_read_by_anyone(root, tmp_path):
    """One array of names and one of their ends, plain numpy; and text."""
    data = start(root)
    (folder,) = (tmp_path / "cache/splits").iterdir()
    names, ends = (np.load(folder / f"0.{part}.npy") for part in ("names", "ends"))
    first = os.fsdecode(names[: ends[0]].tobytes())
    assert cached_path(str(root), first) == data.train_set.items[0].path
    assert {path for path, _ in json.loads((folder / "splits.json").read_text())["folders"]} == {
        str(root / each) for each in (".", "cat", "cat/x", "dog", "dog/in", "fox")
    }
