"""Does a photograph made from a label map show what the map says, where it says so?

python examples/segmentation_agreement.py last.ckpt                                      # relief to photograph, the world
python examples/segmentation_agreement.py last.ckpt --root cityscapes --direction BtoA   # pairs in a folder

A small network learns on real training pairs to read the labels from photographs, and then reads them from generated ones.
This stands in the place of the pix2pix paper's FCN-score, and is not comparable with it: the reader is another one. Good is
what it reads from real photographs (above that, they are plainer than real ones), and chance is the most frequent class
everywhere.

The labels are the model's input, told by their colours, which are found in the training set. Of the relief they are the
three main ones.
"""

import argparse

import torch
from segmentation import (
    Segmentation,
    classes_of,
    confusion,
    figures,
    palette,
    segmentation_agreement,
    train_segmenter,
)
from torch import Tensor

from ganzoo import Pix2Pix
from ganzoo.data import Paired, WorldMaps
from ganzoo.data.base import ImageDataModule
from ganzoo.utils.images import to_float, to_uint8


def pairs(dataset: torch.utils.data.Dataset, most: int) -> tuple[Tensor, Tensor]:
    """Labels and photographs, uint8 [N, C, H, W] each."""
    found = [dataset[i] for i in range(min(most, len(dataset)))]
    return torch.stack([pair.x for pair in found]), torch.stack([pair.y for pair in found])


def data_of(args: argparse.Namespace) -> ImageDataModule:
    if args.root is None:
        return WorldMaps(root=args.world, size=args.size, a="photo", b=args.labels, direction="BtoA")
    return Paired(args.root, direction=args.direction, size=args.size, load_size=args.size, mirror=False)


def line(name: str, found: Segmentation) -> str:
    return f"{name}: pixels {found.pixels:.3f}, classes {found.classes:.3f}, IoU {found.iou:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="*", help="of Pix2Pix, from labels to photographs")
    parser.add_argument("--root", help="folder of pairs; left out, the world's relief and photographs")
    parser.add_argument("--direction", default="AtoB", help="AtoB where A is the labels")
    parser.add_argument("--world", default="data", help="folder of the world's maps")
    parser.add_argument("--labels", default="relief", help="the world's image that is taken for labels: relief or etopo")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--most", type=int, help="classes; left out, 3 of the world, at most 32 of others")
    parser.add_argument("--pairs", type=int, default=1000, help="training pairs at most")
    parser.add_argument("--steps", type=int, default=1000, help="of the reader's training")
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = data_of(args)
    data.prepare_data()
    data.setup()
    labels, photographs = pairs(data.train_set, args.pairs)
    colours = palette(labels, args.most or (3 if args.root is None else 32))
    print(f"{len(colours)} classes: {', '.join('#' + bytes(colour).hex() for colour in colours.tolist())}")
    reader = train_segmenter(photographs, classes_of(labels, colours), len(colours), steps=args.steps, device=device)

    labels, photographs = pairs(data.test_set, 10**9)
    truth = classes_of(labels, colours)
    everywhere = torch.full_like(truth, int(truth.flatten().bincount().argmax()))
    print(f"{len(truth)} test pairs of {args.size} pixels; the reader learned on {min(args.pairs, len(data.train_set))}")
    print(line("chance", figures(confusion(truth, everywhere, len(colours)))))
    print(line("real photographs", segmentation_agreement(reader, photographs, truth)))
    for path in args.checkpoints:
        model = Pix2Pix.load_from_checkpoint(path, map_location=device).eval()
        torch.manual_seed(0)  # dropout is the noise
        made = torch.cat([to_uint8(model.translate(to_float(part).to(device))).cpu() for part in labels.split(4)])
        print(line(path, segmentation_agreement(reader, made, truth)))


if __name__ == "__main__":
    main()
