"""Data for domain adaptation: a labelled source and an unlabelled target, converted to one format."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from ganzoo.data.base import ImageDataModule, Splits
from ganzoo.data.batches import Images, LabelledImages, TwoDomains
from ganzoo.data.datasets import InMemory, Mapped
from ganzoo.data.gathered import KINDS, Drawn
from ganzoo.data.sampling import Augmented, identity, image_rng
from ganzoo.data.transforms import to_common_format
from ganzoo.errors import InputError
from ganzoo.prediction import Inputs
from ganzoo.utils.ranges import Pixels, PositiveInt

UNKNOWN = -1
"""The label of an image that has none."""


class CommonFormat:
    """Converts the images of a domain to a number of channels and a size, and sets or drops their labels.

    Args:
        channels: number of channels, 1 or 3.
        size: height and width in pixels.
        labels: the source's label of each of the domain's classes; None where they are the same.
    """

    def __init__(self, channels: int, size: int, labels: Sequence[int] | None = None) -> None:
        self.channels = channels
        self.size = size
        self.labels = labels

    def convert(self, image: Tensor) -> Tensor:
        """uint8 [C, H, W] -> uint8 [channels, size, size]."""
        return to_common_format(image.unsqueeze(0), self.channels, self.size).squeeze(0)

    def with_label(self, sample: Images | LabelledImages) -> LabelledImages:
        """The sample with its label, or with -1 if it has none."""
        if not isinstance(sample, LabelledImages):
            return LabelledImages(self.convert(sample.x), torch.tensor(UNKNOWN))
        return LabelledImages(self.convert(sample.x), self._label(sample.y))

    def without_label(self, sample: Images | LabelledImages) -> Images:
        """The sample's image alone."""
        return Images(self.convert(sample.x))

    def in_memory(self, dataset: InMemory, labelled: bool) -> InMemory:
        """A whole dataset, converted at once; as :meth:`with_label` if `labelled`, otherwise as :meth:`without_label`."""
        samples = dataset.samples
        x = to_common_format(samples.x, self.channels, self.size)
        if not labelled:
            return InMemory(Images(x))
        y = self._label(samples.y) if isinstance(samples, LabelledImages) else torch.full((len(x),), UNKNOWN)
        return InMemory(LabelledImages(x, y))

    def inputs(self, sample: Inputs) -> Inputs:
        """An image to predict from, converted; a damaged file has no image."""
        return sample._replace(x=[self.convert(image) for image in sample.x])

    def _label(self, y: Tensor) -> Tensor:
        return y if self.labels is None else torch.tensor(self.labels)[y]


