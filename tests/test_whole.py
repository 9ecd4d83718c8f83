"""``ganzoo evaluate --figures parzen,agreement,neighbours``: figures of whole pictures, on digits of known answers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import logsumexp
from test_evaluate import Brighter, Seven, _home, digits, error, evaluate, folder, saved  # noqa: F401

import ganzoo.evaluation.whole as whole
from ganzoo.cli import main
from ganzoo.data import Digits
from ganzoo.evaluation.compare import compared
from ganzoo.evaluation.protocol import Result
from ganzoo.images import to_float
from ganzoo.sheets import GAP

DATA = ["--data", "Digits"]


def split(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    data = Digits()
    data.setup()
    items = [getattr(data, f"{name}_set")[i] for i in range(len(getattr(data, f"{name}_set")))]
    return torch.stack([item.x for item in items]), torch.stack([item.y for item in items])


class Copies(Seven):
    """Has the training pictures by heart, and gives those of the class that it is asked for, one after the other."""

    classes = 10

    def __init__(self) -> None:
        super().__init__()
        x, y = split("train")
        self.by_class = [to_float(x[y == c]) for c in range(10)]

    def choose(self, c: int, generator) -> int:
        return int(torch.randint(len(self.by_class[c]), (), generator=generator))

    def sample(self, n, y=None, generator=None):
        return torch.stack([self.by_class[c][self.choose(c, generator)] for c in y.tolist()])


class OnePicture(Copies):
    """Broken: one picture of each class."""

    def choose(self, c, generator):
        return 0


class Deaf(Copies):
    """Broken: whatever class it is asked for, it gives any."""

    def sample(self, n, y=None, generator=None):
        return super().sample(n, torch.randint(10, (n,), generator=generator), generator)


def test_parzen_of_a_folder_is_a_sum_of_normals(tmp_path):
    (train, _), (val, _), (test, _) = (split(name) for name in ("train", "val", "test"))
    samples = folder(tmp_path / "samples", train[:200])
    found = evaluate(samples, *DATA, figures="parzen")
    assert list(found.figures) == ["parzen"]  # 200 samples are not the protocol's 10,000

    def density(points, width):
        x, s = (each.flatten(1).double().numpy() / 255 for each in (points, train[:200]))
        squares = ((x[:, None] - s[None]) ** 2).sum(2)
        return logsumexp(-squares / (2 * width**2), axis=1) - np.log(200) - 32 * np.log(2 * np.pi * width**2)

    widths = np.logspace(-1, 0, 10)
    width = max(widths, key=lambda each: density(val, each).mean())
    expected = density(test, width)
    figure = found.figures["parzen"]
    assert figure.value == pytest.approx(expected.mean(), abs=1e-4)
    assert figure.deviation == pytest.approx(expected.std() / np.sqrt(len(expected)), abs=1e-4)
    assert figure.of == f"standard error; width {width:.3f}"
    assert found.protocol["n_fake"] == 200
    assert "200 samples of 8 bits" in found.protocol["parzen"]
    assert f"{len(test)} test pictures" in found.protocol["parzen"]
    assert found.protocol["extractor"] is None


def test_only_the_protocols_own_numbers_have_its_name(tmp_path, monkeypatch):
    for name, n in (("SAMPLES", 100), ("VALIDATION", 30), ("TEST", 40)):
        monkeypatch.setattr(whole, name, n)
    samples = folder(tmp_path / "samples", split("train")[0][:150])
    assert list(evaluate(samples, *DATA, figures="parzen").figures) == ["parzen_2014"]
    assert list(evaluate(samples, *DATA, "--n", "99", figures="parzen").figures) == ["parzen"]


def test_agreement_tells_copies_from_one_picture_and_from_any(tmp_path):
    found = {}
    for model in (Copies(), OnePicture(), Deaf()):
        path = saved(model, f"{type(model).__name__}.ckpt")
        args = [*DATA, "--model", f"test_whole.{type(model).__name__}", "--n", "1000", "--classifier_epochs", "15"]
        found[type(model)] = evaluate(path, *args, figures="agreement").figures
    full, one, deaf = (found[cls] for cls in (Copies, OnePicture, Deaf))
    assert full["gan_base"].value == one["gan_base"].value > 0.93  # of the same real pictures
    assert full["gan_test"].value > 0.95
    assert full["gan_train"].value > 0.85
    assert full["variety"].value == pytest.approx(1, abs=0.08)
    assert full["variety"].value >= full["least_variety"].value > 0.8
    assert one["gan_test"].value == pytest.approx(1, abs=0.11)  # a class may have a first picture that is misread
    assert one["gan_train"].value < 0.8 < full["gan_train"].value
    assert one["variety"].value == one["least_variety"].value == 0
    assert deaf["gan_test"].value < 0.2
    assert deaf["gan_train"].value < 0.4
    n = 1000
    assert full["gan_test"].deviation == pytest.approx((full["gan_test"].value * (1 - full["gan_test"].value) / n) ** 0.5)


def test_copies_have_no_distance_to_the_training_pictures(tmp_path):
    path = saved(Copies())
    args = ["evaluate", path, *DATA, "--model", "test_whole.Copies", "--figures", "neighbours", "--out", "here.json"]
    assert main(args) == 0
    found = Result.load(Path("here.json"))
    assert found.figures["nearest_training"].value == 0
    assert found.about["sheet"] == "here_neighbours.png"
    sheet = torch.from_numpy(np.array(Image.open("here_neighbours.png")))
    side = 32 + GAP
    assert sheet.shape == (whole.ROWS * side + GAP, (1 + whole.COLUMNS) * side + GAP)
    for row in range(whole.ROWS):  # the sample, and beside it the picture that it copies
        tiles = [sheet[GAP + row * side :, GAP + column * side :][:32, :32] for column in range(3)]
        assert torch.equal(tiles[0], tiles[1])
        assert not torch.equal(tiles[0], tiles[2])


def test_test_pictures_are_as_near_as_test_pictures(tmp_path):
    found = evaluate(folder(tmp_path / "samples", digits("test")), *DATA, figures="neighbours")
    assert found.figures["nearest_training"].value == pytest.approx(1, abs=1e-9)
    noise = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8)
    far = evaluate(folder(tmp_path / "noise", noise), *DATA, figures="neighbours")
    assert far.figures["nearest_training"].value > 1.5


def test_what_they_depend_on_is_in_the_protocol(tmp_path):
    path = saved(OnePicture())
    args = [path, *DATA, "--model", "test_whole.OnePicture", "--n", "100"]
    few = evaluate(*args, "--classifier_epochs", "1", figures="agreement,parzen")
    many = evaluate(*args, "--classifier_epochs", "2", figures="agreement,parzen")
    assert few.protocol["real"] is not None
    assert few.protocol["split"] == "test"
    assert few.about["figures"] == ["parzen", "agreement"]
    with pytest.raises(ValueError, match=r"agreement \(the classifiers of label agreement"):
        compared([few, many], ["few", "many"])
    assert few.figures["parzen"] == many.figures["parzen"]


def test_they_stand_beside_those_of_features(tmp_path):
    args = [saved(OnePicture()), *DATA, "--model", "test_whole.OnePicture", "--n", "100"]
    both = evaluate(*args, figures="distance,parzen").figures
    assert both["fd_tiny"] == evaluate(*args, figures="distance").figures["fd_tiny"]
    assert both["parzen"] == evaluate(*args, figures="parzen").figures["parzen"]
    assert not {"parzen", "gan_test", "nearest_training"} & set(evaluate(*args, figures=None).figures)


def test_what_was_made_before_an_interruption_is_not_made_again(tmp_path, monkeypatch):
    args = ["evaluate", saved(OnePicture()), *DATA, "--model", "test_whole.OnePicture", "--n", "100"]
    args += ["--classifier_epochs", "1", "--figures", "parzen,agreement", "--out", "out.json"]
    assert main(args) == 0
    straight = json.loads(Path("out.json").read_text())["figures"]
    Path("out.json").unlink()
    made = []

    def interrupted(of):
        raise KeyboardInterrupt

    def counted(of):
        made.append(1)
        return whole.parzen(of)

    monkeypatch.setattr(whole, "MADE", MADE := dict(whole.MADE))
    monkeypatch.setattr("ganzoo.evaluation.measuring.MADE", MADE)
    MADE |= {"parzen": counted, "agreement": interrupted}
    assert main(args) == 130
    assert not Path("out.json").exists()
    MADE |= {"agreement": whole.agree}
    assert main(args) == 0
    assert made == [1]
    assert json.loads(Path("out.json").read_text())["figures"] == straight
    assert not list(Path().glob(".evaluate_*"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ["model.ckpt", "--model", "Brighter", "--data", "test_evaluate.Pairs", "--figures", "parzen"],
            "Brighter makes none",
        ),
        (["seven.ckpt", "--model", "Seven", *DATA, "--figures", "agreement"], "seven.ckpt cannot be asked for a class"),
        (["some", *DATA, "--figures", "agreement"], "some cannot be asked for a class"),
        (["some", "some", "--figures", "neighbours"], "leave out some, and give --data"),
        (["some", "--figures", "parzen"], "some needs data"),
        (["seven.ckpt", "--model", "Seven", *DATA, "--split", "val", "--figures", "parzen"], "leave out --split val"),
        (["wide", *DATA, "--figures", "parzen"], "samples are 1x12x12 and real pictures 1x8x8"),
        (["mixed", *DATA, "--figures", "neighbours"], "of several sizes"),
        (["some", *DATA, "--figures", "agrement"], "did you mean 'agreement'"),
        (
            ["some", *DATA, "--figures", "agreement", "--classifier_epochs", "0"],
            "--classifier_epochs is a number of at least",
        ),
    ],
)
def test_what_cannot_be_had_is_one_line(args, says, capsys):
    saved(Brighter())
    saved(Seven(), "seven.ckpt")
    folder("some", digits()[:20])
    folder("wide", torch.zeros(20, 1, 12, 12, dtype=torch.uint8))
    folder("mixed", digits()[:20])
    Image.fromarray(np.zeros((9, 9), np.uint8)).save("mixed/zz.png")
    assert says in error(capsys, "evaluate", *args)


def test_too_many_to_be_in_memory_are_refused(capsys, monkeypatch):
    monkeypatch.setattr(whole, "MOST_BYTES", 1000)
    folder("some", digits()[:20])
    assert "20 of 3x8x8 would take" in error(capsys, "evaluate", "some", *DATA, "--figures", "parzen")
