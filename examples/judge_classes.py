"""Does a conditional model keep to its classes, and to all of each class?

python examples/judge_classes.py CGAN runs/cgan_mnist/version_0/checkpoints/last.ckpt --data MNIST

Trains a small classifier on the data's training pictures and one on as many samples, the classes by turns, and prints
GAN-test (label agreement), GAN-train and what stands beside them, and the variety within each class (docs: task_metrics.md).
"""

import argparse

import torch

import ganzoo.data
import ganzoo.models
from ganzoo.judging import Split, fakes
from ganzoo.metrics.agreement import Accuracy, Labelled, agreement, small_classifier


def real(data: ganzoo.data.MNIST, split: str, n: int | None = None) -> Labelled:
    loader = data.train_dataloader() if split == "train" else data.test_dataloader()
    parts = list(Split(loader, split).real("x", 500))
    return Labelled(torch.cat([part.images for part in parts])[:n], torch.cat([part.y for part in parts])[:n])


def shown(found: Accuracy) -> str:
    return f"{found.share:6.1%} +- {found.error:.1%} of {found.n}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="its class")
    parser.add_argument("checkpoint")
    parser.add_argument("--data", default="MNIST")
    parser.add_argument("--root", default="data")
    parser.add_argument("--n", type=int, help="training pictures and samples; all training pictures if left out")
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()

    data = getattr(ganzoo.data, args.data)(root=args.root)
    data.prepare_data()
    data.setup()
    train, test = real(data, "train", args.n), real(data, "test")
    model = getattr(ganzoo.models, args.model).load_from_checkpoint(args.checkpoint, map_location="cpu")
    parts = list(fakes(model, None, len(train.y), 500))
    samples = Labelled(torch.cat([part.images for part in parts]), torch.cat([part.y for part in parts]))
    found = agreement(samples, train, test, small_classifier(data.classes, args.epochs))
    print(f"trained on real, tested on real:        {shown(found.real)}")
    print(f"GAN-test, trained on real, on samples:  {shown(found.gan_test)}")
    print(f"GAN-train, trained on samples, on real: {shown(found.gan_train)}")
    print("variety within each class, of the data's:", *(f"{ratio:.2f}" for ratio in found.variety))
    if found.one_picture:
        print("classes that are one picture, more or less:", *found.one_picture)


if __name__ == "__main__":
    main()
