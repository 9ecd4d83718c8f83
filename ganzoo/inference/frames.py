"""Writes frames as an animation: GIF and WebP with Pillow, MP4 with ffmpeg."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ganzoo.errors import InputError, one_line, printable
from ganzoo.utils.files import atomic_write
from ganzoo.utils.image_grid import as_image

FORMATS = (".gif", ".webp", ".mp4")
SMALLEST = 128  # pixels; smaller frames are enlarged by a whole factor


def save_frames(path: Path, frames: Tensor, fps: float, record: Mapping[str, Any]) -> None:
    """Writes an animation, which repeats without end where its kind of file can say so.

    Args:
        path: the file, ``.gif``, ``.webp`` or ``.mp4``. It is whole or not there.
        frames: uint8 [n, C, H, W] on the CPU. Grey frames are exact in GIF and WebP; colours in GIF are a palette of 256.
        fps: frames per second; GIF counts in hundredths of a second.
        record: plain values for the file's comment.

    Raises:
        InputError: another kind of file, or ffmpeg is not there.
    """
    factor = max(1, math.ceil(SMALLEST / min(frames.shape[-2:])))
    images = [as_image(frame) for frame in frames]
    images = [image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST) for image in images]
    text = json.dumps(record)
    if path.suffix.lower() == ".mp4":
        _save_video(path, images, fps, text)
        return
    kind: dict[str, dict[str, Any]] = {
        ".gif": {"format": "GIF", "comment": text.encode()},
        ".webp": {"format": "WEBP", "lossless": True, "exif": _exif(text)},
    }
    options = kind[check_format(path)]
    with atomic_write(path) as part:
        first, *others = images
        first.save(part, save_all=True, append_images=others, duration=round(1000 / fps), loop=0, **options)


def check_format(path: Path) -> str:
    """The file's extension, in lower case.

    Raises:
        InputError: it is none of an animation, or ffmpeg is needed and not there.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise InputError(f"{printable(path)} is no name of an animation: end it in {', '.join(FORMATS)}")
    if kind == ".mp4":
        _ffmpeg()
    return kind


def _exif(text: str) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = text  # ImageDescription
    return exif.tobytes()


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise InputError(
            'MP4 needs ffmpeg: pip install "lightning-ganzoo[video]", or write .webp or .gif, which need nothing'
        ) from error
    return imageio_ffmpeg


def _save_video(path: Path, images: Sequence[Image.Image], fps: float, text: str) -> None:
    width, height = images[0].size
    size = (width + width % 2, height + height % 2)  # H.264's colours take even sizes
    with atomic_write(path) as part:
        try:
            writer = _ffmpeg().write_frames(
                str(part),
                size,
                fps=fps,
                macro_block_size=2,
                output_params=["-f", "mp4", "-crf", "12", "-metadata", f"comment={text}"],
            )
            writer.send(None)
            for image in images:
                canvas = Image.new("RGB", size)
                canvas.paste(image)
                writer.send(canvas.tobytes())
            writer.close()
        except OSError as error:
            raise InputError(f"ffmpeg could not write {printable(path)}: {one_line(error)[:160]}") from error
