"""read_image on every kind of file that people have."""

import io
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import ImageFolder, Paired, UnpairedFolders, images
from ganzoo.data.image_files import readable_images
from ganzoo.data.images import image_size, read_image, read_resized, read_strokes
from ganzoo.data.resizing import fit_shorter_side, fit_square, resize
from ganzoo.errors import InputError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOUR = np.stack([RAMP, RAMP.T, RAMP[::-1]], -1)


def test_grey_and_colour_become_what_is_asked_for(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    Image.fromarray(COLOUR).save(tmp_path / "colour.png")
    assert torch.equal(read_image(tmp_path / "grey.png", 1), torch.from_numpy(RAMP)[None])
    assert torch.equal(read_image(tmp_path / "grey.png", 3), torch.from_numpy(RAMP)[None].expand(3, 16, 16))
    assert torch.equal(read_image(tmp_path / "colour.png", 3), torch.from_numpy(COLOUR).permute(2, 0, 1))
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_image(tmp_path / "colour.png", 1)[0].numpy() - luma).max() <= 1


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, name, channels):
    values = np.array([[0, 128, 129, 257, 1000, 32767, 65406, 65407, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    wanted = np.round(values / 257).astype(np.uint8)
    assert wanted[0, -1] == 255
    assert wanted[0, 2] == 1
    assert read_image(tmp_path / name, channels).tolist() == [wanted.tolist()] * channels


def test_big_endian_sixteen_bits(tmp_path):
    Image.frombytes("I;16B", (2, 1), b"\x01\x01\xff\xff").save(tmp_path / "x.tif")
    assert read_image(tmp_path / "x.tif", 1).tolist() == [[[1, 255]]]


def test_alpha_is_composited_on_white(tmp_path):
    pixels = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    assert read_image(tmp_path / "rgba.png", 3).permute(1, 2, 0).tolist() == [
        [[200, 100, 0], [255, 255, 255], [244, 224, 204]]
    ]
    Image.fromarray(np.array([[[0, 0], [0, 255]]], np.uint8), "LA").save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png", 1).tolist() == [[[255, 0]]]


def test_strokes_keep_their_colours_and_say_where_they_are(tmp_path):
    pixels = np.zeros((3, 4, 4), np.uint8)
    pixels[1, 2] = (255, 0, 0, 255)
    pixels[0, 0] = (0, 255, 0, 51)
    Image.fromarray(pixels).save(tmp_path / "strokes.png")
    colours, alpha = read_strokes(tmp_path / "strokes.png", 3)
    assert alpha.shape == (1, 3, 4)
    assert alpha.nonzero().tolist() == [[0, 0, 0], [0, 1, 2]]
    assert (alpha[0, 1, 2], alpha[0, 0, 0]) == (255, 51)
    assert colours[:, 1, 2].tolist() == [255, 0, 0]
    assert colours[:, 0, 0].tolist() == [0, 255, 0]  # not mixed with a ground
    grey, again = read_strokes(tmp_path / "strokes.png", 1)
    assert torch.equal(again, alpha)
    assert grey[0, 1, 2] == 76  # the luma of red
    Image.fromarray(pixels[..., :3]).save(tmp_path / "opaque.png")
    with pytest.raises(InputError, match=r"opaque.png has no transparent pixel: paint the strokes on a transparent ground"):
        read_strokes(tmp_path / "opaque.png", 3)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"cannot read the image .*text.png"):
        read_strokes(tmp_path / "text.png", 3)


def test_palette_with_and_without_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png", 3).permute(1, 2, 0).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    image.save(tmp_path / "clear.png", transparency=0)
    assert read_image(tmp_path / "clear.png", 3).permute(1, 2, 0).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_cmyk_and_one_bit(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    red = read_image(tmp_path / "red.jpg", 3).float().mean((1, 2))
    assert red[0] > 250
    assert red[1:].max() < 5
    Image.new("1", (2, 2), 1).save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png", 1).tolist() == [[[255, 255], [255, 255]]]


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise to show it upright
    Image.fromarray(COLOUR[:8]).save(tmp_path / "turned.png", exif=exif)
    wanted = torch.from_numpy(np.rot90(COLOUR[:8], k=-1).copy()).permute(2, 0, 1)
    assert torch.equal(read_image(tmp_path / "turned.png", 3), wanted)
    assert image_size(tmp_path / "turned.png") == (16, 8)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.bmp", "x.tif", "x.gif", "x.webp", "x.ppm"])
def test_a_file_cut_short_is_refused(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=name) as caught:
        read_image(tmp_path / name, 3)
    assert "\n" not in str(caught.value)


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("this is not an image\n" * 10)
    for read in (lambda path: read_image(path, 3), image_size):
        with pytest.raises(InputError, match=r"text\.png") as caught:
            read(tmp_path / "text.png")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"absent\.png"):
        read_image(tmp_path / "absent.png", 3)


def test_thirty_two_bits_have_no_known_range(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.zeros((2, 2), np.int32)).save(tmp_path / "int.tif")
    for name in ("float.tif", "int.tif"):
        with pytest.raises(InputError, match="32-bit"):
            read_image(tmp_path / name, 1)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_the_size_of_a_png_needs_no_decoding_and_knows_of_a_rotation_behind_the_pixels(tmp_path, monkeypatch):
    file = io.BytesIO()
    Image.fromarray(COLOUR[:8]).save(file, "PNG")
    plain = file.getvalue()
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind, content in ((b"eXIf", exif.tobytes()[6:]), (b"tEXt", b"date:create\0today")):
        path = tmp_path / f"{kind.decode()}.png"
        path.write_bytes(plain[:-12] + chunk(kind, content) + plain[-12:])
        assert image_size(path) == read_image(path, 1).shape[1:]
    assert image_size(tmp_path / "eXIf.png") == (16, 8)
    assert image_size(tmp_path / "tEXt.png") == (8, 16)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    for name in ("tEXt.png", "x.jpg"):
        if name.endswith("jpg"):
            (tmp_path / name).write_bytes(jpeg())
        assert image_size(tmp_path / name) == (8, 16)
        assert readable_images([tmp_path / name]) == {tmp_path / name: (8, 16)}


def jpeg() -> bytes:
    file = io.BytesIO()
    # encoded without load(), which the test has replaced
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "load", lambda self: None)
        Image.fromarray(COLOUR[:8]).save(file, "JPEG")
    return file.getvalue()


def test_a_header_of_a_thousand_million_pixels_is_refused(tmp_path):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(InputError, match=r"x\.png: .*exceeds limit"):
        readable_images([tmp_path / "x.png"])


# -- the range of values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"), [(np.uint16, "x.png"), (np.uint16, "x.tif"), (np.int32, "x.tif"), (np.float32, "x.tif")]
)
def test_the_value_that_is_white_may_be_another(tmp_path, kind, name):
    values = np.array([[0, 8, 9, 2048, 4095, 4200]])
    Image.fromarray(values.astype(kind)).save(tmp_path / name)
    assert read_image(tmp_path / name, 1, 4095).tolist() == [[[0, 0, 1, 128, 255, 255]]]
    assert readable_images([tmp_path / name], max_value=4095)
    Image.fromarray(RAMP).save(tmp_path / "eight.png")
    assert torch.equal(read_image(tmp_path / "eight.png", 1, 4095), read_image(tmp_path / "eight.png", 1))


