"""The statistics of features: moments, kept rows, merging, files."""

import json
import zipfile
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch
from support.features import SPEC, gathered, global_streams_untouched, normal
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics import statistics as statistics_file
from ganzoo.metrics.statistics import ALL, SAME_SET, Statistics


def near(found: Tensor, wanted: np.ndarray, relative: float) -> bool:
    return np.abs(found.numpy() - wanted).max() <= relative * np.abs(wanted).max()


_untouched = pytest.fixture(autouse=True)(global_streams_untouched)


@pytest.mark.parametrize("sizes", [[1000], [1] * 1000, [1, 0, 499, 500], [7] * 142 + [6]])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_one_pass_is_numpy_on_the_whole(sizes, offset):
    """With a mean of 10,000 deviations the difference of sums of squares would be wrong from the eighth digit."""
    x = normal(1000, 5, 0, offset) @ torch.diag(torch.tensor([1, 2, 3, 1e-1, 1.0], dtype=torch.float64))
    found = gathered(x, sizes)
    assert found.count == 1000
    assert near(found.mean, x.numpy().mean(0), 1e-12)
    assert near(found.covariance, np.cov(x.numpy(), rowvar=False), 1e-12)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
def test_parts_merged_in_any_order_are_the_whole(order):
    x = normal(300, 5, 0) + torch.arange(300)[:, None] / 50  # each part has a mean of its own
    parts = [gathered(part, [len(part)]) for part in x.split([1, 99, 0, 200])]
    whole = gathered(x[:0], [0])
    for i in order:
        whole.merge(parts[i])
    assert whole.count == 300
    assert near(whole.mean, x.numpy().mean(0), 1e-12)
    assert near(whole.covariance, np.cov(x.numpy(), rowvar=False), 1e-12)
    assert parts[1].count == 99  # as it was


def test_kept_features_are_all_or_none_or_so_many():
    x = normal(90, 5, 0).float()
    everything = gathered(x, [40, 50], keep=ALL)
    assert everything.whole
    assert torch.equal(everything.features, x)
    assert everything.features.dtype == torch.float32
    assert torch.equal(gathered(x, [40, 50], keep=90).features, x)
    none = gathered(x, [40, 50])
    assert none.features.shape == (0, 5)
    assert not none.whole
    some = gathered(x, [40, 50], keep=20)
    assert some.features.shape == (20, 5)
    assert not some.whole
    # of the set, no two alike, in their order, and others with another seed
    place = (some.features[:, None] == x).all(2).nonzero()[:, 1]
    assert (place.diff() > 0).all()
    assert not torch.equal(gathered(x, [40, 50], keep=20, seed=1).features, some.features)


def test_what_is_kept_does_not_depend_on_batches():
    x = normal(90, 5, 0)
    wanted = gathered(x, [90], keep=7).features
    for sizes in ([1] * 90, [50, 40], [3] * 30):
        assert torch.equal(gathered(x, sizes, keep=7).features, wanted)


@pytest.mark.parametrize("parts", [[30], [20, 10], [2, 27, 1]])
def test_each_feature_has_the_same_chance_to_be_kept(parts):
    """10 of 30, whichever part it came with: of 3,000 draws each is kept in a third, within four deviations."""
    x = torch.arange(30, dtype=torch.float64)[:, None]
    kept = torch.zeros(30)
    for draw in range(3000):
        # the features are their own places; the last part comes first
        whole, *others = (gathered(part, [len(part)], 10, draw, part[:, 0]) for part in reversed(x.split(parts)))
        for other in others:
            whole.merge(other)
        kept[whole.features[:, 0].long()] += 1
    assert kept.sum() == 30_000
    assert (kept - 1000).abs().max() < 4 * sqrt(3000 / 3 * 2 / 3)


def test_a_caller_may_use_its_buffer_again():
    x = normal(4, 5, 0).float()
    found = gathered(x, [4], keep=ALL)
    x.zero_()
    assert found.features.abs().min() > 0


@pytest.mark.parametrize("name", SAME_SET)
def test_parts_of_unlike_sets_are_refused_by_name(name):
    other = replace(SPEC, **{name: 6 if name == "dimension" else "else"})
    with pytest.raises(InputError, match=f"merged: {name} is (6|'else') there and"):
        Statistics(SPEC).merge(Statistics(other))


