"""The base DataModule: order, augmentation, workers, ranks, the step to [-1, 1], the trainer's use of it."""

from itertools import chain
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import BatchSizeFinder, ModelCheckpoint
from support.batches import epoch_order, same
from support.torchrun import two_of_a_trainer

from ganzoo.data import CIFAR10, Digits, ImageFolder
from ganzoo.data.base import ImageDataModule
from ganzoo.data.batches import LabelledImages, as_float
from ganzoo.data.datasets import InMemory
from ganzoo.data.sampling import Augmented, EpochSampler
from ganzoo.errors import InputError
from ganzoo.models import GAN


def noisy(sample: LabelledImages, rng: np.random.Generator) -> LabelledImages:
    return sample._replace(x=torch.from_numpy(rng.integers(0, 256, (1, 2, 2), np.uint8)))


class Numbered(ImageDataModule):
    """`length` training images whose label is their number, augmented with noise; 7 to validate and 5 to test."""

    def __init__(self, length: int = 20, batch_size: int = 3, num_workers: int = 0, seed: int = 0) -> None:
        super().__init__((1, 2, 2), None, batch_size=batch_size, num_workers=num_workers, seed=seed)
        self.length = length

    def splits(self):
        train, val, test = (
            InMemory(LabelledImages(torch.zeros(n, 1, 2, 2, dtype=torch.uint8), torch.arange(n)))
            for n in (self.length, 7, 5)
        )
        return Augmented(train, noisy, self.seed), val, test


class Seen(L.LightningModule):
    """Does nothing but write down the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list] = {"train": [], "val": [], "predict": []}
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        self.seen["train"].append((self.current_epoch, batch))
        return self.weight * 0

    def validation_step(self, batch, batch_idx):
        self.seen["val"].append(batch)

    def test_step(self, batch, batch_idx):
        raise AssertionError("there is nothing to test")

    def predict_step(self, batch, batch_idx):
        self.seen["predict"].append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(folder: Path, **options) -> L.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return L.Trainer(default_root_dir=folder, **{"enable_checkpointing": False, **quiet, **options})


def epochs_of(data: ImageDataModule, epochs: int) -> list[list]:
    data.setup("fit")
    loader = data.train_dataloader()
    batches = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        batches.append(list(loader))
    return batches


def test_workers_do_not_change_the_batches():
    alone, two = epochs_of(Numbered(num_workers=0), 2), epochs_of(Numbered(num_workers=2), 2)
    assert all(same(a, b) for epoch in (0, 1) for a, b in zip(alone[epoch], two[epoch], strict=True))


def test_each_epoch_has_its_own_order_and_its_own_augmentation():
    first, second = epochs_of(Numbered(length=21), 2)
    labels = [torch.cat([batch.y for batch in epoch]) for epoch in (first, second)]
    assert labels[0].tolist() != labels[1].tolist() != list(range(21))
    assert sorted(labels[0].tolist()) == sorted(labels[1].tolist()) == list(range(21))
    noise = [
        torch.cat([batch.x for batch in epoch])[order.argsort()]
        for epoch, order in zip((first, second), labels, strict=True)
    ]
    assert (noise[0] != noise[1]).flatten(1).any(1).all()
    assert len(noise[0].flatten(1).unique(dim=0)) == 21  # no two images share their random numbers


def test_the_seed_decides_order_and_augmentation():
    a, again, other = (epochs_of(Numbered(seed=seed), 1)[0] for seed in (1, 1, 2))
    assert all(same(x, y) for x, y in zip(a, again, strict=True))
    assert not torch.equal(torch.cat([b.y for b in a]), torch.cat([b.y for b in other]))
    # the first image of epoch 1 of one seed is not that of epoch 0 of the next, as seed + epoch would have it
    assert list(EpochSampler(20, 2)) != [(0, index) for _, index in epoch_order(EpochSampler(20, 1), 1)]


def test_the_last_incomplete_batch_is_left_out_of_training_only():
    data = Numbered(length=20, batch_size=3)
    data.setup()
    assert [len(batch.y) for batch in data.train_dataloader()] == [3] * 6
    assert torch.cat([batch.y for batch in data.val_dataloader()]).tolist() == list(range(7))
    assert torch.cat([batch.y for batch in data.test_dataloader()]).tolist() == list(range(5))
    assert torch.cat([batch.y for batch in data.predict_dataloader()]).tolist() == list(range(5))


def test_too_few_images_for_one_batch_are_refused():
    data = Numbered(length=20, batch_size=21)
    data.setup()
    with pytest.raises(InputError, match="20 training images are fewer than one batch of 21"):
        data.train_dataloader()


def test_a_loader_before_setup_is_refused():
    with pytest.raises(InputError, match="setup"):
        Digits().train_dataloader()
    with pytest.raises(InputError, match="setup"):
        Digits().val_dataloader()


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 0), ("batch_size", 2.0), ("num_workers", -1), ("seed", -1), ("batch_size", True)]
)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} is"):
        Numbered(**{name: value})


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_trainer_gets_floats_and_new_epochs(tmp_path, num_workers):
    module = Seen()
    trainer(tmp_path, max_epochs=2).fit(module, Numbered(num_workers=num_workers))
    wanted = epochs_of(Numbered(), 2)
    for epoch in (0, 1):
        seen = [batch for at, batch in module.seen["train"] if at == epoch]
        assert all(type(batch) is LabelledImages for batch in seen)
        assert all(same(batch, as_float(want)) for batch, want in zip(seen, wanted[epoch], strict=True))
    assert module.seen["val"][-1].x.dtype == torch.float32


def test_a_resumed_run_goes_on_with_the_next_epoch(tmp_path):
    keep = ModelCheckpoint(tmp_path, save_last=True)
    trainer(tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=[keep]).fit(Seen(), Numbered())
    module = Seen()
    # with workers, which start before Lightning calls set_epoch
    resumed = trainer(tmp_path, max_epochs=3)
    resumed.fit(module, Numbered(num_workers=2), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    wanted = epochs_of(Numbered(), 3)[2]
    assert all(same(seen, as_float(want)) for (_, seen), want in zip(module.seen["train"], wanted, strict=True))


def test_a_trainer_may_overfit_a_few_batches(tmp_path):
    module = Seen()
    trainer(tmp_path, max_epochs=2, overfit_batches=2).fit(module, Numbered())
    first, second = ([batch for at, batch in module.seen["train"] if at == epoch] for epoch in (0, 1))
    assert len(first) == 2
    assert all(same(a, b) for a, b in zip(first, second, strict=True))


def test_predicting_uses_the_test_set(tmp_path):
    module = Seen()
    trainer(tmp_path).predict(module, Numbered())
    assert torch.cat([batch.y for batch in module.seen["predict"]]).tolist() == list(range(5))


class Unvalidated(Numbered):
    def splits(self):
        # a plain dataset: no augmentation
        return super().splits()[0].items, None, None


def test_data_without_validation_trains_and_says_that_it_cannot_be_tested(tmp_path):
    module, data = Seen(), Unvalidated()
    trainer(tmp_path, max_epochs=1).fit(module, data)
    assert len(module.seen["train"]) == 6
    assert module.seen["val"] == []
    with pytest.raises(InputError, match="no test images"):
        trainer(tmp_path).test(module, data)


class Writes(Seen):
    """Leaves the labels that each rank saw in a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_train_end(self) -> None:
        train, val = self.seen["train"], self.seen["val"]
        labels = {"train": [batch.y.tolist() for _, batch in train], "val": [batch.y.tolist() for batch in val]}
        torch.save(labels, self.folder / f"rank{self.global_rank}.pt")


