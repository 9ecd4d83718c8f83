"""``ganzoo classify``: a row for each file, damaged ones with their error and exit code 2, one line for what is wrong."""

import csv

import pytest
import torch
from PIL import Image
from support.training import trainer
from support.zoo import build

from ganzoo.cli import main
from ganzoo.data import Digits
from ganzoo.inference import classify_files


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = build("DANN")
    with_trainer = trainer(tmp_path)
    with_trainer.strategy.connect(model)
    with_trainer.save_checkpoint(tmp_path / "dann.ckpt")
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for k, name in enumerate(("b.png", "sub/a.png", "c.jpg")):
        pixels = torch.randint(0, 256, (20 + k, 18, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(k))
        Image.fromarray(pixels.numpy()).save(tmp_path / "photos" / name)
    return tmp_path, model


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_file(home):
    _, model = home
    assert main(["classify", "dann.ckpt", "photos", "photos/b.png", "--out", "labels.csv", "--top_k", "2"]) == 0
    rows = rows_of("labels.csv")
    assert list(rows[0]) == [
        "input",
        "class",
        "class_name",
        "probability",
        "class_2",
        "class_name_2",
        "probability_2",
        "error",
    ]
    assert [row["input"] for row in rows] == ["photos/b.png", "photos/c.jpg", "photos/sub/a.png"]
    for row in rows:
        label = dict(classify_files(model, [row["input"]], top_k=2)).popitem()[1]
        assert [int(row["class"]), int(row["class_2"])] == label.classes
        assert float(row["probability"]) == pytest.approx(label.probabilities[0], abs=1e-5)
        assert (row["class_name"], row["error"]) == ("", "")
    assert float(rows[0]["probability"]) > float(rows[0]["probability_2"])


def test_names_of_the_classes_come_from_the_run(home):
    folder, _ = home
    (folder / "config.yaml").write_text(
        "data: {class_path: Domains, init_args: {source: {class_path: ganzoo.data.Digits}, target: {class_path: "
        "ganzoo.data.Digits}}}\n"
    )
    model = build("DANN").__class__(shape=(3, 16, 16), classes=10)
    saving = trainer(folder)
    saving.strategy.connect(model)
    saving.save_checkpoint(folder / "ten.ckpt")
    assert main(["classify", "ten.ckpt", "photos/b.png"]) == 0
    (row,) = rows_of("labels.csv")
    assert row["class_name"] == Digits.class_names[int(row["class"])]


def test_damaged_files_are_reported_and_counted(home, capsys):
    folder, _ = home
    (folder / "photos" / "bad.png").write_bytes(b"no image")
    assert main(["classify", "dann.ckpt", "photos"]) == 2
    rows = rows_of("labels.csv")
    assert [bool(row["class"]) for row in rows] == [True, False, True, True]
    assert rows[1]["error"].startswith("cannot read the image photos/bad.png: ")
    err = capsys.readouterr().err
    assert "3 of 4 images are classified in labels.csv" in err
    assert "1 of 4 files could not be read" in err


def test_what_cannot_be_classified_is_one_line_and_leaves_nothing(home, capsys):
    folder, _ = home
    gan = build("GAN")
    saving = trainer(folder)
    saving.strategy.connect(gan)
    saving.save_checkpoint(folder / "gan.ckpt")
    (folder / "there.csv").touch()
    (folder / "empty").mkdir()
    before = sorted(path.name for path in folder.iterdir())
    for line, message in (
        ("gan.ckpt photos", "GAN does not classify images: give a DANN"),
        ("dann.ckpt nothing", "nothing: there is no such file or folder"),
        ("dann.ckpt empty", "empty"),
        ("dann.ckpt photos --out there.csv", "there.csv already exists: give another --out, or --overwrite"),
        ("dann.ckpt photos --out nowhere/x.csv", "nowhere/x.csv cannot be written"),
        ("dann.ckpt photos --top_k 0", "top_k: give an int in [1, 2**31), not 0"),
        ("none.ckpt photos", "there is no such checkpoint"),
    ):
        assert main(["classify", *line.split()]) == 2, line
        err = capsys.readouterr().err
        assert message in err, line
        assert len(err.splitlines()) == 1, line
        assert sorted(path.name for path in folder.iterdir()) == before, line
