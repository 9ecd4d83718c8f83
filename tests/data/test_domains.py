"""Domains: both prepared alike, no label of the target in training, orders, MNIST-M, fonts, folders, the upper bound."""

import bz2
import hashlib
import struct
from collections import Counter
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import pytest
import torch
import torchvision
from support.two_domains import rows, two_digits, two_folders
from torch import Tensor

from ganzoo.data import CIFAR10, MNIST, Digits, DomainFolder, Domains, ImageFolder, mnistm
from ganzoo.data.batches import LabelledImages, TwoDomains, as_float
from ganzoo.data.domains import domain_order
from ganzoo.data.folder import ImageFile
from ganzoo.data.images import read_image
from ganzoo.errors import InputError
from ganzoo.utils.images import to_float

RNG = np.random.default_rng(0)

TRAIN, TEST = RNG.integers(0, 256, (120, 28, 28), np.uint8), RNG.integers(0, 256, (10, 28, 28), np.uint8)


def write_mnist(root: Path, labels: int | None = None) -> Path:
    """The four idx files, of 120 and 10 images, labelled by their number modulo 10, or all alike."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, images in (("train", TRAIN), ("t10k", TEST)):
        header = struct.pack(">4i", 2051, *images.shape)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        y = (np.arange(len(images)) % 10 if labels is None else np.full(len(images), labels)).astype(np.uint8)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, len(y)) + y.tobytes())
    return root


@pytest.fixture
def root(tmp_path) -> str:
    return str(write_mnist(tmp_path))


def ready(**options) -> Domains:
    return set_up(two_digits(**options))


def set_up(data: Domains) -> Domains:
    data.prepare_data()
    data.setup()
    return data


def epoch_of(data: Domains, epoch: int = 0) -> list[TwoDomains]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def whole(batches: list, field: str) -> Tensor:
    return torch.cat([getattr(batch, field) for batch in batches])


class Seen(L.LightningModule):
    """Does nothing but write down the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list] = {"train": [], "val": [[], []], "test": [[], []], "predict": []}
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        self.seen["train"].append(batch)
        return self.weight * 0

    def validation_step(self, batch, batch_idx, dataloader_idx):
        self.seen["val"][dataloader_idx].append(batch)

    def test_step(self, batch, batch_idx, dataloader_idx):
        self.seen["test"][dataloader_idx].append(batch)

    def predict_step(self, batch, batch_idx):
        self.seen["predict"].append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(folder: Path, **options) -> L.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return L.Trainer(default_root_dir=folder, enable_checkpointing=False, num_sanity_val_steps=0, **quiet, **options)


# -- prepared alike ----------------------------------------------------------------------------------------------------


def write_usps(folder: Path, monkeypatch) -> None:
    """USPS's two files: a line to an image, label from 1, values in [-1, 1]."""
    folder.mkdir(parents=True)
    for name, n in (("usps.bz2", 20), ("usps.t.bz2", 5)):
        lines = [f"{i % 10 + 1} " + " ".join(f"{j + 1}:{i / 10 - 1}" for j in range(256)) for i in range(n)]
        (folder / name).write_bytes(bz2.compress(("\n".join(lines) + "\n").encode()))


def write_svhn(folder: Path, monkeypatch) -> None:
    """SVHN's two files: [32, 32, 3, N] and labels from 1 to 10, where 10 is a nought."""
    from scipy.io import savemat

    folder.mkdir(parents=True)
    known = {}
    for split, n in (("train", 20), ("test", 10)):
        x = np.arange(n, dtype=np.uint8) * np.ones((32, 32, 3, 1), np.uint8) + np.array([0, 50, 100], np.uint8)[:, None]
        path = folder / f"{split}_32x32.mat"
        savemat(path, {"X": x, "y": (np.arange(n) % 10 + 1)[:, None]})
        known[split] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", known)


