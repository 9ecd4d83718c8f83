"""``ganzoo generate``: the grid, the files, the walk, what their records say, resuming, and one line for what is wrong."""

import json

import lightning.pytorch as L
import pytest
import torch
from PIL import Image
from support.zoo import build

from ganzoo.cli import main
from ganzoo.cli.generate import parse_classes, parse_seeds
from ganzoo.errors import InputError
from ganzoo.inference import generate, generate_levels
from ganzoo.models import CGAN
from ganzoo.noises import Normal
from ganzoo.utils.png import read_record
from ganzoo.utils.weights import weights_sha256


def save(model, path):
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, max_epochs=0, barebones=False
    )
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return model.eval()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(path):
    with Image.open(path) as image:
        shape = (image.height, image.width, len(image.getbands()))
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(shape).permute(2, 0, 1)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_for_each_image(home, capsys):
    model = save(build("GAN"), "gan.ckpt")
    assert main(["generate", "gan.ckpt", "--seed", "3-5,9", "--files", "out"]) == 0
    assert sorted(files_of(home / "out")) == [f"seed_00000{seed}.png" for seed in (3, 4, 5, 9)]
    for seed in (3, 9):
        file = home / "out" / f"seed_00000{seed}.png"
        assert torch.equal(pixels(file), generate(model, [seed])[0])
        assert read_record(file) == {"model": "GAN", "weights_sha256": weights_sha256(model), "seed": seed}
    with Image.open(home / "out" / "seed_000003.png") as image:
        assert image.info["Software"].startswith("ganzoo ")
    assert "4 images are in out" in capsys.readouterr().err
    assert [path.name for path in home.iterdir() if path.suffix == ".png"] == []


def test_the_bytes_do_not_depend_on_the_count_or_the_neighbours(home):
    save(build("LAPGAN"), "model.ckpt")
    assert main(["generate", "model.ckpt", "-n", "4", "--files", "a"]) == 0
    assert main(["generate", "model.ckpt", "--seed", "2,7", "--files", "b"]) == 0
    name = "seed_000002_class_2.png"
    assert files_of(home / "a")[name] == files_of(home / "b")[name]


def test_a_folder_is_continued_and_never_mixed(home, capsys):
    save(build("GAN"), "gan.ckpt")
    torch.manual_seed(5)
    save(type(build("GAN"))(shape=(1, 8, 8), hidden=16, latent=4), "other.ckpt")
    assert main(["generate", "gan.ckpt", "-n", "3", "--files", "out"]) == 0
    first = files_of(home / "out")
    (home / "out" / "seed_000001.png").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in (home / "out").iterdir()}
    assert main(["generate", "gan.ckpt", "-n", "4", "--files", "out"]) == 0
    assert "2 of 4 images are in out already" in capsys.readouterr().err
    assert {name: files_of(home / "out")[name] for name in first} == first
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    torch.manual_seed(5)
    other = save(CGAN(shape=(1, 8, 8), classes=3, latent=4, noise=Normal()), "other.ckpt")
    assert other.classes == 3
    (home / "out" / "seed_000000_class_0.png").write_bytes(first["seed_000000.png"])
    assert main(["generate", "other.ckpt", "-n", "1", "--files", "out"]) == 2
    line = capsys.readouterr().err
    assert "seed_000000_class_0.png is there and is another image: give another folder, or --overwrite" in line
    assert main(["generate", "other.ckpt", "-n", "1", "--files", "out", "--overwrite"]) == 0
    assert read_record(home / "out" / "seed_000000_class_0.png")["model"] == "CGAN"


def test_a_grid_has_a_row_for_each_class(home):
    model = save(build("CGAN"), "cgan.ckpt")
    assert main(["generate", "cgan.ckpt", "--class", "2,0", "-n", "5", "--grid", "sheet.png"]) == 0
    sheet = pixels(home / "sheet.png")
    assert sheet.shape == (1, 2 * 34 + 2, 5 * 34 + 2)
    for row, label in enumerate((2, 0)):
        for seed in (0, 4):
            tile = sheet[:, 2 + 34 * row : 34 + 34 * row : 4, 2 + 34 * seed : 34 + 34 * seed : 4]
            assert torch.equal(tile, generate(model, [seed], label)[0])
    record = read_record(home / "sheet.png")
    assert (record["seeds"], record["classes"]) == ("0-4", [2, 0])
    assert main(["generate", "cgan.ckpt", "--classes", "all", "--grid", "all.png", "--files", "all"]) == 0
    assert len(files_of(home / "all")) == 3 * 8
    assert read_record(home / "all" / "seed_000007_class_1.png")["class"] == 1


def test_one_image_is_written_as_it_is(home):
    model = save(build("DCGAN"), "m.ckpt")
    assert main(["generate", "m.ckpt", "-n", "1", "--seed", "5", "--truncation", "0.5"]) == 0
    assert torch.equal(pixels(home / "generated.png"), generate(model, [5], truncation=0.5)[0])
    assert read_record(home / "generated.png")["truncation"] == 0.5


