"""Base classes of the DataModules that read image files from folders: one folder, or the two sides A and B."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch.utils.data import Dataset

from ganzoo.data.base import ImageDataModule
from ganzoo.data.file_reader import FileReader
from ganzoo.data.image_files import Damaged, find_images, readable_images, warn_if_dark
from ganzoo.data.packed import PackedReader
from ganzoo.data.predicting import InputImage, folder_to_predict, squared, whole
from ganzoo.data.split_cache import LEAST, FileNames, Make, SplitCache
from ganzoo.data.splits import Layout, one_side, refuse_shared, split_folders, two_sides
from ganzoo.errors import InputError
from ganzoo.utils.ranges import HalfOpenUnitInterval, Pixels, PositiveFloat, PositiveInt

Direction = Literal["AtoB", "BtoA"]
File = TypeVar("File")


class FolderDataModule(ImageDataModule):
    """Base class of DataModules whose images are files below a folder.

    Args:
        root: the folder.
        shape: shape (C, H, W) of an image that comes out.
        mirror: flip training images left to right half of the time.
        val_share: expected share in [0, 1) of the files that validates where there is neither ``val`` nor ``test``.
        splits: False if no folder is a split, whatever its name is.
        damaged: "refuse" stops with the names of damaged files before training; "skip" decodes every file once and trains
            without the damaged ones.
        max_value: value of white in grey files of more than 8 bits, such as 4095 for 12 bits; None for 65535.
        jpeg_draft: decode the JPEGs that train at a fraction of their size, at least twice the wanted one. It saves time,
            and changes pixels a little. Validation, test and prediction decode whole images.
        packed: decode and resize each training image once, into a file of the cache folder (``$GANZOO_CACHE``, or
            ``~/.cache/ganzoo``), and read it from there afterwards. Batches are the same. The file takes
            channels x height x width bytes for each image.
        predict_squares: predict from squares, as in training; otherwise a translator keeps each image's own size.
        batch_size: images in a batch of each process (and of each domain, where there are two), at least 1.
        loading: ``num_workers`` (0) and ``seed`` (0) of ``ImageDataModule``.

    Raises:
        InputError: a number is out of range; there is no such folder, it has no images, or a file is not the image its
            name says; it is unclear whether folders are splits. A file that is damaged in its middle is refused when it
            is read.
    """

    def __init__(
        self,
        root: str,
        shape: tuple[int, int, int],
        mirror: bool = True,
        val_share: HalfOpenUnitInterval = 0.1,
        splits: bool = True,
        damaged: Damaged = "refuse",
        max_value: PositiveFloat | None = None,
        jpeg_draft: bool = True,
        packed: bool = False,
        predict_squares: bool = False,
        batch_size: PositiveInt = 16,
        **loading: Any,
    ) -> None:
        super().__init__(shape, None, batch_size=batch_size, **loading)
        self.root = Path(root)
        self.size = shape[-1]
        self.mirror = mirror
        self.val_share = val_share
        self.has_splits = splits
        self.damaged: Damaged = damaged
        self.max_value = max_value
        self.jpeg_draft = jpeg_draft
        self.packed = packed
        self._packs: list[PackedReader] = []
        self.predict_squares = predict_squares

    def prepare_training(self) -> None:
        """Packs the training images, if that is wanted and not done."""
        for pack in self._packs:
            pack.open()

    def _packed(
        self, reader: FileReader, files: Sequence[Any], sizes: Mapping[Path, tuple[int, int]]
    ) -> FileReader | PackedReader:
        """What reads the training images: `reader`, or with ``packed`` one that reads them from a file of all."""
        if not self.packed or not files:
            return reader
        self._packs.append(PackedReader(reader, files, sizes))
        return self._packs[-1]

    def _sizes(self, files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
        """(height, width) of the files that can be read; see :func:`~ganzoo.data.image_files.readable_images`."""
        return readable_images(files, self.damaged, self.max_value)

    def _readable(
        self, parts: Iterable[Sequence[File]], sizes: dict[Path, tuple[int, int]], paths_of: Callable[[File], Sequence[Path]]
    ) -> tuple[list[File], list[File], list[File]]:
        """The samples to train on, validate on and test on whose files can be read. Warns of nearly black images.

        Raises:
            InputError: a held-out sample is also trained on.
        """
        before = list(parts)
        train, val, test = ([file for file in files if set(paths_of(file)) <= sizes.keys()] for files in before)
        if before[1] is before[2]:
            test = val
        refuse_shared((tuple(paths_of(file)) for file in train), (tuple(paths_of(file)) for file in (*val, *test)))
        for files in zip(*map(paths_of, train or test), strict=True):
            warn_if_dark(files, self.max_value)
        return train, val, test

    def _split_cache(self, roots: Sequence[Path], **settings: Any) -> SplitCache:
        """What an earlier start remembered of these folders' splits."""
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        own = {"val_share": self.val_share, "splits": self.has_splits, "damaged": self.damaged, "max_value": self.max_value}
        return SplitCache(roots, {"class": kind, **own, **settings})

    def _recalled(self, cache: SplitCache, make: Make) -> list[Sequence[Any]] | None:
        """The lists that :meth:`_remembered` was given; None if they are not known, or images' sizes are needed as well."""
        found = None if self.packed else cache.recall(make)
        if found is None:
            return None
        lists, self.origin = found
        return [lists[str(i)] for i in range(len(lists))]

    def _remembered(
        self, cache: SplitCache, lists: Sequence[Sequence[File]], names_of: Callable[[Sequence[File]], FileNames], make: Make
    ) -> Sequence[Sequence[File]]:
        """The same lists; of very many files they are written to the cache, and read from there as they are used."""
        distinct = {id(files): files for files in lists}  # val and test may be one list
        if self.packed or sum(map(len, distinct.values())) < LEAST:
            return lists
        names = {key: names_of(files) for key, files in distinct.items()}
        if not cache.remember({str(i): names[id(files)] for i, files in enumerate(lists)}, self.origin):
            return lists
        return list(cache.load(make)[0].values())