@pytest.mark.parametrize(
    ("source", "target", "shape"),
    [
        ("mnist", "mnist_m", (3, 28, 28)),
        ("mnist", "optdigits", (1, 28, 28)),
        ("optdigits", "optdigits_m", (3, 28, 28)),
        ("printed", "mnist", (1, 28, 28)),
        ("svhn", "mnist", (3, 28, 28)),
        ("mnist", "usps", (1, 28, 28)),
        ("usps", "mnist", (1, 28, 28)),
    ],
)
def test_every_pair_of_digits_has_one_form(root, monkeypatch, source, target, shape):
    write_usps(Path(root, "USPS"), monkeypatch)
    write_svhn(Path(root, "SVHN"), monkeypatch)
    data = two_digits(source, target, root, batch_size=6)
    assert (data.shape, data.classes, list(data.class_names)) == (shape, 10, list("0123456789"))
    data.prepare_data()
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert type(batch) is TwoDomains
    assert batch.x.shape == batch.target.shape == (6, *shape)
    assert batch.x.dtype == batch.target.dtype == torch.uint8
    assert batch.y.dtype == torch.int64
    assert batch.y.shape == (6,)
    for loaders in (data.val_dataloader(), data.test_dataloader()):
        for loader in loaders:
            held_out = next(iter(loader))
            assert type(held_out) is LabelledImages
            assert held_out.x.shape[1:] == shape
            assert 0 <= held_out.y.min() <= held_out.y.max() <= 9


@pytest.mark.parametrize("options", [{}, {"channels": 3, "size": 20}, {"size": 32}])
def test_a_image_is_the_same_floats_as_source_as_target_and_in_validation(root, tmp_path, options):
    """Two domains normalised differently, the defect of the peers, is one that this cannot have."""
    module = Seen()
    data = two_digits("mnist", "mnist", root, batch_size=10, **options)
    trainer(tmp_path, max_epochs=1).fit(module, data)
    train = module.seen["train"]
    assert train[0].x.dtype == train[0].target.dtype == torch.float32
    x, target = whole(train, "x"), whole(train, "target")
    assert rows(x) != rows(target)
    assert sorted(rows(x)) == sorted(rows(target))
    assert len(set(rows(x))) == 100
    source_val, target_val = (whole(batches, "x") for batches in module.seen["val"])
    assert torch.equal(source_val, target_val)
    if not options:
        wanted = torch.from_numpy(TRAIN).unsqueeze(1)
        assert sorted(rows(x)) == sorted(rows(to_float(wanted[:100])))
        assert torch.equal(source_val, to_float(wanted[100:]))
        assert (x.min(), x.max()) == (-1, 1)


def test_digits_over_photographs_are_the_same_digits(root):
    """|I1 - I2| of the enlarged digit and a patch: where the digit is black the patch is left."""
    plain, over = ({"source": name, "target": name, "size": 28, "batch_size": 4} for name in ("optdigits", "optdigits_m"))
    (x, y), (blended, labels) = (ready(**o).train_set.source.items.samples for o in (plain, over))
    assert torch.equal(y, labels)
    assert blended.shape == (1266, 3, 28, 28)
    patches = mnistm.patches(mnistm.photographs(), 1266, 0).int()
    assert torch.equal(blended.int(), (patches - x.int()).abs())


# -- no label of the target --------------------------------------------------------------------------------------------


def labels_in(thing, found: list) -> list:
    """Every integer tensor, and every file's label, that can be reached from an object."""
    if isinstance(thing, Tensor):
        if thing.dtype != torch.uint8:
            found.append(thing.tolist())
    elif isinstance(thing, ImageFile):
        if thing.label is not None:
            found.append(thing.label)
    elif isinstance(thing, dict):
        for value in thing.values():
            labels_in(value, found)
    elif isinstance(thing, list | tuple):
        for value in thing:
            labels_in(value, found)
    elif hasattr(thing, "__dict__"):
        labels_in(vars(thing), found)
    return found


