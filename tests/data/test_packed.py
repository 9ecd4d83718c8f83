"""Training images are decoded once, into one file; the batches are those of the images themselves."""

import os
import pickle
import re
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from support.batches import same, seen_batches
from support.two_domains import two_folders

from ganzoo.data import ImageFolder, Paired, UnpairedFolders, file_reader, packed
from ganzoo.data.batches import as_float
from ganzoo.errors import InputError


@pytest.fixture
def root(tmp_path, save, monkeypatch) -> Path:
    """Photographs of two classes and several widths, pairs in one file and in two; and a cache of the test's own."""
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    for i in range(7):
        save(tmp_path / f"photos/{'ab'[i % 2]}/{i}.png", 12 + i, 30 - 2 * i, seed=i)
        save(tmp_path / f"halves/{i}.jpg", 16, 32, seed=i)
        save(tmp_path / f"two/A/{i}.png", 20, 20, 1 + 2 * (i % 2), seed=i)
        save(tmp_path / f"two/B/{i}.jpg", 40 + i, 40 + i, seed=10 + i)
    return tmp_path


SMALL = {"size": 8, "val_share": 0, "batch_size": 2, "seed": 3}
KINDS = {
    "ImageFolder": lambda root, **o: ImageFolder(str(root / "photos"), labelled=True, **SMALL, **o),
    "Paired, one file": lambda root, **o: Paired(str(root / "halves"), load_size=11, channels_y=1, **SMALL, **o),
    "Paired, two": lambda root, **o: Paired(str(root / "two"), load_size=9, direction="BtoA", channels_x=1, **SMALL, **o),
    "UnpairedFolders": lambda root, **o: UnpairedFolders(str(root / "two"), load_size=9, channels_y=1, **SMALL, **o),
}


def epochs(data: L.LightningDataModule, skip: int = 0) -> list:
    """The batches of two epochs, without the first `skip` samples."""
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler.begin_at(0, skip)
    batches = list(loader)
    loader.sampler.set_epoch(1)
    return [*batches, *loader]


def files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "cache").rglob("*") if path.is_file())


def never(*_, **__):
    raise AssertionError("an image is decoded")


@pytest.mark.parametrize("kind", KINDS)
def test_packed_images_give_the_same_batches_and_are_decoded_once(kind, root, monkeypatch, capsys):
    plain = epochs(KINDS[kind](root))
    assert files(root) == []
    first = epochs(KINDS[kind](root, packed=True))
    written = files(root)
    assert [path.suffix for path in written] == [".images"] * (2 if kind == "UnpairedFolders" else 1)
    assert f"training reads packed images: {written[0]}" in capsys.readouterr().err
    monkeypatch.setattr(file_reader, "read_resized", never)
    second, resumed = epochs(KINDS[kind](root, packed=True)), epochs(KINDS[kind](root, packed=True), skip=2)
    assert files(root) == written
    assert len(plain) == len(first) == len(second) == len(resumed) + 1 == 6
    for batches in (first, second):
        assert all(same(a, b) for a, b in zip(batches, plain, strict=True))
    assert all(same(a, b) for a, b in zip(resumed, plain[1:], strict=True))


def test_workers_read_the_same_file(root, monkeypatch):
    plain = epochs(KINDS["Paired, two"](root))
    epochs(KINDS["Paired, two"](root, packed=True))
    monkeypatch.setattr(file_reader, "read_resized", never)
    assert all(map(same, epochs(KINDS["Paired, two"](root, packed=True, num_workers=2)), plain))


def test_a_reader_that_is_sent_to_another_process_maps_the_file_there(root, monkeypatch):
    data = KINDS["ImageFolder"](root, packed=True)
    data.setup()
    before = pickle.dumps(data._packs[0])
    assert pickle.loads(before).bytes is None
    data.train_dataloader()
    sent = pickle.dumps(data._packs[0])
    assert len(sent) < len(before) + 100 < len(before) + data._packs[0].length  # without the images
    monkeypatch.setattr(file_reader, "read_resized", never)
    again = pickle.loads(sent)
    assert not again.bytes.flags.writeable
    file = data.train_set.items[3]
    images = again.read(file)
    assert torch.equal(images[0], data._packs[0].read(file)[0])
    images[0].zero_()  # a copy: the map is read-only
    assert again.read(file)[0].any()


def test_a_run_may_be_resumed_within_an_epoch_with_packed_images(root):
    keep = ModelCheckpoint(root / "run", save_last=True, every_n_train_steps=1)
    seen_batches(KINDS["ImageFolder"](root), root, max_steps=2, callbacks=[keep])
    seen = seen_batches(KINDS["ImageFolder"](root, packed=True), root, root / "run/last.ckpt", max_steps=6)
    wanted = epochs(KINDS["ImageFolder"](root))[2:]
    assert all(same(a, as_float(b)) for a, b in zip(seen, wanted, strict=True))


def test_domains_of_folders_are_packed_too(root, save, monkeypatch):
    for i in range(3):
        save(root / f"target/{i}.png", 20, 20, seed=30 + i)

    def domains(**options):
        data = two_folders(root / "photos", root / "target", size=8, batch_size=2, val_share=0)
        for each in (data.source, data.target):
            vars(each).update(options)
        return data

    plain = epochs(domains())
    epochs(domains(packed=True))
    assert len(files(root)) == 2
    data = domains(packed=True)
    data.setup()  # which looks at one sample
    monkeypatch.setattr(file_reader, "read_resized", never)
    assert all(map(same, epochs(data), plain))


