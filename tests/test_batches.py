"""Batches of every kind, models that fit their data, ranges of images, true precisions."""

import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from support.training import Rows, fit, trainer
from support.zoo import MODELS, build, random_images
from torch import Tensor
from torch.utils.data import DataLoader

from ganzoo.data import Digits
from ganzoo.errors import InputError
from ganzoo.interfaces import Adapted, Classifier, CycleTranslator, Translator, as_input, field_of
from ganzoo.models import CGAN, DANN, DCGAN, GAN, LAPGAN, CycleGAN, Pix2Pix

every_model = pytest.mark.parametrize("name", MODELS)


class Plain(NamedTuple):
    x: Tensor
    y: Tensor


class Other(NamedTuple):
    photo: Tensor
    kind: Tensor


@dataclass
class Data:
    x: Tensor
    y: Tensor


KINDS = {
    "tuple": lambda x, y: (x, y),
    "list": lambda x, y: [x, y],
    "named": Plain,
    "named otherwise": Other,
    "x and y": lambda x, y: {"x": x, "y": y},
    "image and label": lambda x, y: {"image": x, "label": y},
    "A and B": lambda x, y: {"A": x, "B": y, "A_paths": "a"},
    "dataclass": Data,
    "pixel_values": lambda x, y: {"labels": y, "pixel_values": x},
}


def rows_of(model: Any) -> list[tuple[Tensor, ...]]:
    """Four samples of the kind that the model takes."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        if isinstance(model, CycleTranslator):
            fields = random_images(4, model.channels_x, 16, 16), random_images(4, model.channels_y, 16, 16)
        elif isinstance(model, Translator):
            fields = random_images(4, model.inputs, 16, 16), random_images(4, model.outputs, 16, 16)
        else:
            fields = random_images(4, *model.shape), torch.arange(4) % 3
        if isinstance(model, Classifier):
            fields = (*fields, random_images(4, *model.shape))
    return list(zip(*fields, strict=True))


def batches(rows: list[Any], kind: Any, size: int = 2) -> DataLoader:
    def collate(samples: list[Any]) -> Any:
        return kind(*(torch.stack(each) for each in zip(*samples, strict=True)))

    return DataLoader(Rows(rows), batch_size=size, collate_fn=collate)


@pytest.mark.parametrize("kind", KINDS)
@every_model
def test_every_model_takes_every_kind_of_batch(name, kind, tmp_path):
    """Trained to the same weights as by the zoo's own kind."""
    trained = []
    for each in ("x and y", kind):
        make, model = KINDS[each], build(name)
        rows = rows_of(model)
        if isinstance(model, Classifier):  # three fields: by name, or by place
            pair = make
            make = (lambda *f: f) if each in ("tuple", "list", "named otherwise") else _with_target(pair)
        torch.manual_seed(3)
        played = trainer(tmp_path, max_epochs=1)
        validation = batches([row[:2] for row in rows], KINDS[each])
        played.fit(model, batches(rows, make), [validation, validation] if isinstance(model, Classifier) else validation)
        trained.append(model.state_dict())
    for key, value in trained[0].items():
        if isinstance(value, Tensor):
            assert torch.equal(value, trained[1][key]), key


def _with_target(make: Any) -> Any:
    def made(x: Tensor, y: Tensor, target: Tensor) -> Any:
        pair = make(x, y)
        if isinstance(pair, dict):
            return {**pair, "target": target}
        return SimpleNamespace(x=x, y=y, target=target)

    return made


@pytest.mark.parametrize("name", ["GAN", "DCGAN", "ConvolutionalGAN"])
def test_a_tensor_alone_is_the_images(name, tmp_path):
    model = build(name)
    loader = DataLoader([x for x, _ in rows_of(model)], batch_size=2)
    assert fit(model, loader, tmp_path, max_epochs=1).global_step == 2
    assert field_of(torch.zeros(1), "y") is None