def test_the_training_set_holds_the_sources_labels_and_no_others(root):
    data = ready(source="optdigits", target="mnist_m", root=root)
    optdigits = ready(source="optdigits", target="optdigits").train_set
    assert labels_in(data.train_set, []) == [optdigits.source.items.samples.y.tolist()]
    assert len(labels_in(data.test_set, [])) == 2  # the search does find them where they are


def test_other_labels_of_the_target_change_no_training_batch(tmp_path):
    runs = [
        ready(source="optdigits", target="mnist", root=str(write_mnist(tmp_path / str(labels), labels)), batch_size=20)
        for labels in (3, 7)
    ]
    three, seven = (epoch_of(data) for data in runs)
    assert all(torch.equal(a, b) for one, other in zip(three, seven, strict=True) for a, b in zip(one, other, strict=True))
    assert [whole(list(data.test_dataloader()[1]), "y").unique().tolist() for data in runs] == [[3], [7]]


def test_a_images_own_label_stays_with_it(root):
    data = ready(source="mnist", target="optdigits", root=root, batch_size=9)
    number = {image.tobytes(): i for i, image in enumerate(TRAIN)}
    for batch in epoch_of(data):
        assert [number[row] % 10 for row in rows(batch.x)] == batch.y.tolist()


# -- orders ------------------------------------------------------------------------------------------------------------


def test_an_epoch_passes_once_over_the_larger_domain_and_evenly_over_the_smaller(root):
    data = ready(source="mnist", target="optdigits", root=root, batch_size=1)
    batches = epoch_of(data)
    assert len(batches) == 1266
    assert len(set(rows(whole(batches, "target")))) == len(set(rows(data.train_set.target.items.samples.x)))
    seen = Counter(rows(whole(batches, "x")))
    assert len(seen) == 100
    assert set(seen.values()) == {12, 13}
    turned = ready(source="optdigits", target="mnist", root=root, batch_size=1)
    assert len(turned.train_dataloader()) == 1266


def test_the_two_orders_are_new_each_epoch_follow_the_seed_and_do_not_follow_each_other():
    n = 1000
    orders = {
        (seed, epoch, domain): domain_order(seed, epoch, domain, n, n)
        for seed in (0, 1)
        for epoch in (0, 1)
        for domain in (0, 1)
    }
    for order in orders.values():
        assert sorted(order) == list(range(n))
    keys = list(orders)
    for i, a in enumerate(keys):
        for b in keys[:i]:
            # two unrelated orders meet at one place on average
            assert (orders[a] == orders[b]).sum() < 10, (a, b)
            assert abs(np.corrcoef(orders[a], orders[b])[0, 1]) < 0.15, (a, b)


def test_batches_are_the_same_again_and_with_workers_and_others_with_another_epoch_or_seed(root):
    def batches(epoch: int = 0, **options) -> list[bytes]:
        found = epoch_of(ready(source="mnist", target="mnist_m", root=root, batch_size=20, **options), epoch)
        return [field.numpy().tobytes() for batch in found for field in batch]

    first = batches()
    assert first == batches() == batches(num_workers=2)
    assert not set(first) & set(batches(epoch=1))
    assert not set(first) & set(batches(seed=1))


def test_source_and_target_are_not_the_same_digits_in_a_batch(root):
    """MNIST-M's i-th image is MNIST's i-th digit: in one order the batches would be pairs."""
    data = ready(source="mnist", target="mnist", root=root, batch_size=100)
    (batch,) = epoch_of(data)
    assert sum(a == b for a, b in zip(rows(batch.x), rows(batch.target), strict=True)) < 10


