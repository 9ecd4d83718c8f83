"""What is to be evaluated, and how: the one list of options of the command, the callbacks and Python."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ganzoo.evaluation.metrics import METRICS, MetricOptions
from ganzoo.metrics.extractors.base import Extractor


@dataclass(frozen=True)
class Request:
    """What is to be evaluated, and how.

    Attributes:
        metrics: names in `available`; None for all but those on request that can be had.
        available: the metrics that are considered.
        extractor: a name or a file that ``ganzoo.metrics.extractors.find`` knows, or an extractor.
        weights: the file of the extractor's weights; None for the usual place.
        n: images that are generated; None for as many as there are real ones, or images to translate.
        split: of the data: train, val or test.
        batch_size: images at a time; None for :func:`~ganzoo.evaluation.generate.default_batch_size`.
        options: numbers of the metrics.
        per_class: also metrics of each class.
        moments: keep moments of the features instead of a row for each image.
        classifier_epochs: epochs of the two classifiers that ``agreement`` trains.
        device: where the networks work.
        cache: folder where the features of real images are kept; None for none.
        save_statistics: a new .npz file for the moments of the real images' features; None for none.
    """

    metrics: Sequence[str] | None = None
    available: Sequence[str] = METRICS
    extractor: str | Extractor = "inception"
    weights: str | None = None
    n: int | None = None
    split: str = "test"
    batch_size: int | None = None
    options: MetricOptions = field(default_factory=MetricOptions)
    per_class: bool = False
    moments: bool = False
    classifier_epochs: int = 5
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    cache: Path | None = None
    save_statistics: Path | None = None
