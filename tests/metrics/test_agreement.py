"""GAN-test, GAN-train and variety of generators whose metrics are known, by a linear classifier of 8 x 8 digits."""

from math import isnan, pi, sqrt

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.agreement import Labelled, accuracy, agreement, small_classifier, variety


def digits() -> tuple[Labelled, Labelled, Labelled]:
    """Three disjoint parts: to be taken for samples, to train on, to test on."""
    x, y = load_digits(return_X_y=True)
    images = torch.tensor(x * 255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return tuple(Labelled(images[part], torch.tensor(y)[part]) for part in order.split([600, 600, 597]))


SAMPLES, TRAIN, TEST = digits()


def linear(images: Tensor, y: Tensor, seed: int):
    model = LogisticRegression(max_iter=1000, C=0.01, random_state=seed).fit(images.flatten(1).numpy() / 16, y.numpy())

    def classify(images: Tensor) -> Tensor:
        logits = torch.full((len(images), 10), -torch.inf, dtype=torch.float64)
        logits[:, model.classes_] = torch.from_numpy(model.decision_function(images.flatten(1).numpy() / 16))
        return logits

    return classify


def of(samples: Labelled):
    return agreement(samples, TRAIN, TEST, linear)


# -- generators whose figures are known --------------------------------------------------------------------------------


def test_real_images_score_as_real_ones():
    found = of(SAMPLES)
    assert found.real.share > 0.9
    assert found.gan_test.share == pytest.approx(found.real.share, abs=0.03)
    assert found.gan_train.share == pytest.approx(found.real.share, abs=0.03)
    assert found.variety == pytest.approx([1] * 10, abs=0.1)
    assert found.one_image == ()
    assert (found.n_train, found.n_samples) == (600, 600)


def test_wrong_labels_score_as_chance():
    shuffled = SAMPLES.y[torch.randperm(600, generator=torch.Generator().manual_seed(1))]
    found = of(Labelled(SAMPLES.images, shuffled))
    chance = 0.1 + 3 * sqrt(0.09 / 600)
    assert found.gan_test.share < chance
    assert found.gan_train.share < 0.3
    assert found.real.share > 0.9
    # real images of all classes under each label are more varied than those of one
    assert min(found.variety) > 1


def test_one_image_of_each_class_passes_gan_test_and_nothing_else():
    """The image of each class that is most like its class: the classifier's surest."""
    logits = linear(TRAIN.images, TRAIN.y, 0)(SAMPLES.images)
    best = torch.stack([torch.where(SAMPLES.y == y, logits[:, y], -torch.inf).argmax() for y in range(10)])
    asked = torch.arange(600) % 10
    found = of(Labelled(SAMPLES.images[best][asked], asked))
    assert found.gan_test.share == 1
    assert found.gan_train.share < found.real.share - 0.1
    assert found.variety == (0,) * 10
    assert found.one_image == tuple(range(10))


def test_a_class_that_is_one_image_is_named():
    images = SAMPLES.images.clone()
    images[SAMPLES.y == 3] = images[SAMPLES.y == 3][0]
    found = of(Labelled(images, SAMPLES.y))
    assert found.one_image == (3,)
    assert found.variety[3] == 0


def test_a_missing_class_shows_in_gan_train_only():
    kept = SAMPLES.y != 7
    found = of(Labelled(SAMPLES.images[kept], SAMPLES.y[kept]))
    assert found.gan_test.share == pytest.approx(found.real.share, abs=0.03)
    assert found.gan_train.of_class[7] == 0
    assert found.gan_train.share == pytest.approx(found.real.share - (TEST.y == 7).double().mean().item(), abs=0.04)
    assert isnan(found.variety[7])
    assert isnan(found.gan_test.of_class[7])
    assert found.one_image == ()


def test_who_is_trained_on_what():
    asked = []

    def trainer(images, y, seed):
        asked.append((images, y, seed))
        return lambda images: torch.nn.functional.one_hot(torch.full((len(images),), len(asked)), 10)

    found = agreement(SAMPLES, TRAIN, TEST, trainer, seed=4)
    (first, _, _), (second, _, _) = asked
    assert torch.equal(first, TRAIN.images)
    assert torch.equal(second, SAMPLES.images)
    assert [seed for *_, seed in asked] == [4, 4]
    assert found.real.n == found.gan_train.n == len(TEST.y)
    assert found.gan_test.n == len(SAMPLES.y)


def test_the_small_classifier_is_a_trainer():
    before = torch.get_rng_state()
    found = agreement(SAMPLES, TRAIN, TEST, small_classifier(10, epochs=4, progress=False))
    assert torch.equal(before, torch.get_rng_state())
    assert found.real.share > 0.8
    assert found.gan_test.share == pytest.approx(found.real.share, abs=0.05)
    assert found.gan_train.share > 0.8


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_accuracy_by_hand():
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1)
    logits = torch.tensor([[9.0, 0, 0], [0, 9, 0], [9, 0, 0], [0, 0, 9], [0, 0, 9]])
    found = accuracy(lambda x: logits[x.flatten().long()], Labelled(images, torch.tensor([0, 1, 1, 3, 0])))
    assert found.share == 0.4
    assert found.error == pytest.approx(sqrt(0.4 * 0.6 / 5))
    assert found.n == 5
    assert found.of_class[:2] == (0.5, 0.5)
    assert isnan(found.of_class[2])
    assert found.of_class[3] == 0  # a class that the classifier does not know


