"""Proxy A-distance between two domains, and scores of an adaptation that need no target labels."""

from warnings import catch_warnings, simplefilter

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import InputError

CS = tuple(10.0**k for k in range(-5, 1))


def proxy_a_distance(source: Tensor, target: Tensor, seed: int = 0) -> float:
    """``2 (1 - 2 epsilon)``, epsilon the error of a linear classifier that tells the domains apart.

    Ben-David et al. 2006; as Ganin et al. 2016 measure it, a linear SVM, trained on half of the features and tested on
    the other half, with the best of several C. Here C (1e-5 to 1) is chosen on a third of the training half: chosen on
    the test half, as is usual, it finds a distance between two halves of one domain. Features are standardised by what
    the SVM is trained on, and the larger domain is thinned to the size of the smaller.

    Args:
        source: features [N, F].
        target: features [M, F].
        seed: of the halves and the thinning; the global random streams are left alone.

    Returns:
        About 0 where the domains cannot be told apart (by chance a little below, too), 2 where they always can be.

    Raises:
        InputError: fewer than 12 images of a domain, or features that are not finite.
    """
    # slow to import, and only these lines need it
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    n = min(len(source), len(target))
    if n < 12:
        raise InputError(f"a proxy A-distance needs at least 12 images of each domain, and has {n}")
    # as many of either domain in each part, so that guessing errs half of the time; and an image that is in both domains
    # in the same part of both, or what is learned of it as a source would be held against it as a target
    x = np.stack([_numbers(each)[np.random.default_rng(seed).permutation(len(each))[:n]] for each in (source, target)])
    if not np.isfinite(x).all():
        raise InputError("a proxy A-distance needs finite features, and these have NaN or infinite values")
    half, fit = n // 2, n // 2 - n // 6

    def error(c: float, train: slice, held_out: slice) -> float:
        mean, spread = x[:, train].mean((0, 1)), x[:, train].std((0, 1))
        spread[spread == 0] = 1  # a feature that never changes
        parts = [((x[:, part] - mean) / spread).reshape(-1, x.shape[2]) for part in (train, held_out)]
        is_target = [np.repeat([0, 1], len(part) // 2) for part in parts]
        dual = len(parts[0]) < 2 * x.shape[2]  # the faster way of the two to the same answer
        svm = LinearSVC(C=c, random_state=seed, dual=dual, max_iter=100, tol=1e-3)
        with catch_warnings():
            # of separable features the last digits of the weights, which change no error, take very long
            simplefilter("ignore", ConvergenceWarning)
            svm.fit(parts[0], is_target[0])
        return float((svm.predict(parts[1]) != is_target[1]).mean())

    best = min(CS, key=lambda c: error(c, slice(0, fit), slice(fit, half)))
    return 2 * (1 - 2 * error(best, slice(0, half), slice(half, n)))


def _numbers(features: Tensor) -> np.ndarray:
    return features.detach().flatten(1).double().cpu().numpy()


def entropies(p: Tensor) -> Tensor:
    """Entropy of each distribution in nats: [..., K] probabilities -> [...], in [0, log K]."""
    return torch.special.entr(p).sum(-1)


def mean_entropy(logits: Tensor) -> float:
    """How undecided a classifier is: the mean entropy of its predictions, in nats.

    Args:
        logits: [N, K].

    Returns:
        In [0, log K]; 0 for certain predictions, right or wrong, and also when all are of one class.
    """
    return entropies(logits.double().softmax(1)).mean().item()


def information_maximisation(logits: Tensor) -> float:
    """``H(mean p) - mean H(p)``: how much a prediction says of which image it is, in nats.

    The mutual information between image and predicted class (Bridle et al. 1991; Gomes et al. 2010): high when each
    prediction is certain and all of them together are even, which a collapse to one class is not.

    Args:
        logits: [N, K].

    Returns:
        In [0, log K].
    """
    p = logits.double().softmax(1)
    return (entropies(p.mean(0)) - entropies(p).mean()).clamp_min(0).item()


def gated(score: float, worst: float, source_accuracy: float, least: float) -> float:
    """`score` where the source is still classified well enough, else `worst`.

    A score without labels is fooled by features that throw everything away; the source's labels, which may be used, show
    that. Of an accuracy that is not a number it is `worst`, too.
    """
    return score if source_accuracy >= least else worst


def share_covered(accuracy: float, source_only: float, on_target: float) -> float:
    """How much of the way between its bounds an adaptation covers (Ganin et al. 2016, table 2, in brackets).

    Args:
        accuracy: on the target, of the adapted model.
        source_only: of the same network trained on the source alone.
        on_target: of the same network trained on the target's labels.

    Returns:
        0 at the lower bound, 1 at the upper; outside of that range for what is outside of them.

    Raises:
        InputError: the bounds are equal, or in the wrong order.
    """
    if not on_target > source_only:
        raise InputError(f"training on the target ({on_target}) should be better than on the source only ({source_only})")
    return (accuracy - source_only) / (on_target - source_only)
