"""Trains a small DCGAN with and without each trick of training, and measures the Frechet distance of its samples.

python examples/tricks.py                                           # every trick on the digits, 3 seeds, about 10 minutes
python examples/tricks.py --tricks baseline DiffAugment --data FashionMNIST --root data --shares 0.1 0.2 1 --steps 1000

Each run has the same number of batches. The distance is between the pixels, averaged to 8 x 8, of 2,000 samples and of the
images that did not train; it is comparable within this script only. The table has the mean over the seeds, the least and the
greatest value, and the same distance for training images, which is what a perfect generator would have.
"""

import argparse
import logging
import time
import warnings
from collections.abc import Mapping
from statistics import mean
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ganzoo.augmentations import DiffAugment, InputNoise
from ganzoo.data import Digits, FashionMNIST
from ganzoo.data.base import ImageDataModule
from ganzoo.losses import Hinge, LeastSquares, Minimax, NonSaturating, OneSidedLabelSmoothing, Wasserstein, Weighted
from ganzoo.metrics.frechet import frechet_distance
from ganzoo.models import DCGAN
from ganzoo.networks.extra_layers import MinibatchDiscrimination, VirtualBatchNorm
from ganzoo.networks.norms import LayerNorm, NoNorm
from ganzoo.networks.upsampling import NearestConvolution, PixelShuffleConvolution
from ganzoo.noises import Spherical, Uniform
from ganzoo.regularizers import R1, R2, FeatureMatching, GradientPenalty
from ganzoo.utils.images import to_float

SAMPLES = 2000
PLAYERS = "discriminator", "generator"
SGD = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.01, "momentum": 0.5}}
# what changes from the baseline, which is DCGAN as published, only narrower
TRICKS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "minimax loss": {"loss": Minimax()},
    "least squares": {"loss": LeastSquares()},
    "hinge": {"loss": Hinge()},
    "one-sided label smoothing": {"loss": OneSidedLabelSmoothing(0.9)},
    "beta1 0.9": {"beta1": 0.9},
    "learning rate 1e-3": {"lr": 1e-3},
    "SGD": {"optimizers": dict.fromkeys(PLAYERS, SGD)},
    "SGD for D alone": {"optimizers": {"discriminator": SGD}},
    "no batch norm in D": {"norm": NoNorm()},
    "layer norm in D": {"norm": LayerNorm()},
    "uniform noise": {"noise": Uniform(-1, 1)},
    "spherical noise": {"noise": Spherical()},
    "pixel shuffle": {"upsampling": PixelShuffleConvolution()},
    "nearest and convolution": {"upsampling": NearestConvolution()},
    "2 steps of D": {"k": 2},
    "virtual batch norm in G": {"layers": [VirtualBatchNorm(64)]},
    "minibatch discrimination": {"layers": [MinibatchDiscrimination(50)]},
    "feature matching, alone": {
        "loss": Weighted(NonSaturating(), generator_weight=0),
        "regularizers": [FeatureMatching()],
    },
    "feature matching, added": {"regularizers": [FeatureMatching(0.1)]},
    "historical averaging": {"historical_averaging": dict.fromkeys(PLAYERS, 0.01)},
    "input noise": {"augment": InputNoise(0.1)},
    "DiffAugment": {"augment": DiffAugment()},
    "R1, layer norm": {"norm": LayerNorm(), "regularizers": [R1(1.0)]},
    "R2, layer norm": {"norm": LayerNorm(), "regularizers": [R2(1.0)]},
    "Wasserstein with gradient penalty, 2 steps of D": {
        "norm": LayerNorm(),
        "loss": Wasserstein(),
        "regularizers": [GradientPenalty()],
        "k": 2,
    },
    "EMA weights": {"ema_half_life": 5000.0},
}


def features(images: Tensor) -> Tensor:
    """The pixels of images [N, C, H, W] in [-1, 1], averaged to 8 x 8: float64 [N, C * 64]."""
    return adaptive_avg_pool2d(images, 8).flatten(1).double()


def images(dataset: Any, n: int | None = None) -> Tensor:
    return to_float(torch.stack([dataset[i].x for i in range(min(n or len(dataset), len(dataset)))]))


def train(trick: Mapping[str, Any], data: ImageDataModule, steps: int, seed: int, width: int) -> tuple[float, float]:
    """Trains for a number of batches: the Frechet distance to the images that did not train, and the seconds."""
    L.seed_everything(seed, verbose=False)
    model = DCGAN.for_data(data, **{"width": width, "latent": 32, **trick})
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    begun = time.process_time()
    trainer = L.Trainer(max_steps=steps, max_epochs=-1, limit_val_batches=0, accelerator="auto", devices=1, **quiet)
    trainer.fit(model, datamodule=data)
    seconds = time.process_time() - begun
    samples = model.eval().sample(SAMPLES, generator=torch.Generator().manual_seed(seed))
    return frechet_distance(features(samples.cpu()), features(held_out(data))), seconds


def held_out(data: ImageDataModule) -> Tensor:
    return torch.cat([images(part) for part in (data.val_set, data.test_set)])[:SAMPLES]


def dataset(arguments: argparse.Namespace, share: float) -> ImageDataModule:
    if arguments.data == "Digits":
        data: ImageDataModule = Digits(size=16)
    else:
        data = FashionMNIST(root=arguments.root, size=arguments.size, train_share=share)
    data.prepare_data()
    data.setup()
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tricks", nargs="+", default=list(TRICKS), choices=list(TRICKS))
    parser.add_argument("--data", default="Digits", choices=["Digits", "FashionMNIST"])
    parser.add_argument("--root", default="data", help="folder of Fashion-MNIST")
    parser.add_argument("--size", type=int, default=16, help="pixels of Fashion-MNIST")
    parser.add_argument("--shares", nargs="+", type=float, default=[1.0], help="shares of Fashion-MNIST's training images")
    parser.add_argument("--steps", type=int, default=300, help="batches of 64")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=16)
    arguments = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    sets = {share: dataset(arguments, share) for share in arguments.shares}
    found: dict[tuple[float, str], list[float]] = {}
    for seed in range(arguments.seeds):
        for share, data in sets.items():
            for name in arguments.tricks:
                distance, seconds = train(TRICKS[name], data, arguments.steps, seed, arguments.width)
                found.setdefault((share, name), []).append(distance)
                print(f"seed {seed}, {share:g} of the data, {name}: {distance:.2f}, {seconds:.0f} s", flush=True)
    print("| trick | share | Frechet distance | least | greatest |\n|---|---|---|---|---|")
    for share, data in sets.items():
        real = frechet_distance(features(images(data.train_set, SAMPLES)), features(held_out(data)))
        print(f"| training images | {share:g} | {real:.2f} | | |")
        for name in arguments.tricks:
            of_seeds = found[share, name]
            print(f"| {name} | {share:g} | {mean(of_seeds):.2f} | {min(of_seeds):.2f} | {max(of_seeds):.2f} |")


if __name__ == "__main__":
    main()
