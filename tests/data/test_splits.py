"""Splits and classes: one place knows them, and a test image is never trained on."""

import os
import sys
from pathlib import Path

import pytest
from support.two_domains import two_folders

from ganzoo.data import Domains, ImageFolder, Paired, UnpairedFolders
from ganzoo.data.splits import is_held_out, refuse_splits, side_of, split_of
from ganzoo.errors import InputError


def ready(data):
    data.setup()
    return data


def trained(data) -> list[str]:
    """Paths that are trained on, from whichever data."""
    dataset = data.train_set
    if isinstance(data, UnpairedFolders):
        paths = [*dataset.x, *dataset.y]
    elif isinstance(data, Domains):
        paths = [file.path for domain in (dataset.source, dataset.target) for file in domain.items]
    elif isinstance(data, Paired):
        paths = [path for file in dataset.items for path in file.paths]
    else:
        paths = [file.path for file in dataset.items]
    return [path.as_posix() for path in paths]


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Train TRAIN training Training_Set train2017 train-2 trainval train_images training_data"),
        ("val", "val Val valid VALID validation dev val2017 val_256 validation-set"),
        ("test", "test Test testing eval TEST test2014 Test_Images evaluation test1"),
        (None, "trains contest tested trainA value development testament cat train_station evaluate data 2017 t set"),
    ],
)
def test_what_a_folder_is_called(split, names):
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


def test_what_a_folder_of_one_side_is_called():
    assert [side_of(name, "A") for name in ("trainA", "TrainA", "test_a", "val-A", "devA")] == [
        *("train", "train", "test", "val", "val")
    ]
    assert [side_of(name, "A") for name in ("trainB", "train", "A", "data", "cata", "")] == [None] * 6


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("Train", ["Test"]),
        ("TRAIN", ["VAL", "TEST"]),
        ("train", ["valid", "test"]),
        ("training", ["validation"]),
        ("train2017", ["val2017", "test2017"]),
        ("Training Set", ["Test Set"]),
        ("train", ["dev", "eval"]),
    ],
)
def test_splits_by_every_usual_name(tmp_path, save, train, held_out):
    """In ImageFolder, Paired in all forms, UnpairedFolders and Domains."""
    for i, split in enumerate((train, *held_out)):
        save(tmp_path / "one" / split / "cat" / "1.png", 8, 8, seed=i)
        save(tmp_path / "side" / split / "1.png", 8, 16, seed=i)
        for side in "AB":
            save(tmp_path / "ab" / side / split / "1.png", 8, 8, seed=i)
            save(tmp_path / "inside" / split / side.lower() / "1.png", 8, 8, seed=i)
            save(tmp_path / "named" / f"{split}_{side}" / "1.png", 8, 8, seed=i)
    root = str(tmp_path / "one")
    every = [ImageFolder(root), ImageFolder(root, labelled=True), Paired(str(tmp_path / "side")), two_folders(root, root)]
    for form in ("ab", "inside", "named"):
        every += [Paired(str(tmp_path / form)), UnpairedFolders(str(tmp_path / form))]
    every += [kind(str(tmp_path / "ab/A"), str(tmp_path / "ab/B")) for kind in (Paired, UnpairedFolders)]
    for data in map(ready, every):
        names = trained(data)
        assert names
        assert all(f"/{train}" in name for name in names)
        assert len(data.val_set) > 0
        assert len(data.test_set) > 0
    assert every[0].val_set.items[0].path.parts[-3] == held_out[0]
    assert every[0].test_set.items[0].path.parts[-3] == held_out[-1]


def test_sides_may_be_spelled_unlike(tmp_path, save):
    for name in ("trainA", "TrainB", "testA", "TESTb"):
        save(tmp_path / name / "1.png", 8, 8)
    assert len(trained(ready(UnpairedFolders(str(tmp_path))))) == 2
    for name in ("A/train", "b/Train", "A/VAL", "b/valid"):
        save(tmp_path / "pairs" / name / "1.png", 8, 8)
    data = ready(Paired(str(tmp_path / "pairs")))
    assert (len(data.train_set), len(data.val_set)) == (1, 1)
    save(tmp_path / "pairs/A/test/1.png", 8, 8)
    with pytest.raises(InputError, match=r"the same splits: A has train, val, test and B train, val"):
        ready(Paired(str(tmp_path / "pairs")))