def test_an_epochs_length_can_be_given(root):
    data = ready(source="mnist", target="optdigits", root=root, batch_size=10, epoch_length=55)
    first, second = epoch_of(data, 0), epoch_of(data, 1)
    assert len(first) == len(second) == 5
    for field in ("x", "target"):
        seen = [set(rows(whole(batches, field))) for batches in (first, second)]
        assert len(seen[0]) >= 49  # optdigits has twins
        assert seen[0] != seen[1]
    longer = ready(source="mnist", target="mnist_m", root=root, batch_size=10, epoch_length=1000)
    assert set(Counter(rows(whole(epoch_of(longer), "x"))).values()) == {10}


# -- evaluation --------------------------------------------------------------------------------------------------------


def test_validation_and_test_are_the_source_and_then_the_target_whole_and_in_order(root, tmp_path):
    module, data = Seen(), two_digits("mnist", "optdigits", root, batch_size=7)
    played = trainer(tmp_path, max_epochs=1, limit_train_batches=1)
    played.fit(module, data)
    played.test(module, data)
    played.predict(module, data)
    source, target = (whole(batches, "x") for batches in module.seen["val"])
    assert torch.equal(source, to_float(torch.from_numpy(TRAIN[100:]).unsqueeze(1)))
    assert len(target) == 178
    source, target = (whole(batches, "x") for batches in module.seen["test"])
    assert torch.equal(source, to_float(torch.from_numpy(TEST).unsqueeze(1)))
    assert whole(module.seen["test"][0], "y").tolist() == list(range(10))
    assert len(target) == 353
    assert torch.equal(whole(module.seen["predict"], "x"), target)


def test_training_on_the_target_has_its_labels_and_the_same_image_twice(root):
    options = {"source": "optdigits", "target": "mnist", "root": root, "batch_size": 20}
    data, adapting = ready(train_on_target=True, **options), ready(**options)
    batches = epoch_of(data)
    assert len(batches) == len(epoch_of(adapting))  # as many steps of the same config
    number = {image.tobytes(): i for i, image in enumerate(TRAIN[:100])}
    for batch in batches:
        assert torch.equal(batch.x, batch.target)
        assert [number[row] % 10 for row in rows(batch.x)] == batch.y.tolist()
    for ours, theirs in zip(data.val_dataloader(), adapting.val_dataloader(), strict=True):
        assert torch.equal(whole(list(ours), "x"), whole(list(theirs), "x"))


# -- MNIST-M -----------------------------------------------------------------------------------------------------------


def test_binarised_digits_are_black_and_white_in_both_domains(root):
    photos = mnistm.photographs()
    grey, white = (ready(source="mnist", target="mnist_m", root=root, binarise=each) for each in (False, True))
    for split, name in enumerate(("train_set", "val_set", "test_set")):
        (digits, labels), (found, same) = (getattr(data.source, name).samples for data in (grey, white))
        assert torch.equal(found, (digits > 0).to(torch.uint8) * 255)
        assert not torch.equal(found, digits)
        assert torch.equal(same, labels)
        blended = mnistm.blend(found, mnistm.patches(photos, len(found), split))
        assert torch.equal(getattr(white.target, name).samples.x, blended)


def test_mnist_m_from_files(root, tmp_path, save):
    for i, (height, width) in enumerate([(700, 1000), (50, 28)]):
        save(tmp_path / "photos" / "far" / f"{i}.png", height, width, seed=i)
    photos = mnistm.photographs(tmp_path / "photos")
    assert [tuple(photo.shape[1:]) for photo in photos] == [(321, 459), (50, 28)]
    data = ready(source="mnist", target="mnist_m", root=root, photographs=str(tmp_path / "photos"), batch_size=10)
    built = [data.train_set.target.items.samples.x, *(part.datasets[1].samples.x for part in (data.val_set, data.test_set))]
    digits = [TRAIN[:100], TRAIN[100:], TEST]
    for stream, (x, digit) in enumerate(zip(built, digits, strict=True)):
        patches = mnistm.patches(photos, len(digit), stream).numpy().astype(int)
        assert x.tolist() == np.abs(patches - digit[:, None].astype(int)).tolist()
    assert data.test_set.datasets[1].samples.y.tolist() == list(range(10))
    other = ready(source="mnist", target="mnist_m", root=root, photographs=str(tmp_path / "photos"), seed=5)
    assert torch.equal(other.train_set.target.items.samples.x, built[0])  # the seed is of the order, not of the set
    save(tmp_path / "photos" / "tiny.png", 27, 100)
    with pytest.raises(InputError, match=r"tiny\.png is too small"):
        mnistm.photographs(tmp_path / "photos")