@pytest.mark.parametrize("keep", [1, 20, 59, 60, ALL])
def test_what_parts_keep_is_what_one_pass_keeps(keep):
    """Two processes take batches by turns; the file of one of them is read back in between."""
    x, indices = normal(60, 5, 0), torch.arange(60)
    mine, its = (gathered(x[i::2], [10, 20], keep, 3, indices[i::2]) for i in range(2))
    mine.merge(its)
    assert torch.equal(mine.features, gathered(x, [60], keep, 3).features)
    assert mine.whole == (keep >= 60)


def test_parts_of_the_same_images_or_of_another_choice_are_refused():
    a, b = (gathered(normal(10, 5, i), [10], keep=ALL, indices=torch.arange(10) + 9 * i) for i in range(2))
    with pytest.raises(InputError, match="both have an image 9"):
        a.merge(b)
    with pytest.raises(InputError, match=r"keep is 3 of seed 0 there and \d+ of seed 0 here"):
        a.merge(gathered(normal(10, 5, 1), [10], keep=3))
    with pytest.raises(InputError, match="keep is 4 of seed 1 there and 4 of seed 0 here"):
        gathered(normal(10, 5, 1), [10], keep=4).merge(gathered(normal(10, 5, 1), [10], keep=4, seed=1))


def test_features_that_cannot_be_used_count_for_nothing():
    found = gathered(normal(10, 5, 0), [10], keep=ALL)
    bad = normal(4, 5, 1)
    bad[1, 2], bad[3, 0] = torch.nan, torch.inf
    with pytest.raises(InputError, match="tiny: the features of 2 of 4 images are not finite"):
        found.update(bad)
    with pytest.raises(InputError, match="6 values, not 5"):
        found.update(normal(4, 6, 1))
    with pytest.raises(InputError, match="shape"):
        found.update(normal(4, 5, 1)[0])
    assert found.count == len(found.features) == 10
    with pytest.raises(InputError, match="at least 2 images, and there are 1 of numbers train"):
        _ = gathered(normal(1, 5, 0), [1]).covariance


@pytest.mark.parametrize("keep", [0, 20, ALL])
def test_a_file_gives_it_all_back_and_goes_on_exactly(tmp_path, keep):
    x = normal(90, 5, 0)
    path = tmp_path / "real.npz"
    gathered(x[:50], [50], keep=keep).save(path)
    found = Statistics.load(path, SPEC, 50)
    assert found.spec == SPEC
    found.update(x[50:])
    whole = gathered(x, [50, 40], keep=keep)
    assert torch.equal(found.mean, whole.mean)
    assert torch.equal(found.moment, whole.moment)
    assert torch.equal(found.features, whole.features)
    assert [each.name for each in tmp_path.iterdir()] == ["real.npz"]


@pytest.mark.parametrize("name", SAME_SET)
def test_a_file_of_another_protocol_is_refused_by_name(tmp_path, name):
    path = tmp_path / "real.npz"
    gathered(normal(3, 5, 0), [3]).save(path)
    other = replace(SPEC, **{name: 6 if name == "dimension" else "else"})
    with pytest.raises(InputError, match=f"real.npz: {name} is .* there and (6|'else') here"):
        Statistics.load(path, other, 3)
    with pytest.raises(InputError, match="count is 3 there and 4 here"):
        Statistics.load(path, SPEC, 4)


def test_a_broken_file_is_one_clear_line(tmp_path):
    path = tmp_path / "real.npz"
    with pytest.raises(InputError, match="no such file"):
        Statistics.load(path)
    gathered(normal(300, 5, 0), [300], keep=ALL).save(path)
    good = path.read_bytes()
    middle = len(good) // 2
    flipped = good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :]
    for broken in (b"", b"not a zip", good[:middle], flipped):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"real.npz: not a file of statistics, or a damaged one \(.+\); remove it"):
            Statistics.load(path)
    np.savez(path, about=np.array(json.dumps({"format": 1})))
    with pytest.raises(InputError, match="format is 1"):
        Statistics.load(path)
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(InputError, match="not a file"):
        Statistics.load(path)


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "real.npz"
    gathered(normal(3, 5, 0), [3]).save(path)
    old = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(statistics_file.np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        gathered(normal(4, 5, 0), [4]).save(path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
