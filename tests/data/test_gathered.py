"""Whole batches, gathered in memory or on a device, are the samples one by one."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import BatchSizeFinder, ModelCheckpoint
from support.batches import same, seen_batches
from torch.utils.data import DataLoader, Subset, default_collate

from ganzoo.data import Digits, DigitsM, Domains, ImageFolder, Paired, UnpairedFolders, base
from ganzoo.data.base import ImageDataModule
from ganzoo.data.batches import ImagePairs, Images, LabelledImages, as_float
from ganzoo.data.datasets import InMemory, UnpairedDataset
from ganzoo.data.gathered import Gathered, collate_gathered
from ganzoo.data.sampling import Augmented, identity
from ganzoo.data.transforms import Independent, RandomCropFlip, random_flip
from ganzoo.errors import InputError

IMAGES = torch.randint(0, 256, (40, 1, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
OTHERS = torch.randint(0, 256, (16, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
META, CPU = torch.device("meta"), torch.device("cpu")


@pytest.fixture
def packed(tmp_path, save, monkeypatch) -> Callable[[str], Any]:
    """Training sets of packed images."""
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    for i in range(5):
        save(tmp_path / f"photos/{'ab'[i % 2]}/{i}.png", 12, 12, seed=i)
        save(tmp_path / f"two/A/{i}.png", 12, 12, 1 + 2 * (i % 2), seed=i)
        save(tmp_path / f"two/B/{i}.jpg", 13, 13, seed=10 + i)
    save(tmp_path / "two/A/5.png", 12, 12, seed=5)
    save(tmp_path / "unlike/A/1.png", 12, 20)
    save(tmp_path / "unlike/A/2.png", 30, 12)

    def data(kind: str, **options: Any) -> ImageDataModule:
        options = {"size": 8, "val_share": 0, "batch_size": 2, "seed": 3, "packed": True, **options}
        if kind == "UnpairedFolders":
            return UnpairedFolders(str(tmp_path / "two"), load_size=11, channels_x=1, **options)
        if kind == "Paired":
            (tmp_path / "two/A/5.png").unlink(missing_ok=True)
            return Paired(str(tmp_path / "two"), load_size=11, direction="BtoA", channels_x=1, **options)
        return ImageFolder(str(tmp_path / kind), labelled=kind == "photos", **options)

    return data


def labelled(transform: Any) -> Augmented:
    return Augmented(InMemory(LabelledImages(IMAGES, torch.arange(40))), transform, seed=3)


def pairs_of_different_places(data: Any) -> UnpairedDataset:
    """As ``Maps(unpaired=True)``: both sides are of one packed file."""
    files, transform = data.train_set.items, data.train_set.transform
    return UnpairedDataset(files[1::2], files[0::2], Independent(transform, transform), 3)


def two_domains(**options: Any) -> Augmented:
    data = Domains(Digits(), DigitsM(size=12), size=8, epoch_length=40, seed=3, **options)
    data.setup()
    return data.train_set


SETS = {
    "plain": lambda: labelled(identity),
    "flipped": lambda: labelled(random_flip),
    "grey as colour": lambda: Augmented(InMemory(Images(IMAGES.expand(-1, 3, -1, -1))), random_flip, 3),
    "pairs": lambda: Augmented(InMemory(ImagePairs(IMAGES, IMAGES.flip(0))), random_flip, 3),
    "unpaired": lambda: UnpairedDataset(
        InMemory(Images(OTHERS)), InMemory(ImagePairs(IMAGES, 255 - IMAGES)), Independent(random_flip, random_flip), 3
    ),
    "one flips": lambda: UnpairedDataset(
        InMemory(Images(IMAGES)), InMemory(Images(OTHERS)), Independent(identity, random_flip), 3
    ),
    "domains": two_domains,
    "target alone": lambda: two_domains(train_on_target=True),
}
PACKED = ("photos", "Paired", "UnpairedFolders", "Maps")


@pytest.fixture(params=[*SETS, *PACKED])
def dataset(request, packed) -> Augmented:
    if request.param in SETS:
        return SETS[request.param]()
    data = packed("Paired" if request.param == "Maps" else request.param)
    data.setup()
    data.train_dataloader()
    return pairs_of_different_places(data) if request.param == "Maps" else data.train_set


def test_a_gathered_batch_is_the_samples_one_by_one(dataset, monkeypatch):
    gathered = Gathered.of(dataset)
    keys = [(epoch, index % len(dataset)) for epoch in (0, 2) for index in (3, 39, 0, 17, 17, 5, 8, 21)]
    wanted, alone = default_collate([dataset[key] for key in keys]), [dataset[index] for index in (1, 0)]
    assert len(gathered) == len(dataset)
    assert gathered.sizes == (dataset.sizes if isinstance(dataset, UnpairedDataset) else {})
    assert gathered.transform is dataset.transform  # an evaluation says that training images are augmented
    assert same(gathered[keys[1]], dataset[keys[1]])
    monkeypatch.setattr(type(dataset), "__getitem__", lambda *_: pytest.fail("one by one"))
    for device in (None, CPU):
        if device is not None:
            gathered.move(device)
        (found,) = DataLoader(gathered, batch_size=len(keys), sampler=keys, collate_fn=collate_gathered)
        assert type(found) is type(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert torch.equal(a, b)
            assert a.dtype == b.dtype
            assert a.is_contiguous()
    (of_part,) = DataLoader(Subset(gathered, [1, 0]), batch_size=2, collate_fn=collate_gathered)
    assert torch.equal(of_part.x, default_collate(alone).x)
    assert torch.equal(collate_gathered(alone).x, of_part.x)


def test_all_work_is_on_the_device_and_no_step_waits_for_it(dataset):
    """Tensors without values: to read one of them on the processor would be an error."""
    gathered = Gathered.of(dataset)
    keys = [(1, 0), (1, 1), 1]
    here = gathered.__getitems__(keys)
    gathered.move(META)
    there = gathered.__getitems__(keys)
    assert [field.device for field in there] == [META] * len(there)
    assert [(field.shape, field.dtype) for field in there] == [(field.shape, field.dtype) for field in here]
    assert as_float(there).x.dtype == torch.float32
    gathered.release()
    assert same(gathered.__getitems__(keys), here)


def test_a_table_of_two_sides_is_on_the_device_once(packed):
    data = packed("Paired")
    data.setup()
    data.train_dataloader()
    both = Gathered.of(pairs_of_different_places(data))
    assert both.bytes == Gathered.of(data.train_set).bytes == 5 * (1 + 3) * 11 * 11
    both.move(CPU)
    assert both._samples[0].x is both._samples[1].x


def test_what_is_drawn_otherwise_is_not_gathered(packed):
    items = InMemory(Images(IMAGES))

    class Other(Augmented):
        def __getitem__(self, key):
            return None

    for dataset in (
        Augmented(items, lambda sample, rng: sample, 0),
        Augmented([1, 2], identity, 0),
        items,
        UnpairedDataset(items, items, random_flip, 0),
        Other(items, identity, 0),
        Augmented(range(3), RandomCropFlip(items.__getitem__, 4, True), 0),
    ):
        assert Gathered.of(dataset) is None
    data = packed("unlike")
    data.setup()
    data.train_dataloader()
    assert data._packs[0].bytes is not None
    assert Gathered.of(data.train_set) is None  # 8 pixels high or wide, and of several widths


# -- in a training -----------------------------------------------------------------------------------------------------


class Mirrored(ImageDataModule):
    """40 images in memory, flipped at random."""

    def __init__(self, batch_size: int = 3, num_workers: int = 0, seed: int = 0, on_device: bool | None = None) -> None:
        super().__init__((1, 5, 7), None, batch_size=batch_size, num_workers=num_workers, seed=seed, on_device=on_device)

    def splits(self):
        return labelled(random_flip), None, None


def moves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to sets on devices."""
    done: list[str] = []
    for name in ("move", "release"):
        do = getattr(Gathered, name)
        monkeypatch.setattr(Gathered, name, lambda *args, do=do, name=name: [done.append(name), do(*args)][1])
    return done


