"""The images that a model is judged by: the same whoever makes them, in whichever parts, and whatever was made before."""

import numpy as np
import pytest
import torch
from support.known_metrics import (
    Data,
    ImagesOf,
    Jittered,
    Labelled,
    OneImage,
    OnlyRecords,
    Pair,
    Play,
    Same,
    Samples,
    Turns,
    noise,
)
from support.toy_distributions import stream
from support.zoo import SMALL
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

import ganzoo.models as zoo
from ganzoo.errors import InputError
from ganzoo.evaluation.generate import (
    PROBES,
    REPEATED,
    EvalSplit,
    Shard,
    as_images,
    count_generated,
    default_batch_size,
    field_of,
    generated_batches,
    normalizes_by_batch,
    output_kinds,
)
from ganzoo.interfaces import Generated, Sampler, Translator
from ganzoo.utils.images import to_float, to_uint8

N = 23


def split(images: Dataset | None = None, name: str = "val", prepare=None, **options) -> EvalSplit:
    images = images or ImagesOf(OneImage, noise(N, 0))
    return EvalSplit(DataLoader(images, 4, **options), name, prepare)


def together(parts) -> tuple[torch.Tensor, torch.Tensor]:
    """Places and images, in the order of the places."""
    found = list(parts)
    indices = torch.cat([part.indices for part in found])
    order = indices.argsort()
    return indices[order], torch.cat([part.images for part in found])[order]


# -- real images ------------------------------------------------------------------------------------------------------


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
        (None, "wanted, not NoneType"),
        (torch.zeros(3, 4), r"images \[N, C, H, W\] are wanted, not torch.Size"),
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
    assert N < PROBES  # all of them are looked at


def test_of_a_large_set_a_thousand_are_looked_at_and_a_few_twice():
    class Counted(ImagesOf):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    seen: list[int] = []
    fingerprint(Counted(OneImage, noise(3000, 0)))
    assert len(seen) == 2 * REPEATED + PROBES
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


# -- made images ------------------------------------------------------------------------------------------------------


def made(module, n=N, batch_size=5, seed=0, share=None, held=None):
    return list(generated_batches(module, held or split(), n, batch_size, seed, *([share] if share else [])))


@pytest.mark.parametrize("name", ["GAN", "CGAN", "LAPGAN", "Pix2Pix", "DCGAN"])
def test_a_part_is_the_same_whoever_makes_it(name):
    """Noise and dropout are of (seed, part): not of the process, of what was made before, or of the common stream."""
    torch.manual_seed(0)
    module = getattr(zoo, name)(**SMALL[name])
    if name == "Pix2Pix":
        # untrained, its dropout is hardly seen in bytes
        with torch.no_grad():
            [p.mul_(20) for p in module.G.parameters() if p.dim() > 1]
    pairs = ImagesOf(Pair, noise(N, 0, 3, 16), noise(N, 1, 1, 16))
    held = split(pairs)
    alone = made(module, held=held)
    torch.manual_seed(99)
    torch.rand(7)
    shared = [part for process in range(3) for part in made(module, share=Shard(process, 3), held=held)]
    assert len(alone) == len(shared) == 5
    for part in shared:
        (same,) = [each for each in alone if torch.equal(each.indices, part.indices)]
        assert torch.equal(part.images, same.images)
        assert (part.labels is None) == (same.labels is None)
    other = made(module, seed=1, held=held)
    assert not torch.equal(other[0].images, alone[0].images)
    if name != "Pix2Pix":
        assert not torch.equal(alone[0].images, alone[1].images)


def test_making_draws_nothing_from_the_common_stream_and_leaves_modes_alone():
    module = Samples()
    module.train()
    module.D.eval()
    before, modes = torch.get_rng_state(), [part.training for part in module.modules()]
    made(module)
    assert torch.equal(torch.get_rng_state(), before)
    assert [part.training for part in module.modules()] == modes
    assert set(module.modes) == {False}


def test_classes_by_turns():
    parts = made(Samples(classes=3), n=10, batch_size=4)
    assert torch.cat([part.labels for part in parts]).tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    means = torch.cat([part.images for part in parts]).float().mean((1, 2, 3))
    assert means[2::3].min() > means[0::3].max()  # a class is brighter than the one before the last


def test_a_translators_field_and_number():
    pairs = split(ImagesOf(Pair, noise(N, 0), noise(N, 1)))
    indices, images = together(generated_batches(Same(), pairs, 17, 5))
    assert torch.equal(indices, torch.arange(17))
    assert torch.equal(images, noise(17, 0))
    assert count_generated(Same(), pairs, "", 17) == 17
    assert count_generated(Same(), pairs, "", 100) == N
    assert count_generated(Samples(), pairs, "", 100) == 100


