"""Networks that turn images into features, each with a name, a dimension, its preprocessing and a hash of its weights.

Importing this imports no network, and not torch either: :func:`find` does that for the one that is asked for.
"""

import os
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from ganzoo.errors import InputError

if TYPE_CHECKING:
    from ganzoo.metrics.extractors.base import Extractor

NAMES = {
    "inception": "inception.InceptionTF",
    "inception-clean": "inception.InceptionClean",
    "efflite0": "efficientnet.EfficientNetLite0",
    "dinov2-vits14": "dino.DINOv2S",
    "dinov2-vitb14": "dino.DINOv2B",
    "dinov2-vitl14": "dino.DINOv2L",
}
"""What :func:`find` knows by name. A small classifier is found by the path of its file."""


def metric_name(kind: str, extractor: "Extractor") -> str:
    """What a metric is called, in logs and tables.

    ``fid_tf``, ``fid_clean``, ``kid_tf``, ``inception_score_tf`` and the like are names of Inception-2015 alone, with
    weights that were verified. On any other network, or other weights, it is ``fd_efflite0``, ``kd_classifier_mnist``,
    ``score_inception_tf_unverified_1a2b3c4d``: nobody can take one for the other.

    Args:
        kind: ``fd`` (Frechet distance), ``kd`` (kernel distance), ``score`` (the Inception score's formula),
            ``precision``, ``recall``, ``density``, ``coverage``, or another measure's name.
        extractor: what gave the features.
    """
    own = extractor.metric_names if extractor.known else {}
    return own.get(kind, f"{kind}_{extractor.label}")


def find(name: str, weights: str | None = None) -> "Extractor":
    """An extractor, ready for use, on the processor.

    Args:
        name: one of :data:`NAMES`, or the path of a file of a small classifier (``ganzoo classifier`` writes one).
        weights: the path of its weights' file; None for the usual place.

    Raises:
        InputError: no such name, no weights, or a package that is not installed; it says what to do.
    """
    if name in NAMES:
        module, cls = NAMES[name].rsplit(".", 1)
        return getattr(import_module(f"{__name__}.{module}"), cls)(weights)
    if os.path.isfile(name):
        if weights is not None:
            raise InputError(f"{name} is a classifier and its weights in one file: leave out the weights {weights}")
        from ganzoo.metrics.extractors.classifier import SmallClassifier

        return SmallClassifier.load(name)
    close = get_close_matches(name, NAMES, 1)
    hint = f"did you mean {close[0]}?" if close else f"give one of {', '.join(NAMES)}"
    raise InputError(f"there is no extractor and no file {name!r}: {hint} (a small classifier goes by the path of its file)")
