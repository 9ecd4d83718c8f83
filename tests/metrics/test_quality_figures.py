"""All figures of quality from one pass: they are those of the functions, in whichever parts the pictures were seen."""

import pickle
from dataclasses import replace

import pytest
import torch
from support.known_metrics import Pixels, Tiny
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.extractors.base import Features
from ganzoo.metrics.frechet import frechet_distance
from ganzoo.metrics.inception import inception_score
from ganzoo.metrics.kernel import kernel_distance
from ganzoo.metrics.manifold import manifold
from ganzoo.metrics.quality import ByClass, Seen, Settings, figures, figures_by_class

ALL = Settings(kernel=True, score=True, manifold=True, subset_size=20, subsets=5, splits=3)
N = 60


def features(n: int, seed: int, shift: float = 0.0) -> Features:
    g = torch.Generator().manual_seed(seed)
    pool = torch.randn(n, 4, generator=g) + shift
    return Features(pool, torch.randn(n, 3, generator=g))


def seen(found: Features, settings: Settings = ALL, parts: int = 1, extractor=Tiny) -> Seen:
    """In parts that come in another order, and are merged."""
    whole = None
    for places in reversed(torch.arange(len(found.pool)).chunk(parts)):
        part = Seen(extractor().header("x", "val"), settings, 3 if settings.score else 0)
        part.update(Features(found.pool[places], found.logits[places]), places)
        whole = part if whole is None else whole
        if part is not whole:
            whole.merge(part)
    return whole


def test_each_figure_is_its_functions():
    real, fake = features(N, 0), features(N, 1, 0.5)
    found = figures(Tiny(), ALL, seen(real), seen(fake))
    kernel = kernel_distance(real.pool, fake.pool, 5, 20, 0)
    score = inception_score(fake.logits, 3, 0)
    assert found == {
        "score_tiny": score.mean,
        "score_tiny_std": score.std,
        "fd_tiny": pytest.approx(frechet_distance(real.pool, fake.pool), rel=1e-9),
        "kd_tiny": kernel.mean,
        "kd_tiny_std": kernel.std,
        **{f"{kind}_tiny": value for kind, value in manifold(real.pool, fake.pool, 3, 5)._asdict().items()},
    }


@pytest.mark.parametrize("parts", [2, 7])
def test_parts_are_the_whole(parts):
    real, fake = features(N, 0), features(N, 1, 0.5)
    whole = figures(Tiny(), ALL, seen(real), seen(fake))
    assert figures(Tiny(), ALL, seen(real, parts=parts), seen(fake, parts=parts)) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("kind", ["distance", "kernel", "score", "manifold"])
def test_only_what_is_wanted(kind):
    nothing = {"distance": False, "kernel": False, "score": False, "manifold": False}
    settings = replace(ALL, **{**nothing, kind: True})
    names = set(figures(Tiny(), settings, seen(features(N, 0), settings), seen(features(N, 1), settings)))
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
        assert set(figures(Tiny(), settings, None, seen(features(N, 1), settings))) == names


def test_a_name_of_its_own_only_with_known_weights():
    class Named(Tiny):
        figures = {"fd": "fid_tf", "score": "inception_score_tf"}

    both = seen(features(N, 0)), seen(features(N, 1))
    assert {"fid_tf", "inception_score_tf", "kd_tiny"} <= set(figures(Named(), ALL, *both))
    unknown = Named()
    unknown.known = False
    assert "fid_tf" not in figures(unknown, ALL, *both)


def test_sets_of_two_protocols_are_refused():
    lean = Settings()
    with pytest.raises(InputError, match="extractor is"):
        figures(Tiny(), lean, seen(features(N, 0), lean), seen(features(N, 1), lean, extractor=Pixels))


def test_what_is_kept_for_what():
    assert Settings(distance=True).kept(2048) == 2048
    assert Settings(distance=True, keep=100).kept(2048) == 100
    assert Settings(distance=False, score=True).kept(2048) == 0
    assert Settings(kernel=True).kept(4) == Settings(manifold=True).kept(4) == 10_000
    bounded = seen(features(N, 0), replace(ALL, keep=30))
    assert len(bounded.statistics.features) == 30
    assert bounded.count == N


@pytest.mark.parametrize(
    ("settings", "real", "fake", "logits", "said"),
    [
        (Settings(score=True), 99, 99, False, "some has no classifier at its end, so no Inception score"),
        (Settings(distance=False, score=True), 99, 9, True, "an Inception score of 10 splits needs as many pictures, not 9"),
        (Settings(), 1, 99, True, "a Frechet distance needs 2 pictures of each kind, and there are 1 real and 99 fake"),
        (
            Settings(kernel=True),
            2000,
            999,
            True,
            "subsets of 1000 needs as many of each kind, and there are 2000 real and 999",
        ),
        (Settings(kernel=True, keep=500), 2000, 2000, True, "of which at most 500 are kept"),
        (Settings(manifold=True), 5, 99, True, "neighbours k 3 and 5 need more pictures than that"),
    ],
)
def test_too_few_pictures(settings, real, fake, logits, said):
    with pytest.raises(InputError, match=said):
        settings.check(real, fake, logits, "some")


