"""What a trained model makes of an image when it predicts: of this image alone, at its own size, in the right direction."""

import copy
import warnings

import pytest
import torch
from support.training import Batch, Labelled, loader, trainer
from support.zoo import cyclegan, pix2pix
from torch.nn import functional

from ganzoo.data.batches import Unpaired
from ganzoo.errors import InputError
from ganzoo.models import CGAN, DANN, GAN, LAPGAN, CycleGAN, Pix2Pix
from ganzoo.networks.norms import BatchStatistics, NoNorm
from ganzoo.prediction import Inputs, as_inputs, noise_seed, padded_to
from ganzoo.utils.images import to_float, to_uint8

SIZES = ((32, 32), (16, 40), (7, 33), (1, 1), (100, 9))


def images(*sizes: tuple[int, int], channels: int = 3) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return [torch.rand(channels, *size, generator=rng) * 2 - 1 for size in sizes]


def inputs(x, names=None, direction=None) -> Inputs:
    names = names or [f"{i}.png" for i in range(len(x))]
    return Inputs(x, None, list(range(len(x))), names, [name[:-4] for name in names], direction)


# -- sizes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 14), (12, 7)])
def test_padding_is_torchs_reflection_and_comes_off_again(height, width):
    (x,) = images((height, width))
    padded, rows, columns = padded_to(x[None], 8)
    tall, wide = (-(-side // 8) * 8 for side in (height, width))
    top, left = (tall - height) // 2, (wide - width) // 2
    wanted = functional.pad(x[None], (left, wide - width - left, top, tall - height - top), mode="reflect")
    assert torch.equal(padded, wanted)
    assert torch.equal(padded[0, :, rows, columns], x)


def test_an_image_smaller_than_its_padding_is_reflected_more_than_once():
    padded, rows, _ = padded_to(torch.arange(3.0).view(1, 1, 3, 1).expand(1, 1, 3, 8), 8)
    assert padded[0, 0, :, 0].tolist() == [2, 1, 0, 1, 2, 1, 0, 1]
    assert (rows.start, rows.stop) == (2, 5)
    assert padded_to(torch.full((1, 1, 1, 1), 5.0), 4, least=8)[0].unique().tolist() == [5]


@pytest.mark.parametrize("model", [pix2pix, cyclegan])
def test_a_translation_is_as_large_as_its_image(model):
    made = model().predict_step(inputs(images(*SIZES)), 0)
    assert [tuple(image.shape[1:]) for image in made] == list(SIZES)
    assert all(image.shape[0] == 3 and image.isfinite().all() for image in made)


def test_a_size_that_the_network_takes_is_not_touched():
    model, x = cyclegan(), torch.stack(images((32, 16), (32, 16)))
    made = model.predict_step(inputs(x), 0)
    assert torch.allclose(made, model.G(x), atol=1e-5)


@pytest.mark.parametrize("model", [pix2pix, cyclegan])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_images_come_in_the_type_of_the_weights(model, kind):
    (made,) = model().to(kind).predict_step(inputs(images((16, 16))), 0)
    assert made.dtype == torch.float32


# -- an image's translation is its own ------------------------------------------------------------------------------------


def cyclegan_by_batch() -> CycleGAN:
    return CycleGAN(blocks=1, width=4, patch=16, norm=BatchStatistics()).eval()


@pytest.mark.parametrize("model", [pix2pix, cyclegan, cyclegan_by_batch])
def test_neighbours_and_batch_size_change_nothing(model):
    model, x = model(), images(*[(16, 24)] * 5)
    names = [f"{name}.png" for name in "abcde"]
    together = model.predict_step(inputs(torch.stack(x), names), 0)
    torch.manual_seed(9)
    for i in (3, 0, 4):
        (alone,) = model.predict_step(inputs([x[i]], [names[i]]), 7)
        assert torch.equal(alone, together[i])
    (other,) = model.predict_step(inputs([x[0]], ["f.png"]), 0)
    assert torch.equal(other, together[0]) == isinstance(model, CycleGAN)  # pix2pix's noise belongs to the name


def test_predicting_leaves_the_random_stream_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    pix2pix().predict_step(inputs(images((16, 16))), 0)
    torch.manual_seed(5)
    model = pix2pix()
    torch.manual_seed(5)
    model.predict_step(inputs(images((16, 16))), 0)
    assert torch.equal(torch.rand(3), wanted)


def test_names_have_seeds_of_their_own():
    names = ["a.png", "b.png", "sub/a.png", "\udce4.png", ""]
    assert len({noise_seed(name) for name in names}) == len(names)
    assert all(0 <= noise_seed(name) < 2**63 for name in names)
    assert noise_seed("a.png") == noise_seed("a.png")


def test_images_of_a_plain_loader_have_the_datasets_numbers(tmp_path):
    seen = []

    class Notes(Pix2Pix):
        def predict_step(self, batch, batch_idx):
            seen.extend(as_inputs(batch, batch_idx, self.trainer).number)
            return super().predict_step(batch, batch_idx)

    model, x = Notes(depth=3, width=4, patch=16), torch.stack(images(*[(8, 8)] * 7))
    by_size = [torch.cat(trainer(tmp_path).predict(model, loader(x, batch_size=size))) for size in (1, 3, 7)]
    assert seen == list(range(7)) * 3
    assert torch.equal(by_size[0], by_size[1])
    assert torch.equal(by_size[0], by_size[2])


@pytest.mark.parametrize("batch", [[1, 2], {"x": torch.zeros(2, 3)}, Batch(torch.zeros(2, 3))])
def test_a_batch_without_images(batch):
    with pytest.raises(InputError, match="images as x"):
        as_inputs(batch, 0, None)


def test_other_channels_and_integers_are_refused():
    with pytest.raises(InputError, match=r"model\.inputs"):
        pix2pix().predict_step(inputs(images((8, 8), channels=1)), 0)
    with pytest.raises(InputError, match="int32"):
        cyclegan().predict_step(inputs([torch.zeros(3, 8, 8, dtype=torch.int32)]), 0)


@pytest.mark.parametrize("model", [pix2pix, cyclegan])
def test_bytes_become_the_bytes_of_what_floats_become(model):
    pixels = torch.randint(0, 256, (3, 11, 18), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    (made,) = model().predict_step(inputs([pixels]), 0)
    (floats,) = model().predict_step(inputs([to_float(pixels)]), 0)
    assert made.dtype == torch.uint8
    assert torch.equal(made, to_uint8(floats))
    assert len(made.unique()) > 20


# -- large images in tiles ------------------------------------------------------------------------------------------------


def norm_free() -> CycleGAN:
    model = CycleGAN(blocks=1, width=4, patch=16, norm=NoNorm()).eval()
    with torch.no_grad():
        for part in model.parameters():
            part.mul_(6)  # or nothing but grey comes out
    return model


def test_bytes_without_a_dark_pixel_are_not_doubted():
    snow = torch.full((3, 16, 16), 240, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pix2pix().predict_step(inputs([snow]), 0)
    with pytest.warns(UserWarning, match="no pixel of the first"):
        pix2pix().predict_step(inputs([to_float(snow)]), 0)


@pytest.mark.parametrize("model", [pix2pix, cyclegan, cyclegan_by_batch, norm_free])
def test_a_large_image_in_tiles_is_equal_to_the_whole(model, capsys):
    model, (x,) = model(), images((75, 93))
    x[:, 40:] = 0.9  # other statistics in another place
    pixels = to_uint8(x)
    model.tile_size = 0
    whole, (whole_pixels,) = model.predict_step(inputs([x]), 0)[0], model.predict_step(inputs([pixels]), 0)
    assert "tiles" not in capsys.readouterr().err
    model.tile_size = 40
    made, (made_pixels,) = model.predict_step(inputs([x]), 0)[0], model.predict_step(inputs([pixels]), 0)
    assert "an image of 75 x 93 pixels is translated in" in capsys.readouterr().err
    assert whole.std() > 0.01
    assert (made - whole).abs().max() < 1e-4
    assert (made_pixels.int() - whole_pixels.int()).abs().max() <= 1


def test_tiles_have_the_averaged_weights_and_the_way_back():
    model, (x,) = CycleGAN(blocks=0, width=4, patch=16, ema_half_life=100.0).eval(), images((40, 44))
    model.ema = model._new_ema()
    with torch.no_grad():
        for part in model.ema.parameters():
            part.add_(0.05)
    model.tile_size = 24
    (made,) = model.predict_step(inputs([x], direction="BtoA"), 0)
    assert torch.allclose(made, model.ema["F"](x[None])[0], atol=1e-4)


def test_a_network_that_cannot_be_evaluated_in_tiles_takes_the_image_at_once(capsys):
    model, (x,) = cyclegan(), images((40, 44))

    class Attention(torch.nn.Module):
        def forward(self, maps):
            return maps * maps.mean((2, 3), keepdim=True).sigmoid()

    model.G.layers.insert(3, Attention())
    model.tile_size = 24
    (made,) = model.predict_step(inputs([x]), 0)
    assert "an image of 40 x 44 pixels is translated at once: CycleGAN has mean" in capsys.readouterr().err
    assert torch.allclose(made, model.G(x[None])[0], atol=1e-5)


# -- directions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trained", "asked", "network"),
    [
        ("AtoB", "AtoB", "G"),
        ("AtoB", "BtoA", "F"),
        ("BtoA", "AtoB", "F"),
        ("BtoA", "BtoA", "G"),
        (None, "AtoB", "G"),
        (None, "BtoA", "F"),
        ("AtoB", None, "G"),
        ("BtoA", None, "G"),
        (None, None, "G"),
    ],
)
def test_a_cyclegan_takes_the_network_of_the_direction(trained, asked, network):
    model, (x,) = cyclegan(), images((16, 16))
    model.direction = trained
    (made,) = model.predict_step(inputs([x], direction=asked), 0)
    far = {name: (getattr(model, name)(x[None])[0] - made).abs().max() for name in "GF"}
    assert far.pop(network) < 1e-5
    assert far.popitem()[1] > 1e-2


def test_a_way_back_has_its_own_channels():
    model = CycleGAN(channels_x=3, channels_y=1, blocks=1, width=4, patch=16).eval()
    (made,) = model.predict_step(inputs(images((16, 16), channels=1), direction="BtoA"), 0)
    assert made.shape == (3, 16, 16)
    with pytest.raises(InputError, match=r"model\.channels_y"):
        model.predict_step(inputs(images((16, 16)), direction="BtoA"), 0)


@pytest.mark.parametrize(("trained", "asked"), [("AtoB", "BtoA"), ("BtoA", "AtoB")])
def test_a_pix2pix_goes_one_way(trained, asked):
    model = pix2pix()
    model.direction = trained
    with pytest.raises(InputError, match=f"trained with data.direction {trained} .* not {asked}"):
        model.predict_step(inputs(images((8, 8)), direction=asked), 0)
    for same in (trained, None):
        assert len(model.predict_step(inputs(images((8, 8)), direction=same), 0)) == 1


# -- samples --------------------------------------------------------------------------------------------------------------


def samplers():
    return {
        "GAN": GAN(shape=(1, 8, 8), hidden=8),
        "CGAN": CGAN(shape=(1, 8, 8), classes=3),
        "LAPGAN": LAPGAN(shape=(1, 12, 12), sizes=(6, 12), width=4, hidden_G=8, hidden_D=8, classes=3),
        "level": LAPGAN(shape=(1, 12, 12), sizes=(6, 12), width=4, hidden_G=8, hidden_D=8, classes=3, train_level=1),
    }


@pytest.mark.parametrize("name", ["GAN", "CGAN", "LAPGAN", "level"])
def test_a_sample_depends_on_its_number_and_class_alone(name, tmp_path):
    model = samplers()[name].eval()
    side = 8 if "GAN" in name and name != "LAPGAN" else 12
    x, y = torch.rand(6, 1, side, side) * 2 - 1, torch.tensor([0, 1, 2, 0, 1, 2])
    one, four = (torch.cat(trainer(tmp_path).predict(model, loader(x, y, batch_size=size))) for size in (1, 4))
    assert torch.equal(one, four)
    assert len({sample.numpy().tobytes() for sample in one}) == 6
    if name in ("CGAN", "LAPGAN"):
        (third,) = model.predict_step(Inputs(x[2:3], torch.tensor([0]), [2], [""], ["000002"]), 0)
        assert not torch.equal(third, one[2])


@pytest.mark.parametrize("name", ["CGAN", "LAPGAN"])
def test_a_sample_of_a_class_needs_one(name, tmp_path):
    side = 8 if name == "CGAN" else 12
    with pytest.raises(InputError, match="labelled"):
        trainer(tmp_path).predict(samplers()[name], loader(torch.zeros(2, 1, side, side), batch_size=2))


def test_a_batch_of_damaged_files_gives_nothing():
    nothing = Inputs([], None, damaged=[(0, "a.png", "cut short")])
    for model in [*samplers().values(), pix2pix(), cyclegan()]:
        assert len(model.predict_step(nothing, 0)) == 0
    assert DANN(classes=4).predict_step(nothing, 0).shape == (0, 4)


# -- averaged weights -----------------------------------------------------------------------------------------------------


def test_predictions_are_the_averaged_weights():
    model, (x,) = CycleGAN(blocks=1, width=4, patch=16, ema_half_life=100.0).eval(), images((16, 16))
    model.ema = model._new_ema()
    with torch.no_grad():
        for part in model.ema.parameters():
            part.add_(0.05)
    for direction, network in (("AtoB", "G"), ("BtoA", "F")):
        (made,) = model.predict_step(inputs([x], direction=direction), 0)
        assert torch.allclose(made, model.ema[network](x[None])[0], atol=1e-5)


# -- what a checkpoint remembers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Pix2Pix, CycleGAN])
def test_a_checkpoint_knows_the_direction_of_its_data(kind, tmp_path, save_pairs):
    model = pix2pix() if kind is Pix2Pix else cyclegan()
    data = save_pairs(kind, "BtoA")
    played = trainer(tmp_path, max_steps=1, enable_checkpointing=False, limit_val_batches=0)
    played.fit(model.train(), data)
    assert model.direction == "BtoA"
    played.save_checkpoint(tmp_path / "a.ckpt")
    assert kind.load_from_checkpoint(tmp_path / "a.ckpt").direction == "BtoA"
    older = torch.load(tmp_path / "a.ckpt", weights_only=True)
    del older["ganzoo"]["direction"]
    torch.save(older, tmp_path / "older.ckpt")
    assert kind.load_from_checkpoint(tmp_path / "older.ckpt").direction == "BtoA"  # the data's own record
    bare = copy.deepcopy(older)
    del bare["ganzoo"], bare[type(data).__qualname__]
    torch.save(bare, tmp_path / "bare.ckpt")
    assert kind.load_from_checkpoint(tmp_path / "bare.ckpt").direction is None


@pytest.fixture
def save_pairs(tmp_path):
    from PIL import Image

    from ganzoo.data import Paired, UnpairedFolders

    for folder in ("A", "B"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (32, 32), (90 * i, 0, 99)).save(tmp_path / "data" / folder / f"{i}.png")

    def data(kind, direction):
        chosen = Paired if kind is Pix2Pix else UnpairedFolders
        return chosen(str(tmp_path / "data"), size=32, load_size=32, direction=direction, val_share=0.0)

    return data


def test_a_batch_of_two_domains_predicts_from_x(tmp_path):
    model, x, y = cyclegan(), torch.stack(images((8, 8), (8, 8))), torch.zeros(2, 3, 8, 8)
    (made,) = trainer(tmp_path).predict(model, loader(x, y, batch_size=2, kind=Unpaired))
    assert torch.allclose(made, model.G(x), atol=1e-5)


def test_classes_come_with_plain_batches():
    batch = as_inputs(Labelled(torch.zeros(2, 1, 4, 4), torch.tensor([3, 1])), 2, None)
    assert (batch.y.tolist(), batch.number, batch.output) == ([3, 1], [4, 5], ["000004", "000005"])