@lru_cache(maxsize=8)
def domain_order(seed: int, epoch: int, domain: int, images: int, length: int) -> np.ndarray:
    """The order of a domain's images in an epoch: whole passes over the domain, each in a new order.

    Args:
        seed: seed of the orders, at least 0.
        epoch: number of the epoch, from 0.
        domain: 0 for the source, 1 for the target, whose orders are independent.
        images: number of images in the domain.
        length: number of images of the domain in the epoch.

    Returns:
        int64 [length].
    """
    rng = np.random.default_rng((seed, epoch, 0, 1 + domain))  # three numbers long are those of data.sampling
    return np.concatenate([rng.permutation(images) for _ in range(-(-length // images))])[:length]


class DomainsDataset(Augmented):
    """The training set: each sample is a labelled image of the source and an image of the target.

    Args:
        source: training set of ``LabelledImages``.
        target: training set of ``Images``; None for the same image as the source's.
        length: number of samples in an epoch.
        seed: seed of the two orders and of the augmentation.
    """

    def __init__(self, source: Augmented, target: Augmented | None, length: int, seed: int) -> None:
        super().__init__(range(length), identity, seed)
        self.source = source
        self.target = target

    def __getitem__(self, key: int | tuple[int, int]) -> TwoDomains:
        epoch, place = key if isinstance(key, tuple) else (0, key)
        rng = image_rng(self.seed, epoch, place)
        x, y = self._draw(self.source, 0, epoch, place, rng)
        target = x if self.target is None else self._draw(self.target, 1, epoch, place, rng).x
        return TwoDomains(x, y, target)

    def indices(self, epoch: int, place: int) -> tuple[int, ...]:
        """The indices of the source's image and of the target's, if that is another one."""
        return tuple(self._index(domain, i, epoch, place) for i, domain in enumerate(self.domains))

    @property
    def domains(self) -> list[Augmented]:
        """The source, and the target if its images are others."""
        return [self.source] if self.target is None else [self.source, self.target]

    def _draw(self, domain: Augmented, number: int, epoch: int, place: int, rng: np.random.Generator) -> Any:
        return domain.transform(domain.items[self._index(domain, number, epoch, place)], rng)

    def _index(self, domain: Augmented, number: int, epoch: int, place: int) -> int:
        return int(domain_order(self.seed, epoch, number, len(domain), len(self))[place])


def _drawn(dataset: DomainsDataset) -> Drawn:
    def join(source: LabelledImages, target: Any = None) -> TwoDomains:
        return TwoDomains(*source, source.x if target is None else target.x)

    return Drawn([(domain.items, domain.transform) for domain in dataset.domains], dataset.indices, join)


KINDS[DomainsDataset] = _drawn


class Domains(ImageDataModule):
    """A labelled source and an unlabelled target, for domain adaptation. Training batches are ``TwoDomains``.

    Source and target are two DataModules, each with its own options. Both are converted to the same channels and the same
    size here, so that they differ in nothing but their images. A training batch has `batch_size` images of each, in
    orders that are independent of each other and new in each epoch; an epoch passes once over the larger domain, and the
    smaller begins again as often as it must. The target's labels are in no training batch and not in the training set.

    Validation and test are two loaders of ``LabelledImages``, the source and then the target, with y = -1 where an image
    has no label. Predicting uses the target's test images.

    Args:
        source: DataModule whose labels are learned, such as ``MNIST`` or ``DomainFolder``. Its batch size, workers and seed
            are not used.
        target: DataModule whose images are adapted to, with the same classes, or without labels.
        size: height and width in pixels that come out; None for the source's.
        channels: number of channels, 1 or 3; None for 3 if one of the domains has colour, otherwise 1.
        train_on_target: train on the target's own training set with its labels, the upper bound of an adaptation. The
            target's images are then the same, which leaves the domain classifier nothing to find. An epoch keeps its
            length.
        epoch_length: images of each domain in an epoch; None for the larger domain's.
        loading: ``batch_size`` (64, of each domain), ``num_workers`` (0) and ``seed`` (0) of ``ImageDataModule``.

    Attributes:
        shape: (C, H, W) of both domains.
        classes: number of classes.
        class_names: in the order of the labels; None where the source's have no names.

    Raises:
        InputError: a number is out of range; the source has no labels; the classes differ; images can be neither read nor
            downloaded.
    """

    def __init__(
        self,
        source: ImageDataModule,
        target: ImageDataModule,
        size: Pixels | None = None,
        channels: Literal[1, 3] | None = None,
        train_on_target: bool = False,
        epoch_length: PositiveInt | None = None,
        **loading: Any,
    ) -> None:
        self.source = source
        self.target = target
        self.train_on_target = train_on_target
        self.epoch_length = epoch_length
        self.target_labels = self._matched_labels()
        self.class_names = source.class_names
        size = size or source.shape[-1]
        shape = (channels or max(source.shape[0], target.shape[0]), size, size)
        super().__init__(shape, source.classes, **loading)

    def _matched_labels(self) -> list[int] | None:
        """The source's label of each of the target's classes; None where they are the same, or there are none."""
        source, target = self.source, self.target
        if source.classes is None:
            raise InputError(f"the source needs labels, and {source.title} has none")
        if target.classes is None:
            if self.train_on_target:
                raise InputError(f"train_on_target needs the target's labels, and {target.title} has none")
            return None
        ours, theirs = source.class_names, target.class_names
        if ours is None or theirs is None:
            if source.classes != target.classes:
                raise InputError(
                    f"the two domains need the same classes: {source.title} has {source.classes} and {target.title} "
                    f"{target.classes}"
                )
            return None
        if set(ours) != {*theirs, *(name for name in target.empty_classes if name in ours)}:
            alone = "; ".join(
                f"only {where} has {', '.join(sorted(names)[:3])}"
                for where, names in ((source.title, set(ours) - set(theirs)), (target.title, set(theirs) - set(ours)))
                if names
            )
            raise InputError(
                f"the two domains need the same classes: {alone} (unlabelled images lie directly in the target's folder)"
            )
        matched = [list(ours).index(name) for name in theirs]
        return None if matched == list(range(len(matched))) else matched

    def prepare_data(self) -> None:
        """Prepares both domains: downloads what is not in place.

        Raises:
            InputError: it cannot be downloaded; the message names the folder and the files to put there by hand.
        """
        self.source.prepare_data()
        self.target.prepare_data()

    def settings(self) -> dict[str, Any]:
        """Its own settings, and those of both domains under ``source.`` and ``target.``."""
        found = super().settings()
        for side, domain in (("source", self.source), ("target", self.target)):
            found[side] = type(domain).__name__
            inner = {k: v for k, v in domain.settings().items() if k not in ("batch_size", "seed")}
            found.update({f"{side}.{name}": value for name, value in inner.items()})
        return found

    def splits(self) -> Splits:
        for domain in (self.source, self.target):
            domain.trainer = self.trainer  # which says what is trained, and on how many processes
            domain.setup()
        source = self._training_set(self.source, labelled=True)
        target = self._training_set(self.target, labelled=self.train_on_target)
        length = self.epoch_length or max(len(source), len(target))
        without = [domain.origin for domain, images in ((self.source, source), (self.target, target)) if not len(images)]
        self.origin = " and ".join(without)
        if without:
            train = None
        elif self.train_on_target:
            train = DomainsDataset(target, None, length, self.seed)
        else:
            train = DomainsDataset(source, target, length, self.seed)
        val = self._held_out(self.source.val_set, self.target.val_set)
        test = self._held_out(self.source.test_set, self.target.test_set)
        return train, val, test

    def prepare_training(self) -> None:
        """Prepares the training images of both domains."""
        self.source.prepare_training()
        self.target.prepare_training()

    def val_dataloader(self) -> list[DataLoader]:
        """The source's loader and the target's, uint8 batches in a fixed order."""
        return self._loaders(self.val_set, "validation")

    def test_dataloader(self) -> list[DataLoader]:  # type: ignore[override]
        """The source's loader and the target's, uint8 batches in a fixed order."""
        return self._loaders(self.test_set, "test")

    def inputs(self) -> Dataset:
        """The target's test images; all of a target folder that has no test folder."""
        self.target.trainer = self.trainer
        return Mapped(self.target.inputs(), self._format(self.target).inputs)

    def _format(self, domain: ImageDataModule) -> CommonFormat:
        return CommonFormat(self.shape[0], self.shape[-1], self.target_labels if domain is self.target else None)

    def _training_set(self, domain: ImageDataModule, labelled: bool) -> Augmented:
        dataset: Any = domain.train_set
        if dataset is None or len(dataset) == 0:
            return Augmented([], identity, 0)
        if labelled and not isinstance(dataset[0], LabelledImages):
            raise InputError(f"{domain.title} trains without labels: labelled images need a folder for each class")
        common = self._format(domain)
        if isinstance(dataset, InMemory):
            return Augmented(common.in_memory(dataset, labelled), identity, 0)
        if not isinstance(dataset, Augmented):
            dataset = Augmented(dataset, identity, 0)
        items = dataset.items if labelled else domain.without_labels(dataset.items)
        return Augmented(items, _Then(dataset.transform, common.with_label if labelled else common.without_label), 0)

    def _held_out(self, source: Dataset | None, target: Dataset | None) -> ConcatDataset[Any]:
        parts: list[Any] = []
        for domain, dataset in ((self.source, source), (self.target, target)):
            common = self._format(domain)
            if isinstance(dataset, InMemory):
                parts.append(common.in_memory(dataset, labelled=True))
            else:
                parts.append(Mapped([] if dataset is None else dataset, common.with_label))
        return ConcatDataset(parts)

    def _loaders(self, both: Dataset | None, split: str) -> list[DataLoader]:
        checked: Any = self._checked(both, split)
        for domain, dataset in zip((self.source, self.target), checked.datasets, strict=True):
            if not len(dataset):
                raise InputError(f"{domain.title} has no {split} images: both domains are evaluated")
        return [self._loader(dataset) for dataset in checked.datasets]


class _Then:
    """A random augmentation, followed by a change that is not random."""

    def __init__(self, transform: Any, change: Any) -> None:
        self.transform = transform
        self.change = change

    def __call__(self, item: Any, rng: np.random.Generator) -> Any:
        return self.change(self.transform(item, rng))