def test_accuracy_does_not_depend_on_parts():
    sizes = []

    def classify(images):
        sizes.append(len(images))
        return torch.nn.functional.one_hot(images[:, 0, 0, 0].long() % 10, 10)

    images = torch.randint(0, 256, (1203, 1, 2, 2), dtype=torch.uint8)
    y = images[:, 0, 0, 0].long() % 10
    y[1200:] += 10
    assert accuracy(classify, Labelled(images, y)).share == pytest.approx(1200 / 1203)
    assert sizes == [500, 500, 203]


def test_variety_by_hand():
    y = torch.tensor([0, 0, 0, 1, 1, 1])
    real = torch.tensor([0.0, 3, 6, 0, 1, 2])[:, None]  # mean distances 4 and 4/3
    fake = torch.tensor([0.0, 0, 3, 5, 5, 5])[:, None]  # 2 and 0
    assert variety(Labelled(fake, y), Labelled(real, y)) == pytest.approx((0.5, 0))
    # features need not be images, and a scale is a ratio
    assert variety(Labelled(3 * real, y), Labelled(real, y)) == pytest.approx((3, 3))


def test_variety_of_normals_is_the_ratio_of_their_widths():
    """Mean distance of two normals on a line: 2 sigma / sqrt(pi)."""
    g = torch.Generator().manual_seed(0)
    y = torch.zeros(2000, dtype=torch.int64)
    real, fake = (Labelled(torch.randn(2000, 1, generator=g, dtype=torch.float64) * width, y) for width in (1.0, 0.3))
    assert variety(fake, real, most=2000)[0] == pytest.approx(0.3, rel=0.04)
    one = Labelled(torch.tensor([[0.0], [2 / sqrt(pi)]]), y[:2])
    assert variety(real, one, most=2000)[0] == pytest.approx(1, rel=0.04)


def test_variety_is_by_class_and_follows_its_seed():
    before = torch.get_rng_state()
    few = variety(SAMPLES, TRAIN, most=20)
    assert torch.equal(before, torch.get_rng_state())
    assert few == variety(SAMPLES, TRAIN, most=20)
    assert few != variety(SAMPLES, TRAIN, most=20, seed=1)
    assert few == pytest.approx(variety(SAMPLES, TRAIN), abs=0.2)


def test_a_class_of_equal_or_single_images_has_no_variety_to_compare():
    y = torch.tensor([0, 0, 1, 2, 2])
    x = Labelled(torch.tensor([[1.0], [1], [2], [3], [4]]), y)
    same, single, fine = variety(x, x)
    assert isnan(same)
    assert isnan(single)
    assert fine == 1


# -- what cannot be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "line"),
    [
        (Labelled(SAMPLES.images / 255, SAMPLES.y), "samples are torch.float32.*to_uint8"),
        (Labelled(SAMPLES.images[:0], SAMPLES.y[:0]), "samples: there are none"),
        (Labelled(SAMPLES.images, SAMPLES.y[:5]), "600 images need as many int64 labels"),
        (Labelled(SAMPLES.images, SAMPLES.y.float()), "not torch.float32"),
        (Labelled(SAMPLES.images, SAMPLES.y - 1), "a label is -1"),
        (Labelled(SAMPLES.images[..., :4], SAMPLES.y), "samples are 1x8x4 and training images 1x8x8"),
        (Labelled(SAMPLES.images, SAMPLES.y * 0 + 2), "all of class 2"),
    ],
)
def test_what_cannot_be_judged_is_a_line(samples, line):
    with pytest.raises(InputError, match=line):
        of(samples)


def test_variety_of_two_shapes():
    with pytest.raises(InputError, match="1x8x4 and real images 1x8x8"):
        variety(Labelled(SAMPLES.images[..., :4], SAMPLES.y), TRAIN)