# -- printed digits ----------------------------------------------------------------------------------------------------


# -- fetched sets ------------------------------------------------------------------------------------------------------


def test_usps_and_svhn_as_torchvision_reads_them(root, monkeypatch):
    write_usps(Path(root, "USPS"), monkeypatch)
    write_svhn(Path(root, "SVHN"), monkeypatch)
    data = ready(source="usps", target="svhn", root=root, size=16, batch_size=2)
    train, val, test = data.train_set.source.items, *(part.datasets[0] for part in (data.val_set, data.test_set))
    assert [len(part) for part in (train, val, test)] == [18, 2, 5]
    assert train.samples.y.tolist() == [i % 10 for i in range(18)]
    assert val.samples.x.shape == (2, 3, 16, 16)
    assert val.samples.x[:, 0, 0, 0].tolist() == [229, 242]  # 0.8 and 0.9 in [-1, 1], as torchvision rounds
    svhn = data.test_set.datasets[1].samples
    assert svhn.y.tolist() == [*range(1, 10), 0]
    assert svhn.x[7, :, 3, 3].tolist() == [7, 57, 107]
    assert [len(part) for part in (data.train_set.target, data.val_set.datasets[1])] == [18, 2]


@pytest.mark.parametrize(
    ("source", "folder", "file"),
    [("mnist", "MNIST/raw", "t10k-labels-idx1-ubyte"), ("usps", "USPS", "usps.t.bz2"), ("svhn", "SVHN", "test_32x32.mat")],
)
def test_an_unreachable_download_says_what_to_put_where(tmp_path, monkeypatch, source, folder, file):
    nowhere = "http://127.0.0.1:9/"
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [nowhere])
    for dataset in (torchvision.datasets.USPS, torchvision.datasets.SVHN):
        monkeypatch.setattr(dataset, "split_list", {k: [nowhere, *v[1:]] for k, v in dataset.split_list.items()})
    data = two_digits(source, "optdigits", str(tmp_path))
    for fails in (data.prepare_data, data.setup):
        with pytest.raises(InputError) as caught:
            fails()
        assert "\n" not in str(caught.value)
        assert f"the folder {tmp_path / folder}" in str(caught.value)
        assert file in str(caught.value)


# -- two folders of one's own ------------------------------------------------------------------------------------------


@pytest.fixture
def office(tmp_path, save) -> Path:
    """Two cameras' images of two things, 20 of each, and the second camera's without folders."""
    for i in range(40):
        thing = ("bike", "mug")[i % 2]
        save(tmp_path / "amazon" / thing / f"{i}.png", 20, 30, seed=i)
        save(tmp_path / "webcam" / thing / f"{i}.png", 25, 18, seed=100 + i)
        save(tmp_path / "loose" / f"{thing}{i}.png", 25, 18, seed=100 + i)
    return tmp_path


def folders(office: Path, target: str = "webcam", **options) -> Domains:
    options = {"size": 16, "batch_size": 4, "val_share": 0.3, **options}
    return set_up(two_folders(office / "amazon", office / target, **options))


