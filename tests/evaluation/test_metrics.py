"""Metrics of features: they are those of their functions, in whichever order the rows of a table were written."""

import pytest
import torch
from support.known_metrics import Pixels, Tiny
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.evaluation.features import FeatureSet
from ganzoo.evaluation.metrics import (
    FEATURE_METRICS,
    METRICS,
    Counts,
    MetricOptions,
    check,
    check_names,
    choose,
    compute,
    compute_per_class,
    flat,
    reduce,
    rows_kept,
)
from ganzoo.evaluation.table import FeatureTable
from ganzoo.metrics.extractors.base import Features
from ganzoo.metrics.frechet import frechet_distance
from ganzoo.metrics.inception import inception_score
from ganzoo.metrics.kernel import kernel_distance
from ganzoo.metrics.manifold import manifold

ALL = tuple(FEATURE_METRICS)
OPTIONS = MetricOptions(subset_size=20, subsets=5, splits=3)
N = 60


def features(n: int, seed: int, shift: float = 0.0) -> Features:
    g = torch.Generator().manual_seed(seed)
    pool = torch.randn(n, 4, generator=g) + shift
    return Features(pool, torch.randn(n, 3, generator=g))


def table(found: Features, parts: int = 1, extractor=Tiny, y: Tensor | None = None) -> FeatureTable:
    """Written in parts, the last one first."""
    made = FeatureTable(len(found.pool), extractor().spec("x", "val"))
    for indices in reversed(torch.arange(made.count).chunk(parts)):
        rows = {"features": found.pool[indices], "logits": found.logits[indices]}
        made.write(indices, rows if y is None else rows | {"labels": y[indices]})
    return made


def reduced(found: Features, metrics=ALL, options: MetricOptions = OPTIONS, classes: int = 0, **how) -> FeatureSet:
    return reduce(table(found, **how), metrics, options, classes)


def test_each_metric_is_its_function_and_their_order_is_fixed():
    real, fake = features(N, 0), features(N, 1, 0.5)
    found = flat(compute(Tiny(), ALL[::-1], OPTIONS, reduced(real), reduced(fake)))
    kernel = kernel_distance(real.pool, fake.pool, 5, 20, 0)
    score = inception_score(fake.logits, 3, 0)
    assert found == {
        "fd_tiny": pytest.approx(frechet_distance(real.pool, fake.pool), rel=1e-9),
        "kd_tiny": kernel.mean,
        "kd_tiny_std": kernel.std,
        "score_tiny": score.mean,
        "score_tiny_std": score.std,
        **{f"{kind}_tiny": value for kind, value in manifold(real.pool, fake.pool, 3, 5)._asdict().items()},
    }
    assert list(found) == ["fd_tiny", "kd_tiny", "kd_tiny_std", "score_tiny", "score_tiny_std", "precision_tiny",
                           "recall_tiny", "density_tiny", "coverage_tiny"]  # fmt: skip


def test_what_a_deviation_is_of_is_said():
    both = reduced(features(N, 0)), reduced(features(N, 1))
    found = compute(Tiny(), ALL, OPTIONS, *both)
    assert {name: value.of for name, value in found.items() if value.of} == {
        "kd_tiny": "5 subsets",
        "score_tiny": "3 splits",
    }


@pytest.mark.parametrize("parts", [2, 7])
def test_parts_are_the_whole_to_the_bit(parts):
    real, fake = features(N, 0), features(N, 1, 0.5)
    whole = compute(Tiny(), ALL, OPTIONS, reduced(real), reduced(fake))
    assert compute(Tiny(), ALL, OPTIONS, reduced(real, parts=parts), reduced(fake, parts=parts)) == whole


@pytest.mark.parametrize("kind", ALL)
def test_only_what_is_wanted(kind):
    names = set(flat(compute(Tiny(), [kind], OPTIONS, reduced(features(N, 0), [kind]), reduced(features(N, 1), [kind]))))
    assert (
        names
        == {
            "distance": {"fd_tiny"},
            "kernel": {"kd_tiny", "kd_tiny_std"},
            "score": {"score_tiny", "score_tiny_std"},
            "manifold": {"precision_tiny", "recall_tiny", "density_tiny", "coverage_tiny"},
        }[kind]
    )
    if kind == "score":
        assert set(flat(compute(Tiny(), [kind], OPTIONS, None, reduced(features(N, 1), [kind])))) == names


def test_a_name_of_its_own_only_with_known_weights():
    class Named(Tiny):
        metric_names = {"fd": "fid_tf", "score": "inception_score_tf"}

    both = reduced(features(N, 0)), reduced(features(N, 1))
    assert {"fid_tf", "inception_score_tf", "kd_tiny"} <= set(compute(Named(), ALL, OPTIONS, *both))
    unknown = Named()
    unknown.known = False
    assert "fid_tf" not in compute(unknown, ALL, OPTIONS, *both)


def test_sets_of_two_protocols_are_refused():
    with pytest.raises(InputError, match="extractor is"):
        compute(Tiny(), ["distance"], OPTIONS, reduced(features(N, 0)), reduced(features(N, 1), extractor=Pixels))


