"""A trained model that ``ganzoo explore`` looks into: what it reads, and the pictures that it writes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ganzoo.cli.generate import parse_classes
from ganzoo.errors import InputError, printable

if TYPE_CHECKING:  # torch is imported when the work begins, so that --help is quick
    from torch import Tensor

LARGEST_SHEET = 10_000  # images


class Explored(NamedTuple):
    """A loaded model, and where its picture goes.

    Attributes:
        model: the model, on its device.
        out: the file to write.
        record: what the file says of its origin.
        class_names: the names of its classes; None where they are not known.
        data: the class path and init_args of its training data; None where they are not known.
        classes: what the user wrote for ``--class``; None for nothing.
    """

    model: Any
    out: Path
    record: dict[str, Any]
    class_names: Sequence[str] | None
    data: Mapping[str, Any] | None
    classes: str | None

    def labels(self, n: int) -> int | list[int] | None:
        """The class of n images: one for all, a list of n, or None where the user gave none."""
        if self.classes is None:
            return None
        found = parse_classes(self.classes, self.model.classes, self.class_names, repeated=True)
        if len(found) not in (1, n):
            raise InputError(f"--class has {len(found)} classes for {n} seeds: give one class, or one for each seed")
        return found[0] if len(found) == 1 else found

    def label(self) -> int | None:
        """The one class that the user gave; None for none."""
        found = self.labels(1)
        assert not isinstance(found, list)
        return found

    def write(self, board: "Tensor", /, **about: Any) -> None:
        """Writes the picture, with a record of its origin."""
        from ganzoo.utils.log import log_info
        from ganzoo.utils.png import save_png

        try:
            save_png(self.out, board, self.record | {name: each for name, each in about.items() if each is not None})
        except OSError as error:
            raise InputError(f"cannot write {printable(self.out)}: {error.strerror}") from error
        log_info(f"the picture is in {printable(self.out)}")

    def animate(self, path: Path, frames: "Tensor", fps: float, /, **about: Any) -> None:
        """Writes an animation, with a record of its origin."""
        from ganzoo.inference.frames import save_frames
        from ganzoo.utils.log import log_info

        try:
            save_frames(path, frames, fps, self.record | {name: each for name, each in about.items() if each is not None})
        except OSError as error:
            raise InputError(f"cannot write {printable(path)}: {error.strerror or error}") from error
        log_info(f"{len(frames)} frames are in {printable(path)}")

    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's images."""
        from ganzoo.inference.generation import generate

        channels, height, width = generate(self.model, [0]).shape[1:]
        if channels not in (1, 3):
            raise InputError(f"the model's images have {channels} channels, and files have 1 or 3")
        return channels, height, width

    def read(self, file: str) -> "Tensor":
        """An image file in the shape of the model's images; a line says if it was resized."""
        from ganzoo.data.images import read_image
        from ganzoo.data.resizing import centre_crop, resize, resize_shorter_side
        from ganzoo.utils.log import log_info

        channels, height, width = self.image_shape()
        image = read_image(file, channels)
        if image.shape[1:] == (height, width):
            return image
        there = f"{image.shape[1]} x {image.shape[2]}"
        if height == width:
            log_info(f"{printable(file)} is {there}: its middle square was resized to {height} x {width}")
            return centre_crop(resize_shorter_side(image, height), height).contiguous()
        log_info(f"{printable(file)} is {there}: it was resized to {height} x {width}")
        return resize(image, height, width)


Open = Callable[[], Explored]  # loads the model; called once the options are known to be good


def animation_file(path: str | None) -> Path | None:
    """The file of an animation, if one is wanted; its ending is one that can be written."""
    if path is None:
        return None
    from ganzoo.inference.frames import check_format

    check_format(Path(path))
    return Path(path)


def refuse_many(images: int) -> None:
    """Refuses a sheet of too many images."""
    if images > LARGEST_SHEET:
        raise InputError(f"{images:,} images are too many for a sheet: at most {LARGEST_SHEET:,}")


def board(images: "Tensor", columns: int) -> "Tensor":
    """Lays uint8 images [N, C, H, W] out in rows of ``columns``: float [C, height, width] in [-1, 1]."""
    from ganzoo.utils.image_grid import grid
    from ganzoo.utils.images import to_float

    return grid(to_float(images), columns)
