"""Label agreement (GAN-test), GAN-train and intra-class variety of a conditional model, by a classifier.

Shmelkov, Schmid and Alahari 2018, "How good is my GAN?": A classifier trained on real images is tested on samples:
its accuracy is GAN-test. A classifier trained on samples is tested on real images: its accuracy is GAN-train. Both depend on
the classifier. So they are reported with GAN-base, the accuracy of the same kind of classifier trained and tested on real
images.

A model that generates one good image per class has a perfect GAN-test. Its GAN-train is low, and its variety within a class
is near 0.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.extractors.classifier import predict_classes, train_classifier

Classifier = Callable[[Tensor], Tensor]
"""uint8 images [N, C, H, W] -> logits (or anything that is largest for the class) [N, K]."""

Trainer = Callable[[Tensor, Tensor, int], Classifier]
"""uint8 images [N, C, H, W], their int64 classes [N], a seed -> a classifier of images."""


class Labelled(NamedTuple):
    """Images and their classes.

    Attributes:
        images: uint8 [N, C, H, W].
        y: int64 classes [N], from 0. For samples, the classes that the model was asked for.
    """

    images: Tensor
    y: Tensor


class Accuracy(NamedTuple):
    """A classifier's accuracy.

    Attributes:
        share: the share of images that it classifies correctly, from 0 to 1.
        error: the standard error of the share, ``sqrt(p (1 - p) / n)``.
        n: the number of images.
        of_class: the share for each class, NaN for a class without images.
    """

    share: float
    error: float
    n: int
    of_class: tuple[float, ...]


def small_classifier(classes: int, epochs: int = 5, progress: bool = True, device: torch.device | str = "cpu") -> Trainer:
    """Returns a trainer of the small convolutional classifier (:mod:`ganzoo.metrics.extractors.classifier`).

    Args:
        classes: the number of classes, K, also if some have no images.
        epochs: passes over the images.
        progress: whether to show a progress bar.
        device: the device to train on.
    """

    def train(images: Tensor, y: Tensor, seed: int) -> Classifier:
        found = train_classifier(images, y, classes, seed=seed, epochs=epochs, progress=progress, device=device)
        return lambda images: found(images).logits

    return train


class Agreement(NamedTuple):
    """How well a conditional model's samples match their classes.

    Attributes:
        real: GAN-base: trained on real images, tested on real images.
        gan_test: trained on real images, tested on samples. Far below `real`: samples are poor or of the wrong class. Far
            above: samples are easier than the data, because they lack variety or repeat the training set.
        gan_train: trained on samples, tested on real images. Below `real`: the samples lack something that the data have.
        variety: the variety within each class, relative to the data (:func:`variety`).
        one_image: the classes whose variety is below `least`: nearly one image.
        n_train: the number of real images in the training set.
        n_samples: the number of samples. Fewer than `n_train` lower GAN-train by themselves.
    """

    real: Accuracy
    gan_test: Accuracy
    gan_train: Accuracy
    variety: tuple[float, ...]
    one_image: tuple[int, ...]
    n_train: int
    n_samples: int


def agreement(
    samples: Labelled, train: Labelled, test: Labelled, trainer: Trainer, seed: int = 0, least: float = 0.2
) -> Agreement:
    """Computes GAN-test, GAN-train, GAN-base and the variety within classes.

    Args:
        samples: samples with the classes that the model was asked for. To compare GAN-train with GAN-base, give as many of
            each class as `train` has.
        train: real images to train on.
        test: held-out real images.
        trainer: trains both classifiers, from the same seed; :func:`small_classifier`, or another.
        seed: the seed of the trainer and of the pairs that the variety is computed from.
        least: the variety below which a class counts as one image.

    Raises:
        InputError: no images, images of two shapes or types, labels that do not fit; samples or training images of a
            single class.
    """
    sets = {"samples": samples, "training images": train, "test images": test}
    for name, given in sets.items():
        _check(name, given)
        if given.images.shape[1:] != train.images.shape[1:]:
            raise InputError(
                f"{name} are {_shape(given)} and training images {_shape(train)} (channels, height, width): resize one"
            )
    for name, given in (("samples", samples), ("training images", train)):
        if len(given.y.unique()) < 2:
            raise InputError(f"{name} are all of class {int(given.y[0])}: a classifier needs at least two classes")
    of_real, of_samples = (trainer(given.images, given.y, seed) for given in (train, samples))
    spread = variety(samples, train, seed=seed)
    return Agreement(
        real=accuracy(of_real, test),
        gan_test=accuracy(of_real, samples),
        gan_train=accuracy(of_samples, test),
        variety=spread,
        one_image=tuple(y for y, ratio in enumerate(spread) if ratio < least),
        n_train=len(train.y),
        n_samples=len(samples.y),
    )


@torch.no_grad()
def accuracy(classifier: Classifier, images: Labelled) -> Accuracy:
    """How many images a classifier calls what they are called; of samples of a conditional model, their label agreement.

    Args:
        classifier: its class is the place of the largest of its K values.
        images: with their classes; a class that the classifier does not know is never right.

    Raises:
        InputError: no images, or labels that do not fit.
    """
    _check("images", images)
    y = images.y.cpu()
    right = (predict_classes(classifier, images.images) == y).double()
    counts = y.bincount()
    share = right.mean().item()
    return Accuracy(
        share=share,
        error=math.sqrt(share * (1 - share) / len(y)),
        n=len(y),
        of_class=tuple((y.bincount(weights=right) / counts).tolist()),
    )


def variety(samples: Labelled, real: Labelled, most: int = 500, seed: int = 0) -> tuple[float, ...]:
    """How far apart samples of a class are, over how far apart real images of it are.

    The ratio of the mean Euclidean distances of all pairs of different images, of each class on its own: 0 where a class
    is one image, about 1 where it is as varied as the data. Noise is varied, too: that samples show the class is for
    GAN-test to say.

    Args:
        samples: with the classes that were asked for.
        real: of the same shape. Features [N, d] in the place of images will do, for both.
        most: images of a class that are taken, at random; the mean over pairs of 500 is good to about one per cent.
        seed: of that choice; the global random streams are left alone.

    Returns:
        A ratio for each class up to the largest label of `real`; NaN where either set has fewer than two images, or the
        data's are all the same.

    Raises:
        InputError: images of two shapes.
    """
    if samples.images.shape[1:] != real.images.shape[1:]:
        raise InputError(f"samples are {_shape(samples)} and real images {_shape(real)}: resize one")
    found = []
    for y in range(int(real.y.max()) + 1):
        mine, its = (_mean_distance(each.images[each.y == y], most, seed) for each in (samples, real))
        found.append(mine / its if its else math.nan)
    return tuple(found)


def _mean_distance(images: Tensor, most: int, seed: int) -> float:
    if len(images) < 2:
        return math.nan
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:most]
    return torch.pdist(images[chosen.to(images.device)].flatten(1).cpu().double()).mean().item()


def _check(name: str, given: Labelled) -> None:
    images, y = given
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise InputError(
            f"{name} are {images.dtype} {list(images.shape)}, not uint8 [N, C, H, W]: turn images in [-1, 1] into them "
            "with ganzoo.utils.images.to_uint8"
        )
    if not len(images):
        raise InputError(f"{name}: there are none")
    if y.dtype != torch.int64 or y.shape != images.shape[:1]:
        raise InputError(f"{name}: {len(images)} images need as many int64 labels, not {y.dtype} {list(y.shape)}")
    if y.min() < 0:
        raise InputError(f"{name}: a label is {int(y.min())}; they count from 0")


def _shape(given: Labelled) -> str:
    return "x".join(map(str, given.images.shape[1:]))
