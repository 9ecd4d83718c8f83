"""Shards: what is written comes back, once an epoch, in equal shares, in an order of seed and epoch, resumed exactly."""

import configparser
import importlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from PIL import Image
from support.torchrun import spawn_two
from support.training import LIMIT

from ganzoo.data import ImageFolder, base
from ganzoo.data.base import ImageDataModule
from ganzoo.data.batches import ImagePairs, Images, LabelledImages, Unpaired
from ganzoo.data.datasets import InMemory
from ganzoo.data.sampling import Augmented, EpochSampler
from ganzoo.errors import InputError

pytest.importorskip("litdata")
PLUGIN = Path(__file__).resolve().parents[2] / "examples" / "streaming"
sys.path.insert(0, str(PLUGIN))
streaming = importlib.import_module("ganzoo_streaming")
ShardOrder, Streaming, write_shards = streaming.ShardOrder, streaming.Streaming, streaming.write_shards

PACKAGE_PARENT = str(Path(base.__file__).parents[2])
SHARD_MB = 0.0015  # six or so of these images


def noise(index: int, channels: int = 3, size: int = 8) -> torch.Tensor:
    rng = np.random.default_rng(index)
    return torch.from_numpy(rng.integers(0, 256, (channels, size, size), np.uint8))


def blacked(sample, rng):
    return type(sample)(*(value * 0 for value in sample))


class Numbered(ImageDataModule):
    """Images of noise whose label is their number; the training set's augmentation would make them black."""

    def __init__(self, train: int = 53, val: int = 7) -> None:
        super().__init__((3, 8, 8), 100, batch_size=4, num_workers=0, seed=0)
        self.class_names = None
        self.numbers = range(train), range(100, 100 + val)

    def splits(self):
        train, val = (
            InMemory(LabelledImages(torch.stack([noise(i) for i in numbers]), torch.tensor(list(numbers))))
            for numbers in self.numbers
        )
        return Augmented(train, blacked, 0), val, None


class Given(ImageDataModule):
    """The samples it was given, to train on."""

    def __init__(self, samples: list, shape=(3, 8, 8)) -> None:
        super().__init__(shape, None, batch_size=1, num_workers=0, seed=0)
        self.samples = samples

    def splits(self):
        return self.samples, None, None


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """53 training images in ten or so shards, and 7 to validate. Read only."""
    return written(Numbered(), tmp_path_factory.mktemp("written") / "shards")


def written(data: ImageDataModule, root: Path, **options) -> Path:
    data.setup()
    write_shards(data, root, **{"shard_mb": SHARD_MB, **options})
    return root


def opened(root: Path | str, **options) -> Any:
    data = Streaming(str(root), **{"batch_size": 4, "mix": 3, **options})
    data.setup()
    return data


def numbers(batches) -> list[int]:
    return list(chain.from_iterable(batch.y.tolist() for batch in batches))


# -- what is written comes back -------------------------------------------------------------------------------------------


def test_images_and_labels_come_back_unchanged_and_unaugmented(root):
    data = opened(root)
    assert (data.shape, data.classes) == ((3, 8, 8), 100)
    assert len(list(root.glob("train/*.bin"))) > 6
    batches = list(data.train_dataloader())
    assert all(type(b) is LabelledImages and b.x.dtype == torch.uint8 and b.y.dtype == torch.int64 for b in batches)
    for batch in batches:
        assert all(torch.equal(x, noise(y)) for x, y in zip(batch.x, batch.y.tolist(), strict=True))
    stored = [data.shards[i][1] for i in range(53)]
    assert stored != sorted(stored)  # shuffled
    held_out = list(data.val_dataloader())
    assert numbers(held_out) == list(range(100, 107))
    assert torch.equal(held_out[1].x[0], noise(104))
    with pytest.raises(InputError, match="no test images"):
        data.test_dataloader()


