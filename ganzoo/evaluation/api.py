"""Evaluates a model from Python, as ``ganzoo evaluate`` does.

::

    model = GAN.load_from_checkpoint("last.ckpt")
    result = evaluate(model, MNIST("data"), metrics=["distance"], extractor="efflite0")
    print(result.metrics["fd_efflite0"].value)
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch

from ganzoo.evaluation.batches import ImageFiles
from ganzoo.evaluation.cache import DEFAULT_CACHE, cache_folder
from ganzoo.evaluation.evaluator import Evaluation
from ganzoo.evaluation.metrics import MetricOptions
from ganzoo.evaluation.protocol import Result
from ganzoo.evaluation.request import Request
from ganzoo.evaluation.sources import DataSource, Model, stub_trainer
from ganzoo.evaluation.worker import ResumableWorker
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.utils.signals import Stops


def evaluate(
    generated: L.LightningModule | str | Path,
    data: L.LightningDataModule | str | Path | None = None,
    metrics: Sequence[str] | None = None,
    extractor: str | Extractor = "inception",
    *,
    n: int | None = None,
    split: Literal["train", "val", "test"] = "test",
    batch_size: int | None = None,
    per_class: bool = False,
    moments: bool = False,
    classifier_epochs: int = 5,
    cache: str | Path | None = DEFAULT_CACHE,
    work: str | Path | None = None,
    **options: Any,
) -> Result:
    """Evaluates a model, or a folder of images, against real images.

    Args:
        generated: a ``Sampler``, a ``Translator`` or a module whose ``validation_step`` returns images, on the device where
            it is to work; or a folder of images.
        data: the real images, and those that are translated: a data module, a folder of images, or a .npz file of
            ``--save_statistics``. None for metrics that need no real images.
        metrics: distance, kernel, score, manifold, paired, lpips, parzen, agreement, neighbours, modes. Left out: those of
            the first four and paired that can be had; modes for points in the plane.
        extractor: the network of the features: a name or a file, as in the command, or an extractor.
        n: images that are generated. Left out: as many as there are real ones.
        split: the split of the data module.
        batch_size: images at a time. Left out: as :func:`~ganzoo.evaluation.generate.default_batch_size`.
        per_class: also metrics of each class.
        moments: keep moments of the features instead of a row for each image: less disk and memory.
        classifier_epochs: epochs of the two classifiers that ``agreement`` trains.
        cache: folder where the features of real images are kept; None for none.
        work: folder for what an interrupted evaluation leaves, from which the same call resumes. Left out: a temporary one.
        options: of :class:`~ganzoo.evaluation.metrics.MetricOptions`: seed, keep, subsets, subset_size, splits, k and
            k_density.

    Returns:
        The values by name, with the whole protocol; :meth:`~ganzoo.evaluation.protocol.Result.save` writes it.

    Raises:
        InputError: what cannot be evaluated, in one line.
    """
    began, given = time.monotonic(), MetricOptions(**options)
    device = torch.device("cpu") if isinstance(generated, str | Path) else generated.device
    request = Request(
        metrics,
        extractor=extractor,
        n=n,
        split=split,
        batch_size=batch_size,
        options=given,
        per_class=per_class,
        moments=moments,
        classifier_epochs=classifier_epochs,
        device=device,
        cache=cache_folder(cache),
    )
    trainer = stub_trainer(device.type)
    read = _data_source(data, trainer) if isinstance(data, L.LightningDataModule) else None
    real = None if data is None or isinstance(data, L.LightningDataModule) else Path(data)
    if isinstance(generated, str | Path):
        return _run(Evaluation(ImageFiles(Path(generated), n), read, real, request), work, began)
    before = generated._trainer
    model = Model.of(generated)._replace(batch_size=getattr(data, "batch_size", None) if read else None)
    try:
        model.attach(trainer)
        return _run(Evaluation(model, read, real, request), work, began)
    finally:
        generated._trainer = before


def _data_source(data: L.LightningDataModule, trainer: L.Trainer) -> DataSource:
    name = f"{type(data).__module__}.{type(data).__qualname__}"
    return DataSource(data, name, {key: value for key, value in data.hparams.items() if key[0] != "_"}, trainer)


def _run(evaluation: Evaluation, work: str | Path | None, began: float) -> Result:
    result = evaluation.protocol()
    with tempfile.TemporaryDirectory() as temporary, Stops() as stops:
        folder = Path(temporary if work is None else work) / f"evaluate_{result.key}"
        folder.mkdir(parents=True, exist_ok=True)
        result.metrics = evaluation.run(ResumableWorker(folder, stops))
        shutil.rmtree(folder)
    result.about |= evaluation.found | finished(began)
    return result


def finished(began: float) -> dict[str, Any]:
    """When an evaluation ended, and how many seconds it took since `began` (of ``time.monotonic``)."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": now, "seconds": round(time.monotonic() - began, 1)}