def test_floats_of_any_range(tmp_path):
    Image.fromarray(np.array([[-1, 0, 0.5, 1, 2, np.nan, np.inf]], np.float32)).save(tmp_path / "x.tif")
    assert read_image(tmp_path / "x.tif", 1, 1.0).tolist() == [[[0, 0, 128, 255, 255, 0, 255]]]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_strips_are_the_whole_image(mode, channels, tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (13, 7, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(path, exif=exif)
    whole = images.read_image(path, channels)
    assert whole.shape == (channels, 7, 13)
    monkeypatch.setattr(images, "_STRIP", 26)
    assert torch.equal(images.read_image(path, channels), whole)


# -- resized as it is read ---------------------------------------------------------------------------------------------


def photograph(height: int, width: int) -> np.ndarray:
    """Shapes of all sizes, as a photograph has: noise whose amplitude falls with its frequency. uint8 [H, W, 3]."""
    noise = np.fft.rfft2(np.random.default_rng(0).normal(size=(height, width, 3)), axes=(0, 1))
    distance = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    values = np.fft.irfft2(noise / (distance + 0.01)[..., None] ** 1.5, s=(height, width), axes=(0, 1))
    return (128 + 40 * values / values.std()).clip(0, 255).astype(np.uint8)


FITS = [partial(fit_shorter_side, size=20), partial(fit_square, size=20)]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "name"), [("RGB", "x.jpg"), ("L", "x.jpg"), ("RGBA", "x.png"), ("P", "x.png"), ("CMYK", "x.jpg")]
)
def test_reading_and_resizing_at_once_gives_the_same_pixels(tmp_path, mode, name, channels, fit):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photograph(50, 71)).convert(mode).save(tmp_path / name, exif=exif)
    whole = read_image(tmp_path / name, channels)
    (found,) = read_resized(tmp_path / name, [channels], fit)
    assert whole.shape == (channels, 71, 50)
    assert found.shape == (channels, *fit(71, 50))
    assert torch.equal(found, resize(whole, *fit(71, 50)))
    assert found.is_contiguous()  # a batch of images that are not has another order in memory, and other last digits
    assert whole.is_contiguous()


def test_parts_side_by_side_are_cut_before_they_are_resized(tmp_path, monkeypatch):
    Image.fromarray(photograph(40, 72)).save(tmp_path / "pair.png")
    for strip in (4_000_000, 72 * 7):  # at once, and strip by strip
        monkeypatch.setattr(images, "_STRIP", strip)
        a, b = read_resized(tmp_path / "pair.png", [3, 1], FITS[1])
        assert torch.equal(a, resize(read_image(tmp_path / "pair.png", 3)[..., :36].contiguous(), 20, 20))
        assert torch.equal(b, resize(read_image(tmp_path / "pair.png", 1)[..., 36:].contiguous(), 20, 20))
        assert a.is_contiguous()


