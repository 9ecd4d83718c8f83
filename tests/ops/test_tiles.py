"""A large image in tiles: the same as at once, to rounding, in a fixed amount of memory."""

import itertools
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from ganzoo.networks.norms import BatchNorm, BatchStatistics, InstanceNorm, LayerNorm, NoNorm
from ganzoo.networks.pix2pix import UNet
from ganzoo.networks.resnet import ResNet
from ganzoo.networks.upsampling import NearestConvolution
from ganzoo.ops.recording import record
from ganzoo.ops.regions import Box
from ganzoo.ops.tiles import Tiling

NORMS = (BatchNorm(), BatchStatistics(), InstanceNorm(affine=True), LayerNorm(), NoNorm())


def networks():
    for norm in NORMS:
        yield f"unet-{type(norm).__name__}", lambda norm=norm: UNet(depth=4, width=3, norm=norm.layer)
        yield f"resnet-{type(norm).__name__}", lambda norm=norm: ResNet(blocks=2, width=3, norm=norm.layer)
    yield "plain encoder-decoder", lambda: UNet(depth=3, width=3, skips=False)
    yield "nearest", lambda: UNet(depth=3, width=3, double=NearestConvolution().layer)


def trained(make) -> nn.Module:
    """A network whose weights and running averages are large enough to matter."""
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():
        for name, value in itertools.chain(net.named_parameters(), net.named_buffers()):
            if value.ndim == 4:
                value.mul_(6)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif value.is_floating_point():
                value.normal_(std=0.3)
    return net


def in_tiles(net: nn.Module, x: Tensor, tile: int, scratch=None, wanted: Box | None = None, seed: int = 3) -> Tensor:
    size = (x.shape[2], x.shape[3])
    wanted = wanted or Box.whole(size)
    made = torch.full((1, 3, wanted.bottom - wanted.top, wanted.right - wanted.left), float("nan"))

    def write(box, piece):
        part = box.of(made, wanted)
        assert part.isnan().all(), "each pixel is written once"
        part.copy_(piece)

    tiling = Tiling(record(net, x[..., :32, :32]), size, tile, scratch)
    count = []
    torch.manual_seed(seed)
    tiling.run(lambda box: box.of(x, Box.whole(size)), write, wanted, lambda: count.append(1))
    if wanted == Box.whole(size):
        assert len(count) == tiling.plan.tiles
    return made


@pytest.mark.parametrize(("name", "make"), [*networks()], ids=lambda value: value if isinstance(value, str) else "")
def test_tiles_are_equal_to_the_whole(name, make, tmp_path):
    net, x = trained(make), torch.rand(1, 3, 96, 144, generator=torch.Generator().manual_seed(1)) * 2 - 1
    x[..., 60:, :] = 0.9  # other statistics in another place
    torch.manual_seed(3)
    with torch.no_grad():
        whole = net(x)
    assert whole.std() > 0.05
    made = in_tiles(net, x, 48, tmp_path)
    assert (made - whole).abs().max() < 1e-4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [lambda: UNet(depth=3, width=3), lambda: ResNet(blocks=1, width=3)])
def test_without_a_disk_maps_are_computed_again(make, tmp_path):
    net, x = trained(make), torch.rand(1, 3, 72, 64) * 2 - 1
    torch.manual_seed(3)
    with torch.no_grad():
        whole = net(x)
    assert (in_tiles(net, x, 40) - whole).abs().max() < 1e-4
    steps = record(net, x)
    size = (2048, 2048)
    kept, again = Tiling(steps, size, 256, tmp_path).plan, Tiling(steps, size, 256).plan
    assert again.work >= kept.work > 0.9
    assert again.kept <= Tiling(steps, size, 256).memory
    if isinstance(net, ResNet):
        assert again.work > 2 * kept.work
        assert kept.kept > again.kept


