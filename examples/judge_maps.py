"""Judges checkpoints of pix2pix_maps on the held-out test tiles of the world.

python examples/judge_maps.py runs/pix2pix_maps/version_0/checkpoints/last.ckpt [more.ckpt ...]

For each checkpoint: the intersection over union of the land on generated and true maps, the energy of high frequencies on
generated maps over that on true ones, and the mean absolute error in [-1, 1] units, beside that of the mean colour of the
training maps. It also writes judged.png: of eight tiles the photograph, one map for each checkpoint, and the true map;
`--across 2` puts two tiles side by side.
"""

import argparse

import l1_alone  # noqa: F401  a checkpoint names its class, and only classes that are known are built
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganzoo import Pix2Pix
from ganzoo.data import WorldMaps
from ganzoo.data.world_maps import land
from ganzoo.utils.image_grid import grid
from ganzoo.utils.images import to_float, to_uint8


def high_frequencies(images: Tensor) -> Tensor:
    """Mean square of what a 5 x 5 box blur takes away. [N, C, H, W] -> scalar."""
    blurred = avg_pool2d(images, 5, stride=1, padding=2, count_include_pad=False)
    return (images - blurred).square().mean()


def land_of(images: Tensor) -> Tensor:
    """Floats in [-1, 1], [N, 3, H, W] -> bool [N, H, W]."""
    return torch.stack([land(image) for image in to_uint8(images)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--root", default="data")
    parser.add_argument(
        "--batch", type=int, default=1, help="tiles in a batch, whose statistics the norms use; as in training"
    )
    parser.add_argument("--image", default="judged.png")
    parser.add_argument("--across", type=int, default=1, help="tiles in a row of the image")
    args = parser.parse_args()

    data = WorldMaps(root=args.root, size=args.size, batch_size=4)
    data.prepare_data()
    data.setup("test")
    pairs = [data.test_set[i] for i in range(len(data.test_set))]
    x, y = (to_float(torch.stack(column)) for column in zip(*pairs, strict=True))
    sample = [to_float(data.train_set[0, i].y) for i in range(500)]
    mean_colour = torch.stack(sample).mean((0, 2, 3))[:, None, None]
    print(f"{len(x)} tiles of {args.size} pixels; error of the mean colour {(y - mean_colour).abs().mean():.4f}")

    columns, truth = [x], land_of(y)
    for path in args.checkpoints:
        model = Pix2Pix.load_from_checkpoint(path, map_location="cpu").eval()
        torch.manual_seed(0)  # dropout is the noise
        made = torch.cat([model.translate(batch) for batch in x.split(args.batch)])
        columns.append(made)
        found = land_of(made)
        overlap = (found & truth).sum() / (found | truth).sum()
        energy = high_frequencies(made) / high_frequencies(y)
        print(f"{path}: land IoU {overlap:.4f}, high frequencies {energy:.3f}, L1 {(made - y).abs().mean():.4f}")
    columns.append(y)
    shown = grid(torch.stack(columns, 1)[:8].flatten(0, 1), len(columns) * args.across)
    Image.fromarray(shown.permute(1, 2, 0).numpy()).save(args.image)


if __name__ == "__main__":
    main()
