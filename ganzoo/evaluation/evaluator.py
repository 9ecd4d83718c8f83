"""Evaluates generated images against real ones: chooses the metrics, extracts features, computes, and says the protocol.

In Python::

    model = GAN.load_from_checkpoint("last.ckpt")
    result = evaluate(model, MNIST("data"), metrics=["distance"], extractor="efflite0")
    print(result.metrics["fd_efflite0"].value)
"""

import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch

from ganzoo.data.batches import ImagePairs, Unpaired
from ganzoo.data.sampling import identity
from ganzoo.errors import InputError
from ganzoo.evaluation.features import (
    DEFAULT_CACHE,
    FeatureSet,
    FeatureTable,
    Progress,
    Wanted,
    cache_folder,
    cached_table,
    check_labels,
    conversions,
    extract,
    first_batch,
    recall,
    sizes,
)
from ganzoo.evaluation.generate import (
    BATCH_SIZE,
    ImageBatch,
    ImageFiles,
    Shard,
    SplitWithTargets,
    as_images,
    count_generated,
    default_batch_size,
    field_of,
    generated_batches,
    normalizes_by_batch,
    output_kinds,
)
from ganzoo.evaluation.metrics import (
    FEATURE_METRICS,
    METRICS,
    ON_REQUEST,
    Counts,
    MetricOptions,
    check,
    check_names,
    choose,
    compute,
    compute_per_class,
    reduce,
)
from ganzoo.evaluation.pixel_metrics import (
    COMPUTE,
    PIXEL_METRICS,
    SPLITS,
    DataSplit,
    Inputs,
    Requirement,
    collect_samples,
    like_data,
    requirement,
)
from ganzoo.evaluation.protocol import FIELDS, MetricValue, Result, commit, versions
from ganzoo.evaluation.sources import DataSource, Model, stub_trainer
from ganzoo.interfaces import Sampler
from ganzoo.metrics.agreement import Labelled
from ganzoo.metrics.extractors import find
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.paired import LPIPS, MEASURES, WINDOW, Measure, Sums
from ganzoo.metrics.statistics import SAME_FEATURES, FeatureSpec, Statistics
from ganzoo.utils.files import atomic_write
from ganzoo.utils.log import log_info
from ganzoo.utils.signals import Stops

DTYPE = "features float32, statistics float64"
GRID = "neighbours.png"  # in the working folder


@dataclass(frozen=True)
class Request:
    """What is to be evaluated, and how.

    Attributes:
        metrics: names in :data:`~ganzoo.evaluation.metrics.METRICS`; None for all but those on request that can be had.
        extractor: a name or a file that ``ganzoo.metrics.extractors.find`` knows, or an extractor.
        weights: the file of the extractor's weights; None for the usual place.
        n: images that are generated; None for as many as there are real ones, or images to translate.
        split: of the data: train, val or test.
        batch_size: images at a time; None for :func:`~ganzoo.evaluation.generate.default_batch_size`.
        options: of the metrics.
        per_class: also metrics of each class.
        classifier_epochs: of the two classifiers that ``agreement`` trains.
        device: where the networks work.
        cache: folder where the features of real images are kept; None for none.
        save_statistics: a new .npz file for the moments of the real images' features; None for none.
    """

    metrics: Sequence[str] | None = None
    extractor: str | Extractor = "inception"
    weights: str | None = None
    n: int | None = None
    split: str = "test"
    batch_size: int | None = None
    options: MetricOptions = field(default_factory=MetricOptions)
    per_class: bool = False
    classifier_epochs: int = 5
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    cache: Path | None = None
    save_statistics: Path | None = None


@dataclass
class Side:
    """One of the two sides of a comparison.

    Attributes:
        what: its images are, for the progress bar.
        counts: images of each set.
        sources: of each set, for the protocol and the cache.
        batches: images from a batch's number on.
        split: of the data; "" where it has none.
        lasting: the images are the same whenever they are read.
    """

    what: str
    counts: dict[str, int]
    sources: dict[str, str]
    batches: Callable[[int], Iterator[ImageBatch]]
    split: str = ""
    lasting: bool = True