def test_two_folders(office):
    data = folders(office)
    assert (data.shape, data.classes, list(data.class_names)) == ((3, 16, 16), 2, ["bike", "mug"])
    batch = epoch_of(data)[0]
    assert batch.x.shape == batch.target.shape == (4, 3, 16, 16)
    assert len(labels_in(data.train_set.source, [])) == len(data.train_set.source)
    assert labels_in(data.train_set.target, []) == []
    for domain in (0, 1):
        held_out = {file.path for file in data.val_set.datasets[domain].items.items}
        trained = {file.path for file in (data.train_set.source, data.train_set.target)[domain].items}
        assert held_out
        assert not held_out & trained
        assert len(held_out | trained) == 40


def test_an_unlabelled_target_is_evaluated_without_labels(office):
    data = folders(office, "loose")
    source, target = (whole(list(loader), "y") for loader in data.test_dataloader())
    assert set(source.tolist()) == {0, 1}
    assert set(target.tolist()) == {-1}
    assert epoch_of(data)[0].target.shape == (4, 3, 16, 16)
    with pytest.raises(InputError, match="train_on_target needs the target's labels"):
        folders(office, "loose", train_on_target=True)


def test_a_target_may_have_labels_in_its_test_folder_only(office, save):
    for i in range(3):
        save(office / "cam/train" / f"{i}.png", seed=i)
        save(office / "cam/test" / ("mug", "bike")[i % 2] / f"{i}.png", seed=i)
    data = folders(office, "cam")
    assert labels_in(data.train_set.target, []) == []
    assert sorted(whole(list(data.test_dataloader()[1]), "y").tolist()) == [0, 1, 1]


def test_without_a_share_all_images_train_and_the_same_are_evaluated(office):
    data = folders(office, val_share=0)
    for domain, train in enumerate((data.train_set.source, data.train_set.target)):
        assert len(train) == 40
        held_out = [file.path for file in data.test_set.datasets[domain].items.items]
        assert sorted(held_out) == sorted(file.path for file in train.items)
        # mixed, in the same order each time: the first batches show every class
        assert {path.parent.name for path in held_out[:8]} == {"mug", "bike"}
        assert held_out == [file.path for file in folders(office, val_share=0).test_set.datasets[domain].items.items]
    assert whole(list(data.test_dataloader()[1]), "y").bincount().tolist() == [20, 20]


def test_a_file_is_the_same_pixels_in_either_domain(office, save):
    """Square images of the wanted size, so that nothing is cropped."""
    for i in range(6):
        for where in ("one", "two"):
            save(office / where / f"{i % 2}" / f"{i}.png", 8, 8, seed=i)
    data = set_up(two_folders(office / "one", office / "two", size=8, mirror=False, val_share=0, batch_size=6))
    (batch,) = (as_float(batch) for batch in epoch_of(data))
    on_disk = to_float(torch.stack([read_image(office / "one" / f"{i % 2}" / f"{i}.png", 3) for i in range(6)]))
    assert sorted(rows(batch.x)) == sorted(rows(batch.target)) == sorted(rows(on_disk))