@pytest.mark.parametrize(
    "samples",
    [
        [Images(noise(i, channels=1)) for i in range(9)],
        [ImagePairs(noise(i), noise(i + 50, channels=1)) for i in range(9)],
    ],
    ids=["alone", "pairs"],
)
def test_images_alone_and_pairs_come_back(samples, tmp_path):
    data = opened(written(Given(samples), tmp_path / "shards"), batch_size=1)
    assert data.classes is None
    assert data.shape_x == samples[0].x.shape
    assert data.shape_y == samples[0][-1].shape
    seen = list(data.train_dataloader())
    assert all(type(batch) is type(samples[0]) for batch in seen)
    assert {tuple(f.numpy().tobytes() for f in b) for b in seen} == {tuple(f.numpy().tobytes() for f in s) for s in samples}


def test_a_pair_is_cut_and_mirrored_as_one_and_at_random(tmp_path):
    wide = [noise(i, size=24)[:, :12] for i in range(8)]
    root = written(Given([ImagePairs(x, x) for x in wide], (3, 12, 24)), tmp_path / "shards")
    with pytest.raises(InputError, match="give size"):
        Streaming(str(root))
    data = opened(root, size=12, mirror=True, batch_size=8)
    loader = data.train_dataloader()
    (batch,) = loader
    assert torch.equal(batch.x, batch.y)
    lefts = [x[:, :, left : left + 12] for x in wide for left in range(13)]
    squares = {square.contiguous().numpy().tobytes() for square in lefts}
    ways = Counter()
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        (batch,) = loader
        for x in batch.x:
            ways[tuple(way.contiguous().numpy().tobytes() in squares for way in (x, x.flip(-1)))] += 1
    assert set(ways) == {(True, False), (False, True)}  # each is a square of an image, some as they are, some mirrored


def test_the_files_of_a_folder_go_in_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        for i in range(6):
            path = tmp_path / "photos" / label / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (12 + i, 16, 3), np.uint8)).save(path)
    folder = ImageFolder(str(tmp_path / "photos"), size=12, labelled=True, val_share=0)
    root = written(folder, tmp_path / "shards")
    data = opened(root, size=12, batch_size=1)
    assert data.class_names == ["cat", "dog"]
    assert data.classes == 2
    there = {bytes(data.shards[i][0]) for i in range(12)}
    assert there == {path.read_bytes() for path in (tmp_path / "photos").glob("*/*.jpg")}
    assert Counter(numbers(data.train_dataloader())) == {0: 6, 1: 6}
    assert opened(root, size=10, channels=1).train_set[0].x.shape == (1, 10, 10)


def test_samples_that_shards_do_not_have_are_refused(tmp_path):
    with pytest.raises(InputError, match="Unpaired"):
        written(Given([Unpaired(noise(0), noise(1))]), tmp_path / "shards")
    with pytest.raises(InputError, match="not set up"):
        write_shards(Numbered(), tmp_path / "shards")
    assert list(tmp_path.iterdir()) == []


