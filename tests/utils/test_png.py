"""PNG files carry a record of their origin; other files have none."""

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.utils.png import read_record, save_png


@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_holds_its_pixels_and_its_record(channels, tmp_path):
    image = torch.randint(0, 256, (channels, 5, 7), dtype=torch.uint8)
    record = {"model": "GAN", "seed": 2**62, "input": "\udce4 ä.png"}
    save_png(tmp_path / "x.png", image, record)
    assert read_record(tmp_path / "x.png") == record
    with Image.open(tmp_path / "x.png") as opened:
        assert opened.mode == ("L" if channels == 1 else "RGB")
        assert np.asarray(opened).reshape(5, 7, -1)[..., 0].tolist() == image[0].tolist()
        assert opened.info["Software"].startswith("ganzoo ")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_other_files_have_no_record(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "plain.png")
    Image.new("L", (2, 2)).save(tmp_path / "x.jpg")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for name in ("plain.png", "x.jpg", "broken.png", "missing.png", ""):
        assert read_record(tmp_path / name) is None
