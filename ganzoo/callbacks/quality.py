"""Metrics of a model's images during its training: Frechet and kernel distance, Inception score, precision and recall."""

from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L

from ganzoo.callbacks.distributed import (
    TrainerSplit,
    TrainerWorker,
    is_fast_dev_run,
    isolated,
    load_split,
    loader_of,
    rank_zero_buffers,
)
from ganzoo.callbacks.loggers import log_values
from ganzoo.callbacks.periodic import PeriodicMetrics
from ganzoo.errors import InputError
from ganzoo.evaluation.batches import EvalSplit
from ganzoo.evaluation.cache import DEFAULT_CACHE, cache_folder
from ganzoo.evaluation.evaluator import Evaluation
from ganzoo.evaluation.generate import default_batch_size, normalizes_by_batch
from ganzoo.evaluation.metrics import FEATURE_METRICS, FeatureMetricName, MetricOptions, flat
from ganzoo.evaluation.request import Request
from ganzoo.evaluation.sources import Model
from ganzoo.interfaces import Sampler
from ganzoo.metrics.extractors import find
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import NonNegativeInt, PositiveInt, SampleCount, Size


class Quality(PeriodicMetrics):
    r"""Computes metrics of a model's images, all from one pass, and logs them so that they can be a checkpoint's monitor.

    Logged under the split whose real images they are compared with, ``val/...`` unless `split` is another, and ``test/...``
    under ``ganzoo test``:

    ==============  ======================================  ==========================================================
    ``distance``    ``val/fid_tf``                          Frechet distance; on other networks than Inception ``fd_...``
    ``kernel``      ``val/kid_tf``, ``..._std``             kernel distance, mean and deviation over its subsets; ``kd_...``
    ``score``       ``val/inception_score_tf``, ``_std``    Inception score, mean and deviation over its splits
    ``manifold``    ``val/precision_...``, ``recall_...``   share of samples among the real images, and the other way round
    \               ``val/density_...``, ``coverage_...``   the same two, less moved by single outliers
    ==============  ======================================  ==========================================================

    A ``CycleTranslator`` has each of them twice, ``..._to_y`` and ``..._to_x``. With `per_class` there are also
    ``val/fid_tf_class_3`` and so on, and their mean over the classes, ``val/intra_fid_tf``.

    It works for a ``Sampler``, a ``Translator``, and any module whose ``validation_step`` returns ``Generated``,
    ``Translated`` or ``Cycled``, with the averaged networks if there are any. The metrics are computed at validations: the
    first of a run (so that a monitor is there from the beginning), the last, and those of each `every_n_epochs`-th epoch; at
    the ends of those epochs where the training has no validation. Not in the sanity check and under ``fast_dev_run``.

    The whole protocol goes to the loggers that have a place for it (W&B, TensorBoard, MLflow, Comet), once in a run.

    The training is not changed: noise comes from a random stream of its own, without gradients, in evaluation mode. Several
    ranks share the images out, and have what one would have.

    Args:
        extractor: the network of the features: inception, inception-clean, efflite0, dinov2-vits14, dinov2-vitb14,
            dinov2-vitl14, or the path of a small classifier's file.
        weights: the path of its weights. Left out: the usual place.
        metrics: of distance, kernel, score and manifold; an error where one cannot be had. Left out: all that can be had.
        n: images that a ``Sampler`` generates, and the most that a translator translates. Metrics of unlike n cannot be
            compared.
        batch_size: images at a time. The noise is drawn for a batch, and some networks normalize by it, so this belongs to
            the protocol. Left out: 50; of what is translated, and of a model that normalizes by each batch's statistics, as
            many as the loader of the split gives.
        split: the real images, and what a translator translates: train, val or test. All of it, whatever
            ``limit_val_batches`` is. Under ``ganzoo test`` val stands for test.
        every_n_epochs: compute at the validation of each n-th epoch, as well as at the first and the last; 0 for no other.
        every_n_steps: also each n steps.
        per_class: also the metrics of each class; for a ``Sampler`` with classes and labelled images.
        moments: keep moments of the features instead of a row for each image: 33 MB of memory for any n on Inception, and
            without it 8 kB for each image. Not with `per_class`.
        cache: folder for the real images' features, which are extracted once. default: ``features`` in ``$GANZOO_CACHE``, or
            in ``~/.cache/ganzoo``; null: none.
        options: of :class:`~ganzoo.evaluation.metrics.MetricOptions`.

    Raises:
        InputError: a number out of range, or nothing to compute; before the training, no such extractor or weights, too few
            images, a module that makes none; later, images that are not finite or not in [-1, 1].
    """

    def __init__(
        self,
        extractor: str = "inception",
        weights: str | None = None,
        metrics: list[FeatureMetricName] | None = None,
        n: SampleCount = 5000,
        batch_size: Size | None = None,
        split: Literal["train", "val", "test"] = "val",
        every_n_epochs: NonNegativeInt = 1,
        every_n_steps: PositiveInt | None = None,
        per_class: bool = False,
        moments: bool = False,
        cache: str | Path | None = DEFAULT_CACHE,
        **options: Any,
    ) -> None:
        super().__init__(every_n_epochs, every_n_steps)
        who = type(self).__name__
        if metrics is not None and not metrics:
            raise InputError(f"{who} computes nothing: choose of {', '.join(FEATURE_METRICS)}")
        self.asked = metrics
        if per_class and not self._needs_real:
            raise InputError(f"{who}'s per_class needs distance, kernel or manifold: a score of one class says nothing")
        self.options = MetricOptions(**options)
        self.extractor, self.weights = extractor, weights
        self.n, self.batch_size, self.split = n, batch_size, split
        self.per_class, self.moments = per_class, moments
        self.cache = cache_folder(cache)
        self._network: Extractor | None = None
        self._forget()

    def _forget(self) -> None:
        self._evaluations: dict[str, Evaluation] = {}  # by split
        self._logged: set[str] = set()

    @property
    def _needs_real(self) -> bool:
        return self.asked is None or any(FEATURE_METRICS[name].needs_real for name in self.asked)

    # -- when ---------------------------------------------------------------------------------------------------------

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Finds the extractor, so that a missing one is known before the training."""
        super().setup(trainer, pl_module, stage)
        self._forget()
        if stage not in ("fit", "validate", "test") or is_fast_dev_run(trainer) or self._network is not None:
            return
        # a machine's first process may have to fetch the weights
        for first in (True, False):
            if (trainer.local_rank == 0) == first:
                self._network = find(self.extractor, self.weights).eval().requires_grad_(False)
            trainer.strategy.barrier()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks that there is something to be computed, and images enough."""
        self._check(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same, for ``ganzoo validate``."""
        if trainer.state.fn == "validate":
            self._check(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same, for ``ganzoo test``."""
        self._check(trainer, pl_module)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Computes."""
        self._update_and_log(trainer, pl_module)

    # -- what ---------------------------------------------------------------------------------------------------------

    def _check(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Chooses the metrics."""
        if not is_fast_dev_run(trainer):
            with isolated(trainer):
                self._evaluation(trainer, module)

    def _split_name(self, trainer: L.Trainer) -> str:
        return "test" if self.split == "val" and trainer.state.fn == "test" else self.split

    def _evaluation(self, trainer: L.Trainer, module: L.LightningModule) -> Evaluation:
        name = self._split_name(trainer)
        if name not in self._evaluations:
            made = self._made(trainer, module, name)
            for metric, why in made.chosen.left_out.items():
                self._log_once(f"{metric} is left out: {why}")
            self._evaluations[name] = made
        return self._evaluations[name]

    def _made(self, trainer: L.Trainer, module: L.LightningModule, name: str) -> Evaluation:
        assert self._network is not None
        data = None
        if self._needs_real or not isinstance(module, Sampler) or normalizes_by_batch(module):
            loader = loader_of(trainer, name)
            if loader is None or loader == []:
                loader = load_split(trainer, module, name)
            split = EvalSplit(loader, name, trainer.strategy.batch_to_device)  # with the hooks of the data module
            data = TrainerSplit(split, getattr(trainer, "datamodule", None) or module)
        size = None if data is None else data.split(name).loader.batch_size
        request = Request(
            self.asked,
            available=tuple(FEATURE_METRICS),
            extractor=self._network,
            n=self.n,
            split=name,
            batch_size=self.batch_size or default_batch_size(module, size),
            options=self.options,
            per_class=self.per_class,
            moments=self.moments,
            device=module.device,
            cache=self.cache,
        )
        return Evaluation(Model.of(module), data, None, request, trainer.precision_plugin.forward_context)

    def _measure(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, float]:
        assert self._network is not None
        worker = TrainerWorker(trainer, self._network.name, self._log_once)
        with isolated(trainer), rank_zero_buffers(trainer, module):
            evaluation = self._evaluation(trainer, module)
            found = evaluation.run_features(worker)
            self._log_protocol(trainer, evaluation)
        split, metrics = self._split_name(trainer), dict[str, float]()
        for name, values in found.items():
            end = f"_{name}" if name else ""
            metrics |= {f"{split}/{kind}{end}": value for kind, value in flat(values).items()}
        return metrics

    def _log_protocol(self, trainer: L.Trainer, evaluation: Evaluation) -> None:
        name = f"protocol_{self._split_name(trainer)}_{evaluation.label}"
        if trainer.is_global_zero and name not in self._logged:
            self._logged.add(name)
            for logger in trainer.loggers:
                log_values(logger, name, evaluation.protocol().protocol)

    def _log_once(self, line: str) -> None:
        if line not in self._logged:
            self._logged.add(line)
            log_info(f"{type(self).__name__}: {line}")


class FID(Quality):
    """The Frechet distance alone: ``val/fid_tf`` on Inception-2015, ``val/fd_...`` on any other network.

    A preset of :class:`Quality`, whose arguments it takes.

    Args:
        options: of :class:`Quality`.
    """

    def __init__(self, extractor: str = "inception", **options: Any) -> None:
        super().__init__(extractor, metrics=["distance"], **options)


class KID(Quality):
    """The kernel distance alone: ``val/kid_tf`` on Inception-2015, ``val/kd_...`` on any other network.

    A preset of :class:`Quality`, whose arguments it takes.

    Args:
        options: of :class:`Quality`.
    """

    def __init__(self, extractor: str = "inception", **options: Any) -> None:
        super().__init__(extractor, metrics=["kernel"], **options)


class InceptionScore(Quality):
    """The Inception score alone: ``val/inception_score_tf`` on Inception-2015, ``val/score_...`` on any other classifier.

    A preset of :class:`Quality`, whose arguments it takes. It reads no real image.

    Args:
        options: of :class:`Quality`.
    """

    def __init__(self, extractor: str = "inception", **options: Any) -> None:
        super().__init__(extractor, metrics=["score"], **options)


class PrecisionRecall(Quality):
    """Precision, recall, density and coverage alone: ``val/precision_...`` and so on, named after the network.

    A preset of :class:`Quality`, whose arguments it takes.

    Args:
        options: of :class:`Quality`.
    """

    def __init__(self, extractor: str = "inception", **options: Any) -> None:
        super().__init__(extractor, metrics=["manifold"], **options)
