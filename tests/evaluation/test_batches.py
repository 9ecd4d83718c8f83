"""Batches of images for evaluation: the same for all ranks, batch sizes of a loader, and workers; fingerprints of a set."""

import numpy as np
import pytest
import torch
from support.eval_splits import N, split, together
from support.known_metrics import (
    ImagesOf,
    Jittered,
    Labelled,
    OneImage,
    Pair,
    noise,
)
from support.toy_distributions import stream
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ganzoo.errors import InputError
from ganzoo.evaluation.batches import FINGERPRINT_IMAGES, REPEATED, EvalSplit, Shard, as_images
from ganzoo.interfaces import field_of
from ganzoo.utils.images import to_float


@pytest.mark.parametrize(("of", "batch_size"), [(1, 5), (2, 5), (3, 4), (8, 4), (3, 1), (2, 100)])
def test_shares_are_the_whole(of, batch_size):
    """Also where there are more processes than parts, and the last part is small."""
    indices, images = together(
        part for process in range(of) for part in split().real_batches("x", batch_size, Shard(process, of))
    )
    assert torch.equal(indices, torch.arange(N))
    assert torch.equal(images, noise(N, 0))


def test_the_loaders_own_order_and_batches_do_not_matter():
    shuffled = split(shuffle=True, drop_last=True)
    _, images = together(shuffled.real_batches("x", 7))
    assert torch.equal(images, noise(N, 0))


def test_reading_draws_nothing_from_the_common_stream():
    before = torch.get_rng_state()
    list(split().real_batches("x", 7))
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_give_the_same():
    plain, others = (list(split(num_workers=n).real_batches("x", 5, Shard(1, 2))) for n in (0, 1))
    assert all(torch.equal(a.images, b.images) for a, b in zip(plain, others, strict=True))


def test_what_is_done_to_a_batch_is_done():
    floats = ImagesOf(OneImage, noise(N, 0).float() / 255)
    found = split(floats, prepare=lambda batch: OneImage(batch.x * 2 - 1))
    assert torch.equal(together(found.real_batches("x", 5))[1], noise(N, 0))


def test_labels_go_with_their_images():
    y = torch.arange(N) % 3
    for images in (ImagesOf(Labelled, noise(N, 0), y), torch.utils.data.TensorDataset(noise(N, 0), y)):
        parts = list(split(images).real_batches("x", 5))
        assert torch.equal(torch.cat([part.labels for part in parts]), y)
    assert all(part.labels is None for part in split(ImagesOf(Pair, noise(N, 0), noise(N, 1))).real_batches("y", 5))
    assert all(part.labels is None for part in split(ImagesOf(Pair, noise(N, 0), noise(N, 1))).real_batches("x", 5))


def test_of_several_loaders_the_first():
    first, second = (DataLoader(ImagesOf(OneImage, noise(N, seed)), 4) for seed in (0, 1))
    for several in ([first, second], {"a": first, "b": second}, [[first]]):
        assert EvalSplit(several, "val").dataset is first.dataset


class Stream(IterableDataset):
    def __iter__(self):
        yield OneImage(noise(1, 0)[0])


@pytest.mark.parametrize("wrong", [None, [], DataLoader(Stream(), 4), DataLoader([1, 2], None), stream(lambda n, g: n, 2)])
def test_what_has_no_places_is_refused(wrong):
    with pytest.raises(InputError, match="there are no val images to compare with, or not as a map-style data set"):
        EvalSplit(wrong, "val")


def test_fields_by_name_and_by_place():
    x, y = torch.zeros(1), torch.ones(1)
    for batch in (Pair(x, y), (x, y), [x, y], {"x": x, "y": y}):
        assert field_of(batch, "x") is x
        assert field_of(batch, "y") is y
    assert field_of(x, "x") is x
    assert field_of((x,), "y") is None
    assert field_of(OneImage(x), "y") is None


# -- images -----------------------------------------------------------------------------------------------------------