def all_same(a: list, b: list) -> bool:
    return len(a) == len(b) and all(map(same, a, b))


def test_a_training_on_the_device_has_the_same_batches_and_gives_the_memory_back(tmp_path, monkeypatch, capsys):
    plain = seen_batches(Mirrored(on_device=False), tmp_path, max_epochs=2)
    done = moves(monkeypatch)
    data = Mirrored(on_device=True, num_workers=2)
    on_device = seen_batches(data, tmp_path, max_epochs=2)
    assert len(plain) == 2 * 13
    assert all_same(on_device, plain)
    assert done == ["move", "release"]
    assert data.trainer.train_dataloader.num_workers == 0
    assert data._gathered[1]._samples[0] is data.train_set.items.samples
    assert "the training images are on cpu: 0.0 MiB" in capsys.readouterr().err
    # a processor's own memory is as good, unless it is asked for; and a set goes there once for each training
    done.clear()
    assert all_same(seen_batches(Mirrored(), tmp_path, max_epochs=2), plain)
    assert "move" not in done
    done.clear()
    assert all_same(seen_batches(data, tmp_path, max_epochs=2), plain)
    assert done == ["move", "release"]


def test_a_training_that_fails_gives_the_memory_back(tmp_path, monkeypatch):
    class Fails(L.Callback):
        def on_train_batch_start(self, *_):
            raise RuntimeError("out of something")

    done, data = moves(monkeypatch), Mirrored(on_device=True)
    with pytest.raises(RuntimeError, match="out of something"):
        seen_batches(data, tmp_path, max_epochs=1, callbacks=[Fails()])
    assert done[-1] == "release"
    assert data._gathered[1].device is None


