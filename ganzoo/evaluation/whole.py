"""Figures that are of the pictures themselves, and not of their features: of the papers that had no Inception.

Each is of a model's pictures and of those of a data module, whose splits it needs: the Parzen-window log-likelihood of 2014,
what a classifier says of the classes that were asked for, and the nearest training pictures.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.evaluation.looking import Bar, Judged
from ganzoo.evaluation.protocol import Figure
from ganzoo.judging import Part, Split
from ganzoo.metrics.agreement import Labelled, agreement, small_classifier
from ganzoo.metrics.modes import nearest
from ganzoo.metrics.parzen import SAMPLES, SIGMAS, TEST, VALIDATION, protocol
from ganzoo.utils.files import atomic_write
from ganzoo.utils.image_grid import as_image, grid
from ganzoo.utils.images import to_float

OF_PICTURES = ("parzen", "agreement", "neighbours")
SPLITS = {"parzen": ("val", "test"), "agreement": ("train", "test"), "neighbours": ("train", "test")}
BYTES = {"parzen": 12, "agreement": 1, "neighbours": 1}
"""In memory for each value of a picture: Parzen windows are of float64, from float32."""
MOST_BYTES = 4 * 2**30
NEAREST = 1000  # samples, and test pictures, whose nearest training picture is looked for
ROWS, COLUMNS = 10, 5  # of the picture of neighbours
READ = 500  # pictures read at a time


class Known(NamedTuple):
    """A split of the data.

    Attributes:
        split: its pictures.
        field: of the batches that has them.
        words: by what they are known again.
    """

    split: Split
    field: str
    words: str

    @property
    def count(self) -> int:
        """Pictures."""
        return self.split.count(self.field)

    def one(self) -> Part:
        """Its first picture."""
        return next(self.split.thinned(1, self.field).real(self.field, 1))

    def first(self, n: int) -> Labelled:
        """The first n, or all if there are fewer."""
        return self._read(self.split, min(n, self.count))

    def spread(self, n: int) -> Labelled:
        """n of them, evenly spread, or all if there are fewer."""
        return self._read(self.split.thinned(n, self.field), min(n, self.count))

    def _read(self, split: Split, n: int) -> Labelled:
        return gathered(split.real(self.field, READ), n, f"real pictures, {split.name}")


def gathered(parts: Iterable[Part], n: int, what: str) -> Labelled:
    """The first n pictures and their classes; -1 where they have none.

    Raises:
        InputError: pictures of several sizes.
    """
    images: list[Tensor] = []
    labels: list[Tensor] = []
    have = 0
    with Bar(n, 0, what) as bar:
        for part in parts:
            if images and part.images.shape[1:] != images[0].shape[1:]:
                raise InputError(f"{what}: of several sizes, {_size(images[0])} and {_size(part.images)}")
            images.append(part.images[: n - have].cpu())
            y = part.y if part.y is not None else torch.full((len(part.images),), -1)
            labels.append(y[: n - have].cpu())
            have += len(images[-1])
            bar.update(len(images[-1]))
            if have >= n:
                break
    return Labelled(torch.cat(images), torch.cat(labels))


class Whole(NamedTuple):
    """What a kind of figure is made of.

    Attributes:
        samples: of the model, with the classes that were asked for (-1 for none).
        real: splits of the data, by name.
        classes: that the model can be asked for; 0 for none.
        seed: of the classifiers, and of what is drawn.
        epochs: of the classifiers.
        device: where they are trained.
        sheet: the file for the picture of neighbours.
    """

    samples: Labelled
    real: Mapping[str, Known]
    classes: int
    seed: int
    epochs: int
    device: torch.device
    sheet: Path


class Need(NamedTuple):
    """What a kind of figure takes.

    Attributes:
        samples: how many.
        words: its part of the protocol.
    """

    samples: int
    words: str


def needed(kind: str, real: Mapping[str, Known], n: int, classes: int, epochs: int, sample: Part) -> Need:
    """What a kind of figure takes of n samples.

    Args:
        kind: of :data:`OF_PICTURES`.
        real: the splits that it needs.
        n: samples that there are.
        classes: that can be asked for.
        epochs: of the classifiers.
        sample: one of them, to know their form.

    Raises:
        InputError: samples and real pictures of unlike form, too many to be in memory, no labels, too few of a class.
    """
    for name, known in real.items():
        one = known.one()
        if one.images.shape[1:] != sample.images.shape[1:]:
            raise InputError(
                f"{kind}: samples are {_size(sample.images)} and {name} pictures {_size(one.images)} (channels, height, "
                "width), and they must be alike"
            )
        if kind == "agreement" and one.y is None:
            raise InputError(f"agreement: the {name} pictures have no labels, and classifiers need them")
    test, values = real["test"].count, sample.images[0].numel()
    if kind == "parzen":
        taken, val = min(n, SAMPLES), real["val"]
        widths = f"{len(SIGMAS)} from {SIGMAS[0]:g} to {SIGMAS[-1]:g}"
        chosen_by = f"the first {min(val.count, VALIDATION)} validation pictures ({val.words})"
        words = f"{taken} samples of 8 bits, a width of {widths} by {chosen_by}, the first {min(test, TEST)} test pictures"
        pictures = taken + min(val.count, VALIDATION) + min(test, TEST)
    elif kind == "agreement":
        train = real["train"]
        taken = min(n, train.count)
        if taken < 2 * classes:
            raise InputError(f"agreement: {taken} samples of {classes} classes, and at least two of each are needed")
        those = f"{taken} training pictures, evenly spread ({train.words})"
        words, pictures = f"small classifier, {epochs} epochs on {those} or samples, {test} test pictures", 2 * taken + test
    else:
        train, taken = real["train"], min(n, NEAREST)
        those = f"{train.count} training pictures ({train.words})"
        words = f"{taken} samples, {min(test, NEAREST)} test pictures, evenly spread, {those}, by pixels"
        pictures = taken + train.count + min(test, NEAREST)
    memory = pictures * values * BYTES[kind]
    if memory > MOST_BYTES:
        raise InputError(
            f"{kind}: {pictures} pictures of {_size(sample.images)} would take {memory / 2**30:.1f} GiB of memory, and at "
            f"most {MOST_BYTES / 2**30:g} are taken: give a smaller --n, or leave this figure out"
        )
    return Need(taken, words)


def parzen(of: Whole) -> dict[str, Figure]:
    """``parzen_2014``, nats a picture, with the standard error; ``parzen`` where the numbers of pictures are others."""
    sets = [of.samples.images[:SAMPLES], of.real["val"].first(VALIDATION).images, of.real["test"].first(TEST).images]
    counts = [len(each) for each in sets]
    samples, by, judged = (each.to(of.device).float() / 255 for each in sets)
    found = protocol(samples, by, judged, counts=counts)
    name = "parzen_2014" if counts == [SAMPLES, VALIDATION, TEST] else "parzen"
    edge = ", the narrowest or the widest of those tried" if found.edge else ""
    return {name: Figure(found.mean, found.error, f"standard error; width {found.sigma:.3f}{edge}")}


def agree(of: Whole) -> dict[str, Figure]:
    """``gan_test`` (label agreement), ``gan_train``, ``gan_base``, shares of 1; ``variety`` and ``least_variety``."""
    test = of.real["test"].first(of.real["test"].count)
    train = of.real["train"].spread(len(of.samples.y))
    samples = Labelled(of.samples.images[: len(train.y)], of.samples.y[: len(train.y)])
    found = agreement(samples, train, test, small_classifier(of.classes, of.epochs, device=of.device), of.seed)
    shares = {"gan_test": found.gan_test, "gan_train": found.gan_train, "gan_base": found.real}
    figures = {name: Figure(each.share, each.error, "standard error") for name, each in shares.items()}
    known = [ratio for ratio in found.variety if ratio == ratio]  # not NaN, which it is where a class has one picture
    if known:
        figures |= {"variety": Figure(sum(known) / len(known)), "least_variety": Figure(min(known))}
    return figures


def neighbours(of: Whole) -> dict[str, Figure]:
    """``nearest_training``: how near samples are to the training pictures, over how near test pictures are to them.

    About 1 for pictures as new as the test's, 0 for copies. By Euclidean distance of pixels, means over 1,000 of each. The
    file beside the result shows ten samples and the five training pictures nearest to each (as figure 2 of the 2014 paper).
    """
    train = of.real["train"].first(of.real["train"].count).images
    samples, test = of.samples.images[:NEAREST], of.real["test"].spread(NEAREST).images
    near, usual = nearest(samples, train, min(COLUMNS, len(train))), nearest(test, train)
    if not usual.distances.any():
        raise InputError("the test pictures are among the training pictures, and there is nothing to compare with")
    rows = torch.cat([samples[:ROWS, None], train[near.indices[:ROWS]]], 1)
    with atomic_write(of.sheet) as part:
        as_image(grid(to_float(rows.flatten(0, 1)), rows.shape[1])).save(part, format="png")
    return {"nearest_training": Figure(float(near.distances[:, 0].mean() / usual.distances[:, 0].mean()))}


MADE: Mapping[str, Callable[[Whole], dict[str, Figure]]] = {"parzen": parzen, "agreement": agree, "neighbours": neighbours}


def as_data(part: Part, channels: int) -> Part:
    """A file holds grey pictures in three equal channels: such are grey again where the data are."""
    if channels == 1 and part.images.shape[1] == 3 and bool((part.images[:, :1] == part.images).all()):
        return part._replace(images=part.images[:, :1])
    return part


def samples_of(parts: Iterable[Judged], n: int, channels: int, what: str) -> Labelled:
    """The first n of a model's or a folder's pictures."""
    return gathered((as_data(judged.part, channels) for judged in parts), n, f"samples of {what}")


def _size(images: Any) -> str:
    return "x".join(map(str, images.shape[1:]))
