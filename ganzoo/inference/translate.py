"""Translates image files and images: each by itself, at its own size, the noise decided by its name."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import lightning.pytorch as L
import numpy as np
from PIL import Image
from torch import Tensor

from ganzoo.data.image_files import find_images
from ganzoo.data.images import image_size, read_image
from ganzoo.data.predicting import output_names
from ganzoo.data.resizing import resize_shorter_side
from ganzoo.errors import InputError, printable
from ganzoo.interfaces import Translator
from ganzoo.prediction import Inputs, each, number_name, origin
from ganzoo.utils.image_grid import as_image
from ganzoo.utils.png import read_record, save_png

READERS, WRITERS = 2, 2  # threads beside the network
AHEAD = 8  # images that are read, or not yet written, while the network works
PIXELS = 2**24  # that they have together: large images are not read ahead
_OF_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")  # Pillow's modes that a PNG file holds
Item = TypeVar("Item")
Result = TypeVar("Result")


class InputFile(NamedTuple):
    """An image file to translate.

    Attributes:
        path: the file.
        name: its path below the folder that all inputs share, with forward slashes; it decides the noise.
        output: the name of its translation, without extension.
    """

    path: Path
    name: str
    output: str


class Done(NamedTuple):
    """An image file that was translated, or could not be read.

    Attributes:
        file: the file.
        error: why it could not be read; "" where it was translated.
        animated: it has several images, of which the first was translated.
    """

    file: InputFile
    error: str = ""
    animated: bool = False


class Translation:
    """A model with the options of its translations.

    Args:
        model: a translator in evaluation mode, on the device where it works (``ganzoo.load`` gives one).
        direction: "AtoB" for images of A, "BtoA" for images of B; None for those of the domain that was x in training.
        size: pixels of the shorter side to which images are resized first; None to keep each image's size.

    Raises:
        InputError: the model translates no images, or not in this direction, or not those of files.
    """

    def __init__(self, model: L.LightningModule, direction: str | None = None, size: int | None = None) -> None:
        if not isinstance(model, Translator):
            raise InputError(f"{type(model).__name__} does not translate images: give a Pix2Pix or a CycleGAN, for example")
        self.model, self.direction, self.size = model, direction, size
        self.channels = model.one_way(direction).channels
        if self.channels not in (1, 3):
            raise InputError(f"{type(model).__name__} takes images of {self.channels} channels, and files have 1 or 3")

    def read(self, source: str | Path | Any) -> Tensor:
        """Reads a file as the model takes it: uint8 [C, H, W]."""
        image = read_image(source, self.channels)
        return image if self.size is None else resize_shorter_side(image, self.size)

    def run(self, image: Tensor, name: str, output: str = "") -> Tensor:
        """Translates uint8 [C, H, W] to uint8 [C', H, W] on the CPU, with the noise of this name."""
        (made,) = each(Inputs([image], None, [0], [name], [output], self.direction), self.model)  # type: ignore[arg-type]
        return made

    def record(self, file: InputFile, weights: str) -> dict[str, Any]:
        """The record of a file's translation, which tells it from those of other models and options."""
        known = origin(self.model, weights, file.name, file.output, self.direction)
        return known if self.size is None else {**known, "size": self.size}


def translate_images(
    model: L.LightningModule, images: Iterable[Any], direction: str | None = None, size: int | None = None
) -> Iterator[Image.Image]:
    """Translates images, each by itself and at its own size::

        model = ganzoo.load("last.ckpt")
        for image in translate_images(model, ["a.jpg", "b.png"]):
            image.show()

    The noise of a file is decided by its name alone, without its folder; that of another image by its place.

    Args:
        model: a translator in evaluation mode, on the device where it works.
        images: paths of files, Pillow images, uint8 tensors [C, H, W], or uint8 arrays [H, W] and [H, W, 3].
        direction: as for :class:`Translation`.
        size: as for :class:`Translation`.

    Yields:
        The translations in the same order, as Pillow images.

    Raises:
        InputError: a file cannot be read, or the model translates no images.
    """
    translation = Translation(model, direction, size)
    for place, image in enumerate(images):
        if isinstance(image, str | os.PathLike):
            pixels, name = translation.read(Path(image)), Path(image).name
        elif isinstance(image, Tensor):
            pixels, name = image, number_name(place)
        else:
            pixels, name = translation.read(_in_memory(image)), number_name(place)
        yield as_image(translation.run(pixels, name))


def _in_memory(image: Any) -> Any:
    """A file in memory of a Pillow image or an array, so that it is read as any file is."""
    from io import BytesIO

    file = BytesIO()
    try:
        drawn = image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
        (drawn if drawn.mode in _OF_PNG else drawn.convert("RGB")).save(file, "PNG")
    except (TypeError, ValueError, OSError) as error:
        raise InputError(f"images are paths, Pillow images, uint8 tensors or arrays, not {type(image).__name__}") from error
    file.seek(0)
    return file


def find_inputs(paths: Sequence[str | Path], out: Path) -> list[InputFile]:
    """Finds the image files of files and folders, with the names of their translations.

    Args:
        paths: files, and folders, of which all images are taken, those of their subfolders too.
        out: the folder of the translations. What lies in it is no input.

    Raises:
        InputError: no such file or folder, or a folder without images.
    """
    found: dict[Path, None] = {}
    bases: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            bases.append(os.path.abspath(path))
            inside = [file for file in find_images(path) if out.absolute() not in file.absolute().parents]
            if not inside:
                raise InputError(f"there are no images in {printable(path)} but the translations in {printable(out)}")
            found.update(dict.fromkeys(Path(os.path.abspath(file)) for file in inside))
        elif path.exists():
            bases.append(os.path.dirname(os.path.abspath(path)))
            found[Path(os.path.abspath(path))] = None
        else:
            raise InputError(f"there is no file or folder {printable(path)}")
    base = Path(os.path.commonpath(bases))
    names = [path.relative_to(base).as_posix() for path in found]
    return [InputFile(*each) for each in zip(found, names, output_names(names), strict=True)]


def unfinished(files: Sequence[InputFile], out: Path, translation: Translation, weights: str) -> list[InputFile]:
    """Those of the files that have no translation yet by the same weights and options.

    Args:
        files: the inputs.
        out: the folder of the translations.
        translation: the model and its options.
        weights: the :func:`~ganzoo.utils.weights.weights_sha256` of the model.

    Raises:
        InputError: another file stands where a translation would.
    """
    missing, foreign = [], []
    for file in files:
        path = output_path(file, out)
        if not path.exists():
            missing.append(file)
        elif read_record(path) != translation.record(file, weights):
            foreign.append(path)
        elif _is_newer(file.path, path):
            missing.append(file)
    if foreign:
        more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
        raise InputError(
            f"{printable(foreign[0])}{more} is there and was not made by this model with these options: give another --out"
        )
    return missing


def _is_newer(file: Path, than: Path) -> bool:
    with suppress(OSError):
        return file.stat().st_mtime > than.stat().st_mtime
    return False


def output_path(file: InputFile, out: Path) -> Path:
    """The file of a translation."""
    return out / f"{file.output}.png"


def translate_files(files: Iterable[InputFile], out: Path, translation: Translation, weights: str) -> Iterator[Done]:
    """Translates files to PNG files. Threads read the next ones and write the last ones while the network works.

    Args:
        files: from :func:`find_inputs`.
        out: the folder of the translations; it is made where it is missing.
        translation: the model and its options.
        weights: the model's :func:`~ganzoo.utils.weights.weights_sha256`, for the files.

    Yields:
        Each file when its translation is on the disk, or when it is known that it cannot be read.

    Raises:
        InputError: a translation cannot be written.
    """
    with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(WRITERS) as writers:
        waiting: deque[tuple[Done, Future[None] | None, int]] = deque()
        for file, read in _ahead(files, partial(_read, translation), _pixels, readers):
            if isinstance(read, InputError):
                waiting.append((Done(file, str(read)), None, 0))
            else:
                image, animated = read
                made = translation.run(image, file.name, file.output)
                del image, read
                path = output_path(file, out)
                write = writers.submit(_write, path, made, translation.record(file, weights))
                waiting.append((Done(file, animated=animated), write, made[0].numel()))
                del made
            while len(waiting) > AHEAD or (waiting and sum(pixels for *_, pixels in waiting) > PIXELS):
                yield _written(*waiting.popleft())
        while waiting:
            yield _written(*waiting.popleft())


def _ahead(
    items: Iterable[Item], work: Callable[[Item], Result], size: Callable[[Item], int], pool: ThreadPoolExecutor
) -> Iterator[tuple[Item, Result]]:
    """The items with what the work makes of them, in order; some are worked on ahead, as many as fit."""
    waiting: deque[tuple[Item, Future[Result], int]] = deque()
    held = 0
    for item in items:
        pixels = size(item)
        while waiting and (held + pixels > PIXELS or len(waiting) >= AHEAD):
            first, result, its = waiting.popleft()
            held -= its
            yield first, result.result()
        waiting.append((item, pool.submit(work, item), pixels))
        held += pixels
    while waiting:
        first, result, _ = waiting.popleft()
        yield first, result.result()


def _pixels(file: InputFile) -> int:
    with suppress(InputError):
        height, width = image_size(file.path)
        return height * width
    return 0


def _read(translation: Translation, file: InputFile) -> tuple[Tensor, bool] | InputError:
    try:
        image = translation.read(file.path)
    except InputError as error:
        return error
    with Image.open(file.path) as opened:
        return image, bool(getattr(opened, "is_animated", False))


def _write(path: Path, image: Tensor, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, image, record)


def _written(done: Done, write: Future[None] | None, pixels: int) -> Done:
    try:
        if write is not None:
            write.result()
    except OSError as error:
        raise InputError(f"cannot write {printable(error.filename or 'a translation')}: {error.strerror}") from error
    return done
