"""Writes predictions: a PNG file for each generated image, and a CSV list of all inputs."""

import csv
import heapq
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from ganzoo.errors import InputError, printable
from ganzoo.interfaces import Sampler
from ganzoo.prediction import Inputs, number_name, numbered, origin
from ganzoo.utils.files import atomic_write
from ganzoo.utils.images import to_uint8
from ganzoo.utils.log import log_info
from ganzoo.utils.png import save_png
from ganzoo.utils.weights import weights_sha256

LIST = "predictions.csv"
_OF_IMAGES = ("number", "input", "output", "class", "error")
_OF_CLASSES = ("number", "input", "class", "class_name", "probability", "error")


class PredictionWriter(BasePredictionWriter):
    """Writes the predictions of all processes to one folder.

    A prediction is what ``predict_step`` returns. Images in [-1, 1], [B, C, H, W] or a list of [C, H, W], become PNG files
    under the names of their inputs: ``predictions/sub/zebra.png`` for ``sub/zebra.jpg``; ``zebra.jpg.png`` if two inputs
    are called ``zebra``. Samples of a generative model, and images without files, are named by their number in the dataset:
    ``predictions/000012.png``. Other predictions are ignored.

    A PNG file's text chunk ``ganzoo`` is a record in JSON: the model's class, the SHA-256 of its weights, the seed of the
    noise, the input.

    ``predictions.csv`` has a row for each input, in the order of the dataset. Columns for images: ``number`` (in the
    dataset), ``input`` (the file, empty if there is none), ``output`` (the PNG file), ``class`` (the class that a
    conditional model was given) and ``error`` (why a file could not be read). Columns for probabilities [B, classes]:
    ``number``, ``input``, ``class`` (the most probable one), ``class_name``, ``probability`` and ``error``.

    The callback keeps nothing in memory. ``Trainer.predict`` keeps all predictions, unless ``return_predictions=False``.

    Args:
        folder: folder of the files. Default: the run's folder, with images in its subfolder ``predictions``.

    Attributes:
        damaged: number of files that could not be read, over all processes; set on rank 0 after predicting.

    Raises:
        InputError: when predicting begins, if the folder has earlier predictions.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        super().__init__(write_interval="batch")
        self.folder = folder
        self.damaged = 0
        self._images, self._list, self._weights = Path(), Path(), ""

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Broadcasts the folder from rank 0, and checks that it has no earlier predictions."""
        self.damaged, self._weights = 0, ""
        home = Path(self.folder or trainer.default_root_dir)
        images = home if self.folder else home / "predictions"
        there = [*home.glob("predictions*.csv"), *([images] if next(images.rglob("*.png"), None) else [])]
        # a process that Lightning starts has another run's folder for its own
        home, images, there = trainer.strategy.broadcast((home, images, there))
        self._images, self._list = images, home / LIST
        if there and not _writes_nothing(trainer):
            raise InputError(
                f"{printable(there[0])} already exists: predictions of two times are not mixed, so give another folder"
            )

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Writes the predictions of one batch."""
        if _writes_nothing(trainer):
            return
        of_images = isinstance(prediction, list) or (isinstance(prediction, Tensor) and prediction.ndim == 4)
        if not of_images and not (isinstance(prediction, Tensor) and prediction.ndim == 2):
            return
        inputs = batch if isinstance(batch, Inputs) else numbered(prediction, None, batch_idx, trainer, dataloader_idx)
        if dataloader_idx:
            inputs = inputs._replace(output=[f"loader_{dataloader_idx}/{name}" for name in inputs.output])
        if len(prediction) != len(inputs.number):
            raise InputError(
                f"predict_step of {type(pl_module).__name__} gives {len(prediction)} predictions for a batch of "
                f"{len(inputs.number)} images: the writer needs one for each"
            )
        try:
            if of_images:
                rows = self._write_images(prediction, inputs, pl_module)
                self._add(trainer, _OF_IMAGES, [*rows, *([n, name, "", "", why] for n, name, why in inputs.damaged)])
            else:
                rows = _classified(prediction, inputs, getattr(getattr(trainer, "datamodule", None), "class_names", None))
                self._add(trainer, _OF_CLASSES, [*rows, *([n, name, "", "", "", why] for n, name, why in inputs.damaged)])
        except OSError as error:
            raise InputError(f"cannot write predictions to {printable(self._list.parent)}: {error.strerror}") from error

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Merges the lists of all processes, and logs where the predictions are and which files could not be read."""
        trainer.strategy.barrier("predictions are written")
        if not trainer.is_global_zero or _writes_nothing(trainer):
            return
        parts = [part for part in map(self._part, range(trainer.world_size)) if part.is_file()]
        if not parts:
            return
        count, header = 0, list(_OF_IMAGES)
        damaged: list[str] = []
        with atomic_write(self._list) as merged, open(merged, "w", **_TEXT) as file:
            rows = csv.writer(file, lineterminator="\n")
            readers = [_rows(part) for part in parts]
            for reader in readers:
                header = next(reader)
            rows.writerow(header)
            for row in heapq.merge(*readers, key=_number):
                rows.writerow(row)
                count += 1
                if row[-1]:
                    damaged = [*damaged, row[-1]][:3]
                    self.damaged += 1
        for part in parts:
            with suppress(OSError):
                part.unlink()
        what = "images" if "output" in header else "rows"
        log_info(f"{count - self.damaged} {what} are in {printable(self._images if what == 'images' else self._list)}")
        if self.damaged:
            told = "; ".join(map(printable, damaged))
            log_info(f"{self.damaged} of {count} files could not be read: {told} (all in {printable(self._list)})")

    def _part(self, rank: int) -> Path:
        return self._list.with_name(f"predictions.{rank}.csv")

    def _add(self, trainer: L.Trainer, header: Sequence[str], rows: list[list[Any]]) -> None:
        part = self._part(trainer.global_rank)
        part.parent.mkdir(parents=True, exist_ok=True)
        new = not part.is_file()
        with open(part, "a", **_TEXT) as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(header)
            rows.sort(key=_number)
            writer.writerows(rows)

    def _record(self, model: L.LightningModule, inputs: Inputs, place: int) -> dict[str, Any]:
        self._weights = self._weights or weights_sha256(model)
        if not isinstance(model, Sampler):
            return origin(model, self._weights, inputs.name[place], inputs.output[place], inputs.direction)
        known = {"model": type(model).__name__, "weights_sha256": self._weights, "seed": inputs.number[place]}
        return known if inputs.y is None or not model.classes else {**known, "class": int(inputs.y[place])}

    def _write_images(self, images: Any, inputs: Inputs, model: L.LightningModule) -> list[list[Any]]:
        rows = []
        sampler = model if isinstance(model, Sampler) else None
        for place, image in enumerate(images):
            name = number_name(inputs.number[place]) if sampler else inputs.output[place]
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise InputError(
                    f"a prediction cannot be called {printable(name)}: it would lie outside of {printable(self._images)}"
                )
            path = self._images / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = image if image.dtype == torch.uint8 else to_uint8(image)
            save_png(path, pixels.cpu(), self._record(model, inputs, place))
            label = int(inputs.y[place]) if sampler and sampler.classes and inputs.y is not None else ""
            rows.append([inputs.number[place], "" if sampler else inputs.name[place], f"{name}.png", label, ""])
        return rows


def _writes_nothing(trainer: Any) -> bool:
    return bool(trainer.fast_dev_run)


# a file's name need not be UTF-8
_TEXT: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}


def _rows(path: Path) -> Iterator[list[str]]:
    with open(path, **_TEXT) as file:
        yield from csv.reader(file)


def _number(row: list[Any]) -> int:
    return int(row[0])


def _classified(prediction: Tensor, inputs: Inputs, class_names: Sequence[str] | None) -> list[list[Any]]:
    if not len(prediction):
        return []
    named = class_names if class_names is not None and len(class_names) == prediction.shape[1] else None
    best = prediction.float().cpu().max(1)
    return [
        [n, name, y, named[y] if named else "", f"{p:.6f}", ""]
        for n, name, y, p in zip(inputs.number, inputs.name, best.indices.tolist(), best.values.tolist(), strict=True)
    ]