def test_every_level_of_a_cascade(home):
    model = save(build("LAPGAN"), "m.ckpt")
    assert main(["generate", "m.ckpt", "-n", "2", "--class", "1", "--levels", "--files", "out", "--grid", "sheet.png"]) == 0
    levels = generate_levels(model, [0, 1], 1)
    for k in range(3):
        assert torch.equal(pixels(home / "out" / f"seed_000001_class_1_level_{k}.png"), levels[k][1])
    assert len(files_of(home / "out")) == 6
    assert pixels(home / "sheet.png").shape == (3, 2 * 34 + 2, 3 * 34 + 2)
    assert main(["generate", "m.ckpt", "-n", "2", "--class", "1", "--levels", "--files", "out"]) == 0


def test_a_walk(home):
    model = save(build("CGAN"), "m.ckpt")
    command = ["generate", "m.ckpt", "--walk", "3,14", "--steps", "4", "--class", "2", "--out", "w.gif", "--fps", "10"]
    assert main(command) == 0
    with Image.open(home / "w.gif") as image:
        assert (image.n_frames, image.info["duration"]) == (5, 100)
        record = json.loads(image.info["comment"])
        image.seek(4)
        last = torch.frombuffer(bytearray(image.convert("L").tobytes()), dtype=torch.uint8).view(1, 128, 128)
    assert torch.equal(last[:, ::16, ::16], generate(model, [14], 2)[0])
    assert record["walk"] == "3,14"
    assert record["weights_sha256"] == weights_sha256(model)
    assert main(command) == 2


REFUSED = [
    ("-n 0", "n: give an int in [1, 2**31), not 0"),
    ("-n 100000", "100,000 images are too many for a grid: at most 10,000"),
    ("-n 2000000000 --files out", "too many for files: at most 10,000,000"),
    ("--seed 3-1", "the range 3-1 runs backwards"),
    ("--seed x", "'x' is no list of seeds: give whole numbers and ranges, such as 0-15,20"),
    ("--seed 1,2 -n 3", "which has 2 seeds: leave -n out"),
    ("--class 1", "this model was trained without classes: leave --class out"),
    ("--levels", "GAN has no levels"),
    ("--truncation 0.5", "truncation is for the noise Normal, and this model's is Uniform"),
    ("--walk 3", "a walk needs at least two seeds"),
    ("--walk 1,2 --files out", "does not go together with --files"),
    ("--walk 1,2 --out w.png", "w.png is no name of an animation"),
    ("--walk 1,2 --class 1", "this model was trained without classes"),
    ("--loop", "--loop is of a --walk"),
    ("--out x.png", "--out is the file of a --walk"),
    ("--grid there.png", "there.png already exists: give another name, or --overwrite"),
    ("--grid nowhere/x.png", "nowhere/x.png cannot be written"),
    ("--files there.png", "cannot write into there.png"),
    ("--trunc 1", "there is no option 'trunc': did you mean 'truncation'?"),
]


def test_what_cannot_be_generated_is_one_line_and_leaves_nothing(home, capsys):
    save(build("GAN"), "gan.ckpt")
    save(build("Pix2Pix"), "pix.ckpt")
    (home / "there.png").touch()
    before = sorted(path.name for path in home.iterdir())
    cases = [*((f"gan.ckpt {options}", message) for options, message in REFUSED)]
    cases += [
        ("pix.ckpt", "use `ganzoo translate`"),
        ("nothing.ckpt", "there is no such checkpoint"),
        ("", "model must be given"),
    ]
    for line, message in cases:
        assert main(["generate", *line.split()]) == 2, line
        err = capsys.readouterr().err
        assert message in err, line
        assert err.startswith("ganzoo: error: ")
        assert len(err.splitlines()) == 1, line
        left = sorted(path.name for path in home.iterdir())
        assert left in (before, sorted([*before, "out"])), line
    assert not list((home / "out").iterdir()) if (home / "out").exists() else True


def test_lists_of_seeds():
    assert parse_seeds("0-3,20, 7") == [0, 1, 2, 3, 20, 7]
    assert parse_seeds(str(2**32 - 1)) == [2**32 - 1]
    assert parse_seeds("3,3", "--walk") == [3, 3]
    for text, message in (
        ("", "no list of seeds"),
        ("1-", "no list of seeds"),
        ("-1", "no list of seeds"),
        ("1.5", "no list of seeds"),
        (str(2**32), "goes beyond"),
        ("0-10000000", "more than 10,000,000 seeds"),
        ("1,0-3", "names a seed twice"),
    ):
        with pytest.raises(InputError, match=message):
            parse_seeds(text)


def test_lists_of_classes():
    names = ["cat", "dog, wet", "1"]
    assert parse_classes("all", 3, None) == [0, 1, 2]
    assert parse_classes("2,0", 3, None) == [2, 0]
    assert parse_classes("dog, wet", 3, names) == [1]
    assert parse_classes("cat,1", 3, ["ant", "bee", "cat"]) == [2, 1]
    for text, message in (
        ("3", "there is no class '3': there are 0 to 2, and all"),
        ("-1", "there is no class '-1'"),
        ("kat", "there is no class 'kat': did you mean 'cat'"),
        ("1,1", "names a class twice"),
    ):
        with pytest.raises(InputError, match=message):
            parse_classes(text, 3, names if "k" in text else None)
