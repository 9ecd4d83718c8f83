"""Images from a trained model: ``python sample.py GAN runs/gan_digits/version_0/checkpoints/last.ckpt``."""

import argparse

import torch
from PIL import Image

from ganzoo import models
from ganzoo.interfaces import Sampler
from ganzoo.utils.image_grid import grid

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model", help="the class: GAN, SimultaneousGAN, DCGAN, CGAN ...")
parser.add_argument("checkpoint")
parser.add_argument("--n", type=int, default=100, help="how many images")
parser.add_argument("--digit", type=int, help="of which class, for a CGAN; all by turns if left out")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", default="samples.png")
args = parser.parse_args()

model: Sampler = getattr(models, args.model).load_from_checkpoint(args.checkpoint, map_location="cpu")
model.eval()  # no dropout, and batch norm with the averages of the training
y = None if args.digit is None else torch.full((args.n,), args.digit)
images = model.sample(args.n, y=y, generator=torch.Generator().manual_seed(args.seed))  # [n, C, H, W] in [-1, 1]

board = grid(images, columns=10).permute(1, 2, 0).squeeze(-1)
Image.fromarray(board.numpy()).save(args.out)
print(f"{args.n} images of {'x'.join(map(str, images.shape[1:]))} in {args.out}")