class Evaluation:
    """One evaluation. Making it selects the metrics and refuses what cannot be had, before any image is generated.

    Args:
        generated: a model, or image files.
        data: the data module; None where none is given.
        real: a folder of real images or a .npz file of statistics; None for the images of `data`.
        request: what is wanted.
        trainer: that the model may ask; None for one that is made here.

    Attributes:
        fields: the sets of images, and the field of the data's batches that has the real ones of each.
        left_out: metrics that cannot be had, and why; more may be found while it runs.
        found: what is known of the images after :meth:`run`.

    Raises:
        InputError: what cannot be evaluated.
    """

    def __init__(
        self,
        generated: Model | ImageFiles,
        data: DataSource | None,
        real: Path | None,
        request: Request,
        trainer: L.Trainer | None = None,
    ) -> None:
        self.request, self.options = request, request.options
        self.model = generated if isinstance(generated, Model) else None
        self.files = generated if isinstance(generated, ImageFiles) else None
        self.data, self.real_path = data, real
        self.left_out: dict[str, str] = {}
        self.found: dict[str, Any] = {}
        self.asked = None if request.metrics is None else check_names(request.metrics)
        self.known: Statistics | None = None  # of real images, instead of them
        self.real_is = ""
        if self.model is not None:
            self.trainer = trainer or stub_trainer(request.device.type)
            self.trainer.strategy.connect(self.model.module)
            self.model.module.trainer = self.trainer
        self.batch_size = self._batch_size()
        self.fields = self._sets()
        self.real = self._real_side()
        self.fake = self._fake_side()
        self.measures = self._measures()
        self.data_splits: dict[str, DataSplit] = {}  # for the metrics of pixels
        self.pixels = self._pixel_metrics()
        self.extractor, self.features = self._feature_metrics()
        self.classes = self._classes()
        if request.save_statistics is not None:
            self._check_saving(request.save_statistics)

    @property
    def module(self) -> Any:
        assert self.model is not None
        return self.model.module

    @property
    def label(self) -> str:
        """What the result's file is named after: the extractor, or the metrics that need none."""
        return self.extractor.label if self.extractor else "paired" if self.measures else "_".join(self.pixels)

    def _batch_size(self) -> int:
        found = self.request.batch_size
        if self.model is None:
            return found or BATCH_SIZE
        own, by_batch = self.model.batch_size, normalizes_by_batch(self.module)
        if found is None and by_batch:
            why = "as in its training" if own else "as no config.yaml of its run says how many there were"
            name = type(self.module).__name__
            log_info(f"{name} normalizes by the statistics of each batch: batches of {own or 1}, {why}")
        found = found or default_batch_size(self.module, own)
        if by_batch:
            self.model.protocol["batch_norm"] = f"statistics of batches of {found}"
        return found

    # -- the two sides ------------------------------------------------------------------------------------------------

    @property
    def translates(self) -> bool:
        """The model makes images from the data's, and not from noise."""
        return self.model is not None and not isinstance(self.module, Sampler)

    def _split(self) -> Any:
        assert self.data is not None
        return self.data.split(self.request.split)

    def _sets(self) -> dict[str, str]:
        if self.translates and self.data is None:
            raise InputError(f"{type(self.module).__name__} makes images from images: give a data module")
        if self.model is not None:
            needs = self._split() if self.translates else None
            check_batch = getattr(self.module, "check_batch", None)
            if needs is not None and check_batch is not None:  # as a trainer has it done
                check_batch(next(needs.batches(self.batch_size))[1])
            fields = output_kinds(self.module, needs, self.batch_size)
        else:
            fields = {"": "x"}
        if self.real_path is not None and self.data is not None and not self.translates:
            raise InputError(f"{self.real_path} and --data or --config both say which images are real: give one of them")
        if self.real_path is not None and len(fields) > 1:
            name = type(self.module).__name__
            raise InputError(f"{name} makes images of two kinds: leave out {self.real_path}, and give --data")
        if self.files is not None and self.data is not None and self._data_are((ImagePairs, Unpaired)):
            log_info(f"{self.files.path} is compared with y, the images that a translation aims at")
            fields = {"": "y"}
        return fields

    def _data_are(self, kinds: tuple[type, ...]) -> bool:
        _, batch = next(self._split().batches(1))
        return isinstance(batch, kinds)

    def _real_side(self) -> Side | None:
        path = self.real_path
        if path is None:
            return None if self.data is None else self._real_split()
        self.real_is = str(path)
        if path.is_dir():
            files = ImageFiles(path)
            return Side(f"real {path}", {"": len(files)}, {"": files.fingerprint()}, self._all_of(files))
        if not path.is_file() or path.suffix != ".npz":
            raise InputError(f"{path} is neither a folder of real images nor a file of statistics, .npz")
        self.known = Statistics.load(path)
        spec = self.known.spec
        return Side(f"{path}", {"": self.known.count}, {"": spec.source}, lambda _: iter(()), spec.split)

    def _real_split(self) -> Side:
        assert self.data is not None
        split, fields, size = self._split(), self.fields, self.batch_size
        self.real_is = self.data.short
        text, lasting = self._fingerprint(split)

        def batches(begin: int) -> Iterator[ImageBatch]:
            shard = Shard(begin, 1)  # every batch from there on
            each = (split.real_batches(of, size, shard, name) for name, of in fields.items())
            return (batch for together in zip_longest(*each) for batch in together if batch is not None)

        return Side(
            f"real {self.data.short}, {split.name}",
            {name: split.count(of) for name, of in fields.items()},
            {name: f"{of} of {text}" for name, of in fields.items()},
            batches,
            split.name,
            lasting,
        )

    def _all_of(self, files: ImageFiles) -> Callable[[int], Iterator[ImageBatch]]:
        return lambda begin: files.batches(self.batch_size, begin)

    def _fake_side(self) -> Side:
        if self.files is not None:
            return Side(str(self.files.path), {"": len(self.files)}, {"": ""}, self._all_of(self.files))
        module, kind = self.module, type(self.module).__name__
        inputs = self._split() if self.translates else None
        there = sum(self.real.counts.values()) if inputs is None and self.real else 0
        n = self.request.n or there or len(inputs or ())
        if not n:
            raise InputError(
                f"--n says how many images {kind} makes, where there are no real ones to be as many as: give it, or --data"
            )

        def batches(begin: int) -> Iterator[ImageBatch]:
            shard, seed = Shard(begin, 1), self.options.seed
            if inputs is None or not self.measures:
                yield from generated_batches(module, inputs, n, self.batch_size, seed, shard)
                return
            pairs = SplitWithTargets(inputs, self.fields)
            for batch in generated_batches(module, pairs, n, self.batch_size, seed, shard):
                yield batch._replace(target=pairs.targets[batch.name][: len(batch.indices)])

        counts = {name: count_generated(module, inputs, name, n) for name in self.fields}
        return Side(kind, counts, dict.fromkeys(counts, kind), batches)

    def _fingerprint(self, split: Any) -> tuple[str, bool]:
        """A hash of a split's images, and whether they are the same whenever they are read."""
        assert self.data is not None
        known = split.fingerprint()
        if known is not None:
            return known, True
        name = self.data.short
        log_info(f"the {split.name} images of {name} change whenever they are read: the metrics cannot be repeated")
        return f"changing images of {name} {json.dumps(self.data.arguments, sort_keys=True, default=str)}", False

    # -- which metrics ------------------------------------------------------------------------------------------------

    def _wanted(self, *names: str) -> list[str]:
        asked = [name for name in METRICS if name not in ON_REQUEST] if self.asked is None else self.asked
        return [name for name in names if name in asked]

    def _measures(self) -> dict[str, Measure]:
        """The metrics of pairs."""
        wanted = self._wanted("paired", "lpips")
        if not wanted:
            return {}
        one_way = self.model is not None and list(self.fields.values()) == ["y"]
        if not self.translates or self.real_path is not None:
            why = "no image is there that another should be"
        elif self._data_are((ImagePairs,)) or (one_way and not self._data_are((Unpaired,))):
            return self._pair_measures(wanted)
        else:
            why = "the data are no pairs"
        if self.asked is not None:
            raise InputError(f"{wanted[0]}: {why}")
        return {}

    def _pair_measures(self, wanted: list[str]) -> dict[str, Measure]:
        found: dict[str, Measure] = dict(MEASURES) if "paired" in wanted else {}
        _, batch = next(self._split().batches(1))
        sides = [min(as_images(field_of(batch, of), "the data").shape[-2:]) for of in self.fields.values()]
        if "ssim" in found and min(sides) < WINDOW:
            del found["ssim"]
            self.left_out["ssim"] = f"it needs images of at least {WINDOW} x {WINDOW} pixels"
        if "lpips" in wanted:
            found["lpips"] = LPIPS()
        return found

    def _pixel_metrics(self) -> dict[str, Requirement]:
        """The metrics of pixels, each with the samples that it takes and what it is of."""
        wanted = self._wanted(*PIXEL_METRICS)
        if not wanted:
            return {}
        every = ", ".join(wanted)
        if self.translates:
            raise InputError(f"{every}: of images that are made from noise, and {type(self.module).__name__} makes none")
        classes = self._generated_classes
        if "agreement" in wanted and not classes:
            of = self.files.path if self.files else self.model.about["path"]  # type: ignore[union-attr]
            raise InputError(f"agreement: {of} cannot be asked for a class")
        if self.real_path is not None:
            raise InputError(f"{every}: the data's splits are wanted: leave out {self.real_path}, and give --data")
        if self.request.split != "test":
            raise InputError(f"{every}: of the test images: leave out --split {self.request.split}")
        if self.data is None:
            raise InputError(f"{every}: the data's splits are wanted: give --data or --config")
        declared = getattr(self.data.module, "classes", None)
        if "agreement" in wanted and declared not in (None, classes):
            raise InputError(f"agreement: the model has {classes} classes and the data {declared}")
        n, found = sum(self.fake.counts.values()), {}
        sample = next(self.fake.batches(0))
        for kind in wanted:
            for name in SPLITS[kind]:
                if name not in self.data_splits:
                    self.data_splits[name] = self._data_split(name, kind)
            real = {name: self.data_splits[name] for name in SPLITS[kind]}
            alike = like_data(sample, real["test"].one().images.shape[1])
            found[kind] = requirement(kind, real, n, classes, self.request.classifier_epochs, alike)
        return found

    @property
    def _generated_classes(self) -> int:
        """For so many classes the model can be asked; 0 for none."""
        return 0 if self.model is None else self.module.classes or 0

    def _data_split(self, name: str, kind: str) -> DataSplit:
        assert self.data is not None
        try:
            split = self.data.split(name)
        except InputError as error:
            why = str(error).removesuffix(": give another --split")
            raise InputError(f"{kind}: {name} images of {self.data.short} are needed: {why}") from error
        if getattr(split.dataset, "transform", identity) is not identity and name == "train":
            log_info(f"{kind}: the training images are taken as the first epoch augments them")
        of = self.fields[""]
        return DataSplit(split, of, f"{of} of {self._fingerprint(split)[0]}")

    def _feature_metrics(self) -> tuple[Extractor | None, list[str]]:
        """The extractor, if one is needed, and the metrics that it and the numbers of images can bear."""
        wanted = self._wanted(*FEATURE_METRICS)
        if self.real is None:
            wanted = choose(self.asked, wanted, self._refuse_without_real, self.left_out)
        if not wanted:
            return None, []
        given = self.request.extractor
        extractor = find(given, self.request.weights) if isinstance(given, str) else given
        extractor = extractor.eval().requires_grad_(False).to(self.request.device)

        def refuse(name: str) -> None:
            for of, fake in self.fake.counts.items():
                counts = Counts(fake if self.real is None else self.real.counts[of], fake)
                check(name, self.options, counts, extractor)
            if self.known is not None and FEATURE_METRICS[name].needs_real:
                self._check_known(extractor, FEATURE_METRICS[name].needs_rows)

        found = choose(self.asked, wanted, refuse, self.left_out)
        if not found and not self.measures and not self.pixels:
            raise InputError("; ".join(f"{name}: {why}" for name, why in self.left_out.items()))
        return extractor, found

    @staticmethod
    def _refuse_without_real(name: str) -> None:
        if FEATURE_METRICS[name].needs_real:
            raise InputError("there are no real images to compare with: give REAL or --data")

    def _check_known(self, extractor: Extractor, rows: bool) -> None:
        """Refuses statistics of another protocol."""
        assert self.known is not None
        extractor.spec().refuse_unlike(self.known.spec, SAME_FEATURES, str(self.real_path))
        have, need = len(self.known.features), min(self.options.keep, self.known.count)
        if rows and have != need:
            raise InputError(f"{self.real_path}: keep is {have} there and {need} here: give --keep {have}")

    @property
    def needs_real(self) -> bool:
        """Whether features of real images are needed."""
        return any(FEATURE_METRICS[name].needs_real for name in self.features)

    def _classes(self) -> int:
        if not self.request.per_class:
            return 0
        if not isinstance(self.module, Sampler) or not self.module.classes:
            raise InputError(f"--per_class: {type(self.module).__name__} cannot be asked for a class")
        if self.real is None or self.real_path is not None or not self.needs_real:
            raise InputError(
                "--per_class needs labelled real images (--data), and a metric that compares with them: distance"
            )
        return self.module.classes

    def _check_saving(self, path: Path) -> None:
        if not self.needs_real or len(self.fields) > 1 or self.known is not None:
            raise InputError("--save_statistics is for one set of real images, which this evaluation does not read")
        if path.suffix != ".npz" or path.exists():
            raise InputError(f"--save_statistics {path}: give the name of a new file, .npz")

    # -- what it is ---------------------------------------------------------------------------------------------------

    def protocol(self) -> Result:
        """The result, but for its values: what is evaluated, and how."""
        options, extractor = self.options, self.extractor
        protocol: dict[str, Any] = dict.fromkeys(FIELDS)
        about: dict[str, Any] = {}
        if self.model is not None:
            protocol |= self.model.protocol
            about |= self.model.about
        if self.files is not None:
            about |= {"path": str(self.files.path), "images": self.files.fingerprint()}
        if extractor is not None:
            protocol |= {
                "extractor": extractor.name,
                "extractor_weights": extractor.weights,
                "extractor_verified": extractor.known,
                "dimension": extractor.dimension,
                "resize": extractor.resize,
                "preprocessing": extractor.preprocessing,
                "dtype": DTYPE,
            }
        protocol["n_fake"] = _one(self.fake.counts)
        if self.real is not None and (self.needs_real or self.pixels):
            protocol |= {"real": _one(self.real.sources), "n_real": _one(self.real.counts), "split": self.real.split or None}
            about["real"] = self.real_is
        if self.translates:
            split = self._split()
            protocol |= {"inputs": split.fingerprint() or "changing", "split": split.name}
        if {"kernel", "manifold"} & set(self.features) or ("distance" in self.features and self.classes):
            most = max(*self.fake.counts.values(), *(self.real or self.fake).counts.values())
            protocol["keep"] = "all" if most <= options.keep else options.keep
        if "kernel" in self.features:
            protocol |= {"subsets": options.subsets, "subset_size": options.subset_size}
        if "score" in self.features:
            protocol["splits"] = options.splits
        if "manifold" in self.features:
            protocol |= {"k": options.k, "k_density": options.k_density}
        if "lpips" in self.measures:
            protocol["lpips"] = f"alex {self.measures['lpips'].weights}"  # type: ignore[attr-defined]
        protocol |= {name: need.words for name, need in self.pixels.items()}
        if self.data is not None:
            about["data"] = {"class": self.data.name, "arguments": self.data.arguments}
        on = self.request.device
        about |= {
            "metrics": [*self.features, *self.measures, *self.pixels],
            "per_class": self.classes,
            "batch_size": self.batch_size,
            "seed": options.seed,
            "device": torch.cuda.get_device_name() if on.type == "cuda" else "cpu",
            "versions": versions(),
            "commit": commit(),
        }
        return Result(protocol, about, left_out=self.left_out)

    # -- the work -----------------------------------------------------------------------------------------------------

    def run(self, work: Path, stops: Stops) -> dict[str, MetricValue]:
        """Computes the metrics.

        Args:
            work: a folder for what an interrupted evaluation leaves, from which the next one resumes.
            stops: what interrupts it.

        Raises:
            InputError: images that cannot be evaluated.
            KeyboardInterrupt: it was interrupted.
        """
        metrics, per_class = self.features, list[str]()
        real = self._real_sets(work, stops) if self.real is not None and self.needs_real else {}
        if self.classes:
            per_class = self._per_class(real[""])
        fake = self._fake_tables(work, stops)
        found: dict[str, MetricValue] = {}
        for name in self.fields:
            end = f"_{name}" if name else ""
            if self.extractor is not None:
                of_fake = self._reduced(fake[name])
                of_real = real.get(name)
                values = compute(self.extractor, metrics, self.options, of_real, of_fake)
                if per_class and of_real is not None:
                    values |= compute_per_class(self.extractor, per_class, self.options, of_real, of_fake)
                found |= {f"{kind}{end}": value for kind, value in values.items()}
            for kind in self.measures:
                sums = Sums()
                sums.add(fake[name].rows(kind, slice(None)))
                score = sums.score()
                error = score.error if math.isfinite(score.error) else None
                found[f"{kind}{end}"] = MetricValue(score.mean, error, "standard error" if error is not None else "")
        return found | self._of_pixels(work)

    def _reduced(self, table: FeatureTable) -> FeatureSet:
        on = self.request.device if self.request.device.type == "cuda" else "cpu"
        return reduce(table, self.features, self.options, self.classes, on)

    def _tables(self, side: Side, folder: Path, spec: bool) -> dict[str, FeatureTable]:
        return {
            name: FeatureTable(n, self._spec(side, name) if spec else None, folder / name if name else folder)
            for name, n in side.counts.items()
        }

    def _spec(self, side: Side, name: str) -> FeatureSpec:
        assert self.extractor is not None
        return self.extractor.spec(side.sources[name], side.split)

    def _fake_tables(self, work: Path, stops: Stops) -> dict[str, FeatureTable]:
        if self.extractor is None and not self.measures:
            return {}
        tables = self._tables(self.fake, work / "fake", self.extractor is not None)
        wanted = Wanted(self.extractor, "score" in self.features, self.classes, self.measures)
        self._extract(tables, self.fake, wanted, stops)
        self.found |= {"sizes": sizes(tables), "converted": conversions(tables, self.extractor)}
        return tables

    def _real_sets(self, work: Path, stops: Stops) -> dict[str, FeatureSet]:
        assert self.real is not None
        side = self.real
        if self.known is not None:
            return {"": FeatureSet(self.known)}
        folders = {}
        if self.request.cache is not None and side.lasting:
            folders = {name: cached_table(self.request.cache, self._spec(side, name), n) for name, n in side.counts.items()}
        cached = {name: recall(folder, self._spec(side, name), side.counts[name]) for name, folder in folders.items()}
        tables = {name: table for name, table in cached.items() if table is not None}
        if tables and len(tables) == len(side.counts):
            self.found["real_features"] = "cached"
            if self.classes:
                for table in tables.values():
                    check_labels(table.labels, self.classes)
        else:
            tables = self._tables(side, work / "real", True)
            self._extract(tables, side, Wanted(self.extractor, classes=self.classes), stops)
            for name, folder in folders.items():
                try:
                    tables[name].save(folder)
                except InputError as error:
                    log_info(f"{error}: the next evaluation extracts the real images again")
        found = {name: self._reduced(table) for name, table in tables.items()}
        if self.request.save_statistics is not None:
            try:
                found[""].statistics.save(self.request.save_statistics)
            except OSError as error:
                raise InputError(f"cannot write {self.request.save_statistics}: {error.strerror}") from error
        return found

    def _extract(self, tables: dict[str, FeatureTable], side: Side, wanted: Wanted, stops: Stops) -> None:
        """One pass over the batches that are missing."""
        total, done = sum(side.counts.values()), sum(int(table.done.sum()) for table in tables.values())
        begin = first_batch(tables, self.batch_size)
        if begin is None:
            return
        if done:
            log_info(f"{side.what}: {done} of {total} images were seen before")
        try:
            with Progress(total, done, side.what) as progress:
                extract(tables, side.batches(begin), wanted, self.batch_size, side.what, progress.update, stops.held)
        except KeyboardInterrupt:
            done = sum(int(table.done.sum()) for table in tables.values())
            log_info(f"stopped after {done} of {total} images ({side.what}); the same command resumes it")
            raise

    def _per_class(self, real: FeatureSet) -> list[str]:
        """The metrics that the smallest class can bear."""
        assert self.extractor is not None
        extractor, n = self.extractor, self.fake.counts[""]

        def refuse(name: str) -> None:
            for c, statistics in enumerate(real.classes):
                try:
                    counts = Counts(statistics.count, len(range(c, n, self.classes)))
                    check(name, self.options, counts, extractor)
                except InputError as error:
                    raise InputError(f"of class {c}: {error}") from None

        wanted = [name for name in self.features if FEATURE_METRICS[name].needs_real]
        left_out: dict[str, str] = {}
        found = choose(self.asked, wanted, refuse, left_out)
        self.left_out |= {f"{name} of classes": why for name, why in left_out.items()}
        if not found:
            raise InputError(f"--per_class: {next(reversed(left_out.values()))}")
        return found

    def _of_pixels(self, work: Path) -> dict[str, MetricValue]:
        """Each is kept when it is computed, for an evaluation that is interrupted in the next."""
        found: dict[str, MetricValue] = {}
        samples: Labelled | None = None
        for name in self.pixels:
            kept = work / f"{name}.json"
            try:
                if not kept.exists():
                    samples = samples or self._samples()
                    options = self.options.seed, self.request.classifier_epochs, self.request.device, work / GRID
                    values = COMPUTE[name](Inputs(samples, self.data_splits, self._generated_classes, *options))
                    with atomic_write(kept) as part:
                        part.write_text(json.dumps({kind: vars(value) for kind, value in values.items()}))
            except InputError as error:  # what was not seen before: a class of one image, a file of another size
                self.left_out[name] = str(error)
                continue
            except KeyboardInterrupt:
                log_info(f"stopped while computing {name}; the same command resumes it")
                raise
            found |= {kind: MetricValue(**each) for kind, each in json.loads(kept.read_text()).items()}
        if not found and self.pixels and self.extractor is None:
            raise InputError("; ".join(f"{name}: {why}" for name, why in self.left_out.items()))
        return found

    def _samples(self) -> Labelled:
        """As many as any metric takes."""
        most = max(need.samples for need in self.pixels.values())
        channels = self.data_splits["test"].one().images.shape[1]
        return collect_samples(self.fake.batches(0), most, channels, self.fake.what)


