"""Files are converted as the images of the training were; names and shapes come from the run's data."""

import pytest
import torch
from PIL import Image
from support.zoo import build
from torch import nn

from ganzoo.data.images import read_image
from ganzoo.errors import InputError
from ganzoo.inference import classify_files
from ganzoo.inference.classify import TrainingImages, class_names, training_images
from ganzoo.interfaces import Classifier
from ganzoo.utils.images import to_float


class Brightness(nn.Module, Classifier):
    """Three classes: the means of the image's thirds, which it must see in evaluation mode."""

    classes = 3

    def __init__(self, channels=1):
        super().__init__()
        self.shape = (channels, 6, 6)
        self.scale = nn.Parameter(torch.ones(()))
        self.seen = []

    def classify(self, x):
        assert not self.training
        self.seen.append(x)
        return x.add(1).unfold(3, 2, 2).mean((1, 2, 4)).softmax(1)


def stripes(path, values, size=(6, 6)):
    image = Image.new("L", size)
    for k, value in enumerate(values):
        image.paste(value, (k * size[0] // 3, 0, (k + 1) * size[0] // 3, size[1]))
    image.save(path)
    return path


def test_the_most_probable_classes_of_each_file(tmp_path):
    files = [stripes(tmp_path / f"{k}.png", values) for k, values in enumerate([(0, 255, 128), (255, 0, 64), (9, 8, 200)])]
    model = Brightness()
    found = dict(classify_files(model, files, top_k=2, batch_size=2))
    assert list(found) == files
    assert [label.classes for label in found.values()] == [[1, 2], [0, 2], [2, 0]]
    expected = torch.tensor([0, 2, 256 / 255]).softmax(0)
    assert found[files[0]].probabilities == pytest.approx([float(expected[1]), float(expected[2])], abs=1e-4)
    assert [len(x) for x in model.seen] == [2, 1]
    assert model.training
    assert len(next(iter(classify_files(model, files[:1], top_k=9)))[1].classes) == 3


def test_a_damaged_file_stops_nothing(tmp_path):
    good = [stripes(tmp_path / f"{k}.png", (0, 255, 0)) for k in range(3)]
    bad = tmp_path / "bad.png"
    bad.write_bytes(good[0].read_bytes()[:40])
    files = [good[0], bad, tmp_path / "gone.png", *good[1:]]
    for batch_size in (1, 2, 9):
        found = dict(classify_files(Brightness(), files, batch_size=batch_size))
        assert list(found) == files
        assert [label.classes for label in found.values()] == [[1], (), (), [1], [1]]
        assert found[bad].error.startswith(f"cannot read the image {bad}: ")


def test_a_file_is_converted_as_in_the_training(tmp_path):
    """Shorter side to the size, the middle square; then to the model's channels and size."""
    file = stripes(tmp_path / "wide.png", (0, 100, 255), (18, 6))
    model = Brightness()
    list(classify_files(model, [file]))
    assert torch.equal(model.seen[-1], to_float(torch.full((1, 1, 6, 6), 100, dtype=torch.uint8)))
    colour = Brightness(3)
    Image.new("RGB", (6, 6), (250, 10, 10)).save(tmp_path / "red.png")
    list(classify_files(colour, [file, tmp_path / "red.png"]))
    assert torch.equal(colour.seen[-1][0], to_float(torch.full((3, 6, 6), 100, dtype=torch.uint8)))
    assert torch.equal(colour.seen[-1][1], to_float(read_image(tmp_path / "red.png", 3)))
    # the data were grey and of 3 pixels before they were brought to the model's shape
    list(classify_files(colour, [tmp_path / "red.png"], data=TrainingImages((1, 3, 3))))
    assert torch.equal(colour.seen[-1], to_float(read_image(tmp_path / "red.png", 1)[:, :1, :1].expand(3, 6, 6)[None]))


def test_a_trained_network_says_the_same_of_a_file_as_of_its_pixels(tmp_path):
    model = build("DANN")
    pixels = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(tmp_path / "x.png")
    label = dict(classify_files(model, [tmp_path / "x.png"], top_k=3))[tmp_path / "x.png"]
    expected = model.eval().classify(to_float(pixels)[None])[0]
    assert label.probabilities == pytest.approx(expected[list(label.classes)].tolist(), abs=1e-5)
    assert sum(label.probabilities) == pytest.approx(1)


def test_what_does_not_classify():
    with pytest.raises(InputError, match="GAN does not classify images: give a DANN"):
        next(classify_files(build("GAN"), ["x.png"]))
    with pytest.raises(InputError, match=r"images of shape \(2, 6, 6\) are no files"):
        next(classify_files(Brightness(2), ["x.png"]))


def test_what_is_known_of_the_training_data(tmp_path):
    digits = {"class_path": "ganzoo.data.Digits", "init_args": {"batch_size": 4}}
    known = training_images(digits)
    assert tuple(known.shape) == (1, 8, 8)
    assert class_names(known, 10)[3] == known.class_names[3]
    assert class_names(known, 9) is None
    assert class_names(known, None) is None
    domains = {"class_path": "Domains", "init_args": {"source": digits, "target": digits, "size": 16, "channels": 3}}
    assert tuple(training_images(domains).shape) == (1, 8, 8)
    assert len(training_images(domains).class_names) == 10
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        stripes(tmp_path / "photos" / name / "x.png", (0, 1, 2))
    folder = {"class_path": "ganzoo.data.ImageFolder", "init_args": {"root": str(tmp_path / "photos"), "labelled": True}}
    assert class_names(training_images(folder), 2) == ["cat", "dog"]
    for unknown in (
        None,
        {},
        {"class_path": "os.system", "init_args": {"command": "touch " + str(tmp_path / "ran")}},
        {"class_path": "ganzoo.data.ImageFolder", "init_args": {"root": str(tmp_path / "elsewhere"), "labelled": True}},
    ):
        assert training_images(unknown) == TrainingImages()
    assert not (tmp_path / "ran").exists()
