"""Generated batches: the same on any rank, in any number of shards, and whatever was generated before."""

import pytest
import torch
from support.eval_splits import N, split, together
from support.known_metrics import (
    Data,
    ImagesOf,
    OneImage,
    OnlyRecords,
    Pair,
    Play,
    Same,
    Samples,
    Turns,
    noise,
)
from support.zoo import SMALL
from torch import nn

import ganzoo.models as zoo
from ganzoo.errors import InputError
from ganzoo.evaluation.batches import EvalSplit, Shard
from ganzoo.evaluation.generate import (
    count_generated,
    default_batch_size,
    generated_batches,
    normalizes_by_batch,
    output_kinds,
)
from ganzoo.interfaces import Generated, Sampler, Translator
from ganzoo.utils.images import to_float, to_uint8


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
        with pytest.raises(InputError, match=f"{type(module).__name__} generates no images that can be evaluated"):
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

    with pytest.raises(InputError, match="8 for a batch of 5, and there must be one for each"):
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
