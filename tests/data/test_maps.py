"""Maps: the paper's archive (a small one of the same form), paired and unpaired."""

import tarfile

import pytest
import torch

from ganzoo.data import Maps, maps
from ganzoo.data.batches import ImagePairs, Unpaired
from ganzoo.errors import InputError


@pytest.fixture
def archive(tmp_path, save, monkeypatch):
    """maps.tar.gz in the paper's form with three training pairs, in the data folder as if downloaded."""
    for i, name in enumerate(("train/1.jpg", "train/2.jpg", "train/3.jpg", "val/1.jpg")):
        save(tmp_path / "source/maps" / name, 20, 40, seed=i)
    folder = tmp_path / "data"
    folder.mkdir()
    with tarfile.open(folder / "maps.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "source/maps", "maps")
    monkeypatch.setattr(maps, "URL", "http://127.0.0.1:9/maps.tar.gz")
    return folder


def test_the_archive_is_unpacked_and_read(archive, monkeypatch):
    monkeypatch.setattr(maps, "TRAINING_PAIRS", 3)
    data = Maps(root=str(archive), size=16, load_size=18)
    data.prepare_data()
    data.setup()
    assert (len(data.train_set), len(data.val_set), len(data.test_set)) == (3, 1, 1)
    assert data.train_set[0].x.shape == data.shape_x == (3, 16, 16)
    # once unpacked, the archive is not needed
    (archive / "maps.tar.gz").unlink()
    data.prepare_data()


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_unpaired_training_halves_the_files(archive, monkeypatch, direction):
    monkeypatch.setattr(maps, "TRAINING_PAIRS", 3)
    data, paired = (
        Maps(root=str(archive), size=20, load_size=20, mirror=False, direction=direction, unpaired=unpaired)
        for unpaired in (True, False)
    )
    for each in (data, paired):
        each.prepare_data()
        each.setup()
    one, two, three = (paired.train_set[i] for i in range(3))
    first, second = ({one.x, three.x}, {two.y}) if direction == "AtoB" else ({two.x}, {one.y, three.y})
    assert len(data.train_set) == 2
    samples = [data.train_set[epoch, index] for epoch in range(8) for index in (0, 1)]
    assert {type(sample) for sample in samples} == {Unpaired}
    for seen, wanted in (([s.x for s in samples], first), ([s.y for s in samples], second)):
        assert all(any(torch.equal(image, want) for want in wanted) for image in seen)
        assert all(any(torch.equal(image, want) for image in seen) for want in wanted)
    assert type(data.val_set[0]) is ImagePairs


def test_another_archive_is_refused_and_leaves_nothing(archive):
    with pytest.raises(InputError, match="1096 training pairs, and this one 3"):
        Maps(root=str(archive)).prepare_data()
    assert [path.name for path in archive.iterdir()] == ["maps.tar.gz"]


def test_an_unreachable_archive_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setattr(maps, "URL", "http://127.0.0.1:9/maps.tar.gz")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(InputError, match=rf"put it at {tmp_path}/maps\.tar\.gz"):
        Maps(root=str(tmp_path)).prepare_data()


def test_what_the_paper_fixes_is_no_option():
    for option in ("channels_x", "val_share", "max_value", "splits"):
        with pytest.raises(InputError, match=f"Maps has no argument '{option}'"):
            Maps(**{option: 1})
    for wrong in ({"size": 0}, {"load_size": 255}, {"direction": "x"}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} is"):
            Maps(**wrong)
