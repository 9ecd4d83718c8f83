"""How well a linear classifier names classes by the features of a DCGAN's discriminator, beside pixels and random features.

python examples/dcgan_features.py runs/dcgan_fashion/version_0 --data FashionMNIST --root data --per-class 100

The discriminator never saw a label. Its features are the activations of all its convolutions, max-pooled to 4 x 4; an L2-SVM
is trained on the labels of a few training images and tested on the test images (Radford et al. 2016, section 5). "random" is
the same network before its training.
"""

import argparse
import inspect

import torch
from torch import Tensor

import ganzoo
import ganzoo.data
from ganzoo.data.batches import as_float
from ganzoo.inference import discriminator_features
from ganzoo.metrics.linear_probe import balanced_subset, linear_probe
from ganzoo.utils.progress import tracked


def images_and_labels(dataset: torch.utils.data.Dataset, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Images in [-1, 1] and classes of some samples of a labelled dataset."""
    rows = [dataset[int(i)] for i in tracked(indices, "images", delay=2.0)]
    batch = type(rows[0])(*map(torch.stack, zip(*([torch.as_tensor(part) for part in row] for row in rows), strict=True)))
    x, y, *_ = as_float(batch)
    return x, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a checkpoint of a DCGAN, or its run's folder")
    parser.add_argument("--data", default="FashionMNIST", help="a labelled DataModule of ganzoo.data")
    parser.add_argument("--root", default="data")
    parser.add_argument("--per-class", type=int, default=100, help="labelled training images of each class")
    parser.add_argument("--test", type=int, default=10_000, help="the most test images")
    parser.add_argument("--seeds", type=int, default=3, help="choices of the labelled images, and random networks")
    args = parser.parse_args()

    model = ganzoo.load(args.model)
    given = {"root": args.root, "size": model.shape[-1]}
    kind = getattr(ganzoo.data, args.data)
    known = {name for cls in kind.__mro__ if "__init__" in vars(cls) for name in inspect.signature(cls).parameters}
    data = kind(**{name: value for name, value in given.items() if name in known})
    data.prepare_data()
    data.setup()
    labels = torch.tensor([int(data.train_set[i].y) for i in range(len(data.train_set))])
    test, test_labels = images_and_labels(data.test_set, torch.arange(min(args.test, len(data.test_set))))
    print(f"{args.per_class} labelled images a class, {len(test)} test images, {args.seeds} choices of the labelled ones")
    results: dict[str, list[float]] = {}
    for seed in range(args.seeds):
        train, train_labels = images_and_labels(data.train_set, balanced_subset(labels, args.per_class, seed))
        torch.manual_seed(seed)
        untrained = type(model)(**model.hparams)
        ways = {
            "pixels": lambda images: images.flatten(1),
            "random": lambda images, network=untrained: discriminator_features(network, images),
            "trained": lambda images: discriminator_features(model, images),
        }
        for name, features in ways.items():
            found = linear_probe(features(train), train_labels, features(test), test_labels, seed=seed)
            results.setdefault(name, []).append(found.accuracy)
    for name, each in results.items():
        print(f"{name:8} {sum(each) / len(each):7.2%}  ({', '.join(f'{value:.2%}' for value in each)})")


if __name__ == "__main__":
    main()