def test_what_a_batch_does_not_have_is_one_line(tmp_path):
    alone = DataLoader([x for x, _ in rows_of(build("CGAN"))], batch_size=2)
    with pytest.raises(InputError, match="needs labelled images"):
        fit(build("CGAN"), alone, tmp_path, max_epochs=1)
    with pytest.raises(InputError, match="by place or by name"):
        fit(build("GAN"), DataLoader([{"z": torch.zeros(1)}] * 4, batch_size=2), tmp_path, max_epochs=1)
    pairs = batches([row[:2] for row in rows_of(build("DANN"))], Plain)
    with pytest.raises(InputError, match="x, y and target"):
        fit(build("DANN"), pairs, tmp_path, max_epochs=1)


# -- a model that fits its data --


class Said:
    """What a DataModule says."""

    def __init__(self, shape: Any, classes: int | None = 3, **more: Any) -> None:
        self.shape, self.classes = shape, classes
        vars(self).update(more)


def test_models_from_their_data():
    assert GAN.for_data(Said((1, 8, 8)), hidden=3).shape == (1, 8, 8)
    assert GAN.for_data(Said((1, 8, 8)), hidden=3).hidden == 3
    assert DCGAN.for_data(Said((3, 16, 16)), width=2).shape == (3, 16, 16)
    cgan = CGAN.for_data(Said((1, 8, 8)))
    assert (cgan.shape, cgan.classes) == ((1, 8, 8), 3)
    with pytest.raises(InputError, match="CGAN needs classes, and Said has none"):
        CGAN.for_data(Said((1, 8, 8), None))
    assert DANN.for_data(Said((3, 28, 28))).classes == 3
    lapgan = LAPGAN.for_data(Said((3, 32, 32)), width=2, hidden_G=4, hidden_D=4)
    assert (lapgan.sizes, lapgan.classes) == ((8, 16, 32), None)
    pair = {"shape_x": (3, 48, 48), "shape_y": (1, 48, 48)}
    pix2pix = Pix2Pix.for_data(Said((1, 48, 48), None, **pair), width=2)
    assert (pix2pix.inputs, pix2pix.outputs, pix2pix.depth, pix2pix.patch) == (3, 1, 4, 70)
    cycle = CycleGAN.for_data(Said((1, 16, 16), None, **pair), width=2)
    assert (cycle.channels_x, cycle.channels_y, cycle.blocks, cycle.patch) == (3, 1, 6, 34)
    with pytest.raises(InputError, match="object does not say the shape"):
        GAN.for_data(object())


def test_a_model_of_another_shape_says_the_line_to_write(tmp_path):
    with pytest.raises(InputError) as caught:
        fit(GAN(hidden=4), Digits(), tmp_path, max_epochs=1)
    line = str(caught.value)
    assert "--model.shape [1,8,8]" in line
    assert "shape=[1,8,8], or build the model with for_data(data)" in line
    trainer(tmp_path, fast_dev_run=1).fit(GAN.for_data(Digits(), hidden=4), Digits())


# -- the range of images --


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: (x + 1) * 127.5, r"go from .* to .*, and a model needs \[-1, 1\]: give images / 127.5 - 1"),
        (lambda x: 3 * x, "rescale them"),
        (lambda x: x / 0 * 0, "go from nan to nan"),
    ],
)
def test_images_out_of_range_are_refused_with_what_to_do(change, says, tmp_path):
    rows = [(change(x), y) for x, y in rows_of(build("GAN"))]
    with pytest.raises(InputError, match=says):
        fit(build("GAN"), batches(rows, Plain), tmp_path, max_epochs=1)
    pix2pix = build("Pix2Pix")
    with pytest.raises(InputError, match=says):
        pix2pix.translate(torch.stack([change(x) for x, _ in rows_of(pix2pix)]))


