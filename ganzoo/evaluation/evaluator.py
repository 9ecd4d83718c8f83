"""Evaluates generated images against real ones: features, metrics, and the protocol of the result."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from ganzoo.errors import InputError
from ganzoo.evaluation.batches import ImageBatch, ImageFiles, Shard
from ganzoo.evaluation.cache import cached_table, recall
from ganzoo.evaluation.features import FeatureSet, Wanted, check_labels, conversions, extract, first_batch, sizes
from ganzoo.evaluation.generate import Context
from ganzoo.evaluation.metrics import Values, compute, compute_per_class, reduce, rows_kept
from ganzoo.evaluation.pixel_metrics import COMPUTE, Inputs, collect_samples
from ganzoo.evaluation.protocol import FIELDS, MetricValue, Result, versions
from ganzoo.evaluation.request import Request
from ganzoo.evaluation.selection import Selection
from ganzoo.evaluation.sides import Side, Sides
from ganzoo.evaluation.sources import Model, Splits
from ganzoo.evaluation.table import FeatureTable, MomentTable
from ganzoo.evaluation.worker import Worker
from ganzoo.metrics.agreement import Labelled
from ganzoo.metrics.extractors.base import on_device
from ganzoo.metrics.modes import Modes
from ganzoo.metrics.paired import Sums
from ganzoo.metrics.statistics import FeatureSpec
from ganzoo.utils.checkout import commit
from ganzoo.utils.files import atomic_write
from ganzoo.utils.log import log_info

DTYPE = "features float32, statistics float64"
GRID = "neighbours.png"  # in the worker's folder


class Evaluation:
    """One evaluation, which can be run more than once. Making it refuses what cannot be had, before any image is generated.

    Args:
        generated: a model, or image files.
        data: the splits of a data module; None where there are none.
        real: a folder of real images or a .npz file of statistics; None for the images of `data`.
        request: what is wanted.
        forward: context about the networks' work, a trainer's precision.

    Attributes:
        sides: the two sides that are compared.
        chosen: the metrics.
        found: what is known of the images after a run.
        real_sets: the real images' features, reduced to what the metrics need, by set; on rank 0, after the first run.

    Raises:
        InputError: what cannot be evaluated.
    """

    def __init__(
        self,
        generated: Model | ImageFiles,
        data: Splits | None,
        real: Path | None,
        request: Request,
        forward: Context = nullcontext,
    ) -> None:
        self.request = request
        self.sides = Sides(generated, data, real, request, forward)
        self.chosen = Selection(self.sides, request)
        self.found: dict[str, Any] = {}
        self.real_sets: dict[str, FeatureSet] = {}

    @property
    def label(self) -> str:
        """What the result's file is named after: the extractor, or the metrics that need none."""
        chosen = self.chosen
        return chosen.extractor.label if chosen.extractor else "paired" if chosen.measures else "_".join(chosen.pixels)

    # -- what it is ---------------------------------------------------------------------------------------------------

    def protocol(self) -> Result:
        """The result, but for its values: what is evaluated, and how."""
        sides, chosen, options, on = self.sides, self.chosen, self.request.options, self.request.device
        protocol: dict[str, Any] = dict.fromkeys(FIELDS)
        about: dict[str, Any] = {}
        if sides.model is not None:
            protocol |= sides.model.protocol
            about |= sides.model.about
        if sides.files is not None:
            about |= {"path": str(sides.files.path), "images": sides.files.fingerprint()}
        if (extractor := chosen.extractor) is not None:
            protocol |= {
                "extractor": extractor.name,
                "extractor_weights": extractor.weights,
                "extractor_verified": extractor.known,
                "dimension": extractor.dimension,
                "resize": extractor.resize,
                "preprocessing": extractor.preprocessing,
                "dtype": DTYPE,
            }
        protocol["n_fake"] = _one(sides.fake.counts)
        if sides.real is not None and (chosen.needs_real or chosen.pixels):
            real = sides.real
            protocol |= {"real": _one(real.sources), "n_real": _one(real.counts), "split": real.split or None}
            about["real"] = sides.real_is
        if sides.translates:
            split = sides.split()
            protocol |= {"inputs": split.fingerprint() or "changing", "split": split.name}
        if {"kernel", "manifold"} & set(chosen.features) or ("distance" in chosen.features and chosen.classes):
            most = max(*sides.fake.counts.values(), *(sides.real or sides.fake).counts.values())
            protocol["keep"] = "all" if most <= options.keep else options.keep
        if "kernel" in chosen.features:
            protocol |= {"subsets": options.subsets, "subset_size": options.subset_size}
        if "score" in chosen.features:
            protocol["splits"] = options.splits
        if "manifold" in chosen.features:
            protocol |= {"k": options.k, "k_density": options.k_density}
        if "lpips" in chosen.measures:
            protocol["lpips"] = f"alex {chosen.measures['lpips'].weights}"  # type: ignore[attr-defined]
        protocol |= {name: need.words for name, need in chosen.pixels.items()}
        if sides.data is not None:
            about["data"] = {"class": sides.data.name, "arguments": sides.data.arguments}
        about |= {
            "metrics": [*chosen.features, *chosen.measures, *chosen.pixels],
            "per_class": chosen.classes,
            "batch_size": sides.batch_size,
            "seed": options.seed,
            "device": torch.cuda.get_device_name() if on.type == "cuda" else "cpu",
            "versions": versions(),
            "commit": commit(),
        }
        if self.request.moments:
            about["moments"] = True
        return Result(protocol, about, left_out=chosen.left_out)

    # -- the work -----------------------------------------------------------------------------------------------------

    def run(self, worker: Worker) -> Values:
        """Computes all metrics.

        Args:
            worker: how the work is done.

        Raises:
            InputError: images that cannot be evaluated.
            KeyboardInterrupt: it was interrupted.
        """
        found: Values = {}
        for name, values in self.run_features(worker).items():
            found |= {f"{kind}_{name}" if name else kind: value for kind, value in values.items()}
        return found | self._of_pixels(worker.folder)

    def run_features(self, worker: Worker) -> dict[str, Values]:
        """Computes the metrics of features and of pairs: for each set of images, the values by name."""
        with on_device(self.chosen.extractor, self.request.device):
            if self.chosen.needs_real:
                self._find_real_sets(worker)
            worker.on_rank_zero(self._check_classes)
            fake = self._fake_tables(worker)
            return worker.on_rank_zero(lambda: {name: self._values(name, fake) for name in self.sides.fields})

    def _values(self, name: str, fake: dict[str, FeatureTable]) -> Values:
        chosen, options, found = self.chosen, self.request.options, Values()
        if chosen.extractor is not None:
            real, of_fake = self.real_sets.get(name), self._reduced(fake[name])
            found |= compute(chosen.extractor, chosen.features, options, real, of_fake)
            if chosen.of_classes and real is not None:
                found |= compute_per_class(chosen.extractor, chosen.of_classes, options, real, of_fake)
        for kind in chosen.measures:
            sums = Sums()
            sums.add(fake[name].rows(kind, slice(None)))
            score = sums.score()
            error = score.error if math.isfinite(score.error) else None
            found[kind] = MetricValue(score.mean, error, "standard error" if error is not None else "")
        return found

    def _check_classes(self) -> None:
        if self.chosen.classes:
            counts = [statistics.count for statistics in self.real_sets[""].classes]
            self.chosen.of_classes = self.chosen.choose_per_class(counts)

    # -- features -----------------------------------------------------------------------------------------------------

    @property
    def _statistics_device(self) -> torch.device:
        """Moments are float64, which not every device knows."""
        return self.request.device if self.request.device.type == "cuda" else torch.device("cpu")

    def _reduced(self, table: FeatureTable) -> FeatureSet:
        chosen, options = self.chosen, self.request.options
        return reduce(table, chosen.features, options, chosen.classes, self._statistics_device)

    def _table(self, count: int, spec: FeatureSpec | None, folder: Path | None = None) -> FeatureTable:
        if spec is None or not self.request.moments or not self.chosen.features:
            return FeatureTable(count, spec, folder)
        keep = rows_kept(self.chosen.features, self.request.options, spec.dimension)
        return MomentTable(count, spec, folder, keep, self.request.options.seed, self._statistics_device)

    def _tables(self, side: Side, sources: dict[str, str], folder: Path | None) -> dict[str, FeatureTable]:
        extractor, made = self.chosen.extractor, {}
        for name, source in sources.items():
            spec = None if extractor is None else extractor.spec(source, side.split)
            where = folder if folder is None or not name else folder / name
            made[name] = self._table(side.counts[name], spec, where)
        return made

    def _fake_tables(self, worker: Worker) -> dict[str, FeatureTable]:
        chosen, sides = self.chosen, self.sides
        if chosen.extractor is None and not chosen.measures:
            return {}
        folder = None if worker.folder is None else worker.folder / "fake"
        tables = self._tables(sides.fake, sides.fake.sources, folder)
        wanted = Wanted(chosen.extractor, "score" in chosen.features, chosen.classes, chosen.measures)
        self._extract(
            worker, sides.fake.what, tables, lambda shard: sides.fake_batches(shard, bool(chosen.measures)), wanted
        )
        self.found |= worker.on_rank_zero(
            lambda: {"sizes": sizes(tables), "converted": conversions(tables, chosen.extractor)}
        )
        return tables

    def _find_real_sets(self, worker: Worker) -> None:
        """Computes what is known of the real images, or reads it from the cache; rank 0 has it then."""
        side, request = self.sides.real, self.request
        assert side is not None
        if self.sides.known is not None:
            self.real_sets = {"": FeatureSet(self.sides.known)}
            return
        missing = worker.on_rank_zero(self._recall_real_sets)
        if missing:
            tables = self._tables(side, missing, None if worker.folder is None else worker.folder / "real")
            wanted = Wanted(self.chosen.extractor, classes=self.chosen.classes)
            self._extract(worker, side.what, tables, lambda shard: self.sides.real_batches(missing, shard), wanted)
            worker.on_rank_zero(lambda: self._keep_real_sets(tables))
        if request.save_statistics is not None:
            try:
                self.real_sets[""].statistics.save(request.save_statistics)
            except OSError as error:
                raise InputError(f"cannot write {request.save_statistics}: {error.strerror}") from error

    def _cached(self, table: FeatureTable) -> Path | None:
        """The place of a set in the cache; None for no cache, and for images that change whenever they are read."""
        real, cache = self.sides.real, self.request.cache
        assert real is not None
        assert table.spec is not None
        return cached_table(cache, table.spec, table.count) if cache is not None and real.identity[1] else None

    def _recall_real_sets(self) -> dict[str, str]:
        """Reads sets from the cache; returns the sources of those that are missing."""
        real: Any = self.sides.real
        missing = {}
        for name, empty in self._tables(real, real.sources, None).items():
            folder = self._cached(empty)
            if name in self.real_sets:
                continue
            table = None if folder is None else recall(folder, empty)
            if table is None:
                missing[name] = real.sources[name]
                continue
            if self.chosen.classes:
                check_labels(table.labels, self.chosen.classes)
            self.real_sets[name] = self._reduced(table)
            self.found["real_features"] = "cached"
        return missing

    def _keep_real_sets(self, tables: dict[str, FeatureTable]) -> None:
        for name, table in tables.items():
            folder = self._cached(table)
            if folder is not None:
                try:
                    table.save(folder)
                except InputError as error:
                    log_info(f"{error}: the next evaluation extracts the real images again")
            self.real_sets[name] = self._reduced(table)

    def _extract(
        self,
        worker: Worker,
        what: str,
        tables: dict[str, FeatureTable],
        batches: Callable[[Shard], Iterator[ImageBatch]],
        wanted: Wanted,
    ) -> None:
        """One pass over the batches that are missing."""
        size, shard = self.sides.batch_size, worker.shard
        begin = first_batch(tables, size)
        if begin is None:
            return
        total, done = sum(table.count for table in tables.values()), sum(int(table.done.sum()) for table in tables.values())
        rest = batches(Shard(begin + shard.rank, shard.world_size))
        with worker.progress(what, total, done) as advance:
            worker.on_all_ranks(
                lambda: extract(tables, rest, wanted, size, advance, worker.undisturbed, lambda line: worker.log(what, line))
            )
        for table in tables.values():
            worker.gather(table)

    # -- pixels -------------------------------------------------------------------------------------------------------

    def _of_pixels(self, folder: Path | None) -> Values:
        """Computes each, and keeps it in the folder for an evaluation that is interrupted in the next."""
        chosen, request, found = self.chosen, self.request, Values()
        if not chosen.pixels:
            return found
        assert folder is not None
        samples: Labelled | None = None
        for name in chosen.pixels:
            kept = folder / f"{name}.json"
            try:
                if not kept.exists():
                    samples = samples or self._samples()
                    options = request.options.seed, request.classifier_epochs, request.device, folder / GRID
                    classes, known = self.sides.generated_classes, self._modes() if name == "modes" else None
                    values = COMPUTE[name](Inputs(samples, chosen.data_splits, classes, *options, known))
                    with atomic_write(kept) as part:
                        part.write_text(json.dumps({kind: vars(value) for kind, value in values.items()}))
            except InputError as error:  # what was not seen before: a class of one image, a file of another size
                chosen.left_out[name] = str(error)
                continue
            except KeyboardInterrupt:
                log_info(f"stopped while computing {name}; the same command resumes it")
                raise
            found |= {kind: MetricValue(**each) for kind, each in json.loads(kept.read_text()).items()}
        if not found and chosen.extractor is None:
            raise InputError("; ".join(f"{name}: {why}" for name, why in chosen.left_out.items()))
        return found

    def _modes(self) -> Modes | None:
        return None if self.sides.data is None else self.sides.data.modes()

    def _samples(self) -> Labelled:
        """As many as any metric takes."""
        most = max(need.samples for need in self.chosen.pixels.values())
        channels = self.chosen.data_splits["test"].one().images.shape[1]
        return collect_samples(self.sides.fake_batches(Shard()), most, channels, self.sides.fake.what)


def _one(values: dict[str, Any]) -> Any:
    """The value of the only set, or all of them."""
    return values[""] if list(values) == [""] else values
