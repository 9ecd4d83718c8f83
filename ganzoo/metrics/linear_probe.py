"""How well a linear classifier on top of features names the classes: a measure of the features (a "linear probe")."""

from typing import NamedTuple
from warnings import catch_warnings, simplefilter

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.statistics import checked

CS = (1e-5, 1e-4, 1e-3, 1e-2)


class LinearProbe(NamedTuple):
    """The result of a linear probe.

    Attributes:
        accuracy: the share of test images that are named rightly, in [0, 1].
        C: the weight of the errors, as it was chosen.
        held_out: the accuracy on the part of the training features on which C was chosen.
    """

    accuracy: float
    C: float
    held_out: float


def linear_probe(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    cs: tuple[float, ...] = CS,
    seed: int = 0,
) -> LinearProbe:
    """Trains an L2-regularised linear support vector machine on features and tests it (Radford et al. 2016, section 5.1).

    One against the rest, squared hinge (scikit-learn's ``LinearSVC``). Features are standardised by the mean and deviation
    of those that it is trained on. C is chosen on a fifth of the training features; then it is trained on all of them.

    Args:
        train: features [N, F].
        train_labels: int64 classes [N].
        test: features [M, F], used only to measure.
        test_labels: int64 classes [M].
        cs: the values of C that are tried.
        seed: of the fifth; the global random streams are left alone.

    Raises:
        InputError: fewer than 10 training features, another number of labels, features that are not finite or of two
            lengths, or fewer than two classes.
    """
    from sklearn.exceptions import ConvergenceWarning  # slow to import
    from sklearn.svm import LinearSVC

    x, x_test = (checked(each, name, least).numpy() for each, name, least in ((train, "train", 10), (test, "test", 1)))
    y, y_test = (labels.cpu().numpy() for labels in (train_labels, test_labels))
    if (len(x), len(x_test)) != (len(y), len(y_test)) or x.shape[1] != x_test.shape[1]:
        raise InputError(
            f"a linear probe needs a label for each feature, and features of one length: train {x.shape} with {len(y)} "
            f"labels, test {x_test.shape} with {len(y_test)}"
        )
    if not cs or min(cs) <= 0:
        raise InputError(f"cs are numbers above 0, at least one, and not {cs}")
    order = np.random.default_rng(seed).permutation(len(x))
    held, fit = order[: len(x) // 5], order[len(x) // 5 :]
    if len(np.unique(y[fit])) < 2:
        raise InputError("a linear probe needs labels of at least two classes, and all are of one")

    def accuracy(C: float, rows: np.ndarray, x_other: np.ndarray, y_other: np.ndarray) -> float:
        mean, spread = x[rows].mean(0), x[rows].std(0)
        spread[spread == 0] = 1  # a feature that never changes
        dual = len(rows) < x.shape[1]  # the faster way of the two to the same answer
        svm = LinearSVC(C=C, random_state=seed, dual=dual, tol=1e-3, max_iter=100)
        with catch_warnings():
            # the last digits of the weights, which change no class, take very long
            simplefilter("ignore", ConvergenceWarning)
            svm.fit((x[rows] - mean) / spread, y[rows])
        return float((svm.predict((x_other - mean) / spread) == y_other).mean())

    tried = {C: accuracy(C, fit, x[held], y[held]) for C in cs}
    best = max(tried, key=lambda C: tried[C])
    return LinearProbe(accuracy(best, np.arange(len(x)), x_test, y_test), best, tried[best])


def balanced_subset(labels: Tensor, per_class: int, seed: int = 0) -> Tensor:
    """Chooses as many images of each class at random: the protocol of "1,000 labels" (Radford et al. 2016, section 5.2).

    Args:
        labels: int64 classes [N].
        per_class: how many of each class.
        seed: of the choice; the global random streams are left alone.

    Returns:
        int64 indices [classes * per_class], sorted.

    Raises:
        InputError: a class has fewer.
    """
    found = []
    generator = torch.Generator().manual_seed(seed)
    for label in labels.unique():
        places = (labels == label).nonzero().flatten()
        if len(places) < per_class:
            raise InputError(f"class {int(label)} has {len(places)} images, and {per_class} are asked for")
        found.append(places[torch.randperm(len(places), generator=generator)[:per_class]])
    return torch.cat(found).sort().values