@pytest.mark.parametrize("names", [("val", "test"), ("test",), ("Eval",)])
def test_held_out_images_alone_are_not_trained_on(tmp_path, save, names):
    for name in names:
        save(tmp_path / "one" / name / "cat" / "1.png", 8, 8)
        save(tmp_path / "side" / name / "1.png", 8, 16)
        save(tmp_path / "two" / f"{name}A" / "1.png", 8, 8)
        save(tmp_path / "two" / f"{name}B" / "1.png", 8, 8)
    root = str(tmp_path / "one")
    every = [ImageFolder(root, labelled=True), Paired(str(tmp_path / "side")), UnpairedFolders(str(tmp_path / "two"))]
    for data in map(ready, (*every, Paired(str(tmp_path / "two")), two_folders(root, root))):
        with pytest.raises(InputError, match=rf"no train images in .*its splits: .*{names[-1]}") as caught:
            data.train_dataloader()
        assert "\n" not in str(caught.value)
        loaders = data.test_dataloader()
        assert len(next(iter(loaders[0] if isinstance(loaders, list) else loaders))) > 0


def test_a_class_may_be_called_train(tmp_path, save):
    """As in VisDA-2017, whose folders train and validation hold one."""
    for split in ("train", "validation"):
        for i, name in enumerate(("car", "plane", "train")):
            for k in range(3):
                save(tmp_path / split / name / f"{k}.png", 8, 8, seed=i)
    whole = ready(ImageFolder(str(tmp_path), size=8, labelled=True))
    assert whole.class_names == ["car", "plane", "train"]
    assert (len(whole.train_set), len(whole.val_set)) == (9, 9)
    half = ready(ImageFolder(str(tmp_path / "train"), size=8, labelled=True, val_share=0))
    assert half.class_names == ["car", "plane", "train"]
    assert sorted({int(half.train_set[i].y) for i in range(9)}) == [0, 1, 2]
    data = ready(two_folders(tmp_path / "train", tmp_path / "validation", size=8))
    assert list(data.class_names) == ["car", "plane", "train"]
    # without classes it is not clear, and there is a way to say it
    with pytest.raises(InputError, match=r"has train beside car, plane: .*splits: false"):
        ready(ImageFolder(str(tmp_path / "train"), size=8))
    assert len(ready(ImageFolder(str(tmp_path / "train"), size=8, splits=False, val_share=0)).train_set) == 9


def test_classes_called_like_splits_when_there_are_no_splits(tmp_path, save):
    for name in ("cat", "test", "val"):
        save(tmp_path / name / "1.png", 8, 8)
        save(tmp_path / name / "2.png", 8, 8)
    data = ready(ImageFolder(str(tmp_path), size=8, labelled=True, splits=False, val_share=0))
    assert data.class_names == ["cat", "test", "val"]
    assert len(data.train_set) == 6
    assert two_folders(tmp_path, tmp_path, size=8, splits=False).classes == 3


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat/1", "dog/1", "test/1"], r"has test beside cat, dog: .*splits: false"),
        (["1", "test/1"], r"has test beside images"),
        (["train/cat/1", "holdout/cat/1"], r"has train beside holdout"),
        (["train/1", "Train2/1", "test/1"], r"has Train2 and train, both to train on"),
        (["train/1", "val/1", "valid/1"], r"has val and valid, both to validate on"),
        (["cat/train/1", "cat/test/1", "dog/train/1"], r"cat/test is called like a split.*move it to .*/test"),
        (["images/train/1", "images/val/1"], r"images/val is called like a split.*or give .*images if"),
        (["train/cat/test/1", "test/cat/1"], r"cat/test is called like a split"),
        (["trainA/1", "trainB/1", "testA/1"], r"has testA, trainA, trainB, splits of the two sides"),
    ],
)
def test_what_could_be_a_split_is_not_guessed(tmp_path, save, names, message):
    for i, name in enumerate(names):
        save(tmp_path / f"{name}.png", 8, 8, seed=i)
    for labelled in (False, True):
        with pytest.raises(InputError, match=message) as caught:
            ready(ImageFolder(str(tmp_path), size=8, labelled=labelled))
        assert "\n" not in str(caught.value)
    assert len(ready(ImageFolder(str(tmp_path), size=8, splits=False, val_share=0)).train_set) == len(names)


