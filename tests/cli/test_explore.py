"""``ganzoo explore``: each picture shows what it says, the same again; and one line for what cannot be drawn."""

import subprocess
import sys
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from PIL import Image, ImageDraw
from support.zoo import build

from ganzoo.cli import main
from ganzoo.cli.explore import MODES
from ganzoo.data import Digits
from ganzoo.inference import combine, concept, discriminator_opinion, generate, invert, manifold, walk
from ganzoo.inference.encoder import Encoder
from ganzoo.metrics.extractors.classifier import SmallClassifier
from ganzoo.utils.image_grid import GAP, SMALLEST_TILE
from ganzoo.utils.images import to_float, to_uint8
from ganzoo.utils.png import read_record
from ganzoo.utils.weights import weights_sha256


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a checkpoint of each kind."""
    folder = tmp_path_factory.mktemp("explore")
    for name in ("GAN", "CGAN", "LAPGAN"):
        model = build(name)
        with torch.no_grad():  # untrained weights hardly hear the noise
            for weight in model.G.parameters():
                weight.mul_(16 if weight.ndim > 1 and name != "LAPGAN" else 1)
        kept[name] = model.eval()
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = L.Trainer(accelerator="cpu", max_epochs=0, **quiet)
        trainer.strategy.connect(model)
        trainer.save_checkpoint(folder / f"{name}.ckpt")
    return folder


kept = {}


@pytest.fixture(autouse=True)
def here(home, monkeypatch, tmp_path):
    for path in home.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explore(*args):
    return main(["explore", *args])


def pixels(path):
    with Image.open(path) as image:
        bands = len(image.getbands())
        flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return flat.view(image.height, image.width, bands).permute(2, 0, 1)


def tile(board, row, column, size=8):
    """A tile of a sheet, at its own size."""
    shown = max(size, SMALLEST_TILE)
    top, left = (GAP + place * (shown + GAP) for place in (row, column))
    return board[:, top : top + shown, left : left + shown][:, :: shown // size, :: shown // size]


def test_rows_of_pairs_begin_and_end_at_their_seeds(here):
    model = kept["GAN"]
    assert explore("interpolate", "GAN.ckpt", "--seeds", "3,5,7,2", "--steps", "5", "--interpolation", "both") == 0
    board = pixels("interpolation.png")
    assert board.shape == (1, 4 * 34 + 2, 5 * 34 + 2)
    for row, (pair, way) in enumerate([([3, 5], "slerp"), ([3, 5], "lerp"), ([7, 2], "slerp"), ([7, 2], "lerp")]):
        frames = walk(model, pair, 4, way)
        assert torch.equal(torch.stack([tile(board, row, k) for k in range(5)]), frames)
        assert torch.equal(frames[[0, -1]], generate(model, pair))
    assert read_record(here / "interpolation.png") == {
        "explore": "interpolate",
        "model": "GAN",
        "weights_sha256": weights_sha256(model),
        "seeds": "3,5,7,2",
        "interpolation": "both",
    }


def test_a_trajectory_passes_its_seeds_and_moves(here):
    model, args = kept["CGAN"], ("--seeds", "3,1,2", "--steps", "4", "--class", "2,0,1")
    assert explore("trajectory", "CGAN.ckpt", *args, "--animation", "way.webp", "--frames", "5") == 0
    board = pixels("trajectory.png")
    ends = generate(model, [3, 1, 2], [2, 0, 1])
    assert board.shape == (1, 2 * 34 + 2, 4 * 34 + 2)
    for row in (0, 1):
        assert torch.equal(tile(board, row, 0), ends[row])
        assert torch.equal(tile(board, row, 3), ends[row + 1])
    frames = walk(model, [3, 1, 2], 5, classes=[2, 0, 1])
    with Image.open("way.webp") as moving:
        assert moving.n_frames == 11
        for k in (0, 3, 5, 10):
            moving.seek(k)
            grey = torch.frombuffer(bytearray(moving.convert("L").tobytes()), dtype=torch.uint8).view(128, 128)
            assert torch.equal(grey[::16, ::16], frames[k, 0])


def test_a_plane_of_one_class(here):
    assert explore("manifold", "CGAN.ckpt", "--size", "3", "--class", "1", "--seed", "4", "--axes", "2,0") == 0
    expected = manifold(kept["CGAN"], 3, (2, 0), 4, 1)
    board = pixels("manifold.png")
    assert torch.equal(torch.stack([tile(board, *divmod(k, 3)) for k in range(9)]), expected)
    assert read_record(here / "manifold.png")["class"] == 1


def test_a_sum_of_concepts(here):
    model = kept["GAN"]
    assert explore("arithmetic", "GAN.ckpt", "--minus", "4,5", "--plus", "1,2,3", "--plus=7", "--noise", "0") == 0
    result = combine(model, [concept(model, seeds) for seeds in ([4, 5], [1, 2, 3], [7])], [-1, 1, 1])
    image = to_uint8(model.decode(result.noise))[0]
    board = pixels("arithmetic.png")
    assert board.shape[1] == 4 * 34 + 2  # three exemplars and their mean
    column = 34 + 2  # of one tile: that of a sign, then that of a concept
    first = board[:, 34:, column : 2 * column]  # two exemplars: one tile lower
    for row, seed in enumerate((4, 5)):
        assert torch.equal(tile(first, row, 0), generate(model, [seed])[0])
    assert torch.equal(tile(first, 2, 0), to_uint8(model.decode(concept(model, [4, 5]).noise))[0])
    nine = board[:, 34:, 7 * column :]
    assert nine.shape[2] == 3 * 34 + 2
    for k in range(9):  # without noise all are the centre
        assert torch.equal(tile(nine, *divmod(k, 3)), image)
    assert read_record(here / "arithmetic.png")["terms"] == "- 4,5 + 1,2,3 + 7"
    assert explore("arithmetic", "GAN.ckpt", "--plus", "1,2", "--noise", "3", "--out", "b.png") == 0
    nine = pixels("b.png")[:, :, 3 * column :]
    centre = to_uint8(model.decode(concept(model, [1, 2]).noise))[0]
    assert [torch.equal(tile(nine, *divmod(k, 3)), centre) for k in range(9)] == [k == 4 for k in range(9)]


def test_samples_beside_their_neighbours(here, capsys):
    for k, image in enumerate(generate(kept["GAN"], [0, 1, 2])):
        (here / "folder").mkdir(exist_ok=True)
        Image.fromarray(image[0].numpy()).save(here / "folder" / f"{2 - k}.png")
    assert explore("neighbours", "GAN.ckpt", "--seeds", "1,2", "--k", "2", "--images", "folder") == 0
    board = pixels("neighbours.png")
    for row in (0, 1):
        assert torch.equal(tile(board, row, 0), tile(board, row, 1))  # its copy
        assert not torch.equal(tile(board, row, 0), tile(board, row, 2))
    assert explore("neighbours", "GAN.ckpt", "--out", "b.png") == 2
    assert "does not say what it was trained on: give a folder of images, --images FOLDER" in capsys.readouterr().err


def test_samples_beside_the_data_of_the_training(here):
    assert explore("neighbours", "cgan_digits", "--seeds", "0,1", "--k", "1") == 0
    board = pixels("neighbours.png")
    data = Digits()
    data.prepare_data()
    data.setup("fit")
    training = torch.stack([sample.x for sample in data.train_set])
    for row in (0, 1):
        distances = (training.double() - tile(board, row, 0).double()).square().flatten(1).sum(1)
        assert torch.equal(tile(board, row, 1), training[distances.argmin()])


def test_an_image_is_searched_from_an_encoder_too(here, capsys):
    assert explore("encoder", "GAN.ckpt", "--steps", "3", "--out", "e.safetensors") == 0
    assert "R^2 of the noise that it recovers" in capsys.readouterr().err
    model = kept["GAN"]
    image = generate(model, [50])[0]
    Image.fromarray(image[0].numpy()).save("own.png")
    search = ("--starts", "2", "--steps", "30", "--encoder", "e.safetensors")
    assert explore("invert", "GAN.ckpt", "own.png", *search) == 0
    found = invert(model, image, 2, 30, encoder=Encoder.load("e.safetensors", model))
    board = pixels("inversion.png")
    assert torch.equal(tile(board, 0, 0), image)
    for k in range(3):
        assert torch.equal(tile(board, 0, k + 1), found[k].image)
    assert f"own.png: mean squared error {found[0].error:.2g} in [-1, 1], from " in capsys.readouterr().err


def test_an_image_of_another_size_is_resized_and_said(here, capsys):
    Image.new("RGB", (30, 20), (255, 0, 0)).save("wide.png")
    assert explore("invert", "CGAN.ckpt", "wide.png", "--starts", "1", "--steps", "1", "--class", "0,2") == 0
    line = capsys.readouterr().err
    assert "wide.png is 20 x 30: its middle square was resized to 8 x 8" in line
    assert ", class 0" in line or ", class 2" in line
    assert torch.equal(tile(pixels("inversion.png"), 0, 0), torch.full((1, 8, 8), 76, dtype=torch.uint8))


def test_features_of_a_network_are_compared_too(here, capsys):
    torch.manual_seed(0)
    SmallClassifier((1, 8, 8), 3, "").save("c.pt")
    Image.fromarray(generate(kept["GAN"], [50])[0, 0].numpy()).save("own.png")
    search = ("--starts", "1", "--steps", "5", "--extractor", "c.pt", "--feature_weight")
    for weight in ("0", "1000"):
        assert explore("invert", "GAN.ckpt", "own.png", *search, weight, "--out", f"{weight}.png") == 0
    assert not torch.equal(tile(pixels("0.png"), 0, 1), tile(pixels("1000.png"), 0, 1))
    Path("folder").mkdir()
    Path("own.png").rename("folder/own.png")
    assert explore("neighbours", "GAN.ckpt", "--seeds", "3", "--images", "folder", "--extractor", "c.pt") == 0
    assert read_record(here / "neighbours.png")["extractor"] == "c.pt"
    assert explore("neighbours", "GAN.ckpt", "--images", "folder", "--extractor", "effflite0", "--overwrite") == 2
    assert "there is no extractor and no file 'effflite0'" in capsys.readouterr().err


def paint(path, size, **line):
    strokes = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    ImageDraw.Draw(strokes).rectangle((0, 0, size // 2 - 1, size // 4 - 1), **line)
    strokes.save(path)


def test_an_edit_shows_the_start_the_strokes_and_the_result(here, capsys):
    paint("strokes.png", 8, fill=(255, 255, 255, 255))
    assert explore("edit", "GAN.ckpt", "strokes.png", "--seed", "3", "--closeness", "0.01", "--animation", "way.gif") == 0
    board, start = pixels("edit.png"), generate(kept["GAN"], [3])[0]
    assert torch.equal(tile(board, 0, 0), start)
    painted = start.clone()
    painted[:, :2, :4] = 255
    assert torch.equal(tile(board, 0, 1), painted)
    result = tile(board, 0, 2)
    assert result[:, :2, :4].double().mean() > start[:, :2, :4].double().mean() + 5
    with Image.open("way.gif") as moving:
        assert moving.n_frames > 1
    paint("large.png", 32, fill=(255, 255, 255, 255))
    capsys.readouterr()
    assert explore("edit", "GAN.ckpt", "large.png", "--seed", "3", "--closeness", "0.01", "--out", "b.png") == 0
    assert "large.png is 32 x 32: it was resized to 8 x 8" in capsys.readouterr().err
    resized = tile(pixels("b.png"), 0, 1)
    assert torch.equal(resized[:, :1, :3], painted[:, :1, :3])  # white up to the edge: nothing of the ground flows in
    assert torch.equal(resized[:, 4:], painted[:, 4:])
    Image.fromarray(generate(kept["GAN"], [5])[0, 0].numpy()).save("own.png")
    assert explore("edit", "GAN.ckpt", "strokes.png", "--image", "own.png", "--out", "c.png") == 0
    assert "own.png: the nearest image has a mean squared error of" in capsys.readouterr().err


def test_what_the_discriminator_says(here, capsys):
    model = kept["CGAN"]
    assert explore("opinion", "CGAN.ckpt", "--seeds", "4,9", "--class", "1") == 0
    images = generate(model, [4, 9], 1)
    said = discriminator_opinion(model, to_float(images), torch.tensor([1, 1]))
    line = capsys.readouterr().err
    for seed, output in zip((4, 9), said.output, strict=True):
        assert f"seed {seed}: D says {output:.3f}" in line
    board = pixels("opinion.png")
    for k in (0, 1):
        assert torch.equal(tile(board, 0, k), images[k].expand(3, -1, -1))
        drawn = tile(board, 1, k).double() - images[k].double()
        share = (drawn.abs().sum(0) > 0).double().flatten()
        assert share.mean() > 0.5
    Image.fromarray(images[0, 0].numpy()).save("own.png")
    assert explore("opinion", "CGAN.ckpt", "own.png", "--out", "b.png") == 2
    assert "this discriminator sees the class of an image too: give --class" in capsys.readouterr().err
    assert explore("opinion", "CGAN.ckpt", "own.png", "--class", "1", "--out", "b.png") == 0
    assert f"own.png: D says {said.output[0]:.3f}" in capsys.readouterr().err


def test_the_same_command_gives_the_same_bytes(here):
    args = ("arithmetic", "LAPGAN.ckpt", "--plus", "1,2", "--minus", "3")
    assert explore(*args, "--out", "a.png") == explore(*args, "--out", "b.png") == 0
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    assert explore(*args, "--noise_seed", "1", "--out", "c.png") == 0
    assert (here / "a.png").read_bytes() != (here / "c.png").read_bytes()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["paint", "GAN.ckpt"], "`ganzoo explore` has no 'paint': there are interpolate, "),
        (["interpolat", "GAN.ckpt"], "did you mean 'interpolate'?"),
        (["interpolate", "GAN.ckpt", "--seeds", "1,2,3"], "has 3 seeds: give pairs"),
        (["interpolate", "GAN.ckpt", "--seeds", "one"], "--seeds 'one' is no list of seeds"),
        (["interpolate", "GAN.ckpt", "--steps", "1"], "a row has both ends, so at least 2 images"),
        (["interpolate", "GAN.ckpt", "--seeds", "0-9999", "--steps", "9"], "45,000 images are too many for a sheet"),
        (["interpolate", "none.ckpt"], "none.ckpt"),
        (["interpolate", "pix2pix_maps"], "Pix2Pix translates images and generates none from noise: use `ganzoo translate`"),
        (["interpolate", "GAN.ckpt", "--class", "1"], "this model was trained without classes: leave --class out"),
        (["interpolate", "CGAN.ckpt", "--seeds", "1,2", "--class", "0,1,2"], "--class has 3 classes for 2 seeds"),
        (["interpolate", "CGAN.ckpt", "--class", "7"], "there is no class '7'"),
        (["trajectory", "GAN.ckpt", "--seeds", "1"], "a walk needs at least two seeds"),
        (["trajectory", "GAN.ckpt", "--animation", "way.mov"], "way.mov is no name of an animation"),
        (["manifold", "GAN.ckpt", "--axes", "1"], "--axes '1' is no pair of coordinates: give two numbers"),
        (["manifold", "GAN.ckpt", "--axes", "0,4"], "the axes are two of the coordinates 0 to 3, not 0 and 4"),
        (["manifold", "GAN.ckpt", "--size", "0"], "size"),
        (["manifold", "GAN.ckpt", "--sise", "3"], "there is no option 'sise': did you mean 'size'?"),
        (["manifold", "CGAN.ckpt", "--class", "0,1"], "--class has 2 classes for 1 seeds"),
        (["arithmetic", "GAN.ckpt"], "nothing to add: give the seeds of a concept"),
        (["arithmetic", "GAN.ckpt", "--minus", "1"], "nothing to add"),
        (["arithmetic", "GAN.ckpt", "--plus", "x"], "--plus 'x' is no list of seeds"),
        (["invert", "GAN.ckpt"], "inputs"),
        (["invert", "GAN.ckpt", "none.png"], "cannot read the image none.png"),
        (["invert", "GAN.ckpt", "GAN.ckpt"], "cannot read the image GAN.ckpt"),
        (["invert", "GAN.ckpt", "a.png", "--starts", "0"], "--starts 0 needs an --encoder to start from"),
        (["encoder", "GAN.ckpt", "--batch_size", "1"], "batch norm needs at least 2 images"),
        (["edit", "GAN.ckpt", "none.png"], "cannot read the image none.png"),
        (["edit", "gan_mnist", "--realism", "1", "strokes.png"], "gan_mnist was saved without the weights of D"),
        (["opinion", "gan_mnist"], "gan_mnist was saved without the weights of D: give a checkpoint of the training"),
        (["opinion", "LAPGAN.ckpt"], "the discriminators of LAPGAN see what each level adds, not whole images"),
        (["manifold", "GAN.ckpt", "--out", "no/such/folder.png"], "--out no/such/folder.png cannot be written"),
        (["manifold", "GAN.ckpt", "--out", "there.png"], "there.png already exists: give another name, or --overwrite"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(args, line, here, capsys):
    paint("strokes.png", 28, fill=(255, 255, 255, 255))
    (here / "there.png").write_text("mine")
    before = sorted(here.iterdir())
    assert explore(*args) == 2
    written = [each for each in capsys.readouterr().err.splitlines() if each.startswith("ganzoo: error: ")]
    assert len(written) == 1
    assert line in written[0]
    assert sorted(here.iterdir()) == before
    assert (here / "there.png").read_text() == "mine"


def test_help_lists_every_mode_and_imports_no_torch(capsys):
    assert main(["explore", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in MODES)
    code = (
        "import sys\nfrom ganzoo.cli import main\n"
        "for mode in sys.argv[1:]:\n    try: main(['explore', mode, '--help'])\n    except SystemExit: pass\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code, *MODES], capture_output=True, text=True, check=True)
    assert told.stderr.strip() == "False"
    assert told.stdout.count("usage: ganzoo explore ") == len(MODES)
    assert "explored" not in told.stdout