def test_floats_and_bytes_are_one_image():
    images = noise(256, 0)
    assert torch.equal(as_images(images, "it"), images)
    assert torch.equal(as_images(to_float(images), "it"), images)
    assert torch.equal(as_images(to_float(images).double(), "it"), images)
    assert as_images(torch.full((1, 1, 1, 1), 1.005), "it").item() == 255


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (None, "not NoneType"),
        (torch.zeros(3), r"images are a tensor \[N, C, H, W\], not torch.Size"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.int64), "uint8, or floats"),
        (torch.full((2, 1, 2, 2), torch.nan), "2 of 2 images have NaN or infinite pixels"),
        (torch.tensor([0.0, torch.inf]).view(2, 1, 1, 1), "1 of 2 images"),
        (torch.tensor([-1.0, 1.1]).view(2, 1, 1, 1), "these go from -1 to 1.1"),
        (torch.tensor([0.0, 255.0]).view(2, 1, 1, 1), "these go from 0 to 255"),
    ],
)
def test_what_are_no_images(images, said):
    with pytest.raises(InputError, match=said) as told:
        as_images(images, "my images")
    assert str(told.value).startswith("my images: ")


# -- a set is known again -----------------------------------------------------------------------------------------------


def fingerprint(images, prepare=None, **options) -> str | None:
    return split(images, prepare=prepare, **options).fingerprint()


class Items(Dataset):
    """Items of any kind."""

    def __init__(self, items) -> None:
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def test_a_set_is_known_by_its_images():
    base = noise(N, 0)
    known = fingerprint(ImagesOf(OneImage, base))
    assert known == fingerprint(ImagesOf(OneImage, base.clone()), shuffle=True)
    assert len(known) == 16
    changed = base.clone()
    changed[N // 2, 0, 3, 3] ^= 1
    others = [
        ImagesOf(OneImage, base[:-1]),
        ImagesOf(OneImage, changed),
        ImagesOf(OneImage, base.float()),
        ImagesOf(OneImage, base.flatten(2)),
        ImagesOf(Labelled, base, torch.zeros(N)),
        ImagesOf(Labelled, base, torch.ones(N)),
        Items([np.asarray(each) for each in base]),
        Items([{"x": each} for each in base]),
        Items([{"x": each} for each in changed]),
        Items([{"z": each} for each in base]),
        Items([(each, {"x": [each]}) for each in base]),
    ]
    found = [fingerprint(each) for each in others]
    assert None not in found
    assert len({known, *found}) == len(others) + 1
    assert N < FINGERPRINT_IMAGES  # all of them are looked at


def test_of_a_large_set_a_thousand_are_looked_at_and_a_few_twice():
    class Counted(ImagesOf):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    seen: list[int] = []
    fingerprint(Counted(OneImage, noise(3000, 0)))
    assert len(seen) == 2 * REPEATED + FINGERPRINT_IMAGES
    assert {0, 2999} < set(seen)
    seen.clear()
    fingerprint(Counted(OneImage, noise(500, 0)))
    assert set(seen) == set(range(500))


def test_images_that_may_be_in_another_range_are_doubted_once(capsys):
    bright = torch.rand(N, 1, 8, 8)
    list(split(ImagesOf(OneImage, bright)).real_batches("x", 4))
    assert capsys.readouterr().err.count("are they in [0, 1]") == 1
    bright[0, 0, 0, 0] = -0.1
    list(split(ImagesOf(OneImage, bright)).real_batches("x", 4))
    list(split(ImagesOf(OneImage, noise(N, 0))).real_batches("x", 4))
    assert capsys.readouterr().err == ""


def test_what_changes_has_no_name():
    assert fingerprint(Jittered(OneImage, noise(N, 0))) is None
    assert (
        fingerprint(ImagesOf(OneImage, noise(N, 0)), lambda batch: batch._replace(x=batch.x ^ torch.randint(2, ()))) is None
    )


def test_what_is_done_to_them_belongs_to_them():
    images = ImagesOf(OneImage, noise(N, 0))
    asis, bright = (lambda batch: batch), (lambda batch: batch._replace(x=batch.x | 1))
    assert fingerprint(images, asis) != fingerprint(images, bright)
    # but not the rounding of the floats on the way
    assert fingerprint(images, asis) == fingerprint(images, lambda batch: batch._replace(x=to_float(batch.x) * (1 - 1e-7)))


def test_vectors_stay_as_they_are():
    points = torch.tensor([[0.123456, -4.0], [2.0, 0.5]])
    assert as_images(points, "the model's images") is points
    with pytest.raises(InputError, match="1 of 2 vectors have NaN"):
        as_images(torch.tensor([[0.0, torch.inf], [0.0, 1.0]]), "the model's images")
    with pytest.raises(InputError, match="N, C, H, W"):
        as_images(torch.zeros(2, 3, dtype=torch.int64), "the model's images")
