"""EmojiStyles, the plug-in, on small packages of npm's form: two designs of the same emoji, dealt out and held out."""

import configparser
import importlib
import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from support.emoji_packages import CODES, listed, numbers, pack, sha512

from ganzoo.cli import main
from ganzoo.data import emoji
from ganzoo.data.batches import ImagePairs, Unpaired
from ganzoo.data.emoji import part_of, split_group
from ganzoo.errors import InputError

PLUGIN = Path(__file__).resolve().parents[2] / "examples" / "emoji_styles"
sys.path.insert(0, str(PLUGIN))
styles = importlib.import_module("ganzoo_emoji_styles")
EmojiStyles = styles.EmojiStyles


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A data folder with both archives, and no npm."""
    folder = tmp_path / "data"
    for design, name in (("google", "GOOGLE_SHA512"), ("twitter", "TWITTER_SHA512")):
        monkeypatch.setattr(styles, name, sha512(pack(folder / f"emoji-datasource-{design}-16.0.0.tgz", design)))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return folder


def test_two_designs_share_no_training_emoji_and_all_held_out_ones(root):
    data = EmojiStyles(root=str(root), batch_size=4)
    data.prepare_data()
    data.setup()
    assert data.shape == data.shape_x == data.shape_y == (3, 64, 64)
    assert data.classes is None
    n = len(data.train_set)
    samples = [data.train_set[epoch, index] for epoch in (0, 1) for index in range(n)]
    assert {type(sample) for sample in samples} == {Unpaired}
    assert all(sample.x[1, 0, 0] == 10 and sample.y[1, 0, 0] == 20 for sample in samples)
    x, y = (set(numbers(torch.stack(images))) for images in zip(*samples, strict=True))
    assert not x & y
    assert x | y == {number for number, code in enumerate(CODES) if part_of(code) == "train"}
    assert min(len(x), len(y)) > 20
    assert n == max(len(x), len(y))
    # nor is one a man and the other a woman
    assert not {split_group(CODES[number]) for number in x} & {split_group(CODES[number]) for number in y}
    for part, name in ((data.val_set, "val"), (data.test_set, "test")):
        assert sorted(numbers(part.samples.x)) == [number for number, code in enumerate(CODES) if part_of(code) == name]
        for pair in part:
            assert type(pair) is ImagePairs
            assert pair.x[0, 0, 0] == pair.y[0, 0, 0]
            assert (pair.x[1, 0, 0], pair.y[1, 0, 0]) == (10, 20)
    batch = next(iter(data.train_dataloader()))
    assert type(batch) is Unpaired
    assert batch.x.shape == batch.y.shape == (4, 3, 64, 64)


def test_the_two_designs_are_mirrored_independently(root):
    data = EmojiStyles(root=str(root), mirror=True, size=16)
    data.prepare_data()
    data.setup()
    flips = np.array(
        [
            [bool(image[0, 0, 0] > image[0, 0, -1]) for image in data.train_set[epoch, index]]
            for epoch in range(20)
            for index in range(30)
        ]
    )
    for x in (False, True):
        for y in (False, True):
            assert (flips == [x, y]).all(1).mean() == pytest.approx(0.25, abs=0.06)
    assert not any(image[0, 0, 0] > image[0, 0, -1] for pair in data.val_set for image in pair)


def test_two_packages_of_different_emoji_are_refused(root):
    data = EmojiStyles(root=str(root))
    data.prepare_data()
    path = root / "emoji-datasource-twitter-16.0.0" / "emoji.json"
    path.write_text(json.dumps(listed()[:-1]))
    with pytest.raises(InputError, match="list different emoji"):
        data.setup()


def test_the_published_checksums_are_expected():
    google, twitter = EmojiStyles().designs
    assert google.sha512 == emoji.GOOGLE_SHA512
    assert twitter.sha512 == styles.TWITTER_SHA512
    assert google.sha512 != twitter.sha512


def test_what_cannot_be_used(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=rf"`npm pack emoji-datasource-google@16\.0\.0` and put .* {tmp_path}$"):
        EmojiStyles(root=str(tmp_path)).prepare_data()
    with pytest.raises(InputError, match="size is 0"):
        EmojiStyles(size=0)


def test_the_entry_point_names_the_module():
    declared = configparser.ConfigParser()
    declared.read(PLUGIN / "setup.cfg", encoding="utf-8")
    assert declared["options.entry_points"]["ganzoo.plugins"].split() == ["emoji_styles", "=", styles.__name__]
    assert declared["options"]["py_modules"] == styles.__name__


def test_the_command_of_the_page_trains(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganzoo.cli.parser.plugins", lambda: [EntryPoint("emoji_styles", styles.__name__, "ganzoo.plugins")])
    page = (PLUGIN / "README.md").read_text(encoding="utf-8")
    command = next(line.split()[1:] for line in page.splitlines() if line.startswith("    ganzoo fit"))
    small = "--model.blocks 1 --model.width 4 --data.size 32 --trainer.fast_dev_run 1 --trainer.accelerator cpu"
    assert main([*command, *small.split(), "--data.root", str(root)]) == 0
