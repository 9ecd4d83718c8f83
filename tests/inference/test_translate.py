"""Image files are translated each by itself, under their own names, at their own sizes."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.zoo import cyclegan, pix2pix

from ganzoo.errors import InputError
from ganzoo.inference import translate_images
from ganzoo.inference.translate import Translation, find_inputs, translate_files, unfinished
from ganzoo.models import GAN, Pix2Pix
from ganzoo.prediction import Inputs, noise_seed
from ganzoo.utils.images import to_float, to_uint8
from ganzoo.utils.png import read_record
from ganzoo.utils.weights import weights_sha256


def pixels(width: int, height: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8).squeeze()


def photos(folder: Path, *names: str, size: tuple[int, int] = (20, 11)) -> Path:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(*size, seed=seed)).save(folder / name)
    return folder


def translated(model, inputs, out: Path, **options):
    """Translates whatever is missing. Returns what was done."""
    translation, weights = Translation(model, **options), weights_sha256(model)
    files = unfinished(find_inputs(inputs, out), out, translation, weights)
    return list(translate_files(files, out, translation, weights))


def names(found) -> list[tuple[str, str]]:
    return [(file.name, file.output) for file in found]


# -- which files, and what their translations are called -----------------------------------------------------------------


def test_a_folder_with_its_subfolders(tmp_path):
    photos(tmp_path / "in", "b.jpg", "a.png", "sub/a.png", "sub/deep/c.bmp")
    (tmp_path / "in/notes.txt").write_text("no image")
    found = find_inputs([tmp_path / "in"], tmp_path / "out")
    assert names(found) == [("a.png", "a"), ("b.jpg", "b"), ("sub/a.png", "sub/a"), ("sub/deep/c.bmp", "sub/deep/c")]


def test_files_and_folders_have_names_below_what_they_share(tmp_path):
    root = photos(tmp_path / "in", "x/1.png", "y/1.png", "y/2.png")
    assert names(find_inputs([root / "y/1.png", root / "y/2.png"], tmp_path / "out")) == [("1.png", "1"), ("2.png", "2")]
    assert names(find_inputs([root / "x", root / "y/1.png"], tmp_path / "out")) == [("x/1.png", "x/1"), ("y/1.png", "y/1")]
    assert len(find_inputs([root / "y", root / "y/1.png", root / "y"], tmp_path / "out")) == 2


def test_translations_are_no_inputs(tmp_path):
    root = photos(tmp_path / "in", "1.png", "out/1.png")
    assert names(find_inputs([root], root / "out")) == [("1.png", "1")]
    with pytest.raises(InputError, match=r"no images in .* but the translations"):
        find_inputs([root / "out"], root / "out")


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no file or folder"):
        find_inputs([tmp_path / "nothing.png"], tmp_path / "out")
    with pytest.raises(InputError, match="there are no images in"):
        find_inputs([tmp_path], tmp_path / "out")


# -- the translations -----------------------------------------------------------------------------------------------------


def test_a_translation_is_the_models_own_of_this_file_by_this_name(tmp_path):
    model, root = pix2pix(), photos(tmp_path / "in", "a.png", "sub/a.png", size=(21, 34))
    assert [done.error for done in translated(model, [root], tmp_path / "out")] == ["", ""]
    for name in ("a.png", "sub/a.png"):
        made = Image.open(tmp_path / "out" / name)
        x = torch.from_numpy(np.array(Image.open(root / name))).permute(2, 0, 1)
        (wanted,) = model.predict_step(Inputs([to_float(x)], None, [0], [name], ["x"]), 0)
        assert np.array_equal(np.asarray(made), to_uint8(wanted).permute(1, 2, 0).numpy())
        assert made.size == (21, 34)


def variants() -> dict[str, Image.Image]:
    """One colour image in the ways in which files hold images."""
    colour = Image.fromarray(pixels(16, 12))
    seen = Image.fromarray(np.where(pixels(16, 12, 1)[..., None] > 127, np.array([[[9, 200, 30]]], np.uint8), 255))
    alpha = seen.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.where((np.asarray(seen) == 255).all(2), 0, 255).astype(np.uint8)))
    return {"alpha": alpha, "seen": seen, "colour": colour, "palette": colour.quantize(256), "grey": colour.convert("L")}


def test_alpha_palette_grey_rotation_and_cmyk_are_what_a_viewer_shows(tmp_path):
    model, given = cyclegan(), variants()
    upright = Image.fromarray(pixels(16, 12, seed=3))
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned right by 90 degrees
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=turned)
    cmyk = Image.new("CMYK", (16, 12), (0, 255, 255, 0))
    cmyk.save(tmp_path / "cmyk.tif")
    red, made, turned_made = translate_images(model, [cmyk.convert("RGB"), upright, tmp_path / "turned.png"])
    assert made.tobytes() == turned_made.tobytes()
    (from_file,) = translate_images(model, [tmp_path / "cmyk.tif"])
    assert from_file.tobytes() == red.tobytes()
    on_white, opaque, grey, repeated, palette, plain = translate_images(
        model,
        [given[name] for name in ("alpha", "seen", "grey")]
        + [given["grey"].convert("RGB"), given["palette"], given["palette"].convert("RGB")],
    )
    assert on_white.tobytes() == opaque.tobytes()
    assert grey.tobytes() == repeated.tobytes()
    assert palette.tobytes() == plain.tobytes()
    assert len({each.tobytes() for each in (on_white, grey, palette, red)}) == 4


def test_sixteen_bits_become_eight(tmp_path):
    model = Pix2Pix(inputs=1, outputs=1, depth=3, width=4, patch=16).eval()
    deep = pixels(16, 12, 1).astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "x.png")
    (made,) = translate_images(model, [tmp_path / "x.png"])
    Image.fromarray(pixels(16, 12, 1)).save(tmp_path / "x.png")
    (wanted,) = translate_images(model, [tmp_path / "x.png"])
    assert made.tobytes() == wanted.tobytes()
    assert made.mode == "L"


def test_of_an_animation_the_first_image_and_it_is_told(tmp_path):
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "y.png")
    first, second = translated(cyclegan(), [tmp_path / "x.gif", tmp_path / "y.png"], tmp_path / "out")
    assert (first.animated, second.animated) == (True, False)
    assert Image.open(tmp_path / "out/x.png").tobytes() == Image.open(tmp_path / "out/y.png").tobytes()


def test_another_size_if_it_is_wanted(tmp_path):
    photos(tmp_path / "in", "a.png", size=(40, 20))
    translated(cyclegan(), [tmp_path / "in"], tmp_path / "out", size=10)
    assert Image.open(tmp_path / "out/a.png").size == (20, 10)
    assert read_record(tmp_path / "out/a.png")["size"] == 10


def test_a_direction_is_the_network_of_that_direction(tmp_path):
    model, image = cyclegan(), Image.fromarray(pixels(16, 16))
    there, back = (next(translate_images(model, [image], direction)) for direction in ("AtoB", "BtoA"))
    x = to_float(torch.from_numpy(pixels(16, 16)).permute(2, 0, 1)[None])
    for made, network in ((there, model.G), (back, model.F)):
        assert np.abs(np.asarray(made, int) - to_uint8(network(x))[0].permute(1, 2, 0).numpy()).max() <= 1
    assert there.tobytes() != back.tobytes()
    one_way = pix2pix()
    one_way.direction = "AtoB"
    with pytest.raises(InputError, match="goes that way only"):
        Translation(one_way, "BtoA")


def test_images_in_memory_are_as_good_as_files(tmp_path):
    image = pixels(16, 12)
    made = [*translate_images(cyclegan(), [image, Image.fromarray(image), torch.from_numpy(image).permute(2, 0, 1)])]
    assert len({each.tobytes() for each in made}) == 1
    with pytest.raises(InputError, match="images are paths, Pillow images"):
        next(translate_images(cyclegan(), [object()]))


def test_models_that_translate_nothing_or_no_files():
    with pytest.raises(InputError, match="GAN does not translate images"):
        Translation(GAN(shape=(1, 8, 8), hidden=8))
    with pytest.raises(InputError, match="takes images of 4 channels"):
        Translation(Pix2Pix(inputs=4, depth=3, width=4, patch=16))


# -- files that cannot be read --------------------------------------------------------------------------------------------


def bomb(path: Path) -> None:
    """A PNG of 172 bytes whose header promises 60000 x 60000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    start = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + start)


