"""``ganzoo evaluate --metrics parzen,agreement,neighbours``: metrics of whole images, on digits of known answers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import logsumexp
from support.evaluate import Brighter, Pairs, Rows, Seven, digits, error, folder, greys, saved
from support.evaluate import evaluate as evaluate_alone
from support.evaluate import evaluate_folder as evaluate_folder

import ganzoo.evaluation.pixel_metrics as pixel_metrics
from ganzoo.cli import main
from ganzoo.cli.compare import compared
from ganzoo.data import Digits, Ring
from ganzoo.data.batches import ImagePairs, Images, LabelledImages
from ganzoo.data.datasets import InMemory
from ganzoo.data.sampling import Augmented
from ganzoo.data.transforms import random_flip
from ganzoo.errors import InputError
from ganzoo.evaluation.protocol import Result
from ganzoo.metrics.agreement import small_classifier
from ganzoo.utils.image_grid import GAP
from ganzoo.utils.images import to_float

pytestmark = pytest.mark.usefixtures("evaluate_folder")

DATA = ["--data", "Digits"]


def evaluate(*args, metrics):
    """The result, whose image is taken away as well."""
    found = evaluate_alone(*args, metrics=metrics)
    Path("out_neighbours.png").unlink(missing_ok=True)
    return found


def split(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    data = Digits()
    data.setup()
    items = [getattr(data, f"{name}_set")[i] for i in range(len(getattr(data, f"{name}_set")))]
    return torch.stack([item.x for item in items]), torch.stack([item.y for item in items])


class Copies(Seven):
    """Has the training images by heart, and gives those of the class that it is asked for, one after the other."""

    classes = 10

    def __init__(self) -> None:
        super().__init__()
        x, y = split("train")
        self.by_class = [to_float(x[y == c]) for c in range(10)]

    def choose(self, c: int, generator) -> int:
        return int(torch.randint(len(self.by_class[c]), (), generator=generator))

    def sample(self, n, y=None, generator=None):
        return torch.stack([self.by_class[c][self.choose(c, generator)] for c in y.tolist()])


class OneImagePerClass(Copies):
    """Broken: one image of each class."""

    def choose(self, c, generator):
        return 0


class Deaf(Copies):
    """Broken: whatever class it is asked for, it gives any."""

    def sample(self, n, y=None, generator=None):
        return super().sample(n, torch.randint(10, (n,), generator=generator), generator)


def test_parzen_of_a_folder_is_a_sum_of_normals(tmp_path):
    (train, _), (val, _), (test, _) = (split(name) for name in ("train", "val", "test"))
    samples = folder(tmp_path / "samples", train[:200])
    found = evaluate(samples, *DATA, metrics="parzen")
    assert list(found.metrics) == ["parzen"]  # 200 samples are not the protocol's 10,000

    def density(points, width):
        x, s = (each.flatten(1).double().numpy() / 255 for each in (points, train[:200]))
        squares = ((x[:, None] - s[None]) ** 2).sum(2)
        return logsumexp(-squares / (2 * width**2), axis=1) - np.log(200) - 32 * np.log(2 * np.pi * width**2)

    widths = np.logspace(-1, 0, 10)
    width = max(widths, key=lambda each: density(val, each).mean())
    expected = density(test, width)
    figure = found.metrics["parzen"]
    assert figure.value == pytest.approx(expected.mean(), abs=1e-4)
    assert figure.deviation == pytest.approx(expected.std() / np.sqrt(len(expected)), abs=1e-4)
    assert figure.of == f"standard error; width {width:.3f}"
    assert found.protocol["n_fake"] == 200
    assert "200 samples of 8 bits" in found.protocol["parzen"]
    assert f"the first {len(val)} validation images" in found.protocol["parzen"]
    assert f"the first {len(test)} test images" in found.protocol["parzen"]
    assert found.protocol["extractor"] is None


def test_only_the_protocols_own_numbers_have_its_name(tmp_path, monkeypatch):
    for name, n in (("SAMPLES", 100), ("VALIDATION", 30), ("TEST", 40)):
        monkeypatch.setattr(pixel_metrics, name, n)
    samples = folder(tmp_path / "samples", split("train")[0][:150])
    assert list(evaluate(samples, *DATA, metrics="parzen").metrics) == ["parzen_2014"]
    assert list(evaluate(samples, *DATA, "--n", "99", metrics="parzen").metrics) == ["parzen"]
    for name in ("VALIDATION", "TEST"):
        with monkeypatch.context() as more:
            more.setattr(pixel_metrics, name, 100_000)  # more than there are
            assert list(evaluate(samples, *DATA, metrics="parzen").metrics) == ["parzen"]


def test_agreement_tells_copies_from_one_image_and_from_any(tmp_path, monkeypatch):
    found, trained = {}, {}

    def trained_once(*args, **options):
        """The classifiers themselves; one that is trained on the same images again is not trained again."""
        train = small_classifier(*args, **options)

        def kept(images, y, seed):
            key = (args, images.numpy().tobytes(), y.numpy().tobytes(), seed)
            if key not in trained:
                trained[key] = train(images, y, seed)
            return trained[key]

        return kept

    monkeypatch.setattr(pixel_metrics, "small_classifier", trained_once)
    for model in (Copies(), OneImagePerClass(), Deaf()):
        path = saved(model, f"{type(model).__name__}.ckpt")
        args = [
            *DATA,
            "--model",
            f"{__name__}.{type(model).__name__}",
            "--n",
            "600",
            "--classifier_epochs",
            "12",
        ]
        found[type(model)] = evaluate(path, *args, metrics="agreement").metrics
    assert len(trained) == 4  # on the real images, the same for all, and on the samples of each
    full, one, deaf = (found[cls] for cls in (Copies, OneImagePerClass, Deaf))
    # four seeds natively, three each on AVX2 and SSE4.1: full from 0.98 on, one 0.9 and 0.59 to 0.65, deaf at most 0.16
    assert full["gan_base"].value == one["gan_base"].value > 0.93  # of the same real images
    assert full["gan_test"].value > 0.95
    assert full["gan_train"].value > 0.85
    assert full["variety"].value == pytest.approx(1, abs=0.08)
    assert full["variety"].value >= full["least_variety"].value > 0.8
    assert one["gan_test"].value == pytest.approx(1, abs=0.11)  # a class may have a first image that is misread
    assert one["gan_train"].value < 0.8 < full["gan_train"].value
    assert one["variety"].value == one["least_variety"].value == 0
    assert deaf["gan_test"].value < 0.2
    assert deaf["gan_train"].value < 0.4
    n = 600
    assert full["gan_test"].deviation == pytest.approx((full["gan_test"].value * (1 - full["gan_test"].value) / n) ** 0.5)


def test_copies_have_no_distance_to_the_training_images(tmp_path):
    path = saved(Copies())
    args = [
        "evaluate",
        path,
        *DATA,
        "--model",
        f"{__name__}.Copies",
        "--metrics",
        "neighbours",
        "--out",
        "here.json",
    ]
    assert main(args) == 0
    found = Result.load(Path("here.json"))
    assert found.metrics["nearest_training"].value == 0
    assert found.about["grid"] == "here_neighbours.png"
    sheet = torch.from_numpy(np.array(Image.open("here_neighbours.png")))
    side = 32 + GAP
    assert sheet.shape == (pixel_metrics.ROWS * side + GAP, (1 + pixel_metrics.COLUMNS) * side + GAP)
    for row in range(pixel_metrics.ROWS):  # the sample, and beside it the image that it copies
        tiles = [sheet[GAP + row * side :, GAP + column * side :][:32, :32] for column in range(3)]
        assert torch.equal(tiles[0], tiles[1])
        assert not torch.equal(tiles[0], tiles[2])


def test_test_images_are_as_near_as_test_images(tmp_path):
    found = evaluate(folder(tmp_path / "samples", digits("test")), *DATA, metrics="neighbours")
    assert found.metrics["nearest_training"].value == pytest.approx(1, abs=1e-9)
    noise = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8)
    far = evaluate(folder(tmp_path / "noise", noise), *DATA, metrics="neighbours")
    assert far.metrics["nearest_training"].value > 1.5


def test_what_they_depend_on_is_in_the_protocol(tmp_path):
    path = saved(OneImagePerClass())
    args = [path, *DATA, "--model", f"{__name__}.OneImagePerClass", "--n", "100"]
    few = evaluate(*args, "--classifier_epochs", "1", metrics="agreement,parzen")
    many = evaluate(*args, "--classifier_epochs", "2", metrics="agreement,parzen")
    assert few.protocol["real"] is not None
    assert few.protocol["split"] == "test"
    assert few.about["metrics"] == ["parzen", "agreement"]
    with pytest.raises(ValueError, match=r"agreement \(the classifiers of label agreement"):
        compared([few, many], ["few", "many"])
    assert few.metrics["parzen"] == many.metrics["parzen"]


def test_they_stand_beside_those_of_features(tmp_path):
    args = [saved(OneImagePerClass()), *DATA, "--model", f"{__name__}.OneImagePerClass", "--n", "100"]
    both = evaluate(*args, metrics="distance,parzen").metrics
    assert both["fd_tiny"] == evaluate(*args, metrics="distance").metrics["fd_tiny"]
    assert both["parzen"] == evaluate(*args, metrics="parzen").metrics["parzen"]
    assert not {"parzen", "gan_test", "nearest_training"} & set(evaluate(*args, metrics=None).metrics)


class FewModes(Seven):
    """Samples the centres of some modes of the ring; a quarter of the samples lies between the modes."""

    reached = 3

    def sample(self, n, y=None, generator=None):
        modes = Ring().modes().centres.float()
        which = torch.randint(self.reached, (n,), generator=generator)
        between = torch.rand(n, 1, generator=generator) < 0.25
        return torch.where(between, 0.5 * modes[which], modes[which]) * self.weight / 0.7


def test_modes_of_points_are_counted_without_being_asked_for():
    args = [saved(FewModes()), "--data", "Ring", "--model", f"{__name__}.FewModes"]
    found = evaluate(*args, metrics=None)
    assert found.metrics["modes"].value == 3
    assert found.metrics["modes"].of == "of 8"
    assert found.metrics["high_quality"].value == pytest.approx(0.75, abs=0.04)
    assert found.metrics["high_quality"].deviation == pytest.approx((0.75 * 0.25 / 2500) ** 0.5, rel=0.05)
    assert found.metrics["modes_kl"].value == pytest.approx(np.log(8 / 3), abs=0.01)
    assert 0 < found.metrics["modes_js"].value < np.log(2)
    assert found.protocol["modes"] == "2500 samples, 8 normals, a sample within 3 sigma of the nearest"
    assert found.about["metrics"] == ["modes"]
    assert evaluate(*args, metrics="modes").metrics == found.metrics
    with pytest.raises(ValueError, match="--ignore n_fake,modes"):
        compared([found, evaluate(*args, "--n", "500", metrics="modes")], ["all", "few"])


def test_no_other_metric_is_made_of_points_and_modes_are_not_counted_where_none_are_known(capsys):
    path = saved(FewModes())
    line = error(capsys, "evaluate", path, "--data", "Grid", "--model", f"{__name__}.FewModes", "--metrics", "modes,parzen")
    assert line == "parzen: it is a metric of images, and Grid has vectors: --metrics modes"
    images = saved(Seven(), "seven.ckpt")
    line = error(capsys, "evaluate", images, *DATA, "--model", "support.evaluate.Seven", "--metrics", "modes")
    assert line == "modes: the data do not know their modes, as Ring, Grid and StackedMNIST do"


def test_what_was_made_before_an_interruption_is_not_made_again(tmp_path, monkeypatch):
    args = [
        "evaluate",
        saved(OneImagePerClass()),
        *DATA,
        "--model",
        f"{__name__}.OneImagePerClass",
        "--n",
        "100",
    ]
    args += ["--classifier_epochs", "1", "--metrics", "parzen,agreement", "--out", "out.json"]
    assert main(args) == 0
    straight = json.loads(Path("out.json").read_text())["metrics"]
    Path("out.json").unlink()
    made = []

    def interrupted(of):
        raise KeyboardInterrupt

    def counted(of):
        made.append(1)
        return pixel_metrics.parzen(of)

    monkeypatch.setattr(pixel_metrics, "COMPUTE", MADE := dict(pixel_metrics.COMPUTE))
    monkeypatch.setattr("ganzoo.evaluation.evaluator.COMPUTE", MADE)
    MADE |= {"parzen": counted, "agreement": interrupted}
    assert main(args) == 130
    assert not Path("out.json").exists()
    MADE |= {"agreement": pixel_metrics.label_agreement}
    assert main(args) == 0
    assert made == [1]
    assert json.loads(Path("out.json").read_text())["metrics"] == straight
    assert not list(Path().glob(".evaluate_*"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ["model.ckpt", "--model", "Brighter", "--data", "support.evaluate.Pairs", "--metrics", "parzen"],
            "Brighter makes none",
        ),
        (["seven.ckpt", "--model", "Seven", *DATA, "--metrics", "agreement"], "seven.ckpt cannot be asked for a class"),
        (["some", *DATA, "--metrics", "agreement"], "some cannot be asked for a class"),
        (["some", "some", "--metrics", "neighbours"], "leave out some, and give --data"),
        (["some", "--metrics", "parzen"], "some needs data"),
        (["seven.ckpt", "--model", "Seven", *DATA, "--split", "val", "--metrics", "parzen"], "leave out --split val"),
        (["wide", *DATA, "--metrics", "parzen"], "samples are 1x12x12 and val images 1x8x8"),
        (["mixed", *DATA, "--metrics", "neighbours"], "of several sizes"),
        (["some", *DATA, "--metrics", "agrement"], "did you mean 'agreement'"),
        (
            ["some", *DATA, "--metrics", "agreement", "--classifier_epochs", "0"],
            "classifier_epochs: give an int in [1, 2**20], not 0",
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
    folder("some", digits()[:20])
    (val, _), (test, _) = split("val"), split("test")
    bytes_ = (20 + len(val) + len(test)) * 64 * 12  # Parzen windows are of float64
    monkeypatch.setattr(pixel_metrics, "MOST_BYTES", bytes_)
    evaluate("some", *DATA, metrics="parzen")
    monkeypatch.setattr(pixel_metrics, "MOST_BYTES", bytes_ - 1)
    assert f"{20 + len(val) + len(test)} images of 1x8x8 would take" in error(
        capsys, "evaluate", "some", *DATA, "--metrics", "parzen"
    )


# -- other data than digits ---------------------------------------------------------------------------


class Sorted(Digits):
    """The training and test images class by class, as folders have them."""

    def splits(self):
        train, val, test = super().splits()
        return by_class(train), val, by_class(test)


def by_class(items) -> InMemory:
    every = [items[i] for i in range(len(items))]
    every.sort(key=lambda item: int(item.y))
    return InMemory(LabelledImages(torch.stack([item.x for item in every]), torch.stack([item.y for item in every])))


def some(items: InMemory, n: int) -> InMemory:
    """The first n."""
    return InMemory(LabelledImages(*(field[:n] for field in items.samples)))


class Negatives(Pairs):
    """y is what x is not."""

    def splits(self):
        x = greys(self.n, 1)
        return Rows(ImagePairs, greys(self.n, 2), 255 - greys(self.n, 2)), *(Rows(ImagePairs, x, 255 - x),) * 2


class SameTest(Pairs):
    """Its test images are its training images."""


class NoLabels(Digits):
    def splits(self):
        return tuple(InMemory(Images(items.samples.x)) for items in super().splits())


class NoVal(Digits):
    def splits(self):
        train, _, test = super().splits()
        return train, None, test


class EmptyVal(Digits):
    def splits(self):
        train, val, test = super().splits()
        return train, some(val, 0), test


class NoTrain(Digits):
    def splits(self):
        return None, *super().splits()[1:]


class FewTrain(Digits):
    def splits(self):
        train, val, test = super().splits()
        return some(train, 40), val, test


class FarTest(Digits):
    """The validation images are of the samples, the test images of nothing."""

    def splits(self):
        train, _, test = super().splits()
        noise = torch.randint(0, 256, test.samples.x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        return train, some(train, 30), InMemory(LabelledImages(noise, test.samples.y))


class Mirrored(Digits):
    def splits(self):
        train, val, test = super().splits()
        return Augmented(train, random_flip, 0), val, test


class Set_up(Digits):
    """Counts how often it is set up."""

    times = 0

    def setup(self, stage=None):
        type(self).times += 1
        super().setup(stage)


def test_training_images_that_are_sorted_by_class_are_of_all_classes(tmp_path):
    path = saved(Copies())
    args = ["--model", f"{__name__}.Copies", "--n", "200", "--classifier_epochs", "15"]
    found = evaluate(path, "--data", f"{__name__}.Sorted", *args, metrics="agreement")
    assert found.metrics["gan_base"].value > 0.8  # of images of two classes, it would be 0.2


def test_the_width_is_chosen_by_the_validation_images(tmp_path):
    some = folder("some", split("train")[0][:30])
    found = evaluate(some, "--data", f"{__name__}.FarTest", metrics="parzen").metrics["parzen"]
    assert found.of == "standard error; width 0.100, the narrowest or the widest of those tried"
    assert found.value < -500  # -67 under the widest


def test_a_folder_is_compared_with_what_a_translation_aims_at(tmp_path):
    data = ["--data", f"{__name__}.Negatives"]
    images = greys(40, 1)
    aims = evaluate(folder("aims", 255 - images), *data, metrics="parzen,neighbours")
    inputs = evaluate(folder("inputs", images), *data, metrics="parzen,neighbours")
    assert aims.metrics["parzen"].value > inputs.metrics["parzen"].value + 100
    assert aims.protocol["parzen"] == inputs.protocol["parzen"]
    assert "(y of " in aims.protocol["parzen"]


def test_each_kind_needs_its_own_splits_and_no_other(tmp_path):
    some = folder("some", digits()[:20])
    evaluate(some, "--data", f"{__name__}.NoTrain", metrics="parzen")
    evaluate(some, "--data", f"{__name__}.NoVal", metrics="neighbours")


def test_a_mirrored_training_set_is_said(tmp_path, capsys):
    path = saved(Copies())
    found = evaluate(
        path,
        "--data",
        f"{__name__}.Mirrored",
        "--model",
        f"{__name__}.Copies",
        metrics="neighbours",
    )
    assert 0 < found.metrics["nearest_training"].value < 1  # half of them are mirrored, and no copies any more
    assert "neighbours: the training images are taken as the first epoch augments them" in capsys.readouterr().err


def test_splits_are_set_up_once(tmp_path):
    Set_up.times = 0
    some = folder("some", digits()[:20])
    evaluate(some, "--data", f"{__name__}.Set_up", metrics="parzen,neighbours")
    assert Set_up.times == 3  # one for each split


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        ("NoVal", "parzen", "parzen: val images of NoVal are needed"),
        ("EmptyVal", "parzen", "parzen: val images of EmptyVal are needed"),
        ("NoTrain", "neighbours", "neighbours: train images of NoTrain are needed: NoTrain has no train images"),
        ("FewTrain", "neighbours", "are needed: FewTrain: 40 training images are fewer than one batch of 64"),
        ("NoLabels", "parzen,agreement", "agreement: the train images have no labels, and classifiers need them"),
    ],
)
def test_data_that_lack_something_are_refused_before_anything_is_made(data, kind, says, capsys, monkeypatch):
    monkeypatch.setattr("ganzoo.evaluation.evaluator.COMPUTE", {})
    path = saved(OneImagePerClass())
    args = [
        "evaluate",
        path,
        "--model",
        f"{__name__}.OneImagePerClass",
        "--data",
        f"{__name__}.{data}",
        "--metrics",
        kind,
    ]
    assert says in error(capsys, *args)


def test_too_few_of_a_class_and_other_classes_are_refused(capsys):
    args = [
        "evaluate",
        saved(OneImagePerClass()),
        "--model",
        f"{__name__}.OneImagePerClass",
        *DATA,
        "--metrics",
        "agreement",
    ]
    assert "19 samples of 10 classes, and at least two of each" in error(capsys, *args, "--n", "19")

    class Eleven(OneImagePerClass):
        classes = 11

    saved(Eleven(), "eleven.ckpt")
    globals()["Eleven"] = Eleven
    args = ["evaluate", "eleven.ckpt", "--model", f"{__name__}.Eleven", *DATA, "--metrics", "agreement"]
    assert "the model has 11 classes and the data 10" in error(capsys, *args)


def test_what_turns_out_too_late_costs_no_other_figure(tmp_path, monkeypatch):
    def wrong(of):
        raise InputError("of one class")

    monkeypatch.setattr("ganzoo.evaluation.evaluator.COMPUTE", {**pixel_metrics.COMPUTE, "agreement": wrong})
    args = [saved(OneImagePerClass()), *DATA, "--model", f"{__name__}.OneImagePerClass", "--n", "100"]
    found = evaluate(*args, metrics="parzen,agreement")
    assert list(found.metrics) == ["parzen"]
    assert found.left_out == {"agreement": "of one class"}


def test_test_images_that_are_training_images_say_nothing(tmp_path, capsys):
    args = [
        "evaluate",
        folder("some", greys(20, 3)),
        "--data",
        f"{__name__}.SameTest",
        "--metrics",
        "neighbours",
    ]
    assert "the test images are among the training images" in error(capsys, *args)


# -- the image of neighbours ------------------------------------------------------------------------


def test_the_image_goes_where_the_result_goes(tmp_path, monkeypatch):
    """Also where the interrupted measurement had another name for it."""
    args = ["evaluate", folder("some", digits()[:20]), *DATA, "--metrics", "neighbours,parzen"]
    stopped = {**pixel_metrics.COMPUTE, "parzen": lambda of: (_ for _ in ()).throw(KeyboardInterrupt)}
    monkeypatch.setattr("ganzoo.evaluation.selection.PIXEL_METRICS", ("neighbours", "parzen"))
    monkeypatch.setattr("ganzoo.evaluation.evaluator.COMPUTE", stopped)
    assert main([*args, "--out", "first.json"]) == 130
    assert not Path("first_neighbours.png").exists()
    monkeypatch.setattr("ganzoo.evaluation.evaluator.COMPUTE", pixel_metrics.COMPUTE)
    assert main([*args, "--out", "second.json"]) == 0
    assert Path("second_neighbours.png").exists()
    assert Result.load(Path("second.json")).about["grid"] == "second_neighbours.png"
    assert main([*args, "--out", "run.1"]) == main([*args, "--out", "run.2"]) == 0
    assert Path("run.1_neighbours.png").exists()
    assert Path("run.2_neighbours.png").exists()


def test_no_image_is_in_the_way_of_another(tmp_path, capsys, monkeypatch):
    args = ["evaluate", folder("some", digits()[:20]), *DATA, "--metrics", "neighbours"]
    Path("a_neighbours.png").write_bytes(b"mine")
    assert "a_neighbours.png is there" in error(capsys, *args, "--out", "a.json")
    assert Path("a_neighbours.png").read_bytes() == b"mine"
    Path("b_neighbours.png").mkdir()
    assert "b_neighbours.png is there" in error(capsys, *args, "--out", "b.json")
    assert "would be among the images of some" in error(capsys, *args, "--out", "some/c.json")
    monkeypatch.chdir("some")
    assert "would be among the images of ." in error(capsys, "evaluate", ".", *DATA, "--metrics", "neighbours")
    monkeypatch.chdir("..")
    for _ in range(2):  # again, over its own
        assert main(args) == 0
    assert sorted(map(str, Path().glob("some_*"))) == ["some_neighbours.json", "some_neighbours_neighbours.png"]