def test_what_differs_is_another_file(root, save):
    def pack(**options):
        data = ImageFolder(str(root / "photos"), packed=True, **{**SMALL, **options})
        data.setup()
        data.train_dataloader()
        return {path.name for path in files(root)}

    known = pack()
    assert pack(mirror=False, seed=9, batch_size=1) == known
    for options in ({"size": 6}, {"channels": 1}, {"max_value": 4095.0}, {"jpeg_draft": False}, {"val_share": 0.5}):
        now = pack(**options)
        assert len(now - known) == 1, options
        known = now
    path = root / "photos/a/0.png"
    os.utime(path, ns=(0, 12345))
    assert len(pack() - known) == 1
    known = pack()
    save(path, 12, 30, seed=77)  # the same size and other pixels
    assert len(pack() - known) == 1
    data = ImageFolder(str(root / "photos"), packed=True, **SMALL)
    assert all(map(same, epochs(data), epochs(ImageFolder(str(root / "photos"), **SMALL))))


def test_both_directions_of_pairs_share_a_file(root):
    """Only where the channels of A and of B are the same."""
    for direction, count in (("AtoB", 1), ("BtoA", 1)):
        options = {**SMALL, "load_size": 9, "direction": direction}
        assert all(
            map(
                same, epochs(Paired(str(root / "two"), packed=True, **options)), epochs(Paired(str(root / "two"), **options))
            )
        )
        assert len(files(root)) == count
    epochs(KINDS["Paired, two"](root, packed=True))
    assert len(files(root)) == 2


def test_a_pack_says_how_many_others_lie_beside_it(root, capsys):
    epochs(ImageFolder(str(root / "photos"), packed=True, **SMALL))
    assert "delete" not in capsys.readouterr().err
    epochs(ImageFolder(str(root / "photos"), packed=True, **{**SMALL, "size": 6}))
    said = capsys.readouterr().err
    assert re.search(r"holds 1 more of these images, of other settings or older \(\d\.\d KiB\): delete", said)


def test_a_damaged_pack_is_written_again(root, capsys):
    plain = epochs(KINDS["ImageFolder"](root))
    epochs(KINDS["ImageFolder"](root, packed=True))
    (path,) = files(root)
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole[:100], whole + b"x", whole[:-5] + b"other"):
        capsys.readouterr()
        path.write_bytes(content)
        assert all(map(same, epochs(KINDS["ImageFolder"](root, packed=True)), plain))
        assert f"the packed images in {path} are damaged: they are packed again" in capsys.readouterr().err
        assert path.read_bytes() == whole


def test_no_room_is_said_before_anything_is_written(root, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(
        InputError, match=r"no room to pack the images of .*photos \([\d.]+ KiB in .*: [\d.]+ KiB are missing; make"
    ):
        epochs(KINDS["ImageFolder"](root, packed=True))
    assert files(root) == []


def test_a_disk_that_fills_up_leaves_nothing(root, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot pack the images of .*: No space left on device; make room"):
        epochs(KINDS["ImageFolder"](root, packed=True))
    assert files(root) == []


def test_an_image_damaged_in_its_middle_leaves_nothing(root):
    path = root / "halves/3.jpg"
    content = path.read_bytes()
    data = Paired(str(root / "halves"), packed=True, load_size=11, **SMALL)
    data.setup()
    path.write_bytes(content[:300])
    with pytest.raises(InputError, match=r"cannot read the image .*3.jpg"):
        data.train_dataloader()
    assert files(root) == []
    shutil.copy(root / "two/A/0.png", path)  # an image of another size comes in its place
    data = ImageFolder(str(root / "photos"), packed=True, **SMALL)
    data.setup()
    shutil.copy(root / "halves/1.jpg", data.train_set.items[0].path)
    with pytest.raises(InputError, match=r"0.png changed while it was packed"):
        data.train_dataloader()
    assert files(root) == []


def test_a_cache_that_cannot_be_written_is_done_without(root, capsys):
    (root / "cache").write_text("a file where the folder should be")
    plain, without = epochs(KINDS["ImageFolder"](root)), epochs(KINDS["ImageFolder"](root, packed=True))
    assert all(map(same, without, plain))
    assert "cannot write packed images to" in capsys.readouterr().err


def test_two_that_pack_at_once_wait_for_each_other(root, monkeypatch, capsys):
    pair = [KINDS["ImageFolder"](root, packed=True) for _ in range(2)]
    for data in pair:
        data.setup()
    readers = [data._packs[0] for data in pair]
    reads, begun, both = [], threading.Event(), threading.Event()
    read = type(readers[0].reader).read

    def slow(self, file):
        reads.append(file)
        begun.set()
        assert both.wait(20)
        return read(self, file)

    monkeypatch.setattr(type(readers[0].reader), "read", slow)
    monkeypatch.setattr(packed, "log_info", lambda line: both.set() if "waiting" in line else None)
    first, second = (threading.Thread(target=reader.open) for reader in readers)
    first.start()
    assert begun.wait(20)
    second.start()
    first.join()
    second.join()
    assert len(reads) == 7  # one of the two decoded
    assert all(reader.bytes is not None for reader in readers)


def test_whoever_only_tests_packs_nothing(root):
    data = ImageFolder(str(root / "photos"), packed=True, size=8, batch_size=1, val_share=0.5)
    data.setup("test")
    list(data.test_dataloader())
    list(data.val_dataloader())
    assert files(root) == []