def test_none_is_made_twice_where_a_list_begins_anew():
    class Alongside(ImagesOf):
        sizes = {"x": 7, "y": N}

    pairs = split(Alongside(Pair, noise(7, 0).repeat(4, 1, 1, 1)[:N], noise(N, 1)))
    parts = made(Turns(), held=pairs)
    to_y, to_x = ([part for part in parts if part.name == name] for name in ("to_y", "to_x"))
    assert torch.equal(together(to_y)[0], torch.arange(7))
    assert torch.equal(together(to_x)[0], torch.arange(N))
    assert torch.equal(together(to_y)[1], to_uint8(-to_float(noise(7, 0))))
    assert torch.equal(together(pairs.real_batches("x", 5))[1], noise(7, 0))
    assert (count_generated(Turns(), pairs, "to_y", 100), count_generated(Turns(), pairs, "to_x", 100)) == (7, N)


def test_what_a_module_makes():
    pairs = split(torch.utils.data.TensorDataset(to_float(noise(N, 0)), to_float(noise(N, 1))))
    assert output_kinds(Samples(), None) == {"": "x"}
    assert output_kinds(Same(), None) == {"": "y"}
    assert output_kinds(Turns(), None) == {"to_y": "y", "to_x": "x"}
    assert output_kinds(OnlyRecords("Generated"), pairs) == {"": "x"}
    assert output_kinds(OnlyRecords("Translated"), pairs) == {"": "y"}
    assert output_kinds(OnlyRecords("Cycled"), pairs) == {"to_y": "y", "to_x": "x"}
    for module in (OnlyRecords("nothing"), Play()):
        with pytest.raises(InputError, match=f"{type(module).__name__} makes no images that can be evaluated"):
            output_kinds(module, pairs)


def test_a_module_is_itself_again_after_an_error():
    class Fails(OnlyRecords):
        def validation_step(self, batch, batch_idx):
            self.log("val/own", 0.0)
            raise ZeroDivisionError

    module = Fails().train()
    with pytest.raises(ZeroDivisionError):
        output_kinds(module, split())
    assert "log" not in vars(module)
    assert module.training


def test_a_record_of_another_length_is_refused():
    class Fixed(OnlyRecords):
        def validation_step(self, batch, batch_idx):
            return Generated(batch.x, torch.zeros(8, 1, 4, 4))

    with pytest.raises(InputError, match="of a batch of 5 it made 8"):
        made(Fixed())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["translator", "own"])
def test_weights_of_another_precision(dtype, kind):
    """Images come in the precision of the weights, as a trainer brings them."""

    class Net(Same if kind == "translator" else OnlyRecords):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def translate(self, x):
            assert x.dtype == dtype
            return self.conv(x).tanh()

        def validation_step(self, batch, batch_idx):
            return Generated(batch.x, self.translate(batch.x))

    images = ImagesOf(Pair, noise(N, 0), noise(N, 1)) if kind == "translator" else None
    found = made(Net().to(dtype), held=split(images))
    assert found[0].images.dtype == torch.uint8


def test_a_data_module_of_ganzoos_gives_its_images():
    """Through its own hook, there and back, to the bit."""
    data = Data(ImagesOf(OneImage, noise(8, 1)), ImagesOf(OneImage, noise(N, 0)))
    found = EvalSplit(data.val_dataloader(), "val", lambda batch: data.on_after_batch_transfer(batch, 0))
    assert torch.equal(together(found.real_batches("x", 5))[1], noise(N, 0))


@pytest.mark.parametrize(
    ("kind", "tracks", "training", "wanted"),
    [
        (Sampler, True, 4, 50),
        (Sampler, True, None, 50),
        (Sampler, False, 4, 4),
        (Sampler, False, None, 1),
        (Translator, True, 4, 4),
        (Translator, True, None, 50),
        (Translator, False, 4, 4),
        (Translator, False, None, 1),
    ],
)
def test_one_rule_says_how_many_images_are_made_at_a_time(kind, tracks, training, wanted):
    class Model(nn.Module, kind):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1, track_running_stats=tracks)

        def sample(self, n, y=None, generator=None):
            raise NotImplementedError

        def translate(self, x):
            raise NotImplementedError

    assert normalizes_by_batch(Model()) is not tracks
    assert default_batch_size(Model(), training) == wanted
