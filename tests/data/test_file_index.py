"""The sizes of very many files are remembered between runs; what has changed is checked again."""

import os
from pathlib import Path

import pytest

from ganzoo.data import image_files
from ganzoo.data.file_index import FileIndex
from ganzoo.data.image_files import readable_images
from ganzoo.errors import InputError


@pytest.fixture
def files(tmp_path, save, monkeypatch) -> list[Path]:
    """Six images in two folders, which count as many, and a cache of the test's own."""
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(image_files, "_MANY", 6)
    names = ["a/1.png", "a/2.png", "b/1.jpg", "b/\u00e9.png", "b/in/3.png", os.fsdecode(b"b/\xff.png")]
    return sorted(save(tmp_path / "root" / name, 4 + i, 7) for i, name in enumerate(names))


def checked(files: list[Path], damaged="refuse", max_value=None) -> tuple[dict, list[Path]]:
    """The sizes, and which files were opened to find them."""
    opened: list[Path] = []
    look = image_files._size_or_error

    def noted(path, **options):
        opened.append(path)
        return look(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_files, "_size_or_error", noted)
        return readable_images(files, damaged, max_value), opened


def test_what_has_not_changed_is_not_opened_again(files, tmp_path):
    sizes, opened = checked(files)
    assert opened == sorted(files, key=os.fspath)
    assert sorted(sizes.values()) == [(4 + i, 7) for i in range(6)]
    again, opened = checked(list(reversed(files)))
    assert opened == []
    assert again == sizes
    assert list(again) == list(sizes)
    (index,) = (tmp_path / "cache/images").iterdir()
    assert index.suffix == ".npz"
    # another check is another index: a damaged file may pass one and not the other
    assert len(checked(files, "skip")[1]) == 6
    assert len(checked(files, max_value=4095.0)[1]) == 6
    assert checked(files[:5])[1] == files[:5]  # few enough to be checked each time


def test_what_has_changed_or_is_new_is_checked(files, save):
    sizes, _ = checked(files)
    stamp = os.stat(files[1])
    save(files[0], 30, 20)  # another length
    os.utime(files[0], ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    os.utime(files[1], ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))  # another time
    new = save(files[0].with_name("0.png"), 9, 9)
    found, opened = checked([*files, new])
    assert sorted(opened) == sorted([files[0], files[1], new])
    assert found == {**sizes, files[0]: (30, 20), new: (9, 9)}
    assert checked([*files, new])[1] == []
    files[2].unlink()
    with pytest.raises(InputError, match="No such file"):
        checked([*files, new])
    assert checked([*files[:2], *files[3:], new])[1] == []


def test_damaged_files_are_never_remembered(files):
    whole = files[3].read_bytes()
    files[3].write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        with pytest.raises(InputError, match="repair or delete it"):
            checked(files)
    files[3].write_bytes(whole)
    assert checked(files)[1] == [files[3]]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and then nothing"])
def test_a_damaged_index_is_made_anew(files, tmp_path, content):
    sizes, _ = checked(files)
    (index,) = (tmp_path / "cache/images").iterdir()
    index.write_bytes(content)
    assert checked(files) == (sizes, sorted(files, key=os.fspath))
    assert checked(files) == (sizes, [])


def test_a_cache_that_cannot_be_written_is_done_without(files, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    sizes, _ = checked(files)
    assert checked(files) == (sizes, sorted(files, key=os.fspath))
    assert FileIndex(files, "x").recall() == {}
