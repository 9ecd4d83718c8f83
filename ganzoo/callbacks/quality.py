"""How good a model's pictures are, measured during its training: Frechet and kernel distance, Inception score, manifolds."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning.pytorch as L
import torch
import torch.distributed

from ganzoo.callbacks.aside import (
    apart,
    asked_for,
    at_hand,
    at_work,
    bar,
    buffers_of_the_first,
    for_moments,
    is_last,
    is_rehearsal,
    tell_loggers,
    together,
    told,
    validates,
)
from ganzoo.errors import InputError
from ganzoo.interfaces import Sampler
from ganzoo.judging import Part, Share, Split, default_batch_size, fakes, how_many, normalizes_by_batch, sets
from ganzoo.metrics.extractors import find
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.quality import ByClass, Seen, Settings, figures, figures_by_class
from ganzoo.metrics.reference import USUAL, Reference, folder_of
from ganzoo.metrics.statistics import Header
from ganzoo.utils.log import log_info
from ganzoo.utils.ranges import Checked, NonNegativeInt, PositiveInt, SampleCount, Seed, Size

SPLITS = ("train", "val", "test")


class _Set(NamedTuple):
    """What one process, or all, have seen of one set of pictures."""

    whole: Seen
    classes: ByClass | None

    def merge(self, other: "_Set") -> None:
        self.whole.merge(other.whole)
        if self.classes is not None and other.classes is not None:
            self.classes.merge(other.classes)


class _Task(NamedTuple):
    """What is to be measured."""

    name: str  # of the split that it is measured on
    split: Split | None  # None where no data is needed
    fields: dict[str, str]  # for each kind of picture the field of the batches that has the real ones
    classes: int  # for figures class by class, else 0
    batch_size: int


def _merged(everyones: list[_Set]) -> _Set:
    first, *rest = everyones
    for other in rest:
        first.merge(other)
    return first


class Quality(Checked, L.Callback):
    """Measures a model's pictures, all figures in one pass, and logs them so that they can be a checkpoint's monitor.

    Logged under the split whose real pictures they are compared with, ``val/...`` unless told otherwise, and ``test/...``
    under ``ganzoo test``:

    ======================================  =============================================================================
    ``val/fid_tf``                          Frechet distance; the name is Inception's alone, on others ``fd_efflite0``
    ``val/kid_tf``, ``..._std``             kernel distance, mean and deviation over its subsets; ``kd_...``
    ``val/inception_score_tf``, likewise    Inception score, mean and deviation over its splits; ``score_...``
    ``val/precision_...``, ``recall_...``   share of samples among the real pictures, and of these among the samples
    ``val/density_...``, ``coverage_...``   the same two, less moved by single outliers
    ======================================  =============================================================================

    A ``CycleTranslator`` has each of them twice, ``..._to_y`` and ``..._to_x``. With `per_class` there are also
    ``val/fid_tf_class_3`` and so on, and their mean over the classes, ``val/intra_fid_tf``.

    It works for a ``Sampler``, a ``Translator``, and any module whose ``validation_step`` returns ``Generated``,
    ``Translated`` or ``Cycled``. Its averaged networks are measured, if it has any. It is measured at validations: the first
    of a run (so that a monitor is there from the beginning), the last, and those of each `every_n_epochs`-th epoch; at the
    ends of those epochs where the training has no validation. Not in the sanity check and under ``fast_dev_run``.

    Measuring does not change the training: noise comes from a random stream of its own, without gradients, in evaluation
    mode. Several processes share the pictures out, and have what one would have.

    Args:
        extractor: the network that looks at the pictures: inception, inception-clean, efflite0, dinov2-vits14,
            dinov2-vitb14, dinov2-vitl14, or the path of a small classifier's file.
        weights: the path of its weights. Left out: the usual place.
        distance: the Frechet distance.
        kernel: the kernel distance. Left out: if there are `subset_size` pictures of each kind.
        score: the Inception score. Left out: if the extractor has a classifier at its end.
        manifold: precision, recall, density and coverage.
        n: pictures that a ``Sampler`` makes, and the most that a translator translates. Figures of unlike n cannot be
            compared.
        batch_size: pictures at a time. The noise is drawn for a batch, and some networks normalise by it, so this belongs to
            the protocol. Left out: 50; of what is translated, and of a model that normalizes by each batch's statistics, as
            many as the loader of the split gives.
        split: the real pictures, and what a translator translates: train, val or test. All of it, whatever
            ``limit_val_batches`` is. Under ``ganzoo test`` val stands for test.
        every_n_epochs: measure at the validation of each so many-th epoch, beside the first and the last; 0 for no other.
        every_n_steps: also each so many steps.
        per_class: also class by class; for a ``Sampler`` with classes and labelled pictures.
        keep: the most pictures of a set whose features are kept for kernel distance and manifolds.
        subsets: of the kernel distance.
        subset_size: pictures in each of them.
        splits: of the Inception score.
        k: neighbours of precision and recall.
        k_density: neighbours of density and coverage.
        seed: of the noise and of what is drawn.
        cache: folder for the real pictures' statistics, which are measured once. default: ``statistics`` in
            ``$GANZOO_CACHE``, or in ``~/.cache/ganzoo``; null: none.

    Attributes:
        figures: the newest, by their names with the split, as Python numbers.

    Raises:
        InputError: a number out of range, or nothing to measure; before the training, no such extractor or weights, too few
            pictures, a module that makes none; when measured, pictures that are not finite or not in [-1, 1].
    """

    def __init__(
        self,
        extractor: str = "inception",
        weights: str | None = None,
        distance: bool = True,
        kernel: bool | None = None,
        score: bool | None = None,
        manifold: bool = True,
        n: SampleCount = 5000,
        batch_size: Size | None = None,
        split: Literal["train", "val", "test"] = "val",
        every_n_epochs: NonNegativeInt = 1,
        every_n_steps: PositiveInt | None = None,
        per_class: bool = False,
        keep: PositiveInt = 10_000,
        subsets: PositiveInt = 100,
        subset_size: SampleCount = 1000,
        splits: PositiveInt = 10,
        k: PositiveInt = 3,
        k_density: PositiveInt = 5,
        seed: Seed = 0,
        cache: str | Path | None = USUAL,
    ) -> None:
        who = type(self).__name__
        if kernel is None and not (distance or manifold):
            kernel = True
        if not (distance or kernel or manifold or score is not False):
            raise InputError(f"{who} measures nothing: choose distance, kernel, score or manifold")
        if per_class and not (distance or kernel or manifold):
            raise InputError(f"{who}'s per_class needs distance, kernel or manifold: a score of one class says nothing")
        self.extractor = extractor
        self.weights = weights
        self.settings = Settings(
            distance, bool(kernel), bool(score), manifold, keep, subsets, subset_size, splits, k, k_density, seed
        )
        self.kernel = kernel
        self.score = score
        self.n = n
        self.batch_size = batch_size
        self.split = split
        self.every_n_epochs = every_n_epochs
        self.every_n_steps = every_n_steps
        self.per_class = per_class
        self.seed = seed
        self.cache = folder_of(cache)
        self.figures: dict[str, float] = {}
        self._network: Extractor | None = None
        self._forget()

    def _forget(self) -> None:
        self._measured_at: int | None = None  # a step of this run
        self._real: dict[tuple[str, str], _Set] = {}  # by split and set, on the first process
        self._fields: dict[str, str] | None = None
        self._loaders: dict[str, Any] = {}  # of splits that the trainer has no use for
        self._said: set[str] = set()

    # -- when ---------------------------------------------------------------------------------------------------------

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Finds the extractor, so that a missing one is known before the training."""
        self._forget()
        if stage not in ("fit", "validate", "test") or is_rehearsal(trainer) or self._network is not None:
            return
        # a machine's first process may have to fetch the weights
        for first in (True, False):
            if (trainer.local_rank == 0) == first:
                self._network = find(self.extractor, self.weights).eval().requires_grad_(False)
            trainer.strategy.barrier()
        assert self._network is not None
        if self.score is None:
            self.settings = replace(self.settings, score=self._network.has_logits)
            if not (self.settings.needs_real or self.settings.score):
                raise InputError(f"{self._network.name} has no classifier at its end, so that there is nothing to measure")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks that there is something to be measured, and enough of it."""
        self._check(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same, for ``ganzoo validate``."""
        if trainer.state.fn == "validate":
            self._check(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same, for ``ganzoo test``."""
        self._check(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Measures each so many steps."""
        step = trainer.global_step
        # a small batch of an accumulation window is no step
        due = self.every_n_steps and step and step % self.every_n_steps == 0 and step != self._measured_at
        if due and not is_rehearsal(trainer):
            self._measure(trainer, pl_module)
            # loggers only listen each log_every_n_steps batches, so they are told, and the module's log has it as a monitor
            pl_module.log_dict(self.figures, logger=False, sync_dist=trainer.world_size > 1)
            tell_loggers(trainer, self.figures)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measures, if it is time."""
        if not trainer.sanity_checking and (trainer.state.fn != "fit" or self._is_due(trainer)):
            self._measure_and_log(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measures, if it is time, where there is no validation."""
        if not validates(trainer) and self._is_due(trainer):
            self._measure_and_log(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Says so, where a training was too short for any validation."""
        if self._measured_at is None and not is_rehearsal(trainer):
            log_info(f"{type(self).__name__} has measured nothing, as there was no validation in this run")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measures."""
        self._measure_and_log(trainer, pl_module)

    def _is_due(self, trainer: L.Trainer) -> bool:
        # the first of a run in any case, and also of one that is taken up: a monitor must be there, and be of these weights
        nth = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        return self._measured_at is None or bool(nth) or is_last(trainer)

    def _measure_and_log(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if is_rehearsal(trainer):
            return
        if trainer.state.fn != "fit" or self._measured_at != trainer.global_step:
            self._measure(trainer, module)
        # every process has the same numbers; synced all the same, as Lightning wants of what a checkpoint watches
        module.log_dict(self.figures, sync_dist=trainer.world_size > 1)

    # -- what ---------------------------------------------------------------------------------------------------------

    def _check(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if is_rehearsal(trainer):
            return
        assert self._network is not None
        with apart(trainer):
            task = self._task(trainer, module)
        self._choose_kernel(module, task)
        for name, field in task.fields.items():
            made = how_many(module, task.split, name, self.n)
            real = task.split.count(field) if task.split is not None and self.settings.needs_real else made
            self.settings.check(real, made, self._network.has_logits, self._network.name)
        if task.classes:
            each = self.n // task.classes
            try:
                replace(self.settings, score=False).check(each, each, False, self._network.name)
            except InputError as error:
                raise InputError(f"of {self.n} samples each of {task.classes} classes has {each}: {error}") from None

    def _choose_kernel(self, module: L.LightningModule, task: _Task) -> None:
        """Without a word of the user's on it, the kernel distance is measured if there are pictures enough."""
        if self.kernel is not None or not self.settings.needs_real:
            return
        assert task.split is not None
        counts = [self.settings.keep, *(self.n // task.classes for _ in range(task.classes))]
        for name, field in task.fields.items():
            counts += [how_many(module, task.split, name, self.n), task.split.count(field)]
        enough = min(counts) >= self.settings.subset_size
        self.settings = replace(self.settings, kernel=enough)
        if not enough:
            self._say_once(
                f"the kernel distance is left out: its subsets are of {self.settings.subset_size} pictures, and a set has "
                f"{min(counts)} (subset_size asks for fewer)"
            )

    def _task(self, trainer: L.Trainer, module: L.LightningModule) -> _Task:
        name = "test" if self.split == "val" and trainer.state.fn == "test" else self.split
        split = None
        if self.settings.needs_real or not isinstance(module, Sampler) or normalizes_by_batch(module):

            def prepare(batch: Any) -> Any:
                return trainer.strategy.batch_to_device(batch)  # with the hooks of the data module

            loader = at_hand(trainer, name)
            if loader is None or loader == []:
                if name not in self._loaders:
                    self._loaders[name] = asked_for(trainer, module, name)
                loader = self._loaders[name]
            split = Split(loader, name, prepare)
        size = self.batch_size or default_batch_size(module, None if split is None else split.loader.batch_size)
        if self._fields is None:
            self._fields = sets(module, split, size, trainer.precision_plugin.forward_context)
        classes = (module.classes or 0) if self.per_class and isinstance(module, Sampler) else 0
        if self.per_class and not classes:
            raise InputError(
                f"per_class needs a model that is sampled by class, and {type(module).__name__} is none: leave it out"
            )
        return _Task(name, split, self._fields, classes, size)

    def _measure(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert self._network is not None
        extractor = self._network
        share = Share(trainer.global_rank, trainer.world_size)
        with apart(trainer), buffers_of_the_first(trainer, module), at_work(extractor, module.device):
            task = self._task(trainer, module)
            if self.settings.needs_real:
                self._look_at_real(trainer, module, task, share)
            header = extractor.header(type(module).__name__, task.name)

            def look() -> dict[str, _Set]:
                seen = {name: self._nothing(header, module.device, task.classes, True) for name in task.fields}
                total = sum(how_many(module, task.split, name, self.n) for name in seen)
                parts = fakes(
                    module,
                    task.split,
                    self.n,
                    task.batch_size,
                    self.seed,
                    share,
                    trainer.precision_plugin.forward_context,
                )
                self._look(trainer, f"{extractor.name}: samples", parts, seen, total)
                return seen

            def compute(everyones: list[dict[str, _Set]]) -> dict[str, float]:
                found: dict[str, float] = {}
                for name in task.fields:
                    fake = _merged([each[name] for each in everyones])
                    real = self._real.get((task.name, name))
                    values = figures(extractor, self.settings, None if real is None else real.whole, fake.whole)
                    if real is not None and real.classes is not None and fake.classes is not None:
                        values |= figures_by_class(extractor, self.settings, real.classes, fake.classes)
                    found |= {f"{task.name}/{kind}{'_' * bool(name)}{name}": value for kind, value in values.items()}
                return found

            self.figures = told(trainer, together(trainer, look, compute))
        self._measured_at = trainer.global_step

    def _look_at_real(self, trainer: L.Trainer, module: L.LightningModule, task: _Task, share: Share) -> None:
        """Sees to it that the first process has what there is to know of the real pictures."""
        assert self._network is not None
        assert task.split is not None
        split, extractor = task.split, self._network
        references: dict[str, Reference] = {}

        def missing() -> dict[str, Header]:
            needed = [name for name in task.fields if (task.name, name) not in self._real]
            # what changes from one look to the next has no name to be kept under
            known = split.fingerprint() if needed and self.cache is not None else None
            found: dict[str, Header] = {}
            for name in needed:
                field = task.fields[name]
                header = extractor.header(f"{field} of {known}" if known else field, task.name)
                if self.cache is not None and known:
                    references[name] = Reference(self.cache, header, split.count(field), self.settings)
                    if self._recall(task, name, references[name], module.device):
                        continue
                found[name] = header
            return found

        for name, header in told(trainer, together(trainer, lambda: None, lambda _: missing())).items():

            def look(name: str = name, header: Header = header) -> _Set:
                seen = {name: self._nothing(header, module.device, task.classes, False)}
                field = task.fields[name]
                parts = split.real(field, task.batch_size, share, name)
                self._look(trainer, f"{extractor.name}: {task.name} pictures", parts, seen, split.count(field))
                return seen[name]

            found = together(trainer, look, _merged)
            if found is not None:
                self._real[task.name, name] = found
                if name in references:
                    self._keep(references[name], found)

    def _recall(self, task: _Task, name: str, reference: Reference, device: torch.device) -> bool:
        try:
            whole = reference.load(for_moments(device))
            classes = reference.load_by_class(task.classes) if task.classes else None
        except InputError as error:
            log_info(f"{error}: it is measured anew")
            return False
        if whole is None or (task.classes and classes is None):
            return False
        self._real[task.name, name] = _Set(whole, classes)
        return True

    def _keep(self, reference: Reference, found: _Set) -> None:
        try:
            reference.save(found.whole)
            if found.classes is not None:
                reference.save(found.classes)
        except InputError as error:
            log_info(f"{error}: the next run measures the real pictures again")

    def _nothing(self, header: Header, device: torch.device, classes: int, fake: bool) -> _Set:
        logits = int(fake and self.settings.score)
        whole = Seen(header, self.settings, logits, for_moments(device))
        return _Set(whole, ByClass(header, self.settings, classes) if classes else None)

    def _look(self, trainer: L.Trainer, what: str, parts: Iterable[Part], seen: dict[str, _Set], total: int) -> None:
        """Shows this process's parts to the extractor."""
        assert self._network is not None
        extractor = self._network
        with bar(trainer, what, total) as advance:
            for part in parts:
                channels = part.images.shape[1]
                if channels != extractor.channels and channels in (1, 3):
                    self._say_once(
                        f"the pictures are grey, and {extractor.name} takes colour: the grey is repeated"
                        if channels == 1
                        else f"the pictures are in colour, and {extractor.name} takes grey: their luma is taken"
                    )
                features = extractor(part.images)
                whole, classes = seen[part.name]
                whole.update(features, part.places)
                if classes is not None:
                    classes.update(features, part.places, part.y)
                advance(len(part.places) * trainer.world_size)
        if trainer.world_size > 1:
            for each in seen.values():
                each.whole.to_cpu()

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            log_info(line)


class FID(Quality):
    """The Frechet distance alone: ``val/fid_tf`` on Inception-2015, ``val/fd_...`` on any other network.

    Everything else is as in :class:`Quality`, which has more figures from the same pass.

    Args:
        extractor: the network that looks at the pictures; FID is a name of Inception's.
        weights: the path of its weights. Left out: the usual place.
        n: pictures that a ``Sampler`` makes, and the most that a translator translates.
        batch_size: images at a time; left out, as in :class:`Quality`.
        split: the real pictures, train, val or test; published figures are mostly of train.
        every_n_epochs: measure at the validation of each so many-th epoch, beside the first and the last; 0 for no other.
        every_n_steps: also each so many steps.
        per_class: also class by class.
        seed: of the noise.
        cache: folder for the real pictures' statistics; null: none.
    """

    def __init__(
        self,
        extractor: str = "inception",
        weights: str | None = None,
        n: SampleCount = 5000,
        batch_size: Size | None = None,
        split: Literal["train", "val", "test"] = "val",
        every_n_epochs: NonNegativeInt = 1,
        every_n_steps: PositiveInt | None = None,
        per_class: bool = False,
        seed: Seed = 0,
        cache: str | Path | None = USUAL,
    ) -> None:
        super().__init__(
            extractor,
            weights,
            kernel=False,
            score=False,
            manifold=False,
            n=n,
            batch_size=batch_size,
            split=split,
            every_n_epochs=every_n_epochs,
            every_n_steps=every_n_steps,
            per_class=per_class,
            seed=seed,
            cache=cache,
        )


class InceptionScore(Quality):
    """The Inception score alone: ``val/inception_score_tf`` on Inception-2015, ``val/score_...`` on any other classifier.

    It looks at no real picture. Everything else is as in :class:`Quality`, which has more figures from the same pass.

    Args:
        extractor: the network that looks at the pictures; it must have a classifier at its end.
        weights: the path of its weights. Left out: the usual place.
        n: pictures that a ``Sampler`` makes, and the most that a translator translates.
        batch_size: images at a time; left out, as in :class:`Quality`.
        split: what a translator translates, train, val or test; the prefix of the figures' names.
        every_n_epochs: measure at the validation of each so many-th epoch, beside the first and the last; 0 for no other.
        every_n_steps: also each so many steps.
        splits: parts of the samples; the score is the mean over them.
        seed: of the noise and of the splits.
    """

    def __init__(
        self,
        extractor: str = "inception",
        weights: str | None = None,
        n: SampleCount = 5000,
        batch_size: Size | None = None,
        split: Literal["train", "val", "test"] = "val",
        every_n_epochs: NonNegativeInt = 1,
        every_n_steps: PositiveInt | None = None,
        splits: PositiveInt = 10,
        seed: Seed = 0,
    ) -> None:
        super().__init__(
            extractor,
            weights,
            distance=False,
            kernel=False,
            score=True,
            manifold=False,
            n=n,
            batch_size=batch_size,
            split=split,
            every_n_epochs=every_n_epochs,
            every_n_steps=every_n_steps,
            splits=splits,
            seed=seed,
            cache=None,
        )


class KID(Quality):
    """The kernel distance alone: ``val/kid_tf`` on Inception-2015, ``val/kd_...`` on any other network.

    Everything else is as in :class:`Quality`, which has more figures from the same pass.

    Args:
        extractor: the network that looks at the pictures; KID is a name of Inception's.
        weights: the path of its weights. Left out: the usual place.
        n: pictures that a ``Sampler`` makes, and the most that a translator translates.
        batch_size: images at a time; left out, as in :class:`Quality`.
        split: the real pictures, train, val or test.
        every_n_epochs: measure at the validation of each so many-th epoch, beside the first and the last; 0 for no other.
        every_n_steps: also each so many steps.
        per_class: also class by class.
        keep: the most pictures of a set that subsets are drawn from.
        subsets: how many.
        subset_size: pictures in each of them, at most as many as there are of each kind.
        seed: of the noise and of the subsets.
        cache: folder for the real pictures' statistics; null: none.
    """

    def __init__(
        self,
        extractor: str = "inception",
        weights: str | None = None,
        n: SampleCount = 5000,
        batch_size: Size | None = None,
        split: Literal["train", "val", "test"] = "val",
        every_n_epochs: NonNegativeInt = 1,
        every_n_steps: PositiveInt | None = None,
        per_class: bool = False,
        keep: PositiveInt = 10_000,
        subsets: PositiveInt = 100,
        subset_size: SampleCount = 1000,
        seed: Seed = 0,
        cache: str | Path | None = USUAL,
    ) -> None:
        super().__init__(
            extractor,
            weights,
            distance=False,
            score=False,
            manifold=False,
            n=n,
            batch_size=batch_size,
            split=split,
            every_n_epochs=every_n_epochs,
            every_n_steps=every_n_steps,
            per_class=per_class,
            keep=keep,
            subsets=subsets,
            subset_size=subset_size,
            seed=seed,
            cache=cache,
        )


class PrecisionRecall(Quality):
    """Precision, recall, density and coverage alone: ``val/precision_...`` and so on, named after the network.

    Everything else is as in :class:`Quality`, which has more figures from the same pass.

    Args:
        extractor: the network that looks at the pictures.
        weights: the path of its weights. Left out: the usual place.
        n: pictures that a ``Sampler`` makes, and the most that a translator translates.
        batch_size: images at a time; left out, as in :class:`Quality`.
        split: the real pictures, train, val or test.
        every_n_epochs: measure at the validation of each so many-th epoch, beside the first and the last; 0 for no other.
        every_n_steps: also each so many steps.
        per_class: also class by class.
        keep: the most pictures of a set that are compared, each with each of the other.
        k: neighbours of precision and recall.
        k_density: neighbours of density and coverage.
        seed: of the noise and of the choice.
        cache: folder for the real pictures' statistics; null: none.
    """

    def __init__(
        self,
        extractor: str = "inception",
        weights: str | None = None,
        n: SampleCount = 5000,
        batch_size: Size | None = None,
        split: Literal["train", "val", "test"] = "val",
        every_n_epochs: NonNegativeInt = 1,
        every_n_steps: PositiveInt | None = None,
        per_class: bool = False,
        keep: PositiveInt = 10_000,
        k: PositiveInt = 3,
        k_density: PositiveInt = 5,
        seed: Seed = 0,
        cache: str | Path | None = USUAL,
    ) -> None:
        super().__init__(
            extractor,
            weights,
            distance=False,
            kernel=False,
            score=False,
            n=n,
            batch_size=batch_size,
            split=split,
            every_n_epochs=every_n_epochs,
            every_n_steps=every_n_steps,
            per_class=per_class,
            keep=keep,
            k=k,
            k_density=k_density,
            seed=seed,
            cache=cache,
        )
