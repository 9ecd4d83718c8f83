"""A folder of images through a trained pix2pix: ``python translate.py last.ckpt photos maps --size 256``."""

import argparse
from pathlib import Path

import torch
from PIL import Image

from ganzoo.data.images import find_images, read_image, resize
from ganzoo.models import Pix2Pix
from ganzoo.utils.images import to_float, to_uint8

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("checkpoint")
parser.add_argument("source", type=Path, help="the folder of images")
parser.add_argument("target", type=Path, help="the folder for the PNG files")
parser.add_argument("--size", type=int, default=256, help="pixels; a multiple of 2 to the power of the U-Net's depth")
parser.add_argument("--seed", type=int, default=0, help="of the dropout, which is the generator's noise")
args = parser.parse_args()

device = "cuda" if torch.cuda.is_available() else "cpu"
model = Pix2Pix.load_from_checkpoint(args.checkpoint, map_location=device)
torch.manual_seed(args.seed)
for path in find_images(args.source):
    x = resize(read_image(path, channels=model.inputs), args.size, args.size)  # uint8 [C, size, size]
    y = to_uint8(model.translate(to_float(x)[None].to(device)))[0].cpu()
    target = (args.target / path.relative_to(args.source)).with_suffix(".png")
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(y.permute(1, 2, 0).squeeze(-1).numpy()).save(target)
    print(f"{path} -> {target}")