class TwoSidedFolders(FolderDataModule):
    """Base class of DataModules of two sides A and B, in folders of their own or in one.

    Args:
        root: folder of both sides, or of A.
        root_b: folder of B; None if both sides are in `root`.
        direction: "AtoB" makes A the input x and B the output y, "BtoA" the reverse.
        size: height and width in pixels of the images that come out.
        load_size: height and width in pixels before the random crop, at least `size`; equal to it for no crop.
        channels_x: channels of x, 1 or 3.
        channels_y: channels of y, 1 or 3.
        batch_size: images of each side in a batch of each process, at least 1.
        options: ``mirror`` (True), ``val_share`` (0.1), ``splits`` (True), ``damaged`` ("refuse"), ``max_value`` (None),
            ``jpeg_draft`` (True), ``packed`` (False) and ``predict_squares`` (False) of :class:`FolderDataModule`, and
            ``num_workers``, ``seed``.

    Attributes:
        shape_x: shape (C, H, W) of x.
        shape_y: shape (C, H, W) of y; `shape` is the same.
    """

    def __init__(
        self,
        root: str,
        root_b: str | None = None,
        direction: Direction = "AtoB",
        size: Pixels = 256,
        load_size: Pixels = 286,
        channels_x: Literal[1, 3] = 3,
        channels_y: Literal[1, 3] = 3,
        batch_size: PositiveInt = 1,
        **options: Any,
    ) -> None:
        if load_size < size:
            raise InputError(f"load_size is {load_size}: give a whole number of at least {size}, the size")
        super().__init__(root, (channels_y, size, size), batch_size=batch_size, **options)
        self.root_b = None if root_b is None else Path(root_b)
        self.direction: Direction = direction
        self.load_size = load_size
        self.shape_x = (channels_x, size, size)
        self.shape_y = (channels_y, size, size)

    def inputs(self) -> Dataset:
        side = "B" if self.direction == "BtoA" else "A"
        layout = one_side(self.root, side, self.has_splits) if self.root_b is None else None
        has_sides = layout is not None or self.root_b is not None
        if layout is None:
            layout = split_folders(self.root_b if self.root_b and side == "B" else self.root, self.has_splits)
        folder = folder_to_predict(layout)
        files = find_images(folder)
        items = [whole(file, folder, self.shape_x[0], self.max_value) for file in files]
        if not has_sides:
            items = self._inputs_without_sides(items, files, have_splits="" not in layout)
        if self.predict_squares or not self._keeps_sizes():
            items = [squared(item, self.size) for item in items]
        return self._from_files(items, folder, self.direction)

    def _inputs_without_sides(self, items: list[InputImage], files: Sequence[Path], have_splits: bool) -> list[InputImage]:
        """The inputs in a folder that has no folders of sides: the files themselves, unless overridden."""
        return items

    def _two_sides(self) -> tuple[Layout, Layout] | None:
        """The splits of A and of B; None if `root` has no folders of sides and `root_b` is not given."""
        if self.root_b is not None:
            return split_folders(self.root, self.has_splits), split_folders(self.root_b, self.has_splits)
        return two_sides(self.root, self.has_splits)
