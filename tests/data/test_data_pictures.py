"""read_picture on every kind of file that people have."""

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data.pictures import centre_crop, find_pictures, picture_size, read_picture, resize, resize_shorter_side
from ganzoo.errors import InputError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOUR = np.stack([RAMP, RAMP.T, RAMP[::-1]], -1)


def test_grey_and_colour_become_what_is_asked_for(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    Image.fromarray(COLOUR).save(tmp_path / "colour.png")
    assert torch.equal(read_picture(tmp_path / "grey.png", 1), torch.from_numpy(RAMP)[None])
    assert torch.equal(read_picture(tmp_path / "grey.png", 3), torch.from_numpy(RAMP)[None].expand(3, 16, 16))
    assert torch.equal(read_picture(tmp_path / "colour.png", 3), torch.from_numpy(COLOUR).permute(2, 0, 1))
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_picture(tmp_path / "colour.png", 1)[0].numpy() - luma).max() <= 1


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, name, channels):
    values = np.array([[0, 128, 129, 257, 1000, 32767, 65406, 65407, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    wanted = np.round(values / 257).astype(np.uint8)
    assert wanted[0, -1] == 255
    assert wanted[0, 2] == 1
    assert read_picture(tmp_path / name, channels).tolist() == [wanted.tolist()] * channels


def test_big_endian_sixteen_bits(tmp_path):
    Image.frombytes("I;16B", (2, 1), b"\x01\x01\xff\xff").save(tmp_path / "x.tif")
    assert read_picture(tmp_path / "x.tif", 1).tolist() == [[[1, 255]]]


def test_alpha_is_composited_on_white(tmp_path):
    pixels = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    assert read_picture(tmp_path / "rgba.png", 3).permute(1, 2, 0).tolist() == [
        [[200, 100, 0], [255, 255, 255], [244, 224, 204]]
    ]
    Image.fromarray(np.array([[[0, 0], [0, 255]]], np.uint8), "LA").save(tmp_path / "la.png")
    assert read_picture(tmp_path / "la.png", 1).tolist() == [[[255, 0]]]


def test_palette_with_and_without_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png")
    assert read_picture(tmp_path / "p.png", 3).permute(1, 2, 0).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    image.save(tmp_path / "clear.png", transparency=0)
    assert read_picture(tmp_path / "clear.png", 3).permute(1, 2, 0).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_cmyk_and_one_bit(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    red = read_picture(tmp_path / "red.jpg", 3).float().mean((1, 2))
    assert red[0] > 250
    assert red[1:].max() < 5
    Image.new("1", (2, 2), 1).save(tmp_path / "one.png")
    assert read_picture(tmp_path / "one.png", 1).tolist() == [[[255, 255], [255, 255]]]


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise to show it upright
    Image.fromarray(COLOUR[:8]).save(tmp_path / "turned.png", exif=exif)
    wanted = torch.from_numpy(np.rot90(COLOUR[:8], k=-1).copy()).permute(2, 0, 1)
    assert torch.equal(read_picture(tmp_path / "turned.png", 3), wanted)
    assert picture_size(tmp_path / "turned.png") == (16, 8)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.bmp", "x.tif", "x.gif", "x.webp", "x.ppm"])
def test_a_file_cut_short_is_refused(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=name) as caught:
        read_picture(tmp_path / name, 3)
    assert "\n" not in str(caught.value)


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("this is not a picture\n" * 10)
    for read in (lambda path: read_picture(path, 3), picture_size):
        with pytest.raises(InputError, match=r"text\.png") as caught:
            read(tmp_path / "text.png")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"absent\.png"):
        read_picture(tmp_path / "absent.png", 3)


def test_thirty_two_bits_have_no_known_range(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.zeros((2, 2), np.int32)).save(tmp_path / "int.tif")
    for name in ("float.tif", "int.tif"):
        with pytest.raises(InputError, match="32-bit"):
            read_picture(tmp_path / name, 1)


def test_pictures_are_found_below_and_sorted(tmp_path, save):
    for name in ("b/2.PNG", "b/10.png", "a.jpg", ".hidden/x.png", "b/._2.png", "__MACOSX/a.jpg"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "far").mkdir()
    (tmp_path / "c").symlink_to(save(tmp_path.parent / f"{tmp_path.name}-other/z.png").parent)
    assert [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path)] == [
        "a.jpg",
        "b/10.png",
        "b/2.PNG",
        "c/z.png",
    ]
    with pytest.raises(InputError, match="no pictures in"):
        find_pictures(tmp_path / "far")
    with pytest.raises(InputError, match="no folder"):
        find_pictures(tmp_path / "nowhere")


def test_resizing_keeps_proportions_range_and_type():
    image = torch.full((3, 20, 30), 255, dtype=torch.uint8)
    image[:, :, :15] = 0
    resized = resize_shorter_side(image, 10)
    assert resized.shape == (3, 10, 15)
    assert resized.dtype == torch.uint8
    assert resized[..., :6].max() == 0
    assert resized[..., 9:].min() == 255
    assert resize_shorter_side(torch.zeros(1, 7, 3, dtype=torch.uint8), 5).shape == (1, 12, 5)
    assert resize(image, 20, 30) is image
    # of lines one pixel wide and eight apart an eighth of the light is left; without anti-aliasing it would be a half
    lines = (torch.arange(64) % 8 == 4).mul(255).to(torch.uint8).expand(1, 64, 64)
    assert resize(lines, 8, 8)[0, 2:-2, 2:-2].int().sub(32).abs().max() <= 2


def test_the_centre_is_the_centre():
    image = torch.arange(35).view(1, 5, 7)
    assert centre_crop(image, 3).tolist() == [[[9, 10, 11], [16, 17, 18], [23, 24, 25]]]
