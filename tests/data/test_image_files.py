"""Image files are found in folders, and damaged ones known before training."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.two_domains import two_folders

from ganzoo.data import ImageFolder, Paired, UnpairedFolders
from ganzoo.data.image_files import EXTENSIONS, find_images, has_images, readable_images
from ganzoo.data.images import read_image
from ganzoo.errors import InputError


def test_images_are_found_below_and_sorted(tmp_path, save):
    for name in ("b/2.PNG", "b/10.png", "a.jpg", ".hidden/x.png", "b/._2.png", "__MACOSX/a.jpg"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "far").mkdir()
    (tmp_path / "c").symlink_to(save(tmp_path.parent / f"{tmp_path.name}-other/z.png").parent)
    assert [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)] == [
        "a.jpg",
        "b/10.png",
        "b/2.PNG",
        "c/z.png",
    ]
    with pytest.raises(InputError, match="no images in"):
        find_images(tmp_path / "far")
    with pytest.raises(InputError, match="no folder"):
        find_images(tmp_path / "nowhere")


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def written(path: Path) -> bytes:
    """An image of noise in the kind that the name says; pbm has one bit."""
    image = Image.fromarray(NOISE)
    (image.convert("1") if path.suffix == ".pbm" else image).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("extension", sorted(EXTENSIONS - {".apng", ".jpc", ".jpf", ".jpx"}))
def test_what_cannot_be_read_is_found_beforehand_in_every_kind_of_file(tmp_path, extension):
    """Whole, cut, and with more behind: what is found is what read_image refuses."""
    path = tmp_path / f"x{extension}"
    content = written(path)
    assert find_images(tmp_path) == [path]
    assert readable_images([path]) == {path: (64, 64)}
    refused = 0
    for changed in (content[:-2], content[:-20], content[: len(content) // 2], content + b"\0" * 9, content + b"more" * 99):
        path.write_bytes(changed)
        for check in ("refuse", "skip"):
            try:
                read_image(path, 3)
            except InputError:
                refused += 1
                with pytest.raises(InputError, match=rf"x\{extension}: .*repair or delete it"):
                    readable_images([path], check)
            else:
                assert readable_images([path], check) == {path: (64, 64)}
    assert refused >= 2


def modules(root: Path, **options):
    """All data that read folders, over one damaged file of theirs."""
    yield ImageFolder(str(root / "one"), size=8, val_share=0, **options)
    yield two_folders(root / "one", root / "one", size=8, val_share=0, **options)
    for kind in (Paired, UnpairedFolders):
        yield kind(str(root / "two"), size=8, load_size=8, val_share=0, **options)


@pytest.fixture
def one_cut_short(tmp_path) -> Path:
    for folder in ("one/cat", "two/A", "two/B"):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(4):
            written(tmp_path / folder / f"{i}.jpg")
    for path in (tmp_path / "one/cat/2.jpg", tmp_path / "two/A/2.jpg"):
        path.write_bytes(path.read_bytes()[:-20])
    return tmp_path


def test_a_damaged_file_is_refused_or_passed_over(one_cut_short, capsys):
    for data in modules(one_cut_short):
        with pytest.raises(InputError, match=r"2\.jpg: .*; repair or delete it, or give damaged: skip"):
            data.setup()
    capsys.readouterr()
    for data in modules(one_cut_short, damaged="skip"):
        data.setup()
        said = capsys.readouterr().err
        assert "images are damaged and skipped: " in said
        assert "2.jpg" in said
        lengths = {"Domains": 3, "ImageFolder": 3, "Paired": 3, "UnpairedFolders": 4}
        assert len(data.train_set) == lengths[type(data).__name__]
        for index in range(len(data.train_set)):
            assert len(data.train_set[index])


def test_a_file_damaged_in_its_middle_is_passed_over_if_that_is_wanted(tmp_path):
    content = written(tmp_path / "whole.png")
    half = len(content) // 2
    (tmp_path / "wrong.png").write_bytes(content[:half] + bytes(64) + content[half + 64 :])
    paths = sorted(tmp_path.iterdir())
    assert list(readable_images(paths, "skip")) == [tmp_path / "whole.png"]
    # its end is there: found when it is read, and named
    assert list(readable_images(paths)) == paths
    with pytest.raises(InputError, match=r"wrong\.png: .*repair or delete it"):
        read_image(paths[1], 3)


def test_damaged_files_are_counted(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"0\.png: it is empty; .*skip to do without \(4 more of 5 cannot be read\)"):
        readable_images(sorted(tmp_path.iterdir()))
    with pytest.raises(InputError, match="it is empty"):
        readable_images(sorted(tmp_path.iterdir()), "skip")


def test_what_is_passed_over_is_counted(tmp_path, save, capsys):
    save(tmp_path / "a.png")
    for name in ("b.heic", "c.HEIC", "d.mp4", "e", "notes.txt", "labels.csv", ".hidden.raw"):
        (tmp_path / name).write_text("x")
    assert len(find_images(tmp_path)) == 1
    assert "1 images; files of other kinds are skipped: 2 .heic, 1 .mp4, 1 without extension\n" in capsys.readouterr().err
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"no images in .*; there are 2 \.heic"):
        find_images(tmp_path)


def test_a_folder_counts_once_whatever_links_lead_to_it(tmp_path, save):
    save(tmp_path / "top/in/1.png")
    outside = save(tmp_path / "outside/2.png").parent
    for link, target in {"again": ".", "in/up": "..", "a": "in", "in/far": outside, "z": outside, "all": tmp_path}.items():
        (tmp_path / "top" / link).symlink_to(target)
    (outside / "back").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path / "top").as_posix() for path in find_images(tmp_path / "top")]
    assert found == ["in/1.png", "z/2.png"]


def test_links_to_nothing_and_pipes(tmp_path, save):
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "nowhere").symlink_to("absent")
    assert [path.name for path in find_images(tmp_path)] == ["a.png"]
    for name, target in (("b.png", "absent"), ("c.png", "c.png")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(InputError, match=rf"{name}: "):
            readable_images(find_images(tmp_path))
        (tmp_path / name).unlink()


def test_a_line_break_in_a_name_leaves_one_line(tmp_path):
    (tmp_path / "a\nb.png").write_text("no image")
    with pytest.raises(InputError, match=r"a\\nb\.png") as caught:
        readable_images(find_images(tmp_path))
    assert "\n" not in str(caught.value)


def test_nearly_black_images_are_said_and_what_to_give(tmp_path, capsys):
    for i in range(10):
        values = np.random.default_rng(i).integers(0, 4096, (8, 8)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"{i}.png")
    options = {"size": 8, "channels": 1, "val_share": 0.0}
    ImageFolder(str(tmp_path), **options).setup()
    assert "are nearly black, 0 to 16 of 255: if their files hold 12 bits, give max_value: 4095\n" in capsys.readouterr().err
    right = ImageFolder(str(tmp_path), **options, max_value=4095)
    right.setup()
    assert "black" not in capsys.readouterr().err
    assert right.train_set[0].x.max() > 200
    with pytest.raises(InputError, match=r"max_value is 0"):
        ImageFolder(str(tmp_path), max_value=0)


def test_all_data_know_the_value_that_is_white(tmp_path):
    for folder in ("one/cat", "two/A", "two/B"):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((8, 8), 4095 - i, np.uint16)).save(tmp_path / folder / f"{i}.png")
    for data in modules(tmp_path, max_value=4095, mirror=False):
        data.setup()
        assert {int(image.max()) for image in data.train_set[0] if image.dtype == torch.uint8} == {255}
    for split in ("train", "val"):
        for folder in ("one/cat", "two/A", "two/B"):
            (tmp_path / "splits" / folder / split).mkdir(parents=True)
            Image.fromarray(np.full((8, 8), 4095, np.uint16)).save(tmp_path / "splits" / folder / split / "0.png")
    root = tmp_path / "splits"
    (root / "one/cat/train").rename(root / "one/train")
    (root / "one/cat/val").rename(root / "one/val")
    (root / "one/cat").rmdir()
    for kind, where in ((ImageFolder, "one"), (Paired, "two"), (UnpairedFolders, "two")):
        options = {} if kind is ImageFolder else {"load_size": 8}
        data = kind(str(root / where), size=8, max_value=4095, **options)
        data.setup()
        assert {int(image.max()) for image in data.val_set[0]} == {255}


def test_a_folder_called_like_an_image_is_none(tmp_path, save):
    (tmp_path / "top/album.png/.hidden").mkdir(parents=True)
    save(tmp_path / "top/album.png/.hidden/1.png")
    assert not has_images(tmp_path / "top")
    save(tmp_path / "top/album.png/1.png")
    assert has_images(tmp_path / "top")
