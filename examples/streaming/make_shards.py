"""Shards of images, for data larger than a machine, from a folder or from another DataModule.

python examples/streaming/make_shards.py photos shards --labelled        files as they are: photos/cat/1.jpg ...
python examples/streaming/make_shards.py Digits shards                   a DataModule of ganzoo.data
python examples/streaming/make_shards.py Paired shards --set root=facades --set mirror=false --set load_size=256

then: ganzoo fit --config gan_digits --data Streaming --data.root shards
Needs pip install examples/streaming. For a bucket, copy the folder there when it is written.
"""

import argparse
from pathlib import Path

import yaml
from ganzoo_streaming import write_shards
from tqdm import tqdm

import ganzoo.data

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("source", help="a folder of images, or the name of a DataModule")
parser.add_argument("root", help="folder to be made")
parser.add_argument("--labelled", action="store_true", help="of a folder: the first folder below is the class")
parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an argument of the DataModule")
parser.add_argument("--shard-mb", type=float, default=64.0, help="megabytes in a shard")
parser.add_argument("--seed", type=int, default=0, help="of the shuffling of the training images")
args = parser.parse_args()

given = {name: yaml.safe_load(value) for name, value in (pair.split("=", 1) for pair in args.set)}
if Path(args.source).is_dir():
    data = ganzoo.data.ImageFolder(args.source, labelled=args.labelled, **given)
elif hasattr(ganzoo.data, args.source):
    data = getattr(ganzoo.data, args.source)(**given)
else:
    parser.error(f"{args.source} is neither a folder nor a DataModule of ganzoo.data")
data.prepare_data()
data.setup()

with tqdm(desc=f"writing {args.root}", unit=" images") as bar:

    def tick(done: int, of: int) -> None:
        bar.total = of
        bar.update(done - bar.n)

    write_shards(data, args.root, shard_mb=args.shard_mb, seed=args.seed, tick=tick)
shards = sum(1 for _ in Path(args.root).glob("*/*.bin"))
print(f"{bar.n} images in {shards} shards below {args.root}")
