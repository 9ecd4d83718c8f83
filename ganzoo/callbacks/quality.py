"""Metrics of a model's images during its training: Frechet and kernel distance, Inception score, precision and recall."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning.pytorch as L

from ganzoo.callbacks.distributed import (
    float64_device,
    gather_rows,
    is_fast_dev_run,
    isolated,
    load_split,
    loader_of,
    on_all_ranks,
    on_device,
    on_rank_zero,
    progress_bar,
    rank_zero_buffers,
)
from ganzoo.callbacks.periodic import PeriodicMetrics
from ganzoo.errors import InputError
from ganzoo.evaluation.features import (
    DEFAULT_CACHE,
    FeatureSet,
    FeatureTable,
    Wanted,
    cache_folder,
    cached_table,
    check_labels,
    extract,
    recall,
)
from ganzoo.evaluation.generate import (
    EvalSplit,
    ImageBatch,
    Shard,
    count_generated,
    default_batch_size,
    generated_batches,
    normalizes_by_batch,
    output_kinds,
)
from ganzoo.evaluation.metrics import (
    FEATURE_METRICS,
    Counts,
    FeatureMetricName,
    MetricOptions,
    check,
    choose,
    compute,
    compute_per_class,
    flat,
    reduce,
)
from ganzoo.interfaces import Sampler
from ganzoo.metrics.extractors import find
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.statistics import FeatureSpec
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import NonNegativeInt, PositiveInt, SampleCount, Size


class _Task(NamedTuple):
    """What is to be evaluated."""

    name: str  # of the split
    split: EvalSplit | None  # None where no data are needed
    fields: dict[str, str]  # by kind of image, the field of the batches that has the real ones
    classes: int  # for metrics per class, else 0
    batch_size: int


class Quality(PeriodicMetrics):
    r"""Computes metrics of a model's images, all from one pass, and logs them so that they can be a checkpoint's monitor.

    Logged under the split whose real images they are compared with, ``val/...`` unless told otherwise, and ``test/...``
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
        every_n_epochs: compute at the validation of each n-th epoch, beside the first and the last; 0 for no other.
        every_n_steps: also each n steps.
        per_class: also the metrics of each class; for a ``Sampler`` with classes and labelled images.
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
        self.n, self.batch_size, self.split, self.per_class = n, batch_size, split, per_class
        self.cache = cache_folder(cache)
        self._network: Extractor | None = None
        self._forget()

    def _forget(self) -> None:
        self._chosen: list[str] | None = None
        self._real: dict[tuple[str, str], FeatureSet] = {}  # by split and set, on rank 0
        self._fields: dict[str, str] | None = None
        self._loaders: dict[str, Any] = {}  # of splits that the trainer has no use for
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
        if is_fast_dev_run(trainer):
            return
        assert self._network is not None
        extractor = self._network
        with isolated(trainer):
            task = self._task(trainer, module)
        counts = []
        for name, field in task.fields.items():
            made = count_generated(module, task.split, name, self.n)
            counts.append(Counts(task.split.count(field) if task.split is not None and self._needs_real else made, made))

        def refuse(name: str) -> None:
            for each in counts:
                check(name, self.options, each, extractor)
            if task.classes and FEATURE_METRICS[name].needs_real:
                share = self.n // task.classes
                try:
                    check(name, self.options, Counts(share, share), extractor)
                except InputError as error:
                    raise InputError(f"of {self.n} samples each of {task.classes} classes has {share}: {error}") from None

        left_out: dict[str, str] = {}
        self._chosen = choose(self.asked, [name for name in FEATURE_METRICS if name in (self.asked or FEATURE_METRICS)],
                              refuse, left_out)  # fmt: skip
        if not self._chosen:
            raise InputError("; ".join(f"{name}: {why}" for name, why in left_out.items()))
        for name, why in left_out.items():
            self._log_once(f"{type(self).__name__}: {name} is left out: {why}")

    def _task(self, trainer: L.Trainer, module: L.LightningModule) -> _Task:
        name = "test" if self.split == "val" and trainer.state.fn == "test" else self.split
        split = None
        if self._needs_real or not isinstance(module, Sampler) or normalizes_by_batch(module):
            loader = loader_of(trainer, name)
            if loader is None or loader == []:
                if name not in self._loaders:
                    self._loaders[name] = load_split(trainer, module, name)
                loader = self._loaders[name]
            split = EvalSplit(loader, name, trainer.strategy.batch_to_device)  # with the hooks of the data module
        size = self.batch_size or default_batch_size(module, None if split is None else split.loader.batch_size)
        if self._fields is None:
            self._fields = output_kinds(module, split, size, trainer.precision_plugin.forward_context)
        classes = (module.classes or 0) if self.per_class and isinstance(module, Sampler) else 0
        if self.per_class and not classes:
            raise InputError(
                f"per_class needs a model that is sampled by class, and {type(module).__name__} is none: leave it out"
            )
        return _Task(name, split, self._fields, classes, size)

    def _measure(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, float]:
        assert self._network is not None
        extractor = self._network
        with isolated(trainer), rank_zero_buffers(trainer, module), on_device(extractor, module.device):
            task = self._task(trainer, module)
            if self._needs_real:
                self._extract_real(trainer, module, task)
            spec, shard = extractor.spec(type(module).__name__, task.name), Shard(trainer.global_rank, trainer.world_size)
            tables = {name: FeatureTable(count_generated(module, task.split, name, self.n), spec) for name in task.fields}
            context = trainer.precision_plugin.forward_context
            batches = generated_batches(module, task.split, self.n, task.batch_size, self.options.seed, shard, context)
            self._extract(trainer, "samples", batches, tables, task, logits="score" in self._metrics)
            return on_rank_zero(trainer, lambda: self._compute(module, task, tables))

    @property
    def _metrics(self) -> list[str]:
        assert self._chosen is not None
        return self._chosen

    def _compute(self, module: L.LightningModule, task: _Task, tables: dict[str, FeatureTable]) -> dict[str, float]:
        assert self._network is not None
        found: dict[str, float] = {}
        for name, table in tables.items():
            real, fake = self._real.get((task.name, name)), self._reduced(module, task, table)
            values = compute(self._network, self._metrics, self.options, real, fake)
            if real is not None and task.classes:
                values |= compute_per_class(self._network, self._metrics, self.options, real, fake)
            end = f"_{name}" if name else ""
            found |= {f"{task.name}/{kind}{end}": value for kind, value in flat(values).items()}
        return found

    def _reduced(self, module: L.LightningModule, task: _Task, table: FeatureTable) -> FeatureSet:
        return reduce(table, self._metrics, self.options, task.classes, float64_device(module.device))

    def _extract_real(self, trainer: L.Trainer, module: L.LightningModule, task: _Task) -> None:
        """Extracts the real images' features, or loads them from the cache: rank 0 has them reduced."""
        assert self._network is not None
        assert task.split is not None
        split, extractor = task.split, self._network
        folders: dict[str, Path] = {}

        def missing() -> dict[str, FeatureSpec]:
            needed = [name for name in task.fields if (task.name, name) not in self._real]
            # what changes whenever it is read has no name to be kept under
            known = split.fingerprint() if needed and self.cache is not None else None
            found: dict[str, FeatureSpec] = {}
            for name in needed:
                field = task.fields[name]
                found[name] = spec = extractor.spec(f"{field} of {known}" if known else field, task.name)
                if self.cache is not None and known:
                    folders[name] = cached_table(self.cache, spec, split.count(field))
                    table = recall(folders[name], spec, split.count(field))
                    if table is not None:
                        if task.classes:
                            check_labels(table.labels, task.classes)
                        self._real[task.name, name] = self._reduced(module, task, table)
                        del found[name]
            return found

        shard = Shard(trainer.global_rank, trainer.world_size)
        for name, spec in on_rank_zero(trainer, missing).items():
            field = task.fields[name]
            table = FeatureTable(split.count(field), spec)
            batches = split.real_batches(field, task.batch_size, shard, name)
            self._extract(trainer, f"{task.name} images", batches, {name: table}, task)
            if trainer.is_global_zero:
                self._real[task.name, name] = self._reduced(module, task, table)
                if name in folders:
                    try:
                        table.save(folders[name])
                    except InputError as error:
                        log_info(f"{error}: the next run extracts the real images again")

    def _extract(
        self,
        trainer: L.Trainer,
        what: str,
        batches: Iterable[ImageBatch],
        tables: dict[str, FeatureTable],
        task: _Task,
        logits: bool = False,
    ) -> None:
        """Fills the tables of rank 0 with what all ranks extract of their batches."""
        assert self._network is not None
        wanted, total = Wanted(self._network, logits, task.classes), sum(table.count for table in tables.values())
        with progress_bar(trainer, f"{self._network.name}: {what}", total) as advance:

            def work() -> None:
                who, ranks = type(self).__name__, trainer.world_size
                extract(tables, batches, wanted, task.batch_size, who, lambda n: advance(n * ranks), log=self._log_once)

            on_all_ranks(trainer, work)
        for table in tables.values():
            gather_rows(trainer, table)

    def _log_once(self, line: str) -> None:
        if line not in self._logged:
            self._logged.add(line)
            log_info(line)


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
