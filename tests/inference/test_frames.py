"""Animations: what is read back has the frames, their time and the record; a want of ffmpeg is one line."""

import json
import sys

import pytest
import torch
from PIL import Image

from ganzoo.errors import InputError
from ganzoo.inference.frames import check_format, save_frames

RECORD = {"model": "GAN", "walk": "3,14"}


def frames_of(path):
    with Image.open(path) as image:
        pixels, times = [], []
        for number in range(image.n_frames):
            image.seek(number)
            pixels.append(torch.tensor(list(image.convert("RGB").tobytes())).view(image.height, image.width, 3))
            times.append(image.info["duration"])
        assert image.info.get("loop") == 0
    return torch.stack(pixels).permute(0, 3, 1, 2), times


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_are_exact_and_enlarged(kind, channels, tmp_path):
    g = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (4, channels, 8, 8), dtype=torch.uint8, generator=g)  # 64 colours at most in a frame
    save_frames(tmp_path / f"x.{kind}", frames, 20, RECORD)
    found, times = frames_of(tmp_path / f"x.{kind}")
    assert found.shape == (4, 3, 128, 128)
    assert torch.equal(found[:, :, ::16, ::16], frames.expand(-1, 3, -1, -1).long())
    assert torch.equal(found[:, :, 15::16, 15::16], found[:, :, ::16, ::16])
    assert times == [50] * 4
    with Image.open(tmp_path / f"x.{kind}") as image:
        text = image.info["comment"] if kind == "gif" else image.getexif()[0x010E]
    assert json.loads(text) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == [f"x.{kind}"]


def test_large_frames_keep_their_size(tmp_path):
    save_frames(tmp_path / "x.webp", torch.arange(2 * 130 * 140).view(2, 1, 130, 140).to(torch.uint8), 20, RECORD)
    assert frames_of(tmp_path / "x.webp")[0].shape[-2:] == (130, 140)


def test_video(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    level = torch.tensor([40, 200]).to(torch.uint8).view(2, 1, 1, 1)
    save_frames(tmp_path / "x.mp4", level.expand(2, 3, 129, 131).contiguous(), 10, RECORD)
    read = ffmpeg.read_frames(str(tmp_path / "x.mp4"))
    about = next(read)
    assert about["size"] == (132, 130)  # even
    assert about["fps"] == 10
    pixels = [torch.frombuffer(bytearray(each), dtype=torch.uint8).view(130, 132, 3) for each in read]
    assert [abs(int(each[60, 60, 0]) - want) <= 3 for each, want in zip(pixels, (40, 200), strict=True)] == [True, True]


def test_what_is_no_animation(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"x.png is no name of an animation: end it in .gif, .webp, .mp4"):
        save_frames(tmp_path / "x.png", torch.zeros(2, 1, 4, 4, dtype=torch.uint8), 20, RECORD)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r'MP4 needs ffmpeg: pip install "lightning-ganzoo\[video\]", or write .webp'):
        check_format(tmp_path / "x.mp4")
    assert check_format(tmp_path / "x.GIF") == ".gif"