@pytest.mark.slow
def test_two_processes_share_the_work(tmp_path):
    options = {"max_epochs": 1, "num_sanity_val_steps": 0}
    trainer(tmp_path, **options, **two_of_a_trainer()).fit(Writes(tmp_path), Numbered())
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    trained = [list(chain.from_iterable(rank["train"])) for rank in ranks]
    assert len(trained[0]) == len(trained[1]) == 9
    assert not set(trained[0]) & set(trained[1])
    validated = [list(chain.from_iterable(rank["val"])) for rank in ranks]
    # 7 do not halve: Lightning repeats the first one
    assert sorted(validated[0] + validated[1]) == [0, 0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("mode", "found"), [("power", 1266), ("binsearch", 1202)])  # less 5 %, which is its own margin
def test_lightnings_search_for_a_batch_size_ends_at_the_size_of_the_set(mode, found, tmp_path):
    data = Digits()
    finder = BatchSizeFinder(mode=mode, init_val=512)
    played = trainer(tmp_path, max_epochs=1, callbacks=[finder])
    played.fit(GAN(shape=(1, 8, 8), hidden=4), data)
    assert len(data.train_set) == 1266
    assert data.batch_size == found
    assert played.global_step == 1  # the trials' steps are forgotten, and the training's are not


def test_the_settings_of_a_checkpoint_are_those_of_all_constructors_and_no_folder(tmp_path):
    """Also what a class passes on to its base: another value of these is another training."""
    data = ImageFolder(str(tmp_path), size=16, mirror=False, val_share=0.2, batch_size=4, num_workers=2, seed=3)
    own = {"size": 16, "channels": 3, "labelled": False}
    assert data.settings() == {
        **own, "mirror": False, "val_share": 0.2, "damaged": "refuse", "jpeg_draft": True,
        "batch_size": 4, "seed": 3,
    }  # fmt: skip
    assert CIFAR10(mirror=True).settings() == {
        "size": 32, "mirror": True, "train_share": 1.0, "batch_size": 64, "seed": 0
    }  # fmt: skip
