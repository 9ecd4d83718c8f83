"""Paired: the two forms on disk, direction, jitter, errors."""

import pytest
import torch

from ganzoo.data import Paired
from ganzoo.data.batches import ImagePairs
from ganzoo.data.images import read_image
from ganzoo.data.resizing import resize
from ganzoo.errors import InputError


@pytest.fixture
def side_by_side(tmp_path, save):
    """train with 3 files of 16x8, val with 2."""
    for i, name in enumerate(("train/1", "train/2", "train/3", "val/4", "val/5")):
        save(tmp_path / f"{name}.png", 8, 16, seed=i)
    return tmp_path


def test_side_by_side_files(side_by_side):
    data = Paired(str(side_by_side), size=8, load_size=8, mirror=False)
    data.setup()
    assert [len(data.train_set), len(data.val_set), len(data.test_set)] == [3, 2, 2]
    whole = read_image(side_by_side / "val/4.png", 3)
    pair = data.val_set[0]
    assert type(pair) is ImagePairs
    assert torch.equal(pair.x, whole[:, :, :8])
    assert torch.equal(pair.y, whole[:, :, 8:])
    batch = next(iter(data.train_dataloader()))
    assert batch.x.shape == batch.y.shape == (1, 3, 8, 8)
    assert batch.x.dtype == torch.uint8


def test_the_other_direction_swaps_x_and_y(side_by_side):
    there, back = (Paired(str(side_by_side), size=8, load_size=8, mirror=False, direction=d) for d in ("AtoB", "BtoA"))
    there.setup()
    back.setup()
    for split in ("train_set", "val_set"):
        a, b = getattr(there, split)[0], getattr(back, split)[0]
        assert torch.equal(a.x, b.y)
        assert torch.equal(a.y, b.x)
        assert not torch.equal(a.x, a.y)


def test_each_side_has_its_channels(side_by_side):
    data = Paired(str(side_by_side), size=8, load_size=9, direction="BtoA", channels_x=1)
    data.setup()
    assert data.shape_x == data.train_set[0].x.shape == data.val_set[0].x.shape == (1, 8, 8)
    assert data.shape_y == data.shape == data.train_set[0].y.shape == (3, 8, 8)
    assert torch.equal(data.val_set[0].x, read_image(side_by_side / "val/4.png", 1)[:, :, 8:])
    assert torch.equal(data.val_set[0].y, read_image(side_by_side / "val/4.png", 3)[:, :, :8])


def test_both_images_get_the_same_jitter(tmp_path, save):
    for side in "AB":
        for split in ("train", "val"):
            save(tmp_path / side / split / "x.png", 12, 12, seed=1)
    data = Paired(str(tmp_path), size=8, load_size=12)
    data.setup()
    whole = read_image(tmp_path / "A/train/x.png", 3)
    views = {
        (top, left, flip): window.flip(-1) if flip else window
        for top in range(5)
        for left in range(5)
        for flip in (False, True)
        for window in [whole[:, top : top + 8, left : left + 8]]
    }
    seen = set()
    for epoch in range(400):
        pair = data.train_set[epoch, 0]
        assert torch.equal(pair.x, pair.y)
        seen.add(next(key for key, view in views.items() if torch.equal(pair.x, view)))
    assert seen == set(views)


def test_images_are_first_resized_to_load_size(tmp_path, save):
    save(tmp_path / "train/x.png", 8, 16)
    save(tmp_path / "val/x.png", 8, 16)
    data = Paired(str(tmp_path), size=16, load_size=18)
    data.setup()
    assert data.train_set[0].x.shape == data.val_set[0].x.shape == (3, 16, 16)
    assert (Paired(str(tmp_path)).size, Paired(str(tmp_path)).load_size) == (256, 286)