def test_files_that_cannot_be_read_are_told_of_and_the_others_translated(tmp_path):
    root = photos(tmp_path / "in", *(f"{i:02d}.png" for i in range(20)))
    whole = (root / "03.png").read_bytes()
    (root / "03.png").write_bytes(whole[: len(whole) // 2])
    (root / "07.png").write_bytes(b"")
    bomb(root / "11.png")
    done = translated(cyclegan(), [root], tmp_path / "out")
    assert [each.file.name for each in done] == [f"{i:02d}.png" for i in range(20)]
    assert {each.file.name for each in done if each.error} == {"03.png", "07.png", "11.png"}
    assert "3600000000 pixels" in next(each.error for each in done if each.file.name == "11.png")
    assert len(list((tmp_path / "out").rglob("*"))) == 17


# -- a second time --------------------------------------------------------------------------------------------------------


def test_finished_translations_are_skipped_and_the_missing_made(tmp_path):
    model, root = pix2pix(), photos(tmp_path / "in", "a.png", "b.png", "c.png")
    translated(model, [root], tmp_path / "out")
    kept = (tmp_path / "out/a.png").read_bytes()
    (tmp_path / "out/b.png").unlink()
    later = (tmp_path / "out/c.png").stat().st_mtime + 5
    os.utime(root / "c.png", (later, later))  # a new photograph under the old name
    assert [done.file.name for done in translated(model, [root], tmp_path / "out")] == ["b.png", "c.png"]
    assert (tmp_path / "out/a.png").read_bytes() == kept


def test_files_of_another_origin_are_refused_before_the_work(tmp_path):
    root, out = photos(tmp_path / "in", "a.png", "b.png", "c.png"), tmp_path / "out"
    translated(pix2pix(), [root], out)
    (out / "a.png").unlink()
    other = pix2pix()
    with torch.no_grad():
        next(other.G.parameters()).add_(0.1)
    for model, options in ((other, {}), (cyclegan(), {}), (pix2pix(), {"size": 8}), (pix2pix(), {"direction": "AtoB"})):
        with pytest.raises(InputError, match=r"b\.png \(and 1 more\) is there and was not made by this model"):
            translated(model, [root], out, **options)
    assert not (out / "a.png").exists()
    photos(out, "a.png")  # somebody's own image
    with pytest.raises(InputError, match=r"a\.png is there"):
        translated(pix2pix(), [root], out)


def test_a_file_says_which_model_made_it(tmp_path):
    model = pix2pix()
    translated(model, [photos(tmp_path / "in", "a.jpg") / "a.jpg"], tmp_path / "out")
    assert read_record(tmp_path / "out/a.png") == {
        "model": "Pix2Pix",
        "weights_sha256": weights_sha256(model),
        "seed": noise_seed("a.jpg"),
        "input": "a.jpg",
    }


def test_what_cannot_be_written_is_one_line(tmp_path):
    root = photos(tmp_path / "in", "sub/a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sub").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        translated(cyclegan(), [root], tmp_path / "out")