def test_writing_leaves_all_or_nothing(root, tmp_path):
    def interrupted(done, of):
        assert of == 60
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(Numbered(), tmp_path / "shards", tick=interrupted)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        written(Numbered(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


# -- order ----------------------------------------------------------------------------------------------------------------

SIZES = [5, 9, 1, 7, 7, 12, 3, 6, 3]  # 53


def in_epoch(order: ShardOrder, epoch: int) -> list[int]:
    order.set_epoch(epoch)
    keys = list(order)
    assert {at for at, _ in keys} <= {epoch}
    return [index for _, index in keys]


@pytest.mark.parametrize("mix", [1, 3, 20])
@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_each_image_once_and_equal_shares(ranks, mix):
    for epoch in range(5):
        shares = [in_epoch(ShardOrder(SIZES, 0, mix, ranks, rank), epoch) for rank in range(ranks)]
        assert {len(share) for share in shares} == {53 // ranks} == {len(ShardOrder(SIZES, 0, mix, ranks, 0))}
        together = set(chain.from_iterable(shares))
        assert len(together) == 53 // ranks * ranks
        assert together <= set(range(53))


def test_the_order_is_of_seed_and_epoch():
    a, again, other = (in_epoch(ShardOrder(SIZES, seed, 3), 1) for seed in (4, 4, 5))
    assert a == again != other
    assert a != in_epoch(ShardOrder(SIZES, 4, 3), 2)
    # nor is it the order of seed + epoch
    for sizes in (SIZES, [50], [1] * 50):
        assert in_epoch(ShardOrder(sizes, 4, 3), 2) != in_epoch(ShardOrder(sizes, 5, 3), 1)
    # not only the shards' order is new
    within = [[i for i in in_epoch(ShardOrder(SIZES, 4, 3), epoch) if 22 <= i < 29] for epoch in range(3)]
    assert len({tuple(order) for order in within}) == 3


def shard_of(index: int) -> int:
    return int(np.cumsum(SIZES).searchsorted(index, "right"))


@pytest.mark.parametrize("mix", [1, 2, 4])
def test_few_shards_are_open_at_a_time(mix):
    most = 0
    for epoch in range(30):
        shards = [shard_of(index) for index in in_epoch(ShardOrder(SIZES, 0, mix), epoch)]
        first = {shard: shards.index(shard) for shard in shards}
        last = {shard: len(shards) - 1 - shards[::-1].index(shard) for shard in shards}
        most = max([most, *(sum(first[s] <= at <= last[s] for s in first) for at in range(len(shards)))])
    assert most == mix


def test_two_processes_read_different_shards_but_one():
    for epoch in range(10):
        one, two = ({shard_of(i) for i in in_epoch(ShardOrder(SIZES, 0, 3, 2, rank), epoch)} for rank in (0, 1))
        assert len(one & two) <= 1


def test_every_image_is_as_likely_to_come_early_or_late_or_to_be_left_out():
    sizes, epochs = [4] * 6, 600
    place, left_out = np.zeros(24), Counter()
    order = ShardOrder(sizes, 0, 2)
    for epoch in range(epochs):
        place[in_epoch(order, epoch)] += np.arange(24)
        shares = (in_epoch(ShardOrder(sizes, 0, 2, 7, rank), epoch) for rank in range(7))
        left_out.update(set(range(24)) - set(chain.from_iterable(shares)))
    # 4.5 sigma; a place of 24 has a variance of (24^2 - 1) / 12
    assert np.abs(place / epochs - 11.5).max() < 4.5 * (575 / 12 / epochs) ** 0.5
    wanted, sigma = epochs * 3 / 24, (epochs * 3 / 24 * 21 / 24) ** 0.5
    assert all(abs(left_out[i] - wanted) < 4.5 * sigma for i in range(24))


@pytest.mark.parametrize("done", [0, 1, 7, 25, 26])
def test_it_begins_where_it_is_told(done):
    whole = in_epoch(ShardOrder(SIZES, 0, 3, 2, 1), 4)
    order = ShardOrder(SIZES, 0, 3, 2, 1)
    order.begin_at(4, done)
    assert [index for _, index in order] == whole[done:]
    assert in_epoch(order, 5) == in_epoch(ShardOrder(SIZES, 0, 3, 2, 1), 5)


# -- in a training --------------------------------------------------------------------------------------------------------


class Seen(L.LightningModule):
    """Writes down the batches it has seen, and leaves the numbers in a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.seen: list[tuple[int, LabelledImages]] = []
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch))
        return self.weight * 0

    def validation_step(self, batch, batch_idx):
        assert batch.x.dtype == torch.float32

    def on_train_end(self):
        torch.save([(epoch, batch.y) for epoch, batch in self.seen], self.folder / f"rank{self.global_rank}.pt")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Stops(L.Callback):
    """Saves and stops after so many steps, wherever in an epoch that is."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, *args) -> None:
        if trainer.global_step == self.steps:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "last.ckpt")
            trainer.should_stop = True


QUIET = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "accelerator": "cpu",
    "num_sanity_val_steps": 0,
}


def trained(root: Path, folder: Path, steps: int, resume: Path | None = None, **options) -> list:
    """The (epoch, batch) of a run of so many steps, which leaves a checkpoint."""
    data = Streaming(str(root), batch_size=4, mix=3, **options)
    module = Seen(folder)
    trainer = L.Trainer(default_root_dir=folder, callbacks=[Stops(steps)], max_epochs=9, **QUIET)
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    return module.seen


def same(a: list, b: list) -> bool:
    return len(a) == len(b) and all(
        at == there and torch.equal(x.x, y.x) and torch.equal(x.y, y.y) for (at, x), (there, y) in zip(a, b, strict=True)
    )


def test_a_trainer_gets_floats_and_each_image_once_an_epoch(root, tmp_path):
    seen = trained(root, tmp_path, 26)
    assert [epoch for epoch, _ in seen] == [0] * 13 + [1] * 13
    assert all(batch.x.dtype == torch.float32 and len(batch.y) == 4 for _, batch in seen)
    first, second = (numbers(batch for at, batch in seen if at == epoch) for epoch in (0, 1))
    assert first != second
    assert len(set(first)) == len(set(second)) == 52  # the last incomplete batch is left out


def test_workers_do_not_change_the_batches(root, tmp_path):
    assert same(trained(root, tmp_path, 17), trained(root, tmp_path, 17, num_workers=2))


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 2), (0, 2), (2, 0)])
def test_a_run_resumed_within_an_epoch_sees_what_it_would_have_seen(before, after, root, tmp_path):
    straight = trained(root, tmp_path, 18)
    first = trained(root, tmp_path, 9, num_workers=before)
    second = trained(root, tmp_path, 18, tmp_path / "last.ckpt", num_workers=after)
    assert len(second) == 9
    assert same(first + second, straight)