def _one(values: dict[str, Any]) -> Any:
    """The value of the only set, or all of them."""
    return values[""] if list(values) == [""] else values


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
    classifier_epochs: int = 5,
    cache: str | Path | None = DEFAULT_CACHE,
    work: str | Path | None = None,
    **options: Any,
) -> Result:
    """Evaluates a model, or a folder of images, against real images; what ``ganzoo evaluate`` does, for Python.

    Args:
        generated: a ``Sampler``, a ``Translator`` or a module whose ``validation_step`` returns images, on the device where
            it is to work; or a folder of images.
        data: the real images, and those that are translated: a data module, a folder of images, or a .npz file of
            ``--save_statistics``. None for metrics that need no real images.
        metrics: distance, kernel, score, manifold, paired, lpips, parzen, agreement, neighbours. Left out: of the first five
            those that can be had.
        extractor: of the features: a name or a file, as in the command, or an extractor.
        n: images that are generated. Left out: as many as there are real ones.
        split: of the data module.
        batch_size: images at a time. Left out: as :func:`~ganzoo.evaluation.generate.default_batch_size`.
        per_class: also metrics of each class.
        classifier_epochs: of the two classifiers that ``agreement`` trains.
        cache: folder where the features of real images are kept; None for none.
        work: folder for what an interrupted evaluation leaves, from which the same call resumes. Left out: a temporary one.
        options: of :class:`~ganzoo.evaluation.metrics.MetricOptions`: seed, keep, subsets, subset_size, splits, k and
            k_density.

    Returns:
        The values by name, with the whole protocol; :meth:`~ganzoo.evaluation.protocol.Result.save` writes it.

    Raises:
        InputError: what cannot be evaluated, in one line.
    """
    began = time.monotonic()

    def request_of(device: torch.device) -> Request:
        own = MetricOptions(**options)
        kept = cache_folder(cache)
        return Request(metrics, extractor, None, n, split, batch_size, own, per_class, classifier_epochs, device, kept)

    if isinstance(generated, str | Path):
        return _evaluate(ImageFiles(Path(generated), n), data, request_of(torch.device("cpu")), work, began)
    before = generated._trainer
    try:
        return _evaluate(Model.of(generated), data, request_of(generated.device), work, began)
    finally:
        generated._trainer = before


def _evaluate(source: Model | ImageFiles, data: Any, request: Request, work: str | Path | None, began: float) -> Result:
    trainer = stub_trainer(request.device.type)
    read, real = None, None
    if isinstance(data, L.LightningDataModule):
        name = f"{type(data).__module__}.{type(data).__qualname__}"
        read = DataSource(data, name, {key: value for key, value in data.hparams.items() if key[0] != "_"}, trainer)
        if isinstance(source, Model):
            source = source._replace(batch_size=getattr(data, "batch_size", None))
    elif data is not None:
        real = Path(data)
    evaluation = Evaluation(source, read, real, request, trainer)
    result = evaluation.protocol()
    with tempfile.TemporaryDirectory() as temporary, Stops() as stops:
        folder = Path(temporary if work is None else work) / f"evaluate_{result.key}"
        folder.mkdir(parents=True, exist_ok=True)
        result.metrics = evaluation.run(folder, stops)
        shutil.rmtree(folder)
    result.about |= evaluation.found | finished(began)
    return result


def finished(began: float) -> dict[str, Any]:
    """When an evaluation ended, and how many seconds it took since `began` (of ``time.monotonic``)."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": now, "seconds": round(time.monotonic() - began, 1)}
