"""A small classifier of small images (digits, clothes), trained here in minutes on a CPU.

On 28 x 28 digits the features of an ImageNet network say little. A classifier of the same digits gives features that do, and
its labels tell whether a conditional model draws what it is asked for. Its accuracy stands in its file.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from ganzoo import __version__
from ganzoo.errors import InputError
from ganzoo.metrics.extractors.base import Extractor, Features, digest
from ganzoo.metrics.extractors.resizing import Antialiased
from ganzoo.metrics.extractors.weights import plain
from ganzoo.utils.files import atomic_write
from ganzoo.utils.progress import ProgressBar

FORMAT = 1
WIDTHS = (16, 32, 64, 128)
SMALLEST = 8  # pixels below which the map is no longer halved
PART = 500  # images in one call of a classifier


class SmallClassifier(Extractor):
    """Four convolutions, with batch normalisation, ReLU and halving between them, and the mean over places: 128 features.

    Its weights are random; :func:`train_classifier` gives a trained one, :meth:`load` one from a file. Images of another
    size are resized to its own.

    Args:
        shape: (C, H, W) of the images, C 1 or 3.
        classes: K.
        data: what it is trained on, ``MNIST``; it is then called ``classifier-mnist``.

    Attributes:
        about: how it was trained and how well it does, plain values.
    """

    dimension = WIDTHS[-1]
    preprocessing = "x / 127.5 - 1"
    has_logits = True

    def __init__(self, shape: tuple[int, int, int], classes: int, data: str = "") -> None:
        super().__init__()
        self.channels, *size = shape
        if self.channels not in (1, 3) or min(size) < 1 or classes < 2:
            raise InputError(
                f"a classifier of images {shape} and {classes} classes: give 1 or 3 channels, 2 classes or more"
            )
        self.shape, self.classes, self.data = shape, classes, data
        self.name = "-".join(filter(None, ("classifier", re.sub(r"\W+", "-", data.lower()).strip("-"))))
        layers: list[nn.Module] = []
        for have, want in pairwise((self.channels, *WIDTHS)):
            layers += [nn.Conv2d(have, want, 3, padding=1, bias=False), nn.BatchNorm2d(want), nn.ReLU()]
            if want != WIDTHS[-1] and max(size) > SMALLEST:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                size = [-(-side // 2) for side in size]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], classes)]
        self.network = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.resized = Antialiased(*shape[1:])
        self.resize = self.resized.words
        self.about: dict[str, Any] = {}
        self._freeze()

    def _freeze(self) -> None:
        self.network.requires_grad_(False).eval()
        self.weights = digest(self.network.state_dict())

    def features(self, images: Tensor) -> Features:
        pool = self.network[:-1](self.scaled(images))
        return Features(pool, self.network[-1](pool))

    def scaled(self, images: Tensor) -> Tensor:
        """uint8 [N, C, h, w] -> float [N, C, H, W] in [-1, 1], what the network takes."""
        return (self.resized(images) / 127.5 - 1).contiguous(memory_format=torch.channels_last)

    def save(self, path: str | Path) -> None:
        """Writes the file that :meth:`load` reads, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        path = Path(path)
        state = {name: value.cpu() for name, value in self.network.state_dict().items()}
        what = {"format": FORMAT, "shape": list(self.shape), "classes": self.classes, "data": self.data}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as part:
                torch.save({**what, "about": self.about, "state": state}, part)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A trained one. Nothing in the file is executed.

        Raises:
            InputError: no such file, or one that holds something else.
        """
        path = Path(path)
        file = plain(path)
        try:
            if file["format"] != FORMAT:
                raise InputError(f"{path}: format is {file['format']}, and this reads {FORMAT}; train it again")
            found = cls(tuple(file["shape"]), file["classes"], file["data"])
            found.network.load_state_dict(file["state"])
            found.about = file["about"]
        except (KeyError, TypeError, RuntimeError, AttributeError, IndexError) as error:
            raise InputError(f"{path}: holds no small classifier; ganzoo classifier makes one") from error
        found._freeze()
        return found


def train_classifier(
    images: Tensor,
    labels: Tensor,
    classes: int,
    seed: int = 0,
    epochs: int = 5,
    progress: bool = True,
    data: str = "",
    device: torch.device | str = "cpu",
) -> SmallClassifier:
    """Trains one: AdamW, the learning rate up and down once, no augmentation.

    The same images, seed and number of threads on the same machine give the same weights. The global random stream is left
    alone, and it may be called from where gradients are switched off.

    Args:
        images: uint8 [N, C, H, W], N 2 or above.
        labels: int [N], from 0 to classes - 1.
        classes: K.
        seed: of the initial weights and the order.
        epochs: passes over the images.
        progress: whether to show a bar.
        data: what the images are, ``MNIST``.
        device: where to train.

    Returns:
        On that device, frozen.

    Raises:
        InputError: images or labels that are not as above.
    """
    _check(images, labels, classes)
    if epochs < 1:
        raise InputError(f"a classifier is trained for 1 epoch or more, not {epochs}")
    batch = min(len(images), max(16, min(128, len(images) // 100)))
    rounds = len(images) // batch
    order = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(torch.device(device).type, enabled=False):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found = SmallClassifier((images.shape[1], images.shape[2], images.shape[3]), classes, data)
        network = found.to(device).network
        network.requires_grad_(True).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.05)
        schedule = OneCycleLR(optimizer, max_lr=0.01, total_steps=epochs * rounds, pct_start=0.25)
        with ProgressBar(epochs * rounds, found.name, unit="steps", shown=progress) as bar:
            for _ in range(epochs):
                for chosen in torch.randperm(len(images), generator=order)[: rounds * batch].split(batch):
                    x, y = images[chosen.to(images.device)], labels[chosen.to(labels.device)]
                    logits = network(found.scaled(x.to(device)))
                    optimizer.zero_grad()
                    functional.cross_entropy(logits, y.to(device).long()).backward()
                    optimizer.step()
                    schedule.step()
                    bar.update()
    found._freeze()
    found.about = {"train_images": len(images), "seed": seed, "epochs": epochs}
    found.about["versions"] = {"ganzoo": __version__, "torch": str(torch.__version__)}
    return found


def accuracy(classifier: Extractor, images: Tensor, labels: Tensor) -> float:
    """The share of images that a classifier classifies correctly.

    Args:
        classifier: with logits.
        images: uint8 [N, C, H, W], N 1 or above.
        labels: int [N].

    Returns:
        In [0, 1].

    Raises:
        InputError: an extractor without logits, no images, or labels of another number.
    """
    if len(images) == 0 or labels.shape != (len(images),):
        raise InputError(f"accuracy of {len(images)} images with {list(labels.shape)} labels: give one label an image")

    def logits(part: Tensor) -> Tensor:
        found = classifier(part).logits
        if found is None:
            raise InputError(f"{classifier.name} has no classifier: accuracy needs an extractor with logits")
        return found

    return (predict_classes(logits, images) == labels.cpu()).double().mean().item()


def predict_classes(classifier: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Classifies images.

    Args:
        classifier: images -> logits (or anything that is largest for the class) [N, K].
        images: uint8 [N, C, H, W], N 1 or above.

    Returns:
        Classes, int64 [N], on the CPU.
    """
    return torch.cat([classifier(part).argmax(1).to("cpu", torch.int64) for part in images.split(PART)])


