"""Emoji, on small packages of npm's form: fetching, what is unpacked, pixels, classes, splits."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from support.emoji_packages import CATEGORIES, CODES, GOOGLE, OFFICE_WORKERS, TEST, VAL, numbers, pack, sha512

from ganzoo.data import Emoji, emoji
from ganzoo.data.batches import LabelledImages
from ganzoo.data.emoji import CLASSES, part_of, split_group
from ganzoo.errors import InputError


def expect(monkeypatch, archive: Path) -> None:
    """Has ganzoo take this archive for the published one."""
    monkeypatch.setattr(emoji, "GOOGLE_SHA512", sha512(archive))


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A data folder with the archive, and no npm."""
    folder = tmp_path / "data"
    expect(monkeypatch, pack(folder / f"{GOOGLE}.tgz", "google"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return folder


def test_only_what_is_needed_is_unpacked_and_decoded_once(root):
    data = Emoji(root=str(root))
    data.prepare_data()
    folder = root / GOOGLE
    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "README.md", "emoji.json", "images.npy", "img"]
    found = {path.relative_to(folder / "img").as_posix() for path in (folder / "img").rglob("*") if path.is_file()}
    assert found == {f"google/64/{code.lower()}.png" for code in CODES}
    assert sorted(path.name for path in root.iterdir() if "google" in path.name) == [GOOGLE, f"{GOOGLE}.tgz"]
    # from here on neither the archive nor the files are opened
    (root / f"{GOOGLE}.tgz").unlink()
    for path in (folder / "img").rglob("*.png"):
        path.write_bytes(b"")
    Emoji(root=str(root)).prepare_data()
    (folder / "images.npy").unlink()
    with pytest.raises(InputError, match=r"cannot read the image .*google/64/.*\.png"):
        Emoji(root=str(root)).prepare_data()


def test_a_cache_of_another_form_is_made_again(root):
    data = Emoji(root=str(root))
    data.prepare_data()
    wanted = data.design.images()
    path = root / GOOGLE / "images.npy"
    for other in (np.zeros((2, 3, 64, 64), np.uint8), np.zeros(wanted.shape, np.float32)):
        np.save(path, other)
        assert torch.equal(data.design.images(), wanted)
    path.write_bytes(path.read_bytes()[:-1])
    assert torch.equal(data.design.images(), wanted)


def test_images_are_on_white_and_labelled_by_category(root):
    data = Emoji(root=str(root), batch_size=5)
    data.prepare_data()
    data.setup()
    assert (data.shape, data.classes, data.class_names) == ((3, 64, 64), 9, CLASSES)
    assert [image.code for image in data.design.listed()] == CODES
    parts = {"train": data.train_set, "val": data.val_set, "test": data.test_set}
    seen = []
    for name, part in parts.items():
        for sample, number in zip(part, numbers(part.samples.x), strict=False):
            assert type(sample) is LabelledImages
            assert part_of(CODES[number]) == name
            assert CLASSES[int(sample.y)] == CATEGORIES[number]
            # of black on white, a fifth of the light is taken away
            fifth = [255 - (255 - value) * 51 / 255 for value in (number, 10, 0)]
            assert sample.x[:, 5, 5].tolist() == [number, 10, 0]
            assert sample.x[:, 60, 60].float().sub(torch.tensor(fifth)).abs().max() <= 0.5
            assert (sample.x[:, :, :32] == sample.x[:, :1, :1]).all()
            seen.append(number)
    assert sorted(seen) == list(range(len(CODES)))
    assert all(len(part) for part in parts.values())
    batch = next(iter(data.train_dataloader()))
    assert batch.x.shape == (5, 3, 64, 64)
    assert (batch.x.dtype, batch.y.dtype) == (torch.uint8, torch.int64)
    # the first that an image grid shows are of several kinds
    assert numbers(data.val_set.samples.x) != sorted(numbers(data.val_set.samples.x))
    again = Emoji(root=str(root), seed=9)
    again.setup()
    assert torch.equal(again.val_set.samples.x, data.val_set.samples.x)


def test_other_sizes_are_resized_and_only_training_is_mirrored(root):
    small = Emoji(root=str(root), size=16)
    small.prepare_data()
    small.setup()
    assert small.train_set[0].x.shape == small.shape == (3, 16, 16)
    assert numbers(small.train_set.samples.x)[:3] == [int(small.train_set[i].x[0, 8, 2]) for i in range(3)]
    data = Emoji(root=str(root), mirror=True)
    data.setup()
    light_left = [bool(data.train_set[epoch, 0].x[0, 0, 0] > data.train_set[epoch, 0].x[0, 0, 63]) for epoch in range(60)]
    assert 15 < sum(light_left) < 45
    for part in (data.val_set, data.test_set, small.train_set):
        assert all(sample.x[0, 0, 0] < sample.x[0, 0, -1] for sample in part)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("1F600", "1F600"),
        ("2764-FE0F", "2764"),
        ("1F468-200D-1F692", "1F9D1-200D-1F692"),
        ("1F469-200D-1F692", "1F9D1-200D-1F692"),
        ("1F3C3-200D-2642-FE0F", "1F3C3"),
        ("1F3C3-200D-2640-FE0F-200D-27A1-FE0F", "1F3C3"),
        ("1F467", "1F9D2"),
        ("1F1F8-1F1EF", "1F1F3-1F1F4"),
        ("1F46A", split_group("1F468-200D-1F469-200D-1F466")),
        ("0031-FE0F-20E3", "0031-20E3"),
    ],
)
def test_kin(code, wanted):
    assert split_group(code) == wanted


