"""Base class of the DataModules: splits, loaders, training order, and the conversion from uint8 to [-1, 1]."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch.utils.data import DataLoader, Dataset

from ganzoo.data.batches import Images, LabelledImages, as_float
from ganzoo.data.datasets import InMemory
from ganzoo.data.gathered import Gathered, collate_gathered
from ganzoo.data.predicting import FromFiles, InputImage, Numbered, collate
from ganzoo.data.sampling import Augmented, EpochSampler, ResumableLoader, identity
from ganzoo.errors import InputError, printable
from ganzoo.interfaces import Translator
from ganzoo.training.resume import DAMAGED, report_changes, resume_position, within_epoch
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import Checked, PositiveInt, Seed, Workers

# a folder may have moved, and some make no difference to what is trained on
_ANY = {
    *("root", "root_b", "photographs", "fonts", "classifier", "predict_squares", "predict_halves"),
    *("num_workers", "on_device", "packed"),
}
_DEVICE_SHARE = 1 / 8  # of a device's free memory, for the training set
Splits = tuple[Dataset | None, Dataset | None, Dataset | None]


class ImageDataModule(Checked, L.LightningDataModule, ABC):
    """Base class of image DataModules. A subclass defines :meth:`splits`, and :meth:`prepare_data` if it downloads.

    The loaders yield NamedTuples of uint8 [B, C, H, W] (:mod:`ganzoo.data.batches`); a trainer's batches are in
    [-1, 1]. The training order is new in each epoch. It depends on the seed and not on the number of workers. The last
    incomplete batch is dropped. Validation and test have a fixed order, no augmentation, and keep their last batch.
    Prediction uses the test set, or all images of a folder without one; its batches are ``Inputs``.

    Args:
        shape: shape (C, H, W) of an image; (n,) of a vector.
        classes: number of classes; None if the images have no labels.
        batch_size: images in a batch of each process (and of each domain, where there are two), at least 1.
        num_workers: number of worker processes that load images; 0 loads them in the main process.
        seed: seed of the training order and of the augmentation, at least 0.
        on_device: keep the training set on the model's device as uint8; its batches are gathered, cropped and flipped there,
            without worker processes. None does so on an accelerator if the set takes at most an eighth of the memory that is
            free. It has to be in memory, or packed in one size. Batches are the same.

    Attributes:
        shape: shape (C, H, W) of an image.
        classes: number of classes, or None.
        class_names: names of the classes in the order of the labels; None if they have no names.
        empty_classes: names of class folders without images.
        train_set: dataset of training samples after setup; None if there is no such split.
        val_set: dataset of validation samples after setup; None if there is no such split.
        test_set: dataset of test samples after setup; None if there is no such split.
        predict_set: dataset of :class:`~ganzoo.prediction.Inputs` after setup("predict").
        origin: where the training images should be, and why there are none; empty if that is not known.

    Raises:
        InputError: a number is out of range; in the loaders, a split has no images, or the training set is smaller than
            one batch.
    """

    class_names: Sequence[str] | None = None
    empty_classes: Sequence[str] = ()

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int | None,
        *,
        batch_size: PositiveInt = 64,
        num_workers: Workers = 0,
        seed: Seed = 0,
        on_device: bool | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.classes = classes
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.on_device = on_device
        self.train_set: Dataset | None = None
        self.val_set: Dataset | None = None
        self.test_set: Dataset | None = None
        self.predict_set: Dataset | None = None
        self.origin = ""
        self._is_set_up = False
        self._gathered: tuple[Dataset, Gathered] | None = None

    @property
    def batch_size(self) -> int:
        """Images in a batch of each process. One that Lightning's BatchSizeFinder tries is at most the training set."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        # the finder doubles it until memory ends, and past the end of a small set there is no batch to try
        if vars(self).get("_is_set_up") and self.trainer is not None and self.train_set is not None:
            size = max(1, min(size, len(self.train_set) // self.trainer.world_size))  # type: ignore[arg-type]
        self._batch_size = size

    @abstractmethod
    def splits(self) -> Splits:
        """The datasets to train on, to validate on and to test on; None where there is none.

        A sample is a NamedTuple of :mod:`ganzoo.data.batches`. Augmentation goes into the training set with
        :class:`~ganzoo.data.sampling.Augmented`.
        """

    def inputs(self) -> Dataset:
        """The dataset to predict from, of :class:`~ganzoo.prediction.Inputs`: the test set with its numbers.

        A subclass whose images are files gives them their names (:mod:`ganzoo.data.predicting`), and needs no others.
        """
        self.setup()
        return Numbered(self._checked(self.test_set, "test"), getattr(self, "direction", None))

    def setup(self, stage: str | None = None) -> None:
        """Builds the three sets, once for all stages; for "predict" alone the one to predict from."""
        if stage == "predict":
            if self.predict_set is None:
                self.predict_set = self.inputs()
        elif not self._is_set_up:
            self.train_set, self.val_set, self.test_set = self.splits()
            self._is_set_up = True

    def prepare_training(self) -> None:
        """Called before a training loader is made; does nothing, unless overridden."""

    def train_dataloader(self) -> DataLoader:
        """uint8 batches in the order of (seed, epoch), all of `batch_size`.

        Raises:
            InputError: no training images, or fewer than one batch for each process.
        """
        dataset = self._checked(self.train_set, "train")
        self.prepare_training()
        if not isinstance(dataset, Augmented):
            dataset = Augmented(dataset, identity, self.seed)
        ranks, rank, epoch, done = 1, 0, 0, 0
        if self.trainer is not None:
            ranks, rank = self.trainer.world_size, self.trainer.global_rank
            # Lightning starts the workers of a resumed run before it calls set_epoch
            epoch, done = resume_position(self.trainer)
        sampler = EpochSampler(len(dataset), self.seed, ranks, rank)
        sampler.begin_at(epoch, done * self.batch_size)
        if len(sampler) < self.batch_size:
            each = f" for each of {ranks} processes" if ranks > 1 else ""
            raise InputError(
                f"{self.title}: {len(sampler)} training images{each} are fewer than one batch of {self.batch_size}: "
                f"give a batch_size of at most {len(sampler)}"
            )
        options: dict[str, Any] = {"sampler": sampler, "drop_last": True}
        gathered = self._gather(dataset)
        if gathered is None:
            return self._loader(dataset, ResumableLoader, **options)
        if gathered.device is not None:
            options.update(num_workers=0, persistent_workers=False, pin_memory=False)
        return self._loader(gathered, ResumableLoader, collate_fn=collate_gathered, **options)

    def _gather(self, dataset: Augmented) -> Gathered | None:
        """The training set to gather whole batches from, on the device where it goes there; None for sample by sample."""
        device = None if self.trainer is None or self.on_device is False else self.trainer.strategy.root_device
        if self._gathered is None or self._gathered[0] is not self.train_set:
            # a packed set is read faster one by one, unless it goes to a device
            found = Gathered.of(dataset, packed=device is not None and (self.on_device or device.type != "cpu"))
            self._gathered = None if found is None or self.train_set is None else (self.train_set, found)
        gathered = None if self._gathered is None else self._gathered[1]
        if device is not None and gathered is None and self.on_device:
            raise InputError(
                f"on_device is true, and the training images of {self.title} are neither in memory nor packed in one size: "
                "give on_device: false, or packed: true if they are files"
            )
        if gathered is None:
            return None
        if device is not None and gathered.device != device and (self.on_device or _has_room(device, gathered.bytes)):
            gathered.move(device)
            log_info(f"the training images are on {device}: {gathered.bytes / 2**20:.1f} MiB")
        return gathered if gathered.in_memory or gathered.device is not None else None

    def teardown(self, stage: str | None = None) -> None:
        """Gives the device's memory back."""
        if self._gathered is not None:
            self._gathered[1].release()

    def on_exception(self, exception: BaseException) -> None:
        """Gives the device's memory back."""
        self.teardown()

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """uint8 batches in a fixed order; an empty list, which a trainer passes over, where nothing is held out."""
        if self._is_set_up and self.val_set is None:
            return []
        return self._loader(self._checked(self.val_set, "validation"))

    def test_dataloader(self) -> DataLoader:
        """uint8 batches in a fixed order.

        Raises:
            InputError: there are no test images.
        """
        return self._loader(self._checked(self.test_set, "test"))

    def predict_dataloader(self) -> DataLoader:
        """Batches ``Inputs`` in a fixed order: uint8 images, their numbers and names, and which files are damaged.

        Raises:
            InputError: there are no images, or fewer than processes.
        """
        self.setup("predict")
        images: Any = self.predict_set
        processes = 1 if self.trainer is None else self.trainer.world_size
        if len(images) < processes:
            raise InputError(
                f"{len(images)} images are fewer than the {processes} processes: give --trainer.devices {len(images)}"
            )
        return self._loader(images, collate_fn=collate)

    def _from_files(self, items: Sequence[InputImage], folder: Path, direction: str | None = None) -> Dataset:
        """The dataset of these files; says which they are."""
        log_info(f"predicting from {len(items)} image{'s' * (len(items) != 1)}, all of {printable(folder)}")
        return FromFiles(items, direction)

    def _keeps_sizes(self) -> bool:
        """Whether predictions are wanted at the images' own sizes: by a translator, which takes any."""
        return self.trainer is None or isinstance(self.trainer.lightning_module, Translator)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """uint8 in [0, 255] -> float32 in [-1, 1], on the device; the type of the batch stays."""
        return as_float(batch)

    def state_dict(self) -> dict[str, Any]:
        """What the order of the training images depends on, for the checkpoint."""
        within = self.trainer is not None and within_epoch(self.trainer)
        return {**self._order(), "within_epoch": within}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compares it with a checkpoint's, and says what has changed.

        Raises:
            InputError: the checkpoint is from within an epoch, and the rest of this one is another; or it says nothing.
        """
        if self.trainer is not None and self.trainer.state.fn == "fit":
            if not {"images", "batch_size", "seed"} <= set(state):
                raise InputError(f"{DAMAGED}: {type(self).__qualname__} has no images, batch_size or seed")
            report_changes("data", state, self._order(), state.get("within_epoch", False))

    def settings(self) -> dict[str, Any]:
        """The plain constructor arguments that decide which samples a training sees, for the checkpoint."""
        constructors = [vars(cls)["__init__"] for cls in type(self).__mro__ if "__init__" in vars(cls)]
        own = constructors[: constructors.index(ImageDataModule.__init__)]  # of the subclasses alone
        names = ["batch_size", "seed", *(name for init in own for name in inspect.signature(init).parameters)]
        arguments = {name: getattr(self, name, None) for name in names if name not in _ANY}
        return {name: value for name, value in arguments.items() if isinstance(value, bool | int | float | str)}

    def _order(self) -> dict[str, Any]:
        images = len(self.train_set) if self.train_set is not None else 0  # type: ignore[arg-type]
        return {**self.settings(), "images": images, "batch_size": self.batch_size, "seed": self.seed}

    @property
    def title(self) -> str:
        """What messages call these data: the class's name, or the folder."""
        return type(self).__name__

    def without_labels(self, items: Sequence[Any] | Dataset) -> Sequence[Any] | Dataset:
        """The items of an augmented training set without their labels, as far as they hold any."""
        if isinstance(items, InMemory) and isinstance(items.samples, LabelledImages):
            return InMemory(Images(items.samples.x))
        return items

    def _checked(self, dataset: Dataset | None, split: str) -> Dataset:
        if not self._is_set_up:
            raise InputError(f"{self.title} is not set up: call prepare_data() and setup() before asking for a loader")
        if dataset is None or len(dataset) == 0:  # type: ignore[arg-type]
            why = f" in {self.origin}" if self.origin and split == "train" else ""
            raise InputError(f"{self.title} has no {split} images{why}")
        return dataset

    def _loader(self, dataset: Dataset, kind: type[DataLoader] = DataLoader, **options: Any) -> DataLoader:
        workers = {"num_workers": self.num_workers, "persistent_workers": self.num_workers > 0}
        memory = {"pin_memory": torch.cuda.is_available()}
        # a loader draws its workers' seed as it starts: from here, or validating would change the training's noise
        generator = torch.Generator().manual_seed(self.seed)
        return kind(dataset, batch_size=self.batch_size, generator=generator, **{**workers, **memory, **options})


def _has_room(device: torch.device, size: int) -> bool:
    """Whether a device is an accelerator, of whose free memory so many bytes are a small share."""
    try:
        free, _ = torch.accelerator.get_memory_info(device)
    except (RuntimeError, ValueError):  # a processor, or a kind of device whose memory is not known
        return False
    return size <= _DEVICE_SHARE * free
