"""One LAPGAN from levels that were trained alone, at the same time or on different machines.

ganzoo fit --config lapgan_fashion --model.train_level 0    # and 1, and 2
python join_levels.py runs/lapgan_fashion/version_{0,1,2}/checkpoints/last.ckpt --out lapgan.ckpt
ganzoo generate lapgan.ckpt -n 8 --levels

The image shows the cascade: each level's output from the same noise, coarsest first.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from PIL import Image
from torch.nn.functional import interpolate

from ganzoo.errors import InputError
from ganzoo.models.lapgan import LAPGAN
from ganzoo.training.ema import swap_weights
from ganzoo.utils.image_grid import as_image, grid

OF_TRAINING = (
    *("train_level", "loss", "lr", "momentum", "optimizers", "schedules", "rates"),
    *("clip_norm", "accumulate", "ema_half_life", "ema_ramp"),
)


def join(checkpoints: Iterable[str | Path]) -> LAPGAN:
    """Joins checkpoints of single levels, each trained with its ``train_level``, into one model on the CPU.

    Raises:
        InputError: a level is missing or there twice, or the models differ in more than their training.
    """
    parts = [LAPGAN.load_from_checkpoint(path, map_location="cpu") for path in checkpoints]
    kinds = [{k: v for k, v in part.hparams.items() if k not in OF_TRAINING and k[0] != "_"} for part in parts]
    for kind in kinds[1:]:
        for name in kind:
            if kind[name] != kinds[0][name]:
                raise InputError(f"levels of one pyramid agree in {name}, and not {kinds[0][name]} and {kind[name]}")
    found: list[Any] = [part.train_level for part in parts]
    levels = list(range(len(parts[0].sizes))) if parts else []
    if not parts or len(found) != len(levels) or set(found) != set(levels):
        raise InputError(
            f"a whole pyramid needs one checkpoint of each level, trained with model.train_level: {levels}, and not {found}"
        )
    whole = type(parts[0])(**kinds[0])
    for k, part in zip(found, parts, strict=True):
        with swap_weights(part, part.ema):
            whole.G[k], whole.D[k] = part.G[k].requires_grad_(), part.D[k]
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", help="one of each level, in any order")
    parser.add_argument("--out", default="lapgan.ckpt")
    parser.add_argument("--image", default="cascade.png")
    args = parser.parse_args()

    model = join(args.checkpoints).eval()
    keeper = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    keeper.strategy.connect(model)
    keeper.save_checkpoint(args.out)

    levels = model.cascade(10, generator=torch.Generator().manual_seed(0))  # [10, C, size, size] in [-1, 1], coarsest first
    image: Image.Image = as_image(grid(torch.cat([interpolate(level, model.sizes[-1]) for level in levels]), 10))
    image.save(args.image)
    print(f"{len(levels)} levels in {args.out}, their cascade in {args.image}")


if __name__ == "__main__":
    main()
