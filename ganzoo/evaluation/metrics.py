"""The metrics that can be had, in their fixed order, with what each needs; those of features are computed here.

A metric of features is a pure function of two :class:`~ganzoo.evaluation.features.FeatureSet`. Metrics of images are in
``pixel_metrics.py``, those of pairs in ``ganzoo.metrics.paired``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ganzoo.errors import InputError, did_you_mean
from ganzoo.evaluation.features import FeatureSet
from ganzoo.evaluation.protocol import MetricValue
from ganzoo.evaluation.table import FeatureTable
from ganzoo.metrics.extractors import metric_name
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.frechet import frechet_of_statistics
from ganzoo.metrics.inception import inception_score
from ganzoo.metrics.kernel import kernel_distance
from ganzoo.metrics.manifold import manifold
from ganzoo.utils.ranges import NonNegativeInt64, PositiveInt, SampleCount, check_ranges

FeatureMetricName = Literal["distance", "kernel", "score", "manifold"]
METRICS = ("distance", "kernel", "score", "manifold", "paired", "lpips", "parzen", "agreement", "neighbours", "modes")
"""All metrics, in the order in which they are computed and shown."""
ON_REQUEST = ("lpips", "parzen", "agreement", "neighbours", "modes")
"""Computed only where they are named: they need weights, minutes or memory."""


@dataclass(frozen=True)
class MetricOptions:
    """The numbers of the metrics of features; all of them belong to the protocol.

    Args:
        keep: features of each set, at most, that kernel and manifold compare one by one; per class, of each class.
        subsets: random subsets of the kernel distance.
        subset_size: images in each subset.
        splits: parts of the Inception score.
        k: neighbours of precision and recall.
        k_density: neighbours of density and coverage.
        seed: of the noise, and of all that is drawn for the metrics.

    Raises:
        InputError: a number out of its range.
    """

    keep: SampleCount = 10_000
    subsets: PositiveInt = 100
    subset_size: SampleCount = 1000
    splits: PositiveInt = 10
    k: PositiveInt = 3
    k_density: PositiveInt = 5
    seed: NonNegativeInt64 = 0

    def __post_init__(self) -> None:
        check_ranges(MetricOptions.__init__, self, **vars(self))


class Counts(NamedTuple):
    """Images of the two sets that are compared; without a comparison both numbers are of the generated ones."""

    real: int
    fake: int


Values = dict[str, MetricValue]


@dataclass(frozen=True)
class FeatureMetric:
    """A metric of features, and what it needs.

    Attributes:
        needs_real: a set of real images.
        needs_logits: an extractor with a classifier at its end.
        needs_rows: features one by one, at most ``keep`` of each set; else moments are enough.
        check: raises InputError where these numbers of images are too few.
        compute: values by kind, of a real set (None where it needs none) and a generated one.
    """

    needs_real: bool
    needs_logits: bool
    needs_rows: bool
    check: Callable[[MetricOptions, Counts], None]
    compute: Callable[[MetricOptions, FeatureSet, FeatureSet], Values]


def _check_distance(options: MetricOptions, n: Counts) -> None:
    if min(n) < 2:
        raise InputError(f"a Frechet distance needs 2 images of each kind, and there are {n.real} real and {n.fake} fake")


def _distance(options: MetricOptions, real: FeatureSet, fake: FeatureSet) -> Values:
    return {"fd": MetricValue(frechet_of_statistics(real.statistics, fake.statistics))}


def _check_kernel(options: MetricOptions, n: Counts) -> None:
    if min(*n, options.keep) < options.subset_size:
        raise InputError(
            f"a kernel distance of subsets of {options.subset_size} needs as many of each kind, and there are {n.real} real "
            f"and {n.fake} fake, of which at most {options.keep} are kept: a smaller subset_size, or more images"
        )


def _kernel(options: MetricOptions, real: FeatureSet, fake: FeatureSet) -> Values:
    both = real.statistics.features, fake.statistics.features
    found = kernel_distance(*both, options.subsets, options.subset_size, options.seed)
    return {"kd": MetricValue(found.mean, found.std, f"{options.subsets} subsets")}


def _check_score(options: MetricOptions, n: Counts) -> None:
    if n.fake < options.splits:
        raise InputError(f"an Inception score of {options.splits} splits needs as many images, not {n.fake}")


def _score(options: MetricOptions, real: FeatureSet, fake: FeatureSet) -> Values:
    assert fake.logits is not None
    found = inception_score(fake.logits, options.splits, options.seed)
    return {"score": MetricValue(found.mean, found.std, f"{options.splits} splits")}


def _check_manifold(options: MetricOptions, n: Counts) -> None:
    if min(*n, options.keep) <= max(options.k, options.k_density):
        raise InputError(
            f"neighbours k {options.k} and {options.k_density} need more images than that of each kind, and there are "
            f"{n.real} real and {n.fake} fake"
        )


def _manifold(options: MetricOptions, real: FeatureSet, fake: FeatureSet) -> Values:
    found = manifold(real.statistics.features, fake.statistics.features, options.k, options.k_density)
    return {kind: MetricValue(value) for kind, value in found._asdict().items()}


FEATURE_METRICS: Mapping[str, FeatureMetric] = {
    "distance": FeatureMetric(True, False, False, _check_distance, _distance),
    "kernel": FeatureMetric(True, False, True, _check_kernel, _kernel),
    "score": FeatureMetric(False, True, False, _check_score, _score),
    "manifold": FeatureMetric(True, False, True, _check_manifold, _manifold),
}


def check_names(names: Iterable[str]) -> list[str]:
    """The named metrics in their fixed order.

    Raises:
        InputError: there is no such metric.
    """
    given = list(names)
    for name in given:
        if name not in METRICS:
            near = did_you_mean(name, list(METRICS), f"they are {', '.join(METRICS)}")
            raise InputError(f"there is no metric '{name}'{near}")
    return [name for name in METRICS if name in given]


def check(name: str, options: MetricOptions, counts: Counts, extractor: Extractor) -> None:
    """Refuses a metric of features that cannot be had, before any image is made.

    Raises:
        InputError: what it needs, and what there is.
    """
    if FEATURE_METRICS[name].needs_logits and not extractor.has_logits:
        raise InputError(f"{extractor.name} has no classifier at its end, so no Inception score: choose another extractor")
    FEATURE_METRICS[name].check(options, counts)


def choose(
    asked: Sequence[str] | None, candidates: Iterable[str], refuse: Callable[[str], None], left_out: dict[str, str]
) -> list[str]:
    """The metrics that can be had.

    Args:
        asked: what the user names; None for all that can be had.
        candidates: metrics that are wanted.
        refuse: raises InputError for a metric that cannot be had.
        left_out: gets the others, each with the reason.

    Raises:
        InputError: a metric that the user names cannot be had.
    """
    found = []
    for name in candidates:
        try:
            refuse(name)
        except InputError as error:
            if asked is not None:
                raise InputError(f"{name}: {error}") from None
            left_out[name] = str(error)
        else:
            found.append(name)
    return found


def rows_kept(metrics: Iterable[str], options: MetricOptions, dimension: int) -> int:
    """How many features of a set are compared one by one."""
    wanted = list(metrics)
    if any(FEATURE_METRICS[name].needs_rows for name in wanted):
        return options.keep
    # with fewer images than dimensions, the distance is quicker of the features than of their covariance
    return min(options.keep, dimension) if "distance" in wanted else 0


def reduce(
    table: FeatureTable, metrics: Sequence[str], options: MetricOptions, classes: int = 0, device: object = "cpu"
) -> FeatureSet:
    """What the metrics need of a table.

    Args:
        table: complete.
        metrics: of features.
        options: of the metrics.
        classes: how many, where metrics are wanted of each, too; else 0.
        device: where moments are computed; it must know float64.
    """
    assert table.spec is not None
    kept = rows_kept(metrics, options, table.spec.dimension)
    logits = table.rows("logits", slice(None)) if "score" in metrics and "logits" in table.columns else None
    of_classes = tuple(table.statistics_of_class(c, options.keep, kept, options.seed) for c in range(classes))
    return FeatureSet(table.statistics(kept, options.seed, device), logits, of_classes)  # type: ignore[arg-type]


def compute(
    extractor: Extractor, metrics: Sequence[str], options: MetricOptions, real: FeatureSet | None, fake: FeatureSet
) -> Values:
    """The metrics of features, by their names on this extractor, in the fixed order.

    Args:
        extractor: that the features are of.
        metrics: names in :data:`FEATURE_METRICS`.
        options: of the metrics.
        real: None if nothing is compared.
        fake: of the generated images.

    Raises:
        InputError: too few images, or sets of two protocols.
    """
    counts = Counts((fake if real is None else real).statistics.count, fake.statistics.count)
    found: Values = {}
    for name, metric in FEATURE_METRICS.items():
        if name in metrics:
            check(name, options, counts, extractor)
            values = metric.compute(options, fake if real is None else real, fake)
            found |= {metric_name(kind, extractor): value for kind, value in values.items()}
    return found


def compute_per_class(
    extractor: Extractor, metrics: Sequence[str], options: MetricOptions, real: FeatureSet, fake: FeatureSet
) -> Values:
    """The metrics of each class, ``fd_..._class_3``, and their means over the classes, ``intra_fd_...``.

    The Inception score is left out, because its formula compares classes, and so are deviations.

    Args:
        extractor: that the features are of.
        metrics: names in :data:`FEATURE_METRICS`; what they need, each class needs.
        options: of the metrics.
        real: of the data, with its classes.
        fake: of the generated images, with theirs.

    Raises:
        InputError: too few images of a class.
    """
    wanted = [name for name in metrics if FEATURE_METRICS[name].needs_real]
    found: list[Values] = []
    for c, both in enumerate(zip(real.classes, fake.classes, strict=True)):
        try:
            of_class = compute(extractor, wanted, options, *map(FeatureSet, both))
        except InputError as error:
            raise InputError(f"class {c}: {error}") from None
        found.append({name: MetricValue(each.value) for name, each in of_class.items()})
    each = {f"{name}_class_{c}": value for c, of_class in enumerate(found) for name, value in of_class.items()}
    means = {name: sum(of_class[name].value for of_class in found) / len(found) for name in found[0]}
    return each | {f"intra_{name}": MetricValue(value) for name, value in means.items()}


def flat(values: Mapping[str, MetricValue]) -> dict[str, float]:
    """The values as plain numbers; the deviation of a mean over parts is ``..._std``."""
    found: dict[str, float] = {}
    for name, each in values.items():
        found[name] = each.value
        if each.deviation is not None:
            found[f"{name}_std"] = each.deviation
    return found
