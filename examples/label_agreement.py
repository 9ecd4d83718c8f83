"""Does a conditional model keep to its classes, and to all of each class?

python examples/label_agreement.py CGAN runs/cgan_mnist/version_0/checkpoints/last.ckpt --data MNIST

Trains a small classifier on the data's training images and one on as many samples, the classes by turns, and prints
GAN-test (label agreement), GAN-train and GAN-base, and the variety within the classes (docs: task_metrics.md).
"""

import argparse

import ganzoo.data
import ganzoo.models
from ganzoo.evaluation import evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="its class")
    parser.add_argument("checkpoint")
    parser.add_argument("--data", default="MNIST")
    parser.add_argument("--root", default="data")
    parser.add_argument("--n", type=int, help="training images and samples; as many as there are test images if left out")
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()

    model = getattr(ganzoo.models, args.model).load_from_checkpoint(args.checkpoint, map_location="cpu")
    data = getattr(ganzoo.data, args.data)(root=args.root)
    result = evaluate(model, data, metrics=["agreement"], n=args.n, classifier_epochs=args.epochs)
    for name, metric in result.metrics.items():
        print(f"{name:16} {metric.value:.3f}" + ("" if metric.deviation is None else f" +- {metric.deviation:.3f}"))


if __name__ == "__main__":
    main()