def test_resuming_reads_nothing_of_what_was_seen(root, tmp_path, monkeypatch):
    read: list[int] = []
    item = streaming.Shards.__getitem__

    def noted(self, index):
        if self.place.name.endswith("train"):
            read.append(index)
        return item(self, index)

    monkeypatch.setattr(streaming.Shards, "__getitem__", noted)
    trained(root, tmp_path, 9)
    read.clear()
    (at, batch), *_ = trained(root, tmp_path, 10, tmp_path / "last.ckpt")
    assert at == 0
    assert len(read) <= 8  # the batch, and the one that a loader looks ahead
    assert read[:4] == [opened_index(root, number) for number in batch.y.tolist()]


def opened_index(root: Path, number: int) -> int:
    shards = opened(root).shards
    return next(i for i in range(len(shards)) if shards[i][1] == number)


@pytest.mark.parametrize("change", [{"mix": 2}, {"seed": 1}], ids=str)
def test_another_order_within_an_epoch_is_refused(change, root, tmp_path):
    trained(root, tmp_path, 9)
    data = Streaming(str(root), **{"batch_size": 4, "mix": 3, **change})
    trainer = L.Trainer(default_root_dir=tmp_path, max_epochs=1, **QUIET)
    with pytest.raises(InputError, match=f"data.{next(iter(change))}"):
        trainer.fit(Seen(tmp_path), data, ckpt_path=tmp_path / "last.ckpt", weights_only=True)


def test_processes_have_loaders_of_different_images_and_equal_length(root, monkeypatch):
    for ranks, batches in ((2, 6), (3, 4)):
        seen = []
        for rank in range(ranks):
            plain = partial(EpochSampler, num_replicas=ranks, rank=rank)
            monkeypatch.setattr(base, "EpochSampler", lambda length, seed, *_, plain=plain: plain(length, seed))
            loader = opened(root).train_dataloader()
            seen.append(numbers(loader))
            assert len(loader) == len(seen[-1]) / 4 == batches
        assert len(set(chain.from_iterable(seen))) == ranks * batches * 4