def test_just_enough_pictures():
    Settings(kernel=True, manifold=True, score=True).check(1000, 1000, True, "some")
    Settings().check(2, 2, False, "some")
    Settings(distance=False, manifold=True).check(6, 6, False, "some")


@pytest.mark.parametrize("name", ["keep", "subsets", "subset_size", "splits", "k", "k_density", "seed"])
def test_numbers_out_of_range(name):
    with pytest.raises(InputError, match=f"{name} is at least"):
        Settings(**{name: -1})


# -- class by class -----------------------------------------------------------------------------------------------------


def by_class(found: Features, y: Tensor, settings: Settings = ALL, parts: int = 1, classes: int = 3) -> ByClass:
    whole = ByClass(Tiny().header("x", "val"), settings, classes)
    for places in reversed(torch.arange(len(y)).chunk(parts)):
        part = ByClass(Tiny().header("x", "val"), settings, classes)
        part.update(Features(found.pool[places], None), places, y[places])
        whole.merge(part)
    return whole


@pytest.mark.parametrize("parts", [1, 7])
def test_figures_of_each_class_and_their_mean(parts):
    real, fake, y = features(N, 0), features(N, 1, 0.5), torch.arange(N) % 3
    of_fake = y.roll(1)
    settings = replace(ALL, subset_size=10)
    found = figures_by_class(Tiny(), settings, by_class(real, y, settings, parts), by_class(fake, of_fake, settings, parts))
    each = [frechet_distance(real.pool[y == c], fake.pool[of_fake == c]) for c in range(3)]
    assert [found[f"fd_tiny_class_{c}"] for c in range(3)] == pytest.approx(each, rel=1e-9)
    assert found["intra_fd_tiny"] == pytest.approx(sum(each) / 3, rel=1e-9)
    kinds = ("fd", "kd", "precision", "recall", "density", "coverage")
    assert set(found) == {
        *(f"{kind}_tiny_class_{c}" for kind in kinds for c in range(3)),
        *(f"intra_{kind}_tiny" for kind in kinds),
    }


def test_a_class_with_too_few_pictures_is_named():
    y = torch.tensor([0] * 40 + [1] * 19 + [2])
    with pytest.raises(InputError, match="class 2: a Frechet distance needs 2 pictures of each kind, and there are 1 real"):
        figures_by_class(Tiny(), Settings(), by_class(features(N, 0), y), by_class(features(N, 1), torch.arange(N) % 3))


def test_labels_that_do_not_fit():
    empty = by_class(features(0, 0), torch.zeros(0, dtype=torch.int64))
    for y in (torch.tensor([3]), torch.tensor([-1])):
        with pytest.raises(InputError, match=r"there are 3 classes, and the data has labels from -?\d to"):
            empty.update(features(1, 0), torch.tensor([0]), y)
    with pytest.raises(InputError, match="need labelled pictures"):
        empty.update(features(1, 0), torch.tensor([0]), None)


def test_of_each_class_so_many_are_kept_and_the_same_ones():
    found, y = features(N, 0), torch.arange(N) % 3
    settings = replace(ALL, keep=5)
    whole, parts = by_class(found, y, settings), by_class(found, y, settings, 7)
    assert whole.counts == [5, 5, 5]
    for c in range(3):
        assert torch.equal(whole.seen(c).statistics.features, parts.seen(c).statistics.features)
        assert set(whole.kept[c].places.tolist()) <= set(range(c, N, 3))


def test_classes_saved_and_loaded(tmp_path):
    found = by_class(features(N, 0), torch.arange(N) % 3)
    found.save(tmp_path / "kept.npz")
    again = ByClass.load(tmp_path / "kept.npz", found.header, ALL, 3)
    for c in range(3):
        assert torch.equal(found.kept[c].rows, again.kept[c].rows)
        assert torch.equal(found.kept[c].places, again.kept[c].places)
    for header, settings, classes in [
        (replace(found.header, split="train"), ALL, 3),
        (found.header, replace(ALL, keep=7), 3),
        (found.header, replace(ALL, seed=1), 3),
        (found.header, ALL, 4),
    ]:
        with pytest.raises(InputError, match="of another protocol"):
            ByClass.load(tmp_path / "kept.npz", header, settings, classes)
    (tmp_path / "kept.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        ByClass.load(tmp_path / "kept.npz", found.header, ALL, 3)


def test_what_was_seen_goes_to_another_process():
    real = seen(features(N, 0)).to_cpu()
    again = pickle.loads(pickle.dumps(real))
    assert torch.equal(again.statistics.mean, real.statistics.mean)
    assert torch.equal(again.statistics.features, real.statistics.features)
    assert torch.equal(again.logits.rows, real.logits.rows)
