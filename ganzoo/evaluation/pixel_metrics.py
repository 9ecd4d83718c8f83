"""Metrics computed on pixels, not on features: Parzen windows, label agreement, nearest training images, modes.

Each compares generated images with splits of the data: the Parzen-window log-likelihood of 2014, what a classifier says of
the classes that were asked for, the distance to the nearest training images, and the modes of the data that samples reach.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.evaluation.batches import EvalSplit, ImageBatch
from ganzoo.evaluation.protocol import MetricValue
from ganzoo.metrics.agreement import Labelled, agreement, small_classifier
from ganzoo.metrics.modes import Modes, mode_coverage
from ganzoo.metrics.neighbours import nearest
from ganzoo.metrics.parzen import SAMPLES, SIGMAS, TEST, VALIDATION, protocol
from ganzoo.utils.files import atomic_write
from ganzoo.utils.image_grid import as_image, grid
from ganzoo.utils.images import to_float
from ganzoo.utils.progress import ProgressBar

PIXEL_METRICS = ("parzen", "agreement", "neighbours", "modes")
SPLITS = {"parzen": ("val", "test"), "agreement": ("train", "test"), "neighbours": ("train", "test"), "modes": ("test",)}
BYTES = {"parzen": 12, "agreement": 1, "neighbours": 1, "modes": 1}
"""In memory for each value of an image: Parzen windows are of float64, from float32."""
MOST_BYTES = 4 * 2**30
NEAREST = 1000  # samples, and test images, whose nearest training image is looked for
ROWS, COLUMNS = 10, 5  # of the image of neighbours
READ = 500  # images read at a time


class DataSplit(NamedTuple):
    """A split of the data.

    Attributes:
        split: the images.
        field: the field of its batches that has the images.
        words: a fingerprint of the images, for the protocol.
    """

    split: EvalSplit
    field: str
    words: str

    @property
    def count(self) -> int:
        """Images."""
        return self.split.count(self.field)

    def one(self) -> ImageBatch:
        """Its first image."""
        return next(self.split.subsample(1, self.field).real_batches(self.field, 1))

    def first(self, n: int) -> Labelled:
        """The first n, or all if there are fewer."""
        return self._read(self.split, min(n, self.count))

    def spread(self, n: int) -> Labelled:
        """n of them, evenly spread, or all if there are fewer."""
        return self._read(self.split.subsample(n, self.field), min(n, self.count))

    def _read(self, split: EvalSplit, n: int) -> Labelled:
        return collect(split.real_batches(self.field, READ), n, f"real images, {split.name}")


def collect(parts: Iterable[ImageBatch], n: int, what: str) -> Labelled:
    """The first n images and their classes; -1 where they have none.

    Raises:
        InputError: images of several sizes.
    """
    images: list[Tensor] = []
    labels: list[Tensor] = []
    have = 0
    with ProgressBar(n, what) as bar:
        for part in parts:
            if images and part.images.shape[1:] != images[0].shape[1:]:
                raise InputError(f"{what}: of several sizes, {_size(images[0])} and {_size(part.images)}")
            images.append(part.images[: n - have].cpu())
            y = part.labels if part.labels is not None else torch.full((len(part.images),), -1)
            labels.append(y[: n - have].cpu())
            have += len(images[-1])
            bar.update(len(images[-1]))
            if have >= n:
                break
    return Labelled(torch.cat(images), torch.cat(labels))


class Inputs(NamedTuple):
    """What a metric of pixels is computed from.

    Attributes:
        samples: samples of the model, with the classes that were asked for (-1 for none).
        real: splits of the data, by name.
        classes: how many classes the model can be asked for; 0 for none.
        seed: seed of the classifiers, and of all that is drawn at random.
        epochs: epochs of the classifiers.
        device: device on which the classifiers are trained.
        grid_file: the file for the image of neighbours.
        modes: the modes of the data; None where they are not known.
    """

    samples: Labelled
    real: Mapping[str, DataSplit]
    classes: int
    seed: int
    epochs: int
    device: torch.device
    grid_file: Path
    modes: Modes | None = None


class Requirement(NamedTuple):
    """What a metric of pixels needs.

    Attributes:
        samples: how many samples.
        words: what the protocol says of the metric.
    """

    samples: int
    words: str


def requirement(
    kind: str,
    real: Mapping[str, DataSplit],
    n: int,
    classes: int,
    epochs: int,
    sample: ImageBatch,
    modes: Modes | None = None,
) -> Requirement:
    """Computes what a metric of pixels needs, and refuses it if it cannot be had.

    Args:
        kind: a name in :data:`PIXEL_METRICS`.
        real: the splits of the data that the metric needs, by name.
        n: number of samples that there are.
        classes: how many classes the model can be asked for.
        epochs: epochs of the classifiers.
        sample: a batch of samples, for their shape.
        modes: the modes of the data; None where they are not known.

    Raises:
        InputError: samples and real images of unlike form, too many to be in memory, no labels, too few of a class.
    """
    for name, split in real.items():
        one = split.one()
        if one.images.shape[1:] != sample.images.shape[1:]:
            raise InputError(
                f"{kind}: samples are {_size(sample.images)} and {name} images {_size(one.images)} (channels, height, "
                "width), and they must be alike"
            )
        if kind == "agreement" and one.labels is None:
            raise InputError(f"agreement: the {name} images have no labels, and classifiers need them")
    test, values = real["test"].count, sample.images[0].numel()
    if kind == "parzen":
        taken, val = min(n, SAMPLES), real["val"]
        widths = f"{len(SIGMAS)} from {SIGMAS[0]:g} to {SIGMAS[-1]:g}"
        chosen_by = f"the first {min(val.count, VALIDATION)} validation images ({val.words})"
        words = f"{taken} samples of 8 bits, a width of {widths} by {chosen_by}, the first {min(test, TEST)} test images"
        images = taken + min(val.count, VALIDATION) + min(test, TEST)
    elif kind == "agreement":
        train = real["train"]
        taken = min(n, train.count)
        if taken < 2 * classes:
            raise InputError(f"agreement: {taken} samples of {classes} classes, and at least two of each are needed")
        those = f"{taken} training images, evenly spread ({train.words})"
        words, images = f"small classifier, {epochs} epochs on {those} or samples, {test} test images", 2 * taken + test
    elif kind == "modes":
        if modes is None:
            raise InputError("modes: the data do not know their modes, as Ring, Grid and StackedMNIST do")
        words, taken, images = f"{n} samples, {modes.words}", n, n
    else:
        train, taken = real["train"], min(n, NEAREST)
        those = f"{train.count} training images ({train.words})"
        words = f"{taken} samples, {min(test, NEAREST)} test images, evenly spread, {those}, by pixels"
        images = taken + train.count + min(test, NEAREST)
    memory = images * values * BYTES[kind]
    if memory > MOST_BYTES:
        raise InputError(
            f"{kind}: {images} images of {_size(sample.images)} would take {memory / 2**30:.1f} GiB of memory, and at "
            f"most {MOST_BYTES / 2**30:g} are taken: give a smaller --n, or leave this metric out"
        )
    return Requirement(taken, words)


def parzen(of: Inputs) -> dict[str, MetricValue]:
    """``parzen_2014``, nats an image, with the standard error; ``parzen`` where the numbers of images are others."""
    sets = [of.samples.images[:SAMPLES], of.real["val"].first(VALIDATION).images, of.real["test"].first(TEST).images]
    counts = [len(each) for each in sets]
    samples, validation, test = (each.to(of.device).float() / 255 for each in sets)
    found = protocol(samples, validation, test, counts=counts)
    name = "parzen_2014" if counts == [SAMPLES, VALIDATION, TEST] else "parzen"
    edge = ", the narrowest or the widest of those tried" if found.edge else ""
    return {name: MetricValue(found.mean, found.error, f"standard error; width {found.sigma:.3f}{edge}")}


def label_agreement(of: Inputs) -> dict[str, MetricValue]:
    """``gan_test`` (label agreement), ``gan_train``, ``gan_base``, shares of 1; ``variety`` and ``least_variety``."""
    test = of.real["test"].first(of.real["test"].count)
    train = of.real["train"].spread(len(of.samples.y))
    samples = Labelled(of.samples.images[: len(train.y)], of.samples.y[: len(train.y)])
    found = agreement(samples, train, test, small_classifier(of.classes, of.epochs, device=of.device), of.seed)
    shares = {"gan_test": found.gan_test, "gan_train": found.gan_train, "gan_base": found.real}
    metrics = {name: MetricValue(each.share, each.error, "standard error") for name, each in shares.items()}
    known = [ratio for ratio in found.variety if ratio == ratio]  # not NaN, which it is where a class has one image
    if known:
        metrics |= {"variety": MetricValue(sum(known) / len(known)), "least_variety": MetricValue(min(known))}
    return metrics


def neighbours(of: Inputs) -> dict[str, MetricValue]:
    """``nearest_training``: how near samples are to the training images, over how near test images are to them.

    About 1 for images as new as the test's, 0 for copies. By Euclidean distance of pixels, means over 1,000 of each. The
    file beside the result shows ten samples and the five training images nearest to each (as figure 2 of the 2014 paper).
    """
    train = of.real["train"].first(of.real["train"].count).images
    samples, test = of.samples.images[:NEAREST], of.real["test"].spread(NEAREST).images
    near, usual = nearest(samples, train, min(COLUMNS, len(train))), nearest(test, train)
    if not usual.distances.any():
        raise InputError("the test images are among the training images, and there is nothing to compare with")
    rows = torch.cat([samples[:ROWS, None], train[near.indices[:ROWS]]], 1)
    with atomic_write(of.grid_file) as part:
        as_image(grid(to_float(rows.flatten(0, 1)), rows.shape[1])).save(part, format="png")
    return {"nearest_training": MetricValue(float(near.distances[:, 0].mean() / usual.distances[:, 0].mean()))}


def modes(of: Inputs) -> dict[str, MetricValue]:
    """``modes`` that samples reach, their ``high_quality`` share, ``modes_kl`` and ``modes_js`` in nats."""
    assert of.modes is not None
    found = mode_coverage(of.modes, of.samples.images)
    n = len(of.samples.images)
    error = (found.high_quality * (1 - found.high_quality) / n) ** 0.5
    return {
        "modes": MetricValue(found.modes, of=f"of {of.modes.count}"),
        "high_quality": MetricValue(found.high_quality, error, "standard error"),
        "modes_kl": MetricValue(found.kl),
        "modes_js": MetricValue(found.js),
    }


COMPUTE: Mapping[str, Callable[[Inputs], dict[str, MetricValue]]] = {
    "parzen": parzen,
    "agreement": label_agreement,
    "neighbours": neighbours,
    "modes": modes,
}


def like_data(part: ImageBatch, channels: int) -> ImageBatch:
    """A file holds grey images in three equal channels: such are grey again where the data are."""
    if channels == 1 and part.images.shape[1] == 3 and bool((part.images[:, :1] == part.images).all()):
        return part._replace(images=part.images[:, :1])
    return part


def collect_samples(parts: Iterable[ImageBatch], n: int, channels: int, what: str) -> Labelled:
    """The first n of a model's or a folder's images."""
    return collect((like_data(part, channels) for part in parts), n, f"samples of {what}")


def _size(images: Any) -> str:
    return "x".join(map(str, images.shape[1:]))
