"""Extracts the features of images into tables, batch by batch."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.evaluation.batches import ImageBatch
from ganzoo.evaluation.table import FeatureTable
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.paired import Measure
from ganzoo.metrics.statistics import Statistics, checked
from ganzoo.utils.log import log_info

SAVE_EVERY = 30.0  # seconds between two savings of a table


class FeatureSet(NamedTuple):
    """What metrics are computed from: a table reduced to what they need.

    Attributes:
        statistics: moments of all features, and the features that are compared one by one.
        logits: float32 [N, K], one row per image; None where there are none, or nobody needs them.
        classes: the statistics of each class, for metrics per class; else empty.
    """

    statistics: Statistics
    logits: Tensor | None = None
    classes: tuple[Statistics, ...] = ()


# -- one pass -----------------------------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    """What a pass writes of each image.

    Attributes:
        extractor: of the features; None for none.
        logits: the extractor's class scores.
        classes: how many, where metrics are computed per class, so that images without labels are refused; else 0.
        measures: values of an image and its target, by name.
    """

    extractor: Extractor | None
    logits: bool = False
    classes: int = 0
    measures: Mapping[str, Measure] = {}

    def columns(self, batch: ImageBatch) -> dict[str, Tensor]:
        """Rows of a batch.

        Raises:
            InputError: labels that are missing or out of range, features that are not finite, pairs of unlike sizes.
        """
        images, labels, found = batch.images, batch.labels, dict[str, Tensor]()
        if self.classes:
            check_labels(labels, self.classes)
        if self.extractor is not None:
            features = self.extractor(images)
            checked(features.pool, self.extractor.name, least=0)
            found["features"] = features.pool
            if self.logits and features.logits is not None:
                found["logits"] = features.logits
        if labels is not None:
            found["labels"] = labels
        if batch.target is not None:
            target = batch.target.to(images.device)
            found |= {name: measure(images, target) for name, measure in self.measures.items()}
        grey = torch.full((len(images),), bool((images[:, :1] == images).all()))
        return found | {"size": torch.tensor(images.shape[1:]).expand(len(images), -1), "grey": grey}


def check_labels(labels: Tensor | None, classes: int) -> None:
    """Raises InputError for labels that are missing or outside of the classes."""
    if labels is None:
        raise InputError("metrics per class need labelled images (y: integers, [N]), and these have no labels")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(f"there are {classes} classes, and the data has labels from {labels.min()} to {labels.max()}")


def conversion(extractor: Extractor | None, grey: bool) -> str:
    """What is done to the channels of images in front of an extractor, in words; "" for nothing.

    Args:
        extractor: None for none.
        grey: the images are grey, in one channel or in equal ones.
    """
    if extractor is None or grey == (extractor.channels == 1):
        return ""
    if grey:
        return f"grey images, their channel repeated for {extractor.name}"
    return f"colour images, turned into grey for {extractor.name}"


def extract(
    tables: Mapping[str, FeatureTable],
    batches: Iterable[ImageBatch],
    wanted: Wanted,
    batch_size: int,
    advance: Callable[[int], object],
    undisturbed: Callable[[], AbstractContextManager] = nullcontext,
    log: Callable[[str], None] = log_info,
) -> None:
    """Fills tables with the rows of batches.

    Args:
        tables: of each set.
        batches: images; several in a row may be of one batch number, ``indices[0] // batch_size``.
        wanted: what is written of each image.
        batch_size: of the batches.
        advance: called with the number of images of each batch, for a progress bar.
        undisturbed: inside this block no signal interrupts, so that a batch is counted whole or not at all.
        log: called with a line about the images, once.

    Raises:
        InputError: images or labels that cannot be used.
    """
    logged: set[str] = set()
    saved = time.monotonic()
    try:
        for _, batch in groupby(batches, lambda each: int(each.indices[0]) // batch_size):
            rows = [(each, wanted.columns(each)) for each in batch]
            with undisturbed():
                for each, columns in rows:
                    tables[each.name].write(each.indices, columns)
                    said = conversion(wanted.extractor, bool(columns["grey"][0]))
                    if said and said not in logged:
                        logged.add(said)
                        log(said)
                if time.monotonic() - saved >= SAVE_EVERY:
                    _flush(tables)
                    saved = time.monotonic()
            advance(sum(len(each.indices) for each, _ in rows))
    finally:
        with undisturbed():
            _flush(tables)


def _flush(tables: Mapping[str, FeatureTable]) -> None:
    for table in tables.values():
        table.flush()


def first_batch(tables: Mapping[str, FeatureTable], batch_size: int) -> int | None:
    """The number of the first batch that is not in all tables; None where nothing is missing."""
    missing = [table.first_missing for table in tables.values()]
    return min((first // batch_size for first in missing if first is not None), default=None)


def sizes(tables: Mapping[str, FeatureTable]) -> list[str]:
    """The sizes of the images, ``1x28x28``."""
    found = {
        tuple(row) for table in tables.values() if table.count for row in np.unique(table.columns["size"], axis=0).tolist()
    }
    return sorted("x".join(map(str, size)) for size in found)


def conversions(tables: Mapping[str, FeatureTable], extractor: Extractor | None) -> list[str]:
    """What was done to the channels of the images, in words."""
    greys = {grey for table in tables.values() if table.count for grey in np.unique(table.columns["grey"]).tolist()}
    return sorted(filter(None, (conversion(extractor, grey) for grey in greys)))