def test_images_from_0_to_1_are_doubted_once(tmp_path, capsys):
    rows = [((x + 1) / 2, y) for x, y in rows_of(build("GAN"))]
    fit(build("GAN"), batches(rows, Plain), tmp_path, max_epochs=2)
    err = capsys.readouterr().err
    assert err.count("are they in [0, 1] and not in [-1, 1]? Then give images * 2 - 1") == 1
    fit(build("GAN"), batches(rows_of(build("GAN")), Plain), tmp_path, max_epochs=1)
    assert "are they in" not in capsys.readouterr().err


def test_one_bright_image_is_not_doubted(tmp_path, capsys):
    """At batch size 1 the first image of a true training set may have no dark pixel, as a map has none."""
    rows = rows_of(build("GAN"))
    rows[0] = (rows[0][0].abs(), rows[0][1])
    fit(build("GAN"), batches(rows, Plain, size=1), tmp_path, max_epochs=1)
    assert "are they in" not in capsys.readouterr().err
    bright = [(x.abs(), y) for x, y in rows]
    fit(build("GAN"), batches(bright, Plain, size=1), tmp_path, max_epochs=-(-8 // len(bright)))
    assert capsys.readouterr().err.count("no pixel of the first 8 images is below 0") == 1


@pytest.mark.parametrize("name", ["Pix2Pix", "CycleGAN", "DANN"])
def test_uint8_to_a_translator_or_a_classifier_is_what_floats_are(name):
    model = build(name).eval()
    ask = model.classify if isinstance(model, Classifier) else model.translate
    x = torch.stack([row[0] for row in rows_of(model)])
    whole = ((x + 1) * 127.5).round().to(torch.uint8)
    torch.manual_seed(0)
    wanted = ask(whole.float() / 127.5 - 1)
    torch.manual_seed(0)
    assert torch.allclose(ask(whole), wanted, atol=1e-6)
    with pytest.raises(InputError, match=r"not torch\.int64"):
        ask(whole.long())
    with pytest.raises(InputError, match=r"\[N, C, H, W\], not \[3, 16, 16\]"):
        ask(x[0])
    with pytest.raises(InputError, match="not list"):
        as_input([x], torch.float32)


def test_images_that_look_like_the_unit_range_are_doubted():
    images = torch.rand(2, 1, 4, 4)
    with pytest.warns(UserWarning, match=r"no pixel of the first 2 images is below 0.*images \* 2 - 1"):
        as_input(images, torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_input(images * 2 - 1, torch.float32)
        as_input((images * 255).to(torch.uint8), torch.float32)  # says by its type what it is
        as_input(images[:0], torch.float32)


# -- true precisions --


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
@every_model
def test_a_true_precision_trains_validates_and_predicts(name, precision, tmp_path):
    model = build(name)
    rows = rows_of(model)
    kept: list[Any] = []
    wrapped = model.validation_step
    model.validation_step = lambda *args: kept.append(wrapped(*args)) or kept[-1]
    kind = Plain if len(rows[0]) == 2 else lambda x, y, target: SimpleNamespace(x=x, y=y, target=target)
    held_out = batches([row[:2] for row in rows], Plain)
    played = trainer(tmp_path, max_epochs=1, precision=precision)
    played.fit(model, batches(rows, kind), [held_out] * 2 if isinstance(model, Classifier) else held_out)
    dtype = {"bf16-true": torch.bfloat16, "64-true": torch.float64}[precision]
    assert all(p.dtype == dtype and p.isfinite().all() for p in model.parameters())
    assert kept
    assert all(isinstance(record, Adapted) or all(part.abs().max() <= 1 for part in record) for record in kept)
    again = trainer(tmp_path, precision=precision)
    again.validate(model, [held_out] * 2 if isinstance(model, Classifier) else held_out, verbose=False)
    assert len(again.predict(model, held_out)) == 2


@every_model
def test_16_true_is_one_line(name, tmp_path):
    model = build(name)
    with pytest.raises(InputError, match="16-true has no loss scale"):
        fit(model, batches([row[:2] for row in rows_of(model)], Plain), tmp_path, max_epochs=1, precision="16-true")