def test_folders_without_images_are_no_splits_and_no_matter(tmp_path, save, capsys):
    for name in ("train/1.png", "val/1.png"):
        save(tmp_path / name, 8, 8)
    for name in ("annotations", "test", "testA"):
        (tmp_path / name).mkdir()
    (tmp_path / "annotations/all.json").write_text("{}")
    with pytest.raises(InputError, match="has testA"):
        ready(ImageFolder(str(tmp_path), size=8))
    (tmp_path / "testA").rmdir()
    data = ready(ImageFolder(str(tmp_path), size=8))
    assert [file.path.parent.name for file in data.test_set.items] == ["val"]
    assert "there are no images in test" in capsys.readouterr().err
    save(tmp_path / "preview.png", 8, 8)
    assert len(ready(ImageFolder(str(tmp_path), size=8)).train_set) == 1
    assert "the images beside train, val are skipped" in capsys.readouterr().err


def test_empty_class_folders_are_no_classes_and_said(tmp_path, save, capsys):
    for name in ("cat", "dog"):
        save(tmp_path / name / "1.png", 8, 8)
    for name in ("empty", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes/readme.txt").write_text("x")
    data = ready(ImageFolder(str(tmp_path), size=8, labelled=True, val_share=0))
    assert (data.classes, data.class_names) == (2, ["cat", "dog"])
    assert "there are no images in empty, notes" in capsys.readouterr().err
    # a target may lack images of a class, and its labels still count by the source's names
    save(tmp_path / "target/dog/1.png", 8, 8)
    (tmp_path / "target/cat").mkdir()
    (tmp_path / "source").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / name).rename(tmp_path / "source" / name)
    data = ready(two_folders(tmp_path / "source", tmp_path / "target", size=8, val_share=0))
    assert [int(sample.y) for sample in data.test_set.datasets[1]] == [1]
    (tmp_path / "target/cat").rmdir()
    with pytest.raises(InputError, match=r"the same classes: only .*source has cat"):
        two_folders(tmp_path / "source", tmp_path / "target", size=8)
    (tmp_path / "source/cat/1.png").unlink()
    (tmp_path / "source/dog/1.png").unlink()
    with pytest.raises(InputError, match=r"a folder for each class, and .* has none with images"):
        ImageFolder(str(tmp_path / "source"), labelled=True)


def test_a_link_to_a_training_image_is_not_held_out(tmp_path, save):
    for name in ("train/1.png", "train/2.png", "val/3.png"):
        save(tmp_path / name, 8, 8)
    (tmp_path / "val/4.png").symlink_to(tmp_path / "train/1.png")
    with pytest.raises(InputError, match=r"val/4\.png is held out and .*train/1\.png trains, and both are one file"):
        ready(ImageFolder(str(tmp_path), size=8))
    (tmp_path / "val/4.png").unlink()
    (tmp_path / "test").symlink_to("train")
    with pytest.raises(InputError, match=r"and 1 more"):
        ready(ImageFolder(str(tmp_path), size=8))
    (tmp_path / "test").unlink()
    (tmp_path / "test").symlink_to("val")
    assert len(ready(ImageFolder(str(tmp_path), size=8)).test_set) == 1


@pytest.mark.skipif(sys.platform == "darwin", reason="this system has no such names")
def test_names_that_are_not_utf8(tmp_path, save):
    for i in range(12):
        save(tmp_path / f"{i}.png", 8, 8, seed=i)
    os.rename(os.fsencode(tmp_path / "0.png"), os.fsencode(tmp_path) + b"/caf\xe9.png")
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9j\xe0"))
    os.mkdir(folder)
    save(folder / "1.png", 8, 8)
    data = ready(ImageFolder(str(tmp_path), size=8, batch_size=13, val_share=0))
    assert next(iter(data.train_dataloader())).x.shape == (13, 3, 8, 8)
    name = os.fsdecode(b"caf\xe9.png")
    assert is_held_out(name, 0.999)
    assert is_held_out(name, 0.2) == is_held_out(name, 0.2)
    assert not is_held_out(name, 0.0)


def test_a_folder_to_measure_has_no_splits(tmp_path, save):
    for name in ("Train", "test"):
        save(tmp_path / name / "1.png", 8, 8)
    with pytest.raises(InputError, match="has the splits Train, test: give one of them"):
        refuse_splits(tmp_path)
    refuse_splits(tmp_path / "test")