def test_two_roots_joined_by_name(tmp_path, save):
    for i in range(12):
        save(tmp_path / f"photos/{i}.jpg", 8, 8, seed=i)
        save(tmp_path / f"maps/{i}.png", 16, 16, seed=i + 50)
    data = Paired(str(tmp_path / "photos"), str(tmp_path / "maps"), size=8, load_size=8, val_share=0.3)
    data.setup()
    assert len(data.train_set) + len(data.val_set) == 12
    assert len(data.val_set) > 0
    for file in (*data.train_set.items, *data.val_set.items):
        assert file.a.stem == file.b.stem == file.name
        assert (file.a.parent.name, file.b.parent.name) == ("photos", "maps")


def test_images_without_a_fellow_are_counted_and_named(tmp_path, save):
    for i in range(6):
        save(tmp_path / f"A/train/{i}.png", 8, 8)
    save(tmp_path / "B/train/5.png", 8, 8)
    with pytest.raises(InputError) as caught:
        Paired(str(tmp_path)).setup()
    assert "5 of 6 images" in str(caught.value)
    assert [f"{i}.png" in str(caught.value) for i in range(6)] == [True] * 3 + [False] * 3
    for i in range(7):
        save(tmp_path / f"B/train/{i}.png", 8, 8)
    with pytest.raises(InputError, match=r"1 of 7 images.*B/train/6\.png"):
        Paired(str(tmp_path)).setup()
    save(tmp_path / "A/train/6.png", 8, 8)
    save(tmp_path / "A/train/6.jpg", 8, 8)
    with pytest.raises(InputError, match="same name"):
        Paired(str(tmp_path)).setup()
    with pytest.raises(InputError, match="no folder"):
        Paired(str(tmp_path / "B"), str(tmp_path / "nowhere")).setup()


def test_a_file_is_cut_in_the_middle_whatever_its_halves(tmp_path, save, capsys):
    for width in (12, 32):
        whole = read_image(save(tmp_path / f"{width}/train/x.png", 8, width), 3)
        save(tmp_path / f"{width}/val/x.png", 8, width)
        data = Paired(str(tmp_path / str(width)), size=8, load_size=8, mirror=False)
        data.setup()
        assert f"into two images of {width // 2}x8, and 1 more" in capsys.readouterr().err
        half = width // 2
        assert torch.equal(data.train_set[0].x, resize(whole[:, :, :half].contiguous(), 8, 8))
        assert torch.equal(data.train_set[0].y, resize(whole[:, :, half:].contiguous(), 8, 8))
    save(tmp_path / "square/x.png", 8, 16)
    Paired(str(tmp_path / "square"), size=8, load_size=8, val_share=0).setup()
    assert "cut" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ((333, 500), (167, 250), None),  # (height, width), half of it rounded
        ((100, 150), (50, 75), None),
        ((427, 640), (214, 320), None),
        ((8, 8), (8, 9), None),
        ((102, 136), (103, 132), "1 of 1 pairs differ a little in proportions"),
        ((64, 64), (64, 96), "differ in proportions"),
        ((48, 64), (64, 48), "differ in proportions"),
        ((1, 2), (1, 1), None),
    ],
)
def test_sides_rounded_to_pixels_are_one_frame(tmp_path, save, capsys, a, b, said):
    save(tmp_path / "A/x.png", *a)
    save(tmp_path / "B/x.png", *b)
    data = Paired(str(tmp_path), size=8, load_size=8, val_share=0)
    if said == "differ in proportions":
        with pytest.raises(InputError, match=said):
            data.setup()
        return
    data.setup()
    assert data.train_set[0].x.shape == data.train_set[0].y.shape == (3, 8, 8)
    error = capsys.readouterr().err
    assert (said in error) if said else ("proportions" not in error)


def test_other_forms_are_refused(tmp_path, save):
    for width in (15, 17, 8, 4):
        save(tmp_path / f"{width}/x.png", 8, width)
        with pytest.raises(InputError, match=rf"x\.png is {width} wide and 8 high"):
            Paired(str(tmp_path / str(width))).setup()
    save(tmp_path / "p/A/x.png", 8, 8)
    with pytest.raises(InputError, match="but no"):
        Paired(str(tmp_path / "p")).setup()


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"load_size": 255}, {"direction": "atob"}, {"channels_x": 4}, {"channels_y": 0}]
)
def test_arguments_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is"):
        Paired(str(tmp_path), **wrong)
