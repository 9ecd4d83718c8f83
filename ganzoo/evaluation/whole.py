"""Figures that are of the pictures themselves, and not of their features: of the papers that had no Inception.

Each is of a model's pictures and of those of a data module, whose splits it needs: the Parzen-window log-likelihood of 2014,
what a classifier says of the classes that were asked for, and the nearest training pictures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.evaluation.looking import Bar, Judged
from ganzoo.evaluation.protocol import Figure
from ganzoo.files import beside
from ganzoo.images import to_float
from ganzoo.judging import Part, Split
from ganzoo.metrics.agreement import Labelled, agreement, small_classifier
from ganzoo.metrics.modes import nearest
from ganzoo.metrics.parzen import SAMPLES, SIGMAS, TEST, VALIDATION, protocol
from ganzoo.sheets import as_image, grid

OF_PICTURES = ("parzen", "agreement", "neighbours")
MOST_BYTES = 2 * 2**30  # of one set of pictures in memory
NEAREST = 1000  # samples, and test pictures, whose nearest training picture is looked for
ROWS, COLUMNS = 10, 5  # of the picture of neighbours
READ = 500  # pictures read at a time


class Real:
    """The real pictures of a data module by split, read when they are asked for and kept; the first so many of each.

    Args:
        split_of: ``train``, ``val`` or ``test`` -> its pictures.
    """

    def __init__(self, split_of: Callable[[str], Split]) -> None:
        self.split_of = split_of
        self._kept: dict[str, Labelled] = {}

    def count(self, name: str) -> int:
        """Pictures of the split."""
        return self.split_of(name).count("x")

    def fingerprint(self, name: str) -> str:
        """Of the split."""
        return self.split_of(name).fingerprint() or "changing"

    def first(self, name: str, n: int) -> Labelled:
        """Its first n pictures, and their classes if they have any; fewer if there are fewer."""
        kept = self._kept.get(name)
        if kept is None or len(kept.images) < min(n, self.count(name)):
            split = self.split_of(name)
            parts = split.real("x", READ)
            kept = self._kept[name] = gathered(parts, min(n, split.count("x")), f"real pictures, {name}")
        return Labelled(kept.images[:n], kept.y[:n])


def gathered(parts: Iterable[Part], n: int, what: str) -> Labelled:
    """The first n pictures and their classes; -1 where they have none.

    Raises:
        InputError: pictures of several sizes, or too many to be in memory together.
    """
    images: list[Tensor] = []
    labels: list[Tensor] = []
    have = 0
    with Bar(n, 0, what) as bar:
        for part in parts:
            if images and part.images.shape[1:] != images[0].shape[1:]:
                raise InputError(f"{what}: of several sizes, {_size(images[0])} and {_size(part.images)}: resize them")
            bytes_ = n * part.images[0].numel()
            if not images and bytes_ > MOST_BYTES:
                raise InputError(
                    f"{what}: {n} of {_size(part.images)} would take {bytes_ / 2**30:.1f} GiB of memory, and at most "
                    f"{MOST_BYTES / 2**30:.0f} are taken: give a smaller --n, or leave this figure out"
                )
            images.append(part.images[: n - have].cpu())
            y = part.y if part.y is not None else torch.full((len(part.images),), -1)
            labels.append(y[: n - have].cpu())
            have += len(images[-1])
            bar.update(len(images[-1]))
            if have >= n:
                break
    return Labelled(torch.cat(images), torch.cat(labels))


class Whole(NamedTuple):
    """What the figures are made of.

    Attributes:
        samples: of the model, with the classes that were asked for (-1 for none).
        real: of the data.
        seed: of the classifiers, and of what is drawn.
        epochs: of the classifiers.
        device: where they are trained.
        picture: the file for the picture of neighbours.
    """

    samples: Labelled
    real: Real
    seed: int
    epochs: int
    device: torch.device
    picture: Path


def needed(kind: str, real: Real, n: int, epochs: int) -> tuple[int, str]:
    """How many samples a kind of figure takes of n, and its part of the protocol, in words."""
    test, taken = real.count("test"), min(n, {"parzen": SAMPLES, "neighbours": NEAREST}.get(kind, real.count("train")))
    if kind == "parzen":
        widths = f"{len(SIGMAS)} from {SIGMAS[0]:g} to {SIGMAS[-1]:g}"
        chosen_by = f"{min(real.count('val'), VALIDATION)} validation pictures ({real.fingerprint('val')})"
        return taken, f"{taken} samples of 8 bits, a width of {widths} by {chosen_by}, {min(test, TEST)} test pictures"
    known = f"training pictures ({real.fingerprint('train')})"
    if kind == "agreement":
        return taken, f"small classifier, {epochs} epochs on {taken} {known} or samples, {test} test pictures"
    return taken, f"{taken} samples, {min(test, NEAREST)} test pictures, {real.count('train')} {known}, by pixels"


def parzen(of: Whole) -> dict[str, Figure]:
    """``parzen_2014``, nats a picture, with the standard error; ``parzen`` where the numbers of pictures are others."""
    validation, test = of.real.first("val", VALIDATION), of.real.first("test", TEST)
    sets = [of.samples.images[:SAMPLES], validation.images, test.images]
    _alike("parzen", sets)
    counts = [len(each) for each in sets]
    samples, by, judged = (each.to(of.device).float() / 255 for each in sets)
    found = protocol(samples, by, judged, counts=counts)
    name = "parzen_2014" if counts == [SAMPLES, VALIDATION, TEST] else "parzen"
    edge = ", the narrowest or the widest of those tried" if found.edge else ""
    return {name: Figure(found.mean, found.error, f"standard error; width {found.sigma:.3f}{edge}")}


def agree(of: Whole) -> dict[str, Figure]:
    """``gan_test`` (label agreement), ``gan_train``, ``gan_base``, shares of 1; ``variety`` and ``least_variety``."""
    n = min(len(of.samples.y), of.real.count("train"))
    train, test = of.real.first("train", n), of.real.first("test", of.real.count("test"))
    samples = Labelled(of.samples.images[:n], of.samples.y[:n])
    classes = int(max(train.y.max(), test.y.max(), samples.y.max())) + 1
    found = agreement(samples, train, test, small_classifier(classes, of.epochs, device=of.device), of.seed)
    shares = {"gan_test": found.gan_test, "gan_train": found.gan_train, "gan_base": found.real}
    known = [ratio for ratio in found.variety if ratio == ratio]
    return {name: Figure(each.share, each.error, "standard error") for name, each in shares.items()} | {
        "variety": Figure(sum(known) / len(known)),
        "least_variety": Figure(min(known)),
    }


def neighbours(of: Whole) -> dict[str, Figure]:
    """``nearest_training``: how near samples are to the training pictures, over how near test pictures are to them.

    About 1 for pictures as new as the test's, 0 for copies. By Euclidean distance of pixels, means over 1,000 of each. The
    file beside the result shows ten samples and the five training pictures nearest to each (as figure 2 of the 2014 paper).
    """
    train = of.real.first("train", of.real.count("train")).images
    samples, test = of.samples.images[:NEAREST], of.real.first("test", NEAREST).images
    _alike("neighbours", [samples, test, train])
    near, usual = nearest(samples, train, min(COLUMNS, len(train))), nearest(test, train)
    rows = torch.cat([samples[:ROWS, None], train[near.indices[:ROWS]]], 1)
    with beside(of.picture) as part:
        as_image(grid(to_float(rows.flatten(0, 1)), rows.shape[1])).save(part, format="png")
    return {"nearest_training": Figure(float(near.distances[:, 0].mean() / usual.distances[:, 0].mean()))}


MADE: Mapping[str, Callable[[Whole], dict[str, Figure]]] = {"parzen": parzen, "agreement": agree, "neighbours": neighbours}


def samples_of(parts: Iterator[Judged], n: int, channels: int, what: str) -> Labelled:
    """The first n of a model's or a folder's pictures; grey ones that a file holds in colour are grey again."""
    found = gathered((judged.part for judged in parts), n, f"samples of {what}")
    if channels == 1 and found.images.shape[1] == 3 and bool((found.images[:, :1] == found.images).all()):
        return Labelled(found.images[:, :1], found.y)
    return found


def _alike(kind: str, sets: list[Tensor]) -> None:
    for each in sets[1:]:
        if each.shape[1:] != sets[0].shape[1:]:
            raise InputError(
                f"{kind}: samples are {_size(sets[0])} and real pictures {_size(each)} (channels, height, width): resize one"
            )


def _size(images: Any) -> str:
    return "x".join(map(str, images.shape[1:]))