def drafted(path: Path, size: int, channels: tuple[int, ...] = (3,), fit=fit_shorter_side) -> tuple[float, int]:
    """Mean and greatest difference between a draft and the whole image, both resized, which have one shape."""
    pairs = zip(
        *(read_resized(path, channels, partial(fit, size=size), draft=draft) for draft in (True, False)), strict=True
    )
    differences = []
    for draft, whole in pairs:
        assert draft.shape == whole.shape
        assert draft.is_contiguous()
        differences.append((draft.int() - whole.int()).abs().flatten())
    difference = torch.cat(differences).float()
    return difference.mean().item(), int(difference.max())


@pytest.mark.parametrize("channels", [1, 3])
def test_a_draft_is_nearly_the_whole_image_resized(tmp_path, channels):
    Image.fromarray(photograph(333, 517)).save(tmp_path / "x.jpg", quality=92)
    for size in (16, 20, 40, 80):  # an eighth, an eighth, a quarter and half of the size
        mean, greatest = drafted(tmp_path / "x.jpg", size, (channels,))
        assert 0 < mean < 2, size
        assert greatest <= 16
    assert drafted(tmp_path / "x.jpg", 84) == (0, 0)  # half of the size would be less than twice as much


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_draft_is_turned_as_the_whole_image_is(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photograph(130, 203)).save(tmp_path / "x.jpg", quality=92, exif=exif)
    mean, greatest = drafted(tmp_path / "x.jpg", 16, fit=lambda height, width, size: (size, 24))
    assert 0 < mean < 2
    assert greatest <= 16


def test_a_draft_leaves_everything_in_its_place(tmp_path):
    """At an eighth, 1025 pixels are 129, of which the last is seven eighths too wide: a slope shows if that counts."""
    slope = np.interp(np.arange(1025), np.arange(0, 1028, 4), np.linspace(0, 255, 257))
    Image.fromarray(np.tile(slope.round().astype(np.uint8), (1025, 1))).save(tmp_path / "x.jpg", quality=100)
    _, greatest = drafted(tmp_path / "x.jpg", 64, (1,), fit_square)
    assert greatest <= 1


def test_the_halves_of_a_draft_do_not_mix(tmp_path):
    for half, mixes in ((256, False), (252, False), (250, False), (249, True)):
        pixels = np.zeros((256, 2 * half, 3), np.uint8)
        pixels[:, half:] = 255
        Image.fromarray(pixels).save(tmp_path / "x.jpg", quality=100, subsampling=0)
        a, b = read_resized(tmp_path / "x.jpg", [3, 3], partial(fit_square, size=16), draft=True)
        assert a.max() < 6 or mixes
        assert b.min() > 249 or mixes
    Image.fromarray(photograph(256, 512)).save(tmp_path / "x.jpg")
    assert 0 < drafted(tmp_path / "x.jpg", 16, (3, 1), fit_square)[0] < 2
    Image.fromarray(photograph(256, 514)).save(tmp_path / "x.jpg")
    assert drafted(tmp_path / "x.jpg", 16, (3, 1), fit_square) == (0, 0)  # its middle is within a pixel of every draft


def test_only_large_jpegs_have_drafts(tmp_path):
    for name in ("x.png", "x.webp", "x.tif", "x.bmp"):
        Image.fromarray(photograph(128, 128)).save(tmp_path / name)
        assert drafted(tmp_path / name, 16) == (0, 0)
    Image.fromarray(photograph(128, 128)).save(tmp_path / "x.jpg")
    assert drafted(tmp_path / "x.jpg", 128) == (0, 0)
    assert drafted(tmp_path / "x.jpg", 200) == (0, 0)
    content = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.jpg: .*repair or delete it"):
        read_resized(tmp_path / "cut.jpg", [3], FITS[0], draft=True)


def test_training_reads_drafts_and_nothing_else_does(tmp_path):
    for folder in ("one/cat", "two/A", "two/B"):
        for split in ("train", "val"):
            (tmp_path / folder / split).mkdir(parents=True)
            Image.fromarray(photograph(96, 96)).save(tmp_path / folder / split / "0.jpg")
    (tmp_path / "one/cat").rename(tmp_path / "cat")
    whole = resize(read_image(tmp_path / "two/A/train/0.jpg", 3), 16, 16)
    for kind, root in ((ImageFolder, tmp_path / "cat"), (Paired, tmp_path / "two"), (UnpairedFolders, tmp_path / "two")):
        sizes = {"size": 16} if kind is ImageFolder else {"size": 16, "load_size": 16}
        for draft in (True, False):
            data = kind(str(root), mirror=False, jpeg_draft=draft, **sizes)
            data.setup()
            for split, is_draft in (("train_set", draft), ("val_set", False), ("test_set", False)):
                for image in getattr(data, split)[0]:
                    assert torch.equal(image, whole) is not is_draft, (kind, split)
                    assert (image.int() - whole.int()).abs().float().mean() < 2
        assert kind(str(root), **sizes).jpeg_draft
        (sample,) = data.inputs()[0].x
        assert torch.equal(sample, read_image(tmp_path / "two/A/train/0.jpg", 3))
