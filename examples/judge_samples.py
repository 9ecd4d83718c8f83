"""Parzen-window log-likelihood and a Frechet distance of checkpoints that make images from noise, and their samples.

python examples/judge_samples.py --data FashionMNIST LAPGAN=runs/lapgan_fashion/version_0/checkpoints/last.ckpt [GAN=...]

10,000 samples, the width chosen on 1,000 validation images, judged on the test images, pixels in [0, 1] (Goodfellow et
al. 2014, section 5). Training images in the samples' place say what a perfect model would have.

The Frechet distance to the test images is on 64 features of a small convolutional classifier, trained here on the training
images in two epochs from a fixed seed; its accuracy is printed. It is comparable within one run of this script only.
"""

import argparse
import inspect
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import ganzoo.data
import ganzoo.models
from ganzoo.data.batches import as_float
from ganzoo.metrics.frechet import frechet_distance
from ganzoo.metrics.parzen import SAMPLES, TEST, VALIDATION, LogLikelihood, protocol
from ganzoo.utils.image_grid import as_image, grid
from ganzoo.utils.images import to_float


def images(dataset: torch.utils.data.Dataset, n: int) -> Tensor:
    """The first n in [0, 1], [n, C * H * W]."""
    found = [dataset[i].x for i in range(min(n, len(dataset)))]
    return unit(to_float(torch.stack(found)))


def unit(images: Tensor) -> Tensor:
    return images.add(1).div(2).flatten(1)


def parzen(*sets: Tensor) -> LogLikelihood:
    """The protocol of 2014, with the numbers of images that there are."""
    counts = tuple(map(len, sets))
    if counts != (SAMPLES, VALIDATION, TEST):
        print(f"of {counts[0]} samples, {counts[1]} validation and {counts[2]} test images, which is not the protocol:")
    return protocol(*sets, counts=counts)


def sampled(kind: str, path: str, n: int) -> Tensor:
    """Samples of a checkpoint, in [-1, 1]."""
    model = getattr(ganzoo.models, kind).load_from_checkpoint(path, map_location="cpu").eval()
    g = torch.Generator().manual_seed(0)
    return torch.cat([model.sample(min(500, n - i), generator=g) for i in range(0, n, 500)])


class Small(nn.Module):
    """A classifier whose features the distance is measured on."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(shape[0], 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 5, 2, 2), nn.ReLU(), nn.Flatten(),
            nn.LazyLinear(64), nn.ReLU(),
        )  # fmt: skip
        self.classes = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(self.features(x))


def trained(data: ganzoo.data.MNIST) -> Small:
    torch.manual_seed(0)
    net = Small(data.shape, data.classes)
    net(torch.zeros(1, *data.shape))  # the lazy layer learns its size
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    loader = data.train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            x, y, *_ = as_float(batch)
            optimizer.zero_grad()
            cross_entropy(net(x), y).backward()
            optimizer.step()
    return net.eval()


@torch.no_grad()
def features(net: Small, images: Tensor, shape: tuple[int, int, int]) -> np.ndarray:
    """[N, 64] of images in [0, 1], [N, C * H * W]."""
    return torch.cat([net.features(part) for part in images.mul(2).sub(1).view(-1, *shape).split(500)]).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", metavar="MODEL=PATH")
    parser.add_argument("--data", default="FashionMNIST")
    parser.add_argument("--root", default="data")
    parser.add_argument("--size", type=int, help="pixels, where the model's are not the data's own")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--image", type=Path, default=Path("judged_samples.png"))
    args = parser.parse_args()

    given = {"root": args.root, "size": args.size}
    known = inspect.signature(getattr(ganzoo.data, args.data)).parameters
    data = getattr(ganzoo.data, args.data)(**{k: v for k, v in given.items() if v is not None and k in known})
    data.prepare_data()
    data.setup()
    validation, test = images(data.val_set, 1000), images(data.test_set, 10_000)
    train = images(data.train_set, args.n)
    net = trained(data)
    told = torch.cat([net(as_float(batch).x).argmax(1) == batch.y for batch in data.test_dataloader()])
    print(f"the classifier tells {told.float().mean():.1%} of the test images rightly")
    true = features(net, test, data.shape)
    print(f"training images: Frechet distance {frechet_distance(features(net, train, data.shape), true):.2f}")
    rows = []
    for name in args.checkpoints:
        samples = sampled(*name.split("=", 1), args.n)
        print(f"{name}: Frechet distance {frechet_distance(features(net, unit(samples), data.shape), true):.2f}")
        found = parzen(unit(samples), validation, test)
        print(f"{name}: {found.mean:.1f} +- {found.error:.1f} nats, sigma {found.sigma:.3f}, {len(samples)} samples")
        rows.append(samples[:48])
    found = parzen(train, validation, test)
    few = "" if len(train) == args.n else ": fewer than the samples above, so not their bound"
    print(f"{len(train)} training images: {found.mean:.1f} +- {found.error:.1f} nats, sigma {found.sigma:.3f}{few}")
    as_image(grid(torch.cat(rows), 16)).save(args.image)
    print(f"{args.image}: 48 samples of each, in the order of the checkpoints")


if __name__ == "__main__":
    main()
