"""What the demo page shows equals what the commands write; an upload cannot hurt."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.training import trainer
from support.zoo import build, cyclegan, pix2pix

from ganzoo.cli import main
from ganzoo.demo import answers
from ganzoo.demo.answers import Model, Upload
from ganzoo.errors import InputError
from ganzoo.inference import generate, generate_levels
from ganzoo.inference.classify import TrainingImages
from ganzoo.utils.images import to_float


def photo(width: int = 21, height: int = 12, kind: str = "PNG") -> bytes:
    file = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def shown(answer: answers.Answer) -> dict[str, torch.Tensor]:
    return dict(answer.images)


@pytest.mark.parametrize(("name", "label"), [("GAN", None), ("CGAN", 2), ("LAPGAN", 1)])
def test_the_ends_of_the_way_are_the_images_of_the_seeds(name, label):
    model = build(name).eval()
    a, b = generate(model, [3, 8], label)
    for share, end in ((0, a), (1, b)):
        found = shown(answers.walk(Model(model), 3, 8, share, label))
        assert torch.equal(found["between"], end)
        assert torch.equal(found["seed 3"], a)
        assert torch.equal(found["seed 8"], b)
    middle = shown(answers.walk(Model(model), 3, 8, 0.5, label))["between"]
    assert not torch.equal(middle, a)
    assert not torch.equal(middle, b)
    straight = shown(answers.walk(Model(model), 3, 8, 0.5, label, "lerp"))["between"]
    assert not torch.equal(middle, straight)


def test_a_cascade_shows_its_levels():
    model = build("LAPGAN").eval()
    found = [image for title, image in answers.walk(Model(model), 3, 8, 0, 1).images if title.startswith("level")]
    wanted = [level[0] for level in generate_levels(model, [3], 1)]
    assert len(found) == 3
    assert all(map(torch.equal, found, wanted))


def test_the_line_is_what_d_says():
    model = build("GAN").eval()
    answer = answers.walk(Model(model), 0, 1, 0.5)
    image = to_float(shown(answer)["between"])[None]
    assert (
        answer.line
        == f"D of the image between: {float(model.D(image).detach().sigmoid()):.2f}; above 0.5 it takes an image for real"
    )
    assert "not whole images" in answers.walk(Model(build("LAPGAN").eval()), 0, 1, 0.5, 0).line


def test_a_sheet_of_sixteen():
    model = build("CGAN").eval()
    (image,) = shown(answers.sheet(Model(model), 5, 1)).values()
    size = max(32, model.shape[-1])
    step = size // model.shape[-1]
    third_of_second_row = image[:, 2 + size + 2 :: step, 2 + 2 * (size + 2) :: step][:, : model.shape[1], : model.shape[2]]
    assert torch.equal(third_of_second_row, generate(model, [5 + 6], 1)[0])
    assert image.shape[-2:] == (4 * (size + 2) + 2, 4 * (size + 2) + 2)


@pytest.mark.parametrize(("made", "size", "direction"), [(pix2pix, None, None), (cyclegan, 8, "BtoA")])
def test_a_translation_is_that_of_the_command(made, size, direction, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, played = made(), trainer(tmp_path)
    played.strategy.connect(model)
    model.trainer = played
    played.save_checkpoint("model.ckpt")
    Path("photo.png").write_bytes(photo())
    given = (["--size", str(size)] if size else []) + (["--direction", direction] if direction else [])
    assert main(["translate", "model.ckpt", "photo.png", *given]) == 0
    models = answers.load_models(["model.ckpt"], torch.device("cpu"))
    found = shown(answers.translate(models["model.ckpt"], Upload(photo(), "C:\\x\\photo.png"), direction, size))
    assert np.array_equal(found["translation"].permute(1, 2, 0).numpy(), np.array(Image.open("translated/photo.png")))


def test_cyclegan_goes_there_and_back():
    model = cyclegan()
    model.D_Y = model.D_Y.eval()
    answer = answers.translate(Model(model), Upload(photo(32, 32), "a.png"))
    found, back = shown(answer), answers.translate
    again = answers.Upload(_png(found["translation"]), "a.png")
    assert torch.equal(found["there and back"], shown(back(Model(model), again, "BtoA"))["translation"])
    assert [title for title, _ in answer.images][-1].startswith("what D says")
    assert answer.images[-1][1].shape == (3, 32, 32)
    assert "above 0.5 it takes an image for real" in answer.line


def _png(image: torch.Tensor) -> bytes:
    file = BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "PNG")
    return file.getvalue()


def test_a_small_image_is_translated_although_d_says_nothing():
    answer = answers.translate(Model(pix2pix()), Upload(photo(3, 3), "a.png"))
    assert shown(answer)["translation"].shape == (3, 3, 3)


def test_probabilities_of_a_classifier():
    model = build("DANN").eval()
    _, height, width = model.shape
    names = [f"kind {n}" for n in range(model.classes)]
    answer = answers.classify(Model(model, TrainingImages(None, names)), Upload(photo(width, height), "a.png"))
    pixels = answers.Translation.read(_Reader(model.shape[0]), Upload(photo(width, height), "a.png"))
    wanted = model.classify(to_float(pixels)[None])[0]
    assert answer.bars[0] == (names[int(wanted.argmax())], pytest.approx(float(wanted.max()), abs=1e-6))
    assert [share for _, share in answer.bars] == sorted((share for _, share in answer.bars), reverse=True)


class _Reader:
    """The part of a Translation that reads."""

    size = None

    def __init__(self, channels: int) -> None:
        self.channels = channels


def eps() -> bytes:
    """A file that Pillow opens, and would hand to another program to decode."""
    file = BytesIO()
    Image.new("L", (9, 9)).save(file, "EPS")
    with Image.open(BytesIO(file.getvalue())) as image:
        assert image.format == "EPS"
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"text", photo()[:40], eps()])
def test_what_is_no_image_is_one_line_with_the_files_name(content):
    with pytest.raises(InputError, match=r"^(name\.png is no image|cannot read the image name\.png: .*file)") as raised:
        answers.translate(Model(pix2pix()), Upload(content, "../../name.png"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_usual_kinds_are_read(kind):
    upload = Upload(photo(kind=kind), "a")
    assert shown(answers.translate(Model(pix2pix()), upload))["input"].shape == (3, 12, 21)


def test_an_image_cut_short_is_one_line():
    with pytest.raises(InputError, match=r"cannot read the image name\.png"):
        answers.translate(Model(pix2pix()), Upload(photo(64, 64, "JPEG")[:600], "name.png"))


def test_an_image_of_too_many_pixels_is_not_decoded(monkeypatch):
    file = BytesIO()
    Image.new("1", (6000, 6000)).save(file, "PNG")
    assert len(file.getvalue()) < 10_000
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(InputError, match="6000 x 6000 pixels"):
        Upload(file.getvalue(), "bomb.png")


def test_a_file_that_is_too_large():
    with pytest.raises(InputError, match="more than 20 MB"):
        Upload(bytes(answers.MOST_BYTES + 1), "a.png")


def test_what_cannot_be_asked():
    model = Model(build("CGAN").eval())
    for ask, line in (
        (lambda: answers.walk(model, 0, 1, 1.5, 0), "from 0 to 1"),
        (lambda: answers.walk(model, 0, 1, float("nan"), 0), "from 0 to 1"),
        (lambda: answers.walk(model, 0, 1, 0.5, 99), "no class 99"),
        (lambda: answers.walk(model, 2**63, 1, 0.5, 0), "a seed is"),
        (lambda: answers.walk(model, 0, 1, 0.5, 0, "round"), "slerp or lerp"),
        (lambda: answers.walk(Model(pix2pix()), 0, 1, 0.5), "cannot be chosen"),
        (lambda: answers.whole_number({"seed_a": "-1"}, "seed_a"), "seed a is a whole number"),
    ):
        with pytest.raises(InputError, match=line):
            ask()


def test_what_the_page_offers():
    assert answers.describe(Model(build("CGAN")))["classes"] == ["0", "1", "2"]
    both = cyclegan()
    both.direction = "BtoA"
    assert answers.describe(Model(both))["directions"] == ["BtoA", "AtoB"]
    assert answers.describe(Model(pix2pix()))["directions"] == ["AtoB"]
