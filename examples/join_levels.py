"""One LAPGAN from levels that were trained alone, at the same time or on different machines.

ganzoo fit --config lapgan_fashion --model.only 0    # and 1, and 2
python join_levels.py runs/lapgan_fashion/version_{0,1,2}/checkpoints/last.ckpt --out lapgan.ckpt
python sample.py LAPGAN lapgan.ckpt

The picture shows the cascade: each level's output from the same noise, coarsest first.
"""

import argparse

import lightning.pytorch as L
import torch
from PIL import Image
from torch.nn.functional import interpolate

from ganzoo.models.lapgan import LAPGAN
from ganzoo.utils.image_grid import as_image, grid

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("checkpoints", nargs="+", help="one of each level, in any order")
parser.add_argument("--out", default="lapgan.ckpt")
parser.add_argument("--picture", default="cascade.png")
args = parser.parse_args()

model = LAPGAN.join(args.checkpoints).eval()
keeper = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
keeper.strategy.connect(model)
keeper.save_checkpoint(args.out)

levels = model.cascade(10, generator=torch.Generator().manual_seed(0))  # [10, C, size, size] in [-1, 1], coarsest first
picture: Image.Image = as_image(grid(torch.cat([interpolate(level, model.sizes[-1]) for level in levels]), 10))
picture.save(args.picture)
print(f"{len(levels)} levels in {args.out}, their cascade in {args.picture}")