def test_the_noise_of_dropout_is_that_of_the_whole():
    net, x = trained(lambda: UNet(depth=4, width=3)), torch.rand(1, 3, 80, 96) * 2 - 1
    one, same, other = (in_tiles(net, x, 48, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert (one - other).abs().max() > 1e-2


def test_a_region_of_the_output_is_what_is_written():
    net, x = trained(lambda: ResNet(blocks=1, width=3)), torch.rand(1, 3, 64, 80) * 2 - 1
    wanted = Box(3, 50, 7, 79)
    with torch.no_grad():
        whole = net(x)
    assert (in_tiles(net, x, 40, wanted=wanted) - wanted.of(whole, Box.whole((64, 80)))).abs().max() < 1e-4


def test_a_norm_by_each_tile_would_be_seen():
    """What the tests above would find wrong: tiles that are translated one by one differ."""
    net, x = trained(lambda: ResNet(blocks=1, width=3)), torch.rand(1, 3, 64, 64) * 2 - 1
    x[..., 32:, :] = 0.9
    with torch.no_grad():
        halves = torch.cat([net(x[..., :32, :]), net(x[..., 32:, :])], 2)
        assert (halves - net(x)).abs().max() > 0.1


@pytest.mark.parametrize("make", [lambda: UNet(depth=6, width=8), lambda: ResNet(blocks=6, width=8)])
def test_memory_stays_the_same_however_large_the_image(make, tmp_path):
    """Of the plan: no tile's pieces, and no maps in memory, take more than the memory that a tile was given."""
    steps = record(make().eval(), torch.rand(1, 3, 64, 64))
    memories = set()
    for side in (512, 1024, 4096, 10240):
        tiling = Tiling(steps, (side, side), 512, tmp_path)
        memories.add(tiling.memory)
        assert tiling.plan.work < 3
        for number, (target, _, _, tile) in enumerate(tiling.plan.passes):
            kept = {each.target for each in tiling.plan.passes[:number] if each.keeps}
            assert tile[0] * tile[1] <= 640 * 640
            assert peak(tiling, target, tile, kept) <= tiling.memory
    assert len(memories) == 1


def peak(tiling: Tiling, target, tile, kept) -> int:
    """The bytes of the pieces of the tile in the middle of an image, counted as they come and go."""
    from ganzoo.ops.tiles import _middle, _peak

    return _peak(tiling.steps, tiling._route(target, _middle(tiling.sizes[target], tile), kept))


# VmHWM is of this process alone; getrusage would begin at its parent's peak
PEAK = r"""
import re, sys, torch
from ganzoo.networks.pix2pix import UNet
from ganzoo.networks.resnet import ResNet
from ganzoo.ops.recording import record
from ganzoo.ops.regions import Box
from ganzoo.ops.tiles import Tiling
from pathlib import Path

torch.set_num_threads(1)
net = {"unet": UNet(depth=7, width=4), "resnet": ResNet(blocks=2, width=4)}[sys.argv[1]].eval()
side, size = int(sys.argv[2]), (int(sys.argv[2]),) * 2
row = torch.rand(1, 3, 1, side)  # an image of equal rows takes no memory
tiling = Tiling(record(net, torch.rand(1, 3, 128, 128)), size, 256, Path(sys.argv[3]))
read = lambda box: row[..., box.left : box.right].expand(-1, -1, box.bottom - box.top, -1)
tiling.run(read, lambda *_: None, Box.whole(size))
peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
print(int(peak) / 1024, tiling.memory / 2**20, tiling.plan.kept / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="asks Linux for the peak of the memory")
@pytest.mark.parametrize("kind", ["unet", "resnet"])
def test_the_memory_of_a_process_stays_the_same(kind, tmp_path):
    def peak_of(side: int) -> tuple[float, ...]:
        command = [sys.executable, "-c", PEAK, kind, str(side), str(tmp_path)]
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        return tuple(map(float, told.stdout.split()))

    small, large = peak_of(512), peak_of(2048)
    print(f"\n{kind}: MiB at 0.3 megapixels {small}, at 4 {large}")
    if kind == "resnet":
        assert large[2] > 40  # MiB of maps that are kept at the same time, on the disk
    assert large[0] - small[0] < 30