def test_what_is_kept_for_what():
    usual = MetricOptions()
    assert rows_kept(["distance"], usual, 2048) == 2048
    assert rows_kept(["distance"], MetricOptions(keep=100), 2048) == 100
    assert rows_kept(["score"], usual, 2048) == 0
    assert rows_kept(["kernel"], usual, 4) == rows_kept(["manifold"], usual, 4) == 10_000
    bounded = reduced(features(N, 0), options=MetricOptions(keep=30)).statistics
    assert len(bounded.features) == 30
    assert bounded.count == N


@pytest.mark.parametrize(
    ("kind", "options", "real", "fake", "extractor", "said"),
    [
        ("score", {}, 99, 99, Pixels, "pixels has no classifier at its end, so no Inception score"),
        ("score", {}, 99, 9, Tiny, "an Inception score of 10 splits needs as many images, not 9"),
        ("distance", {}, 1, 99, Tiny, "a Frechet distance needs 2 images of each kind, and there are 1 real and 99 fake"),
        ("kernel", {}, 2000, 999, Tiny, "subsets of 1000 needs as many of each kind, and there are 2000 real and 999"),
        ("kernel", {"keep": 500}, 2000, 2000, Tiny, "of which at most 500 are kept"),
        ("manifold", {}, 5, 99, Tiny, "neighbours k 3 and 5 need more images than that"),
    ],
)
def test_too_few_images(kind, options, real, fake, extractor, said):
    with pytest.raises(InputError, match=said):
        check(kind, MetricOptions(**options), Counts(real, fake), extractor())


def test_just_enough_images():
    for kind, n in {"kernel": 1000, "score": 10, "distance": 2, "manifold": 6}.items():
        check(kind, MetricOptions(), Counts(n, n), Tiny())


@pytest.mark.parametrize(
    ("name", "least"),
    [("keep", 2), ("subsets", 1), ("subset_size", 2), ("splits", 1), ("k", 1), ("k_density", 1), ("seed", 0)],
)
def test_numbers_out_of_range(name, least):
    with pytest.raises(InputError, match=rf"MetricOptions: {name} is {least - 1}: give an int in \[{least}, "):
        MetricOptions(**{name: least - 1})
    assert getattr(MetricOptions(**{name: least}), name) == least


def test_names_in_their_order():
    assert check_names(["parzen", "score", "distance"]) == ["distance", "score", "parzen"]
    assert check_names(METRICS[::-1]) == list(METRICS)
    with pytest.raises(InputError, match="there is no metric 'distnce': did you mean 'distance'"):
        check_names(["distnce"])


def test_what_cannot_be_had_is_left_out_unless_it_is_asked_for():
    def refuse(name: str) -> None:
        if name == "kernel":
            raise InputError("too few")

    left_out: dict[str, str] = {}
    assert choose(None, ALL, refuse, left_out) == ["distance", "score", "manifold"]
    assert left_out == {"kernel": "too few"}
    with pytest.raises(InputError, match="kernel: too few"):
        choose(["kernel"], ["kernel"], refuse, {})


# -- class by class -----------------------------------------------------------------------------------------------------


def by_class(found: Features, y: Tensor, options: MetricOptions = OPTIONS, classes: int = 3, **how) -> FeatureSet:
    return reduced(found, options=options, classes=classes, y=y, **how)


@pytest.mark.parametrize("parts", [1, 7])
def test_metrics_of_each_class_and_their_mean(parts):
    real, fake, y = features(N, 0), features(N, 1, 0.5), torch.arange(N) % 3
    of_fake = y.roll(1)
    options = MetricOptions(subset_size=10, subsets=5, splits=3)
    both = by_class(real, y, options, parts=parts), by_class(fake, of_fake, options, parts=parts)
    found = {name: each.value for name, each in compute_per_class(Tiny(), ALL, options, *both).items()}
    each = [frechet_distance(real.pool[y == c], fake.pool[of_fake == c]) for c in range(3)]
    assert [found[f"fd_tiny_class_{c}"] for c in range(3)] == pytest.approx(each, rel=1e-9)
    assert found["intra_fd_tiny"] == pytest.approx(sum(each) / 3, rel=1e-9)
    kinds = ("fd", "kd", "precision", "recall", "density", "coverage")
    assert set(found) == {
        *(f"{kind}_tiny_class_{c}" for kind in kinds for c in range(3)),
        *(f"intra_{kind}_tiny" for kind in kinds),
    }


def test_a_class_with_too_few_images_is_named():
    y = torch.tensor([0] * 40 + [1] * 19 + [2])
    both = by_class(features(N, 0), y), by_class(features(N, 1), torch.arange(N) % 3)
    with pytest.raises(InputError, match="class 2: a Frechet distance needs 2 images of each kind, and there are 1 real"):
        compute_per_class(Tiny(), ["distance"], OPTIONS, *both)


def test_of_each_class_so_many_are_kept_and_the_same_ones():
    found, y = features(N, 0), torch.arange(N) % 3
    options = MetricOptions(keep=5)
    whole, parts = by_class(found, y, options), by_class(found, y, options, parts=7)
    assert [each.count for each in whole.classes] == [5, 5, 5]
    for c in range(3):
        kept = whole.classes[c].features
        assert torch.equal(kept, parts.classes[c].features)
        assert all((found.pool[c::3] == row).all(1).any() for row in kept)
