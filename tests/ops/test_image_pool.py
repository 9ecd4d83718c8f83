"""The history pool, against the released code's rule and its own arithmetic."""

import copy

import pytest
import torch
from torch import nn

from ganzoo.errors import InputError
from ganzoo.ops.image_pool import ImagePool


def numbered(first: int, n: int, channels: int = 1, size: int = 2) -> torch.Tensor:
    """Images that say their number."""
    return torch.arange(first, first + n, dtype=torch.float32)[:, None, None, None].expand(n, channels, size, size).clone()


def numbers(images: torch.Tensor) -> list[int]:
    assert all(len(image.unique()) == 1 for image in images)  # images are swapped whole
    return images[:, 0, 0, 0].int().tolist()


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_the_first_fifty_are_returned_unchanged(batch):
    history = ImagePool()
    for first in range(0, 49 - batch, batch):
        images = numbered(first, batch)
        assert torch.equal(history(images), images)
        assert len(history) == first + batch


@pytest.mark.parametrize("batch", [1, 4])
def test_then_half_of_the_images_are_old_ones(batch):
    """P(an old one is returned) = 1/2 within three standard deviations over 10,000 images, none of them twice."""
    history = ImagePool(50)
    history(numbered(0, 50))
    n, swapped, returned, places = 10_000, 0, [], torch.zeros(50)
    for first in range(50, 50 + n, batch):
        before = history.kept.clone()
        out = numbers(history(numbered(first, batch)))
        swapped += sum(here != first + i for i, here in enumerate(out))
        returned += out
        places += (history.kept != before).flatten(1).any(1)
        assert len(history) == 50
    assert abs(swapped / n - 0.5) < 3 * 0.5 / n**0.5
    assert len(set(returned)) == n  # an image leaves the pool when it is returned, and is not kept when returned at once
    assert set(returned) | set(numbers(history.kept)) == set(range(n + 50))
    expected = swapped / 50  # each place is as likely as another; with a batch of 4 two may fall together
    assert (places - expected).abs().max() < 5 * expected**0.5


def test_against_the_rule_one_image_at_a_time():
    """The released pool in plain Python, given the same random numbers."""

    def rule(kept, size, image, swap, place):
        if len(kept) < size:
            kept.append(image)
            return image
        if swap:
            old, kept[place] = kept[place], image
            return old
        return image

    history, kept = ImagePool(5), []
    for step, batch in enumerate([3, 1, 4, 6, 2, 9]):  # fills in the middle of the third batch
        images = numbered(10 * step, batch)
        torch.manual_seed(step)
        out = history(images)
        torch.manual_seed(step)
        swap, place = (torch.rand(batch) < 0.5).tolist(), torch.randint(5, (batch,)).tolist()
        draws = zip(numbers(images), swap, place, strict=True)
        assert numbers(out) == [rule(kept, 5, *draw) for draw in draws]
        assert numbers(history.kept) == kept


def test_what_comes_out_has_no_graph_and_shares_no_memory():
    history = ImagePool(2)
    images = numbered(0, 8).requires_grad_()
    out = history(images * 2)
    assert not out.requires_grad
    assert not history.kept.requires_grad
    kept = numbers(history.kept)
    assert max(kept) > 2  # some were swapped
    out.zero_()
    assert numbers(history.kept) == kept
    assert numbers(images) == list(range(8))


def test_size_zero_is_off():
    history = ImagePool(0)
    images = numbered(3, 60).requires_grad_()
    out = history(images)
    assert torch.equal(out, images)
    assert not out.requires_grad
    assert len(history) == 0
    with pytest.raises(InputError, match="at least 0 images, not -1"):
        ImagePool(-1)


# -- checkpoints --------------------------------------------------------------------------------------


class Player(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.net, self.past = nn.Linear(1, 1), ImagePool(size)


@pytest.mark.parametrize("seen", [0, 3, 20])
def test_a_checkpoint_goes_on_exactly(seen, tmp_path):
    first, second = Player(8), Player(8)
    for i in range(seen):
        first.past(numbered(i, 1))
    torch.save(first.state_dict(), tmp_path / "kept.pt")
    saved = torch.load(tmp_path / "kept.pt", weights_only=True)
    assert len(saved["past._extra_state"]) == min(seen, 8)
    second.load_state_dict(saved, strict=True)
    streams = []
    for player in (first, second):
        torch.manual_seed(1)
        streams.append([numbers(player.past(numbered(100 + 2 * i, 2))) for i in range(20)])
    assert streams[0] == streams[1]
    assert torch.equal(first.past.kept, second.past.kept)
    assert len(saved["past._extra_state"]) == min(seen, 8)  # the state itself was not touched


def test_a_checkpoint_holds_no_more_than_what_is_kept(tmp_path):
    history = ImagePool(50)
    history(torch.zeros(1, 3, 64, 64))
    torch.save(history.state_dict(), tmp_path / "kept.pt")
    assert (tmp_path / "kept.pt").stat().st_size < 2 * 4 * 3 * 64 * 64


def test_of_a_larger_pool_the_last_are_taken():
    large, small, off = ImagePool(6), ImagePool(4), ImagePool(0)
    large(numbered(0, 6))
    small.load_state_dict(large.state_dict())
    off.load_state_dict(large.state_dict())
    assert numbers(small.kept) == [2, 3, 4, 5]
    assert len(off) == 0
    large.load_state_dict(small.state_dict())
    assert numbers(large(numbered(6, 2))) == [6, 7]  # it fills up first
    assert numbers(large.kept) == [2, 3, 4, 5, 6, 7]


def test_it_is_no_parameter_and_no_buffer():
    """Buffers would be overwritten with the first process's in each step."""
    history = ImagePool(3)
    history(numbered(0, 3))
    assert not list(history.parameters())
    assert not list(history.buffers())


def test_a_copy_and_a_state_have_a_memory_of_their_own():
    history, loaded = ImagePool(2), ImagePool(2)
    history(numbered(0, 2))
    state = history.state_dict()
    loaded.load_state_dict(state)
    for other in (copy.deepcopy(history), loaded):
        other(numbered(5, 20))
        assert max(numbers(other.kept)) > 2
        assert numbers(history.kept) == numbers(state["_extra_state"]) == [0, 1]
    history(numbered(5, 20))
    assert numbers(state["_extra_state"]) == [0, 1]


def test_it_follows_the_images_to_their_type_and_device():
    history = ImagePool(2)
    history(numbered(0, 2))
    out = history(numbered(5, 4).to(torch.bfloat16))
    assert out.dtype == history.kept.dtype == torch.bfloat16
    # a device without arithmetic shows where the work is done
    meta = history(numbered(5, 4).to("meta"))
    assert meta.device == history.kept.device == torch.device("meta")


def test_images_of_another_size_start_it_anew():
    history = ImagePool(2)
    history(numbered(0, 2))
    images = numbered(7, 2, size=4)
    assert torch.equal(history(images), images)
    assert history.kept.shape == (2, 1, 4, 4)
