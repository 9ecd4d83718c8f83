"""ImageFolder: splits, classes, crops, errors."""

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import ImageFolder
from ganzoo.data.batches import Images, LabelledImages
from ganzoo.data.images import read_image
from ganzoo.data.splits import is_held_out
from ganzoo.errors import InputError


def names(dataset) -> list[str]:
    return [file.name for file in dataset.items]


def test_batches_of_any_images_have_one_shape(tmp_path, save):
    for i, (height, width, channels) in enumerate([(20, 30, 3), (50, 10, 1), (8, 8, 4), (3, 5, 3)] * 3):
        save(tmp_path / f"{i}.png", height, width, channels, seed=i)
    data = ImageFolder(str(tmp_path), size=8, batch_size=4, val_share=0.2)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert type(batch) is Images
    assert batch.x.shape == (4, *data.shape) == (4, 3, 8, 8)
    assert batch.x.dtype == torch.uint8
    assert data.classes is None
    grey = ImageFolder(str(tmp_path), size=8, channels=1, batch_size=4)
    grey.setup()
    assert next(iter(grey.train_dataloader())).x.shape == (4, 1, 8, 8)


def test_the_share_that_validates_is_chosen_by_name_alone(tmp_path, save):
    for i in range(60):
        save(tmp_path / f"some/{i}.png", 2, 2, seed=i)
    data = ImageFolder(str(tmp_path), size=2, val_share=0.3)
    data.setup()
    train, val = names(data.train_set), names(data.val_set)
    assert not set(train) & set(val)
    assert len(train) + len(val) == 60
    assert 8 < len(val) < 30
    assert names(data.test_set) == val
    for i in range(30):
        (tmp_path / f"some/{i}.png").unlink()
    again = ImageFolder(str(tmp_path), size=2, val_share=0.3, seed=7)
    again.setup()
    assert set(names(again.val_set)) == set(val) - {f"some/{i}.png" for i in range(30)}
    # written down, because a change would move images between the splits of people's finished runs
    assert [i for i in range(40) if is_held_out(f"{i}.png", 0.1)] == [0, 6, 8, 33]
    assert sum(is_held_out(str(i), 0.25) for i in range(4000)) == pytest.approx(1000, abs=100)
    assert is_held_out("e\u0301.png", 0.5) == is_held_out("\u00e9.png", 0.5)


def test_no_share_means_no_validation(tmp_path, save):
    for i in range(20):
        save(tmp_path / f"{i}.png")
    data = ImageFolder(str(tmp_path), size=4, val_share=0)
    data.setup()
    assert len(data.train_set) == 20
    assert data.val_dataloader() == []
    with pytest.raises(InputError, match="no test images"):
        data.test_dataloader()


def test_folders_called_train_val_test_are_the_splits(tmp_path, save):
    for i, name in enumerate(("train/a.png", "train/deep/b.png", "val/c.png", "test/d.png")):
        save(tmp_path / name, seed=i)
    data = ImageFolder(str(tmp_path), size=4)
    data.setup()
    assert [names(part) for part in (data.train_set, data.val_set, data.test_set)] == [
        ["a.png", "deep/b.png"],
        ["c.png"],
        ["d.png"],
    ]
    (tmp_path / "test/d.png").unlink()
    (tmp_path / "test").rmdir()
    data = ImageFolder(str(tmp_path), size=4)
    data.setup()
    assert names(data.test_set) == ["c.png"]
    save(tmp_path / "valid/e.png")
    with pytest.raises(InputError, match="val and valid, both to validate on"):
        ImageFolder(str(tmp_path)).setup()


def test_class_folders_become_labels(tmp_path, save):
    for i, name in enumerate(("train/cat/1.png", "train/ant/far/2.png", "val/cat/3.png")):
        save(tmp_path / name, seed=i)
    data = ImageFolder(str(tmp_path), size=4, labelled=True, batch_size=2)
    assert data.classes == 2
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert type(batch) is LabelledImages
    assert batch.y.dtype == torch.int64
    assert [int(data.train_set[i].y) for i in (0, 1)] == [0, 1]
    assert int(data.val_set[0].y) == 1
    save(tmp_path / "val/dog/4.png")
    with pytest.raises(InputError, match=r"val/dog is not one of the classes ant, cat"):
        ImageFolder(str(tmp_path), labelled=True).setup()
    save(tmp_path / "train/loose.png")
    with pytest.raises(InputError, match=r"loose\.png is in no class folder"):
        ImageFolder(str(tmp_path), labelled=True).setup()
    with pytest.raises(InputError, match="has none"):
        ImageFolder(str(tmp_path / "train/cat"), labelled=True)


def test_training_crops_at_random_and_mirrors_and_validation_takes_the_middle(tmp_path, save):
    for split in ("train", "val"):
        save(tmp_path / split / "x.png", 4, 10)
    whole = read_image(tmp_path / "train/x.png", 3)
    data = ImageFolder(str(tmp_path), size=4)
    data.setup()
    assert torch.equal(data.val_set[0].x, whole[:, :, 3:7])
    windows = {(left, flip): whole[:, :, left : left + 4] for left in range(7) for flip in (False, True)}
    windows = {key: window.flip(-1) if key[1] else window for key, window in windows.items()}
    seen = [
        next(key for key, window in windows.items() if torch.equal(data.train_set[epoch, 0].x, window))
        for epoch in range(150)
    ]
    assert set(seen) == set(windows)
    straight = ImageFolder(str(tmp_path), size=4, mirror=False)
    straight.setup()
    for epoch in range(30):
        crop = straight.train_set[epoch, 0].x
        assert any(torch.equal(crop, window) for (_, flip), window in windows.items() if not flip)
    tall = ImageFolder(str(tmp_path), size=4)
    Image.fromarray(np.rot90(whole.permute(1, 2, 0).numpy()).copy()).save(tmp_path / "train/x.png")
    tall.setup()
    assert tall.train_set[0].x.shape == (3, 4, 4)


def test_a_file_that_is_no_image_is_found_at_setup(tmp_path, save):
    for i in range(5):
        save(tmp_path / f"{i}.png")
    (tmp_path / "3.png").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"3\.png"):
        ImageFolder(str(tmp_path)).setup()


@pytest.mark.parametrize("wrong", [{"size": 0}, {"channels": 2}, {"val_share": 1.0}, {"val_share": -0.1}, {"batch_size": 0}])
def test_arguments_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} is"):
        ImageFolder(str(tmp_path), **wrong)


def test_no_folder_and_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        ImageFolder(str(tmp_path / "nowhere")).setup()
    with pytest.raises(InputError, match="no images"):
        ImageFolder(str(tmp_path)).setup()