def test_folder_crops_follow_seed_epoch_and_place(office):
    first = epoch_of(folders(office))
    again, other = epoch_of(folders(office, num_workers=2)), epoch_of(folders(office, seed=1))
    for a, b in zip(first, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    crops, others = (set(rows(whole(batches, "target"))) for batches in (first, other))
    assert len(crops & others) < len(crops) / 2  # 8 places and 2 directions: some meet
    # an image that an epoch shows many times is cropped anew each time
    small = folders(office, epoch_length=400)
    assert len(set(rows(whole(epoch_of(small), "x")))) > 5 * len(small.train_set.source)
    both = folders(office, train_on_target=True)
    assert all(torch.equal(batch.x, batch.target) for batch in epoch_of(both))


def test_folders_may_meet_digits(tmp_path, root, save):
    for i in range(20):
        save(tmp_path / "mine" / f"{i % 10}" / f"{i}.png", 9, 9, 1, seed=i)
    mine = DomainFolder(str(tmp_path / "mine"), 28, channels=1, val_share=0)
    data = set_up(Domains(mine, MNIST(root), channels=1, batch_size=8))
    batch = epoch_of(data)[0]
    assert batch.x.shape == batch.target.shape == (8, 1, 28, 28)
    assert set(rows(batch.target)) <= set(rows(torch.from_numpy(TRAIN)))


# -- what cannot be used -----------------------------------------------------------------------------------------------


def test_classes_that_differ_are_named(office, save):
    save(office / "webcam/lamp/1.png")
    (office / "webcam/bike").rename(office / "webcam/bicycle")
    with pytest.raises(InputError) as caught:
        folders(office)
    line = str(caught.value)
    assert "\n" not in line
    assert f"only {office / 'amazon'} has bike" in line
    assert f"only {office / 'webcam'} has bicycle, lamp" in line


def test_a_source_without_classes_and_a_loose_image_are_refused(office, save):
    with pytest.raises(InputError, match=r"the source needs labels, and .*loose has none"):
        two_folders(office / "loose", office / "webcam")
    save(office / "webcam/x.png")
    with pytest.raises(InputError, match=r"x\.png is in no class folder"):
        folders(office)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"size": 0}, "size is 0"),
        ({"channels": 2}, "channels is 2"),
        ({"epoch_length": 0}, "epoch_length is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_arguments_that_cannot_be_used(options, line):
    with pytest.raises(InputError, match=line):
        Domains(Digits(), Digits(), **options)


def test_folders_that_cannot_be_used():
    with pytest.raises(InputError, match="there is no folder /nowhere"):
        DomainFolder("/nowhere")
    with pytest.raises(InputError, match="val_share is 1"):
        DomainFolder("/nowhere", val_share=1.0)


def test_data_of_other_classes_are_refused(office):
    with pytest.raises(InputError, match=r"the same classes: only Digits has 0, 1, 2; only .*webcam has bike, mug"):
        Domains(Digits(), DomainFolder(str(office / "webcam")))
    with pytest.raises(InputError, match=r"the same classes: .*webcam has 2 and CIFAR10 10"):
        Domains(DomainFolder(str(office / "webcam")), CIFAR10())


def test_a_batch_larger_than_an_epoch_is_refused(root):
    with pytest.raises(InputError, match="100 training images are fewer than one batch of 101"):
        ready(source="mnist", target="mnist_m", root=root, batch_size=101).train_dataloader()


def test_the_target_s_labels_count_by_the_source_s_names(office):
    """A target whose classes come in another order, in memory and from files."""

    class Turned(Digits):
        class_names = tuple("9876543210")

    data = set_up(Domains(Digits(), Turned()))
    plain = set_up(Domains(Digits(), Digits()))
    assert torch.equal(data.test_set.datasets[1].samples.y, 9 - plain.test_set.datasets[1].samples.y)
    mixed = two_folders(office / "amazon", office / "webcam", size=16)
    mixed.target_labels = [1, 0]
    found, wanted = (set_up(each).test_set.datasets[1] for each in (mixed, folders(office, val_share=0.1)))
    assert [int(sample.y) for sample in found] == [1 - int(sample.y) for sample in wanted]


def test_an_ordinary_unlabelled_folder_may_be_the_target(office):
    target = ImageFolder(str(office / "loose"), size=16)
    data = set_up(Domains(DomainFolder(str(office / "amazon"), 16), target, batch_size=4))
    assert epoch_of(data)[0].target.shape == (4, 3, 16, 16)
    assert {int(sample.y) for sample in data.test_set.datasets[1]} == {-1}


def test_the_settings_of_both_domains_are_in_a_checkpoint(root):
    found = two_digits("mnist", "mnist_m", root, binarise=True).settings()
    assert (found["source"], found["target"]) == ("MNIST", "MNISTM")
    assert found["source.binarise"] is found["target.binarise"] is True
    assert "source.root" not in found