def test_other_shards_of_the_same_images_within_an_epoch_are_refused(root, tmp_path):
    trained(root, tmp_path, 9)
    other = written(Numbered(), tmp_path / "shards", seed=1)
    trainer = L.Trainer(default_root_dir=tmp_path, max_epochs=1, **QUIET)
    data = Streaming(str(other), batch_size=4, mix=3)
    with pytest.raises(InputError, match=r"data\.shards"):
        trainer.fit(Seen(tmp_path), data, ckpt_path=tmp_path / "last.ckpt", weights_only=True)


def two_trained(root: Path, folder: Path, steps: int, resume: Path | None = None, workers: int = 0) -> None:
    trainer = L.Trainer(
        default_root_dir=folder, callbacks=[Stops(steps)], max_epochs=9, strategy="ddp", devices=2, **QUIET
    )  # fmt: skip
    data = Streaming(str(root), batch_size=4, mix=3, num_workers=workers)
    trainer.fit(Seen(folder), data, ckpt_path=resume, weights_only=True)
    trainer.strategy.barrier()


def train_three(rank: int, folder: str) -> None:
    """What each of two processes does: a whole run, and one that is stopped in the second epoch and resumed."""
    home = Path(folder)
    two_trained(home / "shards", home / "straight", 14)
    two_trained(home / "shards", home / "first", 8, workers=1)
    two_trained(home / "shards", home / "second", 14, home / "first" / "last.ckpt")


@pytest.mark.slow
def test_two_processes_share_an_epoch_and_are_resumed_within_it(root, tmp_path):
    (tmp_path / "shards").symlink_to(root)
    for name in ("straight", "first", "second"):
        (tmp_path / name).mkdir()
    spawn_two(train_three, tmp_path)
    straight, first, second = (
        [[(at, y.tolist()) for at, y in torch.load(tmp_path / name / f"rank{rank}.pt")] for rank in (0, 1)]
        for name in ("straight", "first", "second")
    )
    for epoch in (0, 1):
        one, two = ([y for at, y in rank if at == epoch] for rank in straight)
        assert len(one) == len(two) == 6  # of 26 images each; after 14 the run is in the third epoch
        seen = list(chain.from_iterable(one + two))
        assert len(set(seen)) == len(seen)
    assert [a + b for a, b in zip(first, second, strict=True)] == straight


# -- buckets --------------------------------------------------------------------------------------------------------------