def test_without_a_trainer_the_loader_gathers_itself(packed):
    data, plain = packed("Paired", on_device=True), packed("Paired", packed=False)
    for each in (data, plain):
        each.setup()
    batch = as_float(next(iter(data.train_dataloader())))
    assert type(batch) is ImagePairs
    assert same(batch, as_float(next(iter(plain.train_dataloader()))))


@pytest.mark.parametrize("kind", ["photos", "Paired", "UnpairedFolders"])
def test_packed_images_are_cropped_and_flipped_on_the_device(kind, packed, tmp_path, monkeypatch):
    plain = seen_batches(packed(kind, packed=False), tmp_path, max_epochs=3)
    done = moves(monkeypatch)
    assert all_same(seen_batches(packed(kind, on_device=True), tmp_path, max_epochs=3), plain)
    assert done == ["move", "release"]
    done.clear()
    assert all_same(seen_batches(packed(kind), tmp_path, max_epochs=3), plain)
    assert "move" not in done


def test_a_run_on_the_device_is_resumed_within_an_epoch_and_its_checkpoint_is_the_same(tmp_path, monkeypatch):
    whole = seen_batches(Mirrored(), tmp_path, max_steps=20)
    states = []
    for name, on_device in (("a", None), ("b", True)):
        keep = ModelCheckpoint(tmp_path / name, save_last=True, every_n_train_steps=1)
        seen_batches(Mirrored(on_device=on_device), tmp_path, max_steps=7, callbacks=[keep])
        states.append(torch.load(tmp_path / name / "last.ckpt", weights_only=True)["Mirrored"])
    assert states[0] == states[1]
    assert "on_device" not in states[1]
    rest = seen_batches(Mirrored(on_device=True), tmp_path, tmp_path / "a/last.ckpt", max_steps=20)
    assert all_same(rest, whole[7:])


def test_a_few_batches_may_be_overfitted_on_the_device(tmp_path):
    options = {"max_epochs": 2, "overfit_batches": 2}
    plain, found = (seen_batches(Mirrored(on_device=each), tmp_path, **options) for each in (False, True))
    assert len(found) == 4
    assert all_same(found, plain)
    assert all_same(found[:2], found[2:])


def test_lightnings_search_for_a_batch_size_moves_the_set_once(tmp_path, monkeypatch):
    done, data = moves(monkeypatch), Mirrored(on_device=True)
    seen = seen_batches(data, tmp_path, max_epochs=1, callbacks=[BatchSizeFinder(init_val=8)])
    assert data.batch_size == 40
    assert len(seen[-1].y) == 40
    assert done == ["move", "release"]


def test_what_is_not_in_memory_is_refused_where_the_device_is_asked_for(packed, tmp_path):
    for data in (packed("photos", packed=False, on_device=True), packed("unlike", on_device=True)):
        with pytest.raises(InputError, match=r"on_device is true, and the training images of .* packed in one size: give"):
            seen_batches(data, tmp_path, max_epochs=1)


def test_a_small_share_of_an_accelerators_free_memory_is_taken_without_asking(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda device: (8000, 9000))
    assert base._has_room(torch.device("cuda"), 1000)
    assert not base._has_room(torch.device("cuda"), 1001)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_device_whose_memory_is_not_known_is_not_filled(device):
    assert not base._has_room(torch.device(device), 0)
