"""Which images are predicted from: every one of a folder once, by its name, at its size."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from support.two_domains import two_folders

from ganzoo.data import Digits, ImageFolder, Paired, UnpairedFolders
from ganzoo.data.batches import as_float
from ganzoo.data.images import read_image
from ganzoo.data.predicting import output_names
from ganzoo.errors import InputError
from ganzoo.models import GAN, CycleGAN


def batches(data):
    data.setup("predict")
    return list(data.predict_dataloader())


def names(data) -> list[str]:
    return [name for batch in batches(data) for name in batch.name]


def for_a(model, data, processes: int = 1):
    data.trainer = SimpleNamespace(lightning_module=model, world_size=processes, predicting=True)
    return data


def folder(save, root: Path, *files: str, **size: int) -> str:
    for seed, file in enumerate(files):
        save(root / file, seed=seed, **size)
    return str(root)


TEN = tuple(f"{i}.png" for i in range(10))


# -- names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["a.png", "sub/a.png"], ["a", "sub/a"]),
        (["a.jpg", "a.png", "b.png"], ["a.jpg", "a.png", "b"]),
        (["A.jpg", "a.png"], ["A.jpg", "a.png"]),  # on a disk that does not tell A from a
        (["\u00e4.jpg", "a\u0308.png"], ["\u00e4.jpg", "a\u0308.png"]),
        (["a.jpg", "a.png", "a.png.bmp"], ["a.jpg", "a.png", "a.png.bmp"]),
        (["v1.2/x.tif"], ["v1.2/x"]),
        (["a.jpg", "a.png/b.jpg"], ["a.jpg", "a.png/b"]),  # a folder may be called like a file
        (["a.b.png", "a.png"], ["a.b", "a"]),
    ],
)
def test_what_predictions_are_called(given, made):
    assert output_names(given) == made


# -- one folder -----------------------------------------------------------------------------------------------------------


def test_all_images_of_a_folder_whatever_validates(save, tmp_path):
    root = folder(save, tmp_path / "photos", *TEN, "sub/0.png")
    for share in (0.0, 0.1, 0.999999):
        assert names(ImageFolder(root, val_share=share, batch_size=4)) == [*TEN, "sub/0.png"]
    assert [batch.number for batch in batches(ImageFolder(root, batch_size=4))] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_one_image_is_enough(save, tmp_path):
    root = folder(save, tmp_path / "photos", "only.png")
    for data in (ImageFolder(root), Paired(root), UnpairedFolders(root)):
        assert names(data) == ["only.png"]


@pytest.mark.parametrize(
    ("splits", "chosen"), [(("train", "val", "test"), "test"), (("train", "val"), "val"), (("train",), "train")]
)
def test_a_named_test_split_is_what_is_predicted(splits, chosen, save, tmp_path, capsys):
    for split in splits:
        folder(save, tmp_path / "root" / split, f"{split}.png")
    assert names(ImageFolder(str(tmp_path / "root"))) == [f"{chosen}.png"]
    assert f"1 image, all of {tmp_path / 'root' / chosen}\n" in capsys.readouterr().err


def test_classes_come_along(save, tmp_path):
    root = folder(save, tmp_path / "root", "cat/0.png", "dog/0.png", "dog/1.png")
    (batch,) = batches(ImageFolder(root, labelled=True))
    assert (batch.y.tolist(), batch.name) == ([0, 1, 1], ["cat/0.png", "dog/0.png", "dog/1.png"])
    assert batches(ImageFolder(root))[0].y is None


def test_a_translator_gets_sizes_as_they_are_and_others_squares(save, tmp_path):
    root = folder(save, tmp_path / "root", "a.png", "b.png", height=10, width=21)
    folder(save, tmp_path / "root", "c.png", height=12, width=9)
    translator, other = CycleGAN(blocks=0, width=1, patch=1), GAN(shape=(3, 8, 8), hidden=2)
    for kind in (ImageFolder, Paired, UnpairedFolders):
        (batch,) = batches(for_a(translator, kind(root, size=8, batch_size=4)))
        assert [tuple(image.shape) for image in batch.x] == [(3, 10, 21)] * 2 + [(3, 12, 9)]
        assert torch.equal(batch.x[2], read_image(tmp_path / "root/c.png", 3))
        assert [image.dtype for image in as_float(batch).x] == [torch.float32] * 3
        (batch,) = batches(for_a(other, kind(root, size=8, batch_size=4)))
        assert batch.x.shape == (3, 3, 8, 8)


@pytest.mark.parametrize("kind", [ImageFolder, Paired, UnpairedFolders])
def test_squares_if_the_user_wants_them(kind, save, tmp_path):
    root = folder(save, tmp_path / "root", "a.png", "b.png", height=10, width=21)
    data = for_a(CycleGAN(blocks=0, width=1, patch=1), kind(root, size=8, predict_squares=True, batch_size=2))
    assert batches(data)[0].x.shape == (2, 3, 8, 8)


def test_a_damaged_file_is_told_of_and_stops_nothing(save, tmp_path):
    root = folder(save, tmp_path / "root", "a.png", "c.png", "d.png")
    Path(root, "b.png").write_bytes(b"nothing")
    whole = Path(root, "d.png").read_bytes()
    Path(root, "d.png").write_bytes(whole[: len(whole) // 2])
    first, second = batches(ImageFolder(root, batch_size=2))
    assert (first.name, first.number, first.x.shape[0]) == (["a.png"], [0], 1)
    assert (second.name, second.number) == (["c.png"], [2])
    ((number, name, why),) = first.damaged
    assert (number, name) == (1, "b.png")
    assert "cannot read the image" in why
    assert [each[:2] for each in second.damaged] == [(3, "d.png")]
    assert [len(batch.x) for batch in batches(ImageFolder(root, batch_size=1))] == [1, 0, 1, 0]


def test_images_are_read_in_workers(save, tmp_path):
    root = folder(save, tmp_path / "root", *TEN)
    assert names(ImageFolder(root, batch_size=3, num_workers=2)) == list(TEN)


def test_fewer_images_than_processes(save, tmp_path):
    root = folder(save, tmp_path / "root", "a.png")
    data = for_a(None, ImageFolder(root), processes=2)
    data.setup("predict")
    with pytest.raises(InputError, match=r"1 images are fewer than the 2 processes: give --trainer\.devices 1"):
        data.predict_dataloader()


def test_data_without_files_has_numbers(capsys):
    data = Digits(batch_size=200)
    first, second = batches(data)
    data.setup()
    assert first.number + second.number == list(range(353))
    assert set(first.name) == {""}
    assert second.output[-1] == "000352"
    assert torch.equal(torch.cat([first.y, second.y]), data.test_set.samples.y)
    assert torch.equal(torch.cat([first.x, second.x]), data.test_set.samples.x)


# -- pairs ----------------------------------------------------------------------------------------------------------------


def test_the_half_of_a_pair_that_is_the_input(save, tmp_path, capsys):
    for split in ("train", "val"):
        folder(save, tmp_path / "root" / split, "0.png", height=8, width=16)
    both = read_image(tmp_path / "root/val/0.png", 3)
    for direction, half in (("AtoB", both[..., :8]), ("BtoA", both[..., 8:])):
        (batch,) = batches(Paired(str(tmp_path / "root"), direction=direction))
        assert torch.equal(batch.x[0], half)
        assert (batch.direction, batch.name) == (direction, ["0.png"])
    assert "the right half is the input" in capsys.readouterr().err


def test_files_are_pairs_if_all_are_twice_as_wide_as_high_or_the_user_says_so(save, tmp_path, capsys):
    root = folder(save, tmp_path / "root", "a.png", "b.png", height=8, width=16)
    (batch,) = batches(Paired(root, batch_size=3))
    assert batch.x.shape == (2, 3, 8, 8)
    assert "side by side" in capsys.readouterr().err
    assert batches(Paired(root, batch_size=3, predict_halves=False))[0].x.shape == (2, 3, 8, 16)
    folder(save, tmp_path / "root", "c.png", height=8, width=12)
    (batch,) = batches(Paired(root, batch_size=3))
    assert [image.shape[-1] for image in batch.x] == [16, 16, 12]
    assert "side by side" not in capsys.readouterr().err
    (batch,) = batches(Paired(root, batch_size=3, predict_halves=True))
    assert [image.shape[-1] for image in batch.x] == [8, 8, 6]


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_the_inputs_side_of_two_folders_is_enough(direction, save, tmp_path):
    side, other = direction[0], direction[-1]
    folder(save, tmp_path / "root" / side, "x.png", "y.png")
    assert names(Paired(str(tmp_path / "root"), direction=direction)) == ["x.png", "y.png"]
    with pytest.raises(InputError, match="there is a folder"):
        names(Paired(str(tmp_path / "root"), direction=f"{other}to{side}"))
    given = {"A": str(tmp_path / "root" / side), "B": str(tmp_path / "nowhere")}
    given = given if side == "A" else {"A": given["B"], "B": given["A"]}
    assert names(Paired(given["A"], root_b=given["B"], direction=direction)) == ["x.png", "y.png"]


# -- two domains ----------------------------------------------------------------------------------------------------------


def test_each_image_of_the_inputs_domain_once(save, tmp_path):
    for name, count in (("trainA", 4), ("trainB", 4), ("testA", 2), ("testB", 5)):
        folder(save, tmp_path / name, *TEN[:count])
    assert names(UnpairedFolders(str(tmp_path))) == list(TEN[:2])
    (batch, *rest) = batches(UnpairedFolders(str(tmp_path), direction="BtoA", batch_size=5))
    assert (batch.name, batch.direction, rest) == (list(TEN[:5]), "BtoA", [])
    assert torch.equal(batch.x[3], read_image(tmp_path / "testB/3.png", 3))


def test_the_other_domain_is_not_needed(save, tmp_path):
    folder(save, tmp_path / "testA", *TEN[:3])
    assert names(UnpairedFolders(str(tmp_path))) == list(TEN[:3])
    with pytest.raises(InputError, match="none of the other side, B"):
        names(UnpairedFolders(str(tmp_path), direction="BtoA"))
    folder(save, tmp_path / "ab/B/test", "b.png")
    folder(save, tmp_path / "ab/B/train", "t.png")
    assert names(UnpairedFolders(str(tmp_path / "ab"), direction="BtoA")) == ["b.png"]
    assert names(UnpairedFolders(str(tmp_path / "none"), root_b=str(tmp_path / "ab/B"), direction="BtoA")) == ["b.png"]


def test_without_a_test_folder_all_of_the_domain(save, tmp_path):
    for side in "AB":
        folder(save, tmp_path / f"train{side}", *TEN)
    assert names(UnpairedFolders(str(tmp_path), val_share=0.5)) == list(TEN)
    folder(save, tmp_path / "valA", "v.png")
    assert names(UnpairedFolders(str(tmp_path))) == ["v.png"]


def test_a_folder_of_inputs_is_never_unpacked_into(save, tmp_path):
    data = for_a(None, UnpairedFolders(folder(save, tmp_path / "photos", "a.png"), archive="horse2zebra"))
    data.prepare_data()
    assert names(data) == ["a.png"]


# -- domain adaptation ----------------------------------------------------------------------------------------------------


def test_all_of_a_target_folder_in_the_order_of_the_names(save, tmp_path):
    source = folder(save, tmp_path / "src", "cat/0.png", "dog/0.png")
    target = folder(save, tmp_path / "tgt", *TEN)
    data = two_folders(source, target, size=8, batch_size=16)
    (batch,) = batches(data)
    assert batch.name == list(TEN)
    assert batch.x.shape == (10, 3, 8, 8)
    assert batch.y is None


def test_an_empty_folder_is_refused(tmp_path):
    for data in (ImageFolder, Paired, UnpairedFolders):
        Image.new("RGB", (4, 4)).save(tmp_path / ".hidden.png")
        with pytest.raises(InputError, match="no images"):
            names(data(str(tmp_path)))