def train_and_save(
    train: Iterable[Any],
    test: Iterable[Any],
    classes: int,
    path: str | Path,
    data: str,
    seed: int = 0,
    epochs: int = 5,
    progress: bool = True,
) -> SmallClassifier:
    """Trains a classifier on one set, measures it on another, and writes its file.

    Args:
        train: images and labels, as a dataset or a loader gives them (:func:`gather`).
        test: others, for the accuracy that the file states.
        classes: K.
        path: of the file.
        data: what the images are, ``MNIST``.
        seed: of the training.
        epochs: number of epochs of the training.
        progress: whether to show a bar.

    Returns:
        It, with ``about["accuracy"]``.

    Raises:
        InputError: images or labels that are no such, or a file that cannot be written.
    """
    images, labels = gather(test)
    _check(images, labels, classes)
    found = train_classifier(*gather(train), classes=classes, seed=seed, epochs=epochs, progress=progress, data=data)
    found.about |= {"accuracy": accuracy(found, images, labels), "test_images": len(images)}
    found.save(path)
    return found


def gather(samples: Iterable[Any]) -> tuple[Tensor, Tensor]:
    """All images and labels of a dataset or a loader.

    Args:
        samples: whose first is an image uint8 [C, H, W] and whose second its class; or a batch of them.

    Returns:
        uint8 [N, C, H, W] and int64 [N].

    Raises:
        InputError: no labels, no images, or images of several sizes.
    """
    images: list[Tensor] = []
    labels: list[Tensor] = []
    for x, y in _batches(samples):
        if images and x.shape[1:] != images[0].shape[1:]:
            raise InputError(
                f"a classifier takes images of one size, not {list(images[0].shape[1:])} and {list(x.shape[1:])}"
            )
        images.append(x)
        labels.append(y)
    if not images:
        raise InputError("a classifier needs images, and there are none")
    return torch.cat(images), torch.cat(labels)


def _batches(samples: Iterable[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    for sample in samples:
        if not isinstance(sample, tuple | list) or len(sample) < 2 or not isinstance(sample[0], Tensor):
            raise InputError("a classifier needs images with labels, and these have none")
        x, y = sample[0], torch.as_tensor(sample[1])
        yield (x, y.long()) if x.ndim == 4 else (x[None], y.long().view(1))


def _check(images: Tensor, labels: Tensor, classes: int) -> None:
    if images.ndim != 4 or images.dtype != torch.uint8 or len(images) < 2:
        raise InputError(f"a classifier takes 2 uint8 images [N, C, H, W] or more, not {images.dtype} {list(images.shape)}")
    if labels.shape != (len(images),) or labels.is_floating_point():
        raise InputError(
            f"{len(images)} images need as many whole numbers for labels, not {labels.dtype} {list(labels.shape)}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"labels go from {labels.min()} to {labels.max()}, and {classes} classes from 0 to {classes - 1}")
