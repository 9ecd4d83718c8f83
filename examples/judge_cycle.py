"""Judges checkpoints of cyclegan_maps, and of pix2pix beside them, on the held-out test tiles of the world.

python examples/judge_cycle.py runs/cyclegan_maps/version_0/checkpoints/last.ckpt [more.ckpt ...]
python examples/judge_cycle.py --a relief --b etopo runs/cyclegan_maps/version_1/checkpoints/last.ckpt

The tiles are pairs, though a CycleGAN has trained without any, so each translation can be held against the truth. For each
checkpoint and direction: the mean absolute error in [-1, 1] units, beside that of the mean colour of the training images;
the energy of high frequencies on generated images over that on true ones; and, where the output is the relief, the
intersection over union of land on generated and true ones. It also draws the first tiles: x, G(x), F(G(x)), y, F(y),
G(F(y)).
"""

import argparse
from pathlib import Path

import torch
from judge_maps import high_frequencies, land_of
from torch import Tensor

from ganzoo.adversarial import AdversarialModule
from ganzoo.data import WorldMaps
from ganzoo.interfaces import CycleTranslator, Translator
from ganzoo.models import Pix2Pix
from ganzoo.models.cyclegan import CycleGAN
from ganzoo.utils.image_grid import as_image, grid
from ganzoo.utils.images import to_float


def load(path: str) -> AdversarialModule:
    """The model of a checkpoint, told by its networks."""
    names = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    kind = CycleGAN if any(name.startswith("D_X.") for name in names) else Pix2Pix
    return kind.load_from_checkpoint(path, map_location="cpu").eval()


def verdict(made: Tensor, truth: Tensor, layer: str) -> str:
    """What is printed of one direction; images in [-1, 1], [N, 3, H, W]."""
    energy = high_frequencies(made) / high_frequencies(truth)
    line = f"L1 {(made - truth).abs().mean():.4f}, high frequencies {energy:.3f}"
    if layer == "relief":  # the rule for land is for the relief alone
        found, true = land_of(made), land_of(truth)
        line += f", land IoU {(found & true).sum() / (found | true).sum():.4f}"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--a", default="photo", choices=["photo", "relief", "etopo"], help="x, as the model was trained")
    parser.add_argument("--b", default="relief", choices=["photo", "relief", "etopo"], help="y")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--root", default="data")
    parser.add_argument("--image", type=Path, default=Path("judged_cycle.png"))
    args = parser.parse_args()

    data = WorldMaps(root=args.root, a=args.a, b=args.b, size=args.size, batch_size=4)
    data.prepare_data()
    data.setup("test")
    tiles = [data.test_set[i] for i in range(len(data.test_set))]
    seen = [data.train_set[0, i] for i in range(500)]
    x, y = (to_float(torch.stack(column)) for column in zip(*tiles, strict=True))
    print(f"{len(x)} tiles of {args.size} pixels")
    for name, truth, column in zip((args.a, args.b), (x, y), zip(*seen, strict=True), strict=True):
        mean_colour = to_float(torch.stack(column)).mean((0, 2, 3))[:, None, None]
        print(f"{name}: error of the mean colour {(truth - mean_colour).abs().mean():.4f}")

    for number, path in enumerate(args.checkpoints):
        model = load(path)
        assert isinstance(model, Translator)
        torch.manual_seed(0)  # dropout is pix2pix's noise
        fake_y = torch.cat([model.translate(batch) for batch in x.split(4)])
        print(f"{path}: {args.a} to {args.b}: {verdict(fake_y, y, args.b)}")
        columns = [x, fake_y, y]
        if isinstance(model, CycleTranslator):
            fake_x = torch.cat([model.translate_back(batch) for batch in y.split(4)])
            print(f"{path}: {args.b} to {args.a}: {verdict(fake_x, x, args.a)}")
            back_x = torch.cat([model.translate_back(batch) for batch in fake_y.split(4)])
            back_y = torch.cat([model.translate(batch) for batch in fake_x.split(4)])
            print(f"{path}: and back: L1 {(back_x - x).abs().mean():.4f} and {(back_y - y).abs().mean():.4f}")
            columns = [x, fake_y, back_x, y, fake_x, back_y]
        image = args.image if number == 0 else args.image.with_stem(f"{args.image.stem}_{number}")
        as_image(grid(torch.stack(columns, 1)[:8].flatten(0, 1), len(columns))).save(image)


if __name__ == "__main__":
    main()