def cached(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.bin"))


def test_shards_of_a_bucket_are_fetched_when_they_are_needed(root, tmp_path):
    here, there = opened(root), opened(f"local:{root}", cache=str(tmp_path))
    assert cached(tmp_path) == []
    first, second = here.train_dataloader(), there.train_dataloader()
    next(iter(second))
    assert 0 < len(cached(tmp_path)) <= 4  # as many as are mixed, and the next
    assert all(torch.equal(a.x, b.x) for a, b in zip(first, second, strict=True))
    assert len(cached(tmp_path)) == len(list(root.glob("train/*.bin")))


def test_workers_share_what_is_fetched(root, tmp_path):
    here, there = opened(root), opened(f"local:{root}", cache=str(tmp_path), num_workers=2)
    pairs = zip(here.train_dataloader(), there.train_dataloader(), strict=True)
    assert all(torch.equal(a.x, b.x) for a, b in pairs)


def test_a_worker_opens_files_of_its_own(root, monkeypatch):
    shards = opened(root).shards
    mine = shards._open()
    assert shards._open() is mine
    assert pickle.loads(pickle.dumps(shards))._reader is None
    monkeypatch.setattr("os.getpid", lambda: -2)
    assert shards._open() is not mine


def test_the_cache_has_a_limit(root, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "_IN_USE", 0.0)
    limit = 6 * SHARD_MB * 1e-3
    data = opened(f"local:{root}", cache=str(tmp_path), cache_gb=limit)
    kept, all_of_them = 0, sum(path.stat().st_size for path in root.glob("train/*.bin"))
    for batch in data.train_dataloader():
        assert all(torch.equal(x, noise(y)) for x, y in zip(batch.x, batch.y.tolist(), strict=True))
        kept = max(kept, sum(path.stat().st_size for path in cached(tmp_path)))
    assert limit * 1e9 / 2 < kept <= limit * 1e9 < all_of_them


def test_other_shards_at_the_same_address_are_not_taken_from_the_cache(tmp_path):
    address = tmp_path / "shards"
    for first in (0, 40):
        samples = [LabelledImages(noise(i), torch.tensor(i)) for i in range(first, first + 12)]
        root = written(Given(samples), address)
        data = opened(f"local:{root}", cache=str(tmp_path / "cache"))
        assert sorted(numbers(data.train_dataloader())) == list(range(first, first + 12))
        root.rename(tmp_path / f"old{first}")


# -- what can be wrong ----------------------------------------------------------------------------------------------------


def a_copy(root: Path, folder: Path) -> Path:
    for path in root.rglob("*"):
        if path.is_file():
            copy = folder / "copy" / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return folder / "copy"


def refused(match: str, root: Path | str, **options) -> None:
    with pytest.raises(InputError, match=match) as caught:
        list(opened(root, **options).train_dataloader())
    assert "\n" not in str(caught.value)


def test_a_root_that_is_none(root, tmp_path):
    refused("there is no folder", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refused("holds no shards", tmp_path / "empty")
    refused("holds no shards", root / "train")
    refused("read from a folder or from", "https://example.org/shards")
    refused("cannot fetch local:/nowhere/ganzoo-index.json", "local:/nowhere", cache=str(tmp_path))


def test_a_shard_that_is_missing_or_cut_short_is_found_before_training(root, tmp_path):
    copy = a_copy(root, tmp_path)
    shard = sorted(copy.glob("train/*.bin"))[3]
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{shard.name} is cut short"):
        opened(copy)
    shard.unlink()
    with pytest.raises(InputError, match=f"{shard.name} cannot be read: No such file"):
        opened(copy)
    # those of a bucket, when they are needed
    refused(f"cannot fetch local:{copy}/train/{shard.name}: ", f"local:{copy}", cache=str(tmp_path / "cache"))


@pytest.mark.parametrize("where", ["image", "table"])
def test_a_damaged_shard_is_named(where, root, tmp_path):
    copy = a_copy(root, tmp_path)
    shard = sorted(copy.glob("train/*.bin"))[3]
    content = bytearray(shard.read_bytes())
    at = {"image": len(content) // 2, "table": 8}[where]
    content[at : at + 40] = bytes([255] * 40)
    shard.write_bytes(content)
    refused(f"{shard.name}.* is damaged", copy)


def test_a_damaged_image_is_named_by_a_worker(root, tmp_path):
    from ganzoo.cli.error_messages import one_line

    copy = a_copy(root, tmp_path)
    for shard in copy.glob("train/*.bin"):
        content = bytearray(shard.read_bytes())
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
        shard.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(opened(copy, num_workers=2).train_dataloader())
    line = one_line(caught.value)
    assert "is damaged" in line
    assert "\n" not in line


def test_an_index_that_is_none_or_of_another_making(root, tmp_path):
    copy = a_copy(root, tmp_path)
    index = json.loads((copy / "train" / "index.json").read_text())
    for broken, match in [("{", "is damaged"), ("[]", "not an index"), ('{"chunks": [{}]}', "not an index")]:
        (copy / "train" / "index.json").write_text(broken)
        refused(match, copy)
    (copy / "train" / "index.json").write_text(json.dumps({**index, "chunks": index["chunks"][:-1]}))
    refused("not shards of one making", copy)
    (copy / "train" / "index.json").unlink()
    refused("index.json cannot be read", copy)
    for broken in ("{", "[]", '{"format": 99, "batch": "Images"}', '{"format": 1, "batch": "Movies"}'):
        (copy / "ganzoo-index.json").write_text(broken)
        refused("ganzoo-index.json is", copy)


def test_numbers_out_of_range(root):
    refused("mix is 0", root, mix=0)
    refused("size is 0", root, size=0)
    refused("channels is 2", root, channels=2)
    refused("fewer than one batch", root, batch_size=54)


def test_without_litdata_one_line_names_the_extra(root, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "litdata", None)
    with pytest.raises(InputError, match=r'pip install "litdata'):
        Streaming(str(root))
    data = Numbered()
    data.setup()
    with pytest.raises(InputError, match="litdata"):
        write_shards(data, tmp_path / "shards")


# -- the plug-in -----------------------------------------------------------------------------------------------------------


def installed(site: Path) -> Path:
    """The plug-in as pip installs it: its module, and the entry point that its setup.cfg names."""
    declared = configparser.ConfigParser()
    declared.read(PLUGIN / "setup.cfg", encoding="utf-8")
    name, version = declared["metadata"]["name"], declared["metadata"]["version"]
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    shutil.copy(PLUGIN / f"{declared['options']['py_modules']}.py", site)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = declared["options.entry_points"].items()
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{lines.strip()}\n" for group, lines in points))
    (info / "RECORD").write_text("ganzoo_streaming.py,,\n")
    return site


# one process after the other, each without what another has imported, but for what takes long and is no plug-in
COMMANDS = """
import json, os, sys
import ganzoo.models, ganzoo.data, ganzoo.callbacks
from ganzoo.cli import main
for site, said, args in json.loads(sys.argv[1]):
    if (child := os.fork()) == 0:
        sys.path.insert(0, site)
        os.dup2(os.open(said, os.O_CREAT | os.O_WRONLY), 2)
        if not args:
            import ganzoo_streaming
            os._exit(len({"litdata", "boto3"} & set(sys.modules)))
        os._exit(main(args))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_the_command_finds_the_plug_in_by_its_entry_point(root, tmp_path):
    """It trains from shards, and a checkpoint's config may name the class; without the plug-in nobody knows it.

    The plug-in imports neither litdata nor boto3 before there are shards to read.
    """
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fit = ["fit", "--model", "GAN", "--model.shape", "[3,8,8]", "--model.hidden", "8", "--data", "Streaming"]
    fit += ["--data.root", str(root), "--data.batch_size", "4", "--trainer.max_steps", "2", "--trainer.accelerator", "cpu"]
    fit += ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
    config = elsewhere / "runs" / "gan_streaming" / "version_0" / "config.yaml"
    again = ["fit", "--config", str(config), "--ckpt_path", str(config.parent / "checkpoints" / "last.ckpt")]
    site = str(installed(tmp_path / "site"))
    commands = [
        (str(tmp_path / "nothing"), str(tmp_path / "alone"), fit),
        (site, str(tmp_path / "first"), fit),
        (site, str(tmp_path / "again"), [*again, "--trainer.max_steps", "4"]),
        (site, str(tmp_path / "imports"), []),
    ]
    env = {**os.environ, "PYTHONPATH": PACKAGE_PARENT}
    command = [sys.executable, "-c", COMMANDS, json.dumps(commands)]
    done = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True, timeout=LIMIT)
    said = {Path(file).name: Path(file).read_text() for _, file, _ in commands}
    assert [line for line in done.stdout.splitlines() if line.isdigit()] == ["2", "0", "0", "0"], (said, done.stderr)
    assert "there is no class 'Streaming'" in said["alone"]
    assert "class_path: ganzoo_streaming.Streaming" in config.read_text()
    assert (elsewhere / "runs" / "gan_streaming" / "version_1" / "checkpoints" / "last.ckpt").is_file()


def test_png_is_without_loss():
    for channels in (1, 3):
        image = noise(0, channels=channels)
        values = np.array(Image.open(io.BytesIO(streaming._png(image)))).reshape(8, 8, channels)
        assert np.array_equal(values, image.permute(1, 2, 0).numpy())