def test_the_split_is_told_by_the_code():
    # written down, because a change would move images between the splits of people's finished runs
    assert [code for code in CODES if part_of(code) == "val"] == VAL
    assert [code for code in CODES if part_of(code) == "test"] == TEST
    assert len({part_of(code) for code in OFFICE_WORKERS}) == 1
    shares = [part_of(f"{number:05X}") for number in range(5000)]
    assert shares.count("val") / 5000 == pytest.approx(0.1, abs=0.015)
    assert shares.count("test") / 5000 == pytest.approx(0.1, abs=0.015)


def test_another_archive_is_refused_and_leaves_nothing(root):
    pack(root / f"{GOOGLE}.tgz", "google", {"README.md": b"changed on the way"})
    with pytest.raises(InputError, match=r"google-16\.0\.0\.tgz has the sha512 .*: delete it") as caught:
        Emoji(root=str(root)).prepare_data()
    assert "\n" not in str(caught.value)
    assert not (root / GOOGLE).exists()


@pytest.mark.parametrize("name", ["../../outside", "img/google/sheets/../../../../outside"])
def test_entries_that_leave_the_folder_are_refused_even_if_not_wanted(root, monkeypatch, name):
    expect(monkeypatch, pack(root / f"{GOOGLE}.tgz", "google", {name: b"x"}))
    with pytest.raises(InputError, match="would land outside"):
        Emoji(root=str(root)).prepare_data()
    assert not (root / GOOGLE).exists()
    assert not list(root.parent.rglob("outside"))


@pytest.mark.parametrize("content", [b"", b"[{}]", b'[{"category": "Flags", "sort_order": 1}]', b"not json", b"3"])
def test_a_folder_that_is_not_the_package_is_refused(root, content):
    (root / GOOGLE).mkdir()
    (root / GOOGLE / "emoji.json").write_bytes(content)
    for call in (Emoji(root=str(root)).prepare_data, Emoji(root=str(root)).setup):
        with pytest.raises(InputError, match=r"google-16\.0\.0 is not the unpacked emoji-datasource-google") as caught:
            call()
        assert "\n" not in str(caught.value)


def fake_npm(tmp_path: Path, monkeypatch, script: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    os.chmod(folder / "npm", 0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


def test_npm_fetches_what_is_missing(tmp_path, monkeypatch):
    packed = pack(tmp_path / "elsewhere" / f"{GOOGLE}.tgz", "google")
    expect(monkeypatch, packed)
    fake_npm(tmp_path, monkeypatch, f'echo "$@" >> {tmp_path}/asked; cp {packed} .')
    data = Emoji(root=str(tmp_path / "new" / "data"))
    for _ in range(2):
        data.prepare_data()
    data.setup()
    assert len(data.train_set) + len(data.val_set) + len(data.test_set) == len(CODES)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["pack emoji-datasource-google@16.0.0 --ignore-scripts --pack-destination ."]
    assert sorted(path.name for path in (tmp_path / "new" / "data").iterdir()) == [GOOGLE, f"{GOOGLE}.tgz"]


def test_npm_that_brings_something_else_is_not_believed(tmp_path, monkeypatch):
    packed = pack(tmp_path / "elsewhere" / f"{GOOGLE}.tgz", "google")
    fake_npm(tmp_path, monkeypatch, f"cp {packed} .")
    with pytest.raises(InputError, match="sha512"):
        Emoji(root=str(tmp_path)).prepare_data()
    assert not (tmp_path / GOOGLE).exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'npm warn old' >&2; echo 'npm error code E404' >&2; echo 'npm error 404 Not Found' >&2; exit 1",
            "code E404; 404 Not Found",
        ),
        ("exit 3", "without a word"),
        ("true", "without a word"),
    ],
)
def test_when_npm_fails_it_says_what_to_put_where(tmp_path, monkeypatch, script, said):
    fake_npm(tmp_path, monkeypatch, script)
    folder = tmp_path / "data"
    with pytest.raises(InputError) as caught:
        Emoji(root=str(folder)).prepare_data()
    assert str(caught.value) == (
        f"`npm pack emoji-datasource-google@16.0.0` fails ({said}): get it with "
        f"`npm pack emoji-datasource-google@16.0.0` and put {GOOGLE}.tgz in the folder {folder}"
    )
    assert list(folder.iterdir()) == []


def test_without_npm_it_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=rf"`npm pack emoji-datasource-google@16\.0\.0` and put .* {tmp_path}$"):
        Emoji(root=str(tmp_path)).prepare_data()


def test_sizes_must_be_positive():
    with pytest.raises(InputError, match="size is 0"):
        Emoji(size=0)
