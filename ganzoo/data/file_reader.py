"""Base class of the readers of image files: what a sample is read from, and the shapes of its images."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ganzoo.data.images import read_resized


class FileReader(ABC):
    """Reads one file, or the two files of a pair, as a sample of resized uint8 images.

    Args:
        fit: function of (height, width, size) that gives the (height, width) to resize an image to.
        size: what `fit` is given, in pixels.
        max_value: value of white in deep grey files, as for :func:`~ganzoo.data.images.read_image`.
        draft: decode a large JPEG at a fraction of its size, as :func:`~ganzoo.data.images.read_resized` does.
    """

    def __init__(self, fit: Callable[..., tuple[int, int]], size: int, max_value: float | None, draft: bool) -> None:
        self.fit = partial(fit, size=size)
        self.max_value = max_value
        self.draft = draft
        self.settings = f"{fit.__name__} {size} {max_value} {draft}"

    @abstractmethod
    def parts(self, file: Any) -> Sequence[tuple[Path, Sequence[int]]]:
        """The paths to read, each with the numbers of channels of the images that lie side by side in it."""

    @abstractmethod
    def sample(self, file: Any, images: Sequence[Tensor]) -> Any:
        """The sample of a file whose images, in the order of :meth:`parts`, are these."""

    def table(self, files: Sequence[Any], images: Sequence[Tensor]) -> Any:
        """The samples of N files as one NamedTuple; `images` are uint8 [N, C, H, W], in the order of :meth:`parts`."""
        return self.sample(files, images)

    def read(self, file: Any) -> list[Tensor]:
        """Decodes and resizes the images of a file, each uint8 [C, H, W].

        Raises:
            InputError: as for :func:`~ganzoo.data.images.read_image`.
        """
        return [
            image
            for path, channels in self.parts(file)
            for image in read_resized(path, channels, self.fit, self.max_value, self.draft)
        ]

    def shapes(self, file: Any, sizes: Mapping[Path, tuple[int, int]]) -> list[tuple[int, int, int]]:
        """The shapes (C, H, W) of what :meth:`read` gives, from the (height, width) of the files as they are."""
        found = []
        for path, channels in self.parts(file):
            height, width = sizes[path]
            found += [(each, *self.fit(height, width // len(channels))) for each in channels]
        return found

    def __call__(self, file: Any) -> Any:
        return self.sample(file, self.read(file))
