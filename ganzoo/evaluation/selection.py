"""Chooses the metrics of an evaluation, and refuses what cannot be had before any image is generated."""

from collections.abc import Sequence
from typing import Any

from ganzoo.data.batches import ImagePairs, Unpaired
from ganzoo.data.sampling import identity
from ganzoo.errors import InputError
from ganzoo.evaluation.batches import ALONE, as_images
from ganzoo.evaluation.metrics import FEATURE_METRICS, METRICS, ON_REQUEST, Counts, check, check_names, choose
from ganzoo.evaluation.pixel_metrics import PIXEL_METRICS, SPLITS, DataSplit, Requirement, like_data, requirement
from ganzoo.evaluation.request import Request
from ganzoo.evaluation.sides import Sides
from ganzoo.interfaces import Sampler, field_of
from ganzoo.metrics.extractors import find
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.paired import LPIPS, MEASURES, WINDOW, Measure
from ganzoo.metrics.statistics import SAME_FEATURES
from ganzoo.utils.log import log_info


class Selection:
    """The metrics that are computed.

    Args:
        sides: what is compared.
        request: what is wanted.

    Attributes:
        measures: metrics of pairs, by name.
        pixels: metrics of pixels, each with the samples that it takes and its words for the protocol.
        data_splits: the splits of the data that these need.
        extractor: the network of the features; None where no metric needs it.
        features: metrics of features.
        classes: of so many classes metrics are computed one by one; 0 for none.
        of_classes: the metrics of each class.
        left_out: metrics that cannot be had, and why; more may be found while the evaluation runs.

    Raises:
        InputError: a metric that is asked for cannot be had, or none can.
    """

    def __init__(self, sides: Sides, request: Request) -> None:
        self.sides, self.request = sides, request
        self.left_out: dict[str, str] = {}
        self.asked = None if request.metrics is None else check_names(request.metrics)
        if sides.of_vectors:
            self.asked = self._of_vectors(self.asked)
        self.measures = self._measures()
        self.data_splits: dict[str, DataSplit] = {}
        self.pixels = self._pixel_metrics()
        self.extractor, self.features = self._feature_metrics()
        self.classes = self._classes()
        self.of_classes = self.choose_per_class() if self.classes else []
        if request.save_statistics is not None:
            path = request.save_statistics
            if not self.needs_real or len(sides.fields) > 1 or sides.known is not None:
                raise InputError("--save_statistics is for one set of real images, which this evaluation does not read")
            if path.suffix != ".npz" or path.exists():
                raise InputError(f"--save_statistics {path}: give the name of a new file, .npz")

    @property
    def needs_real(self) -> bool:
        """Whether features of real images are needed."""
        return any(FEATURE_METRICS[name].needs_real for name in self.features)

    def _wanted(self, *names: str) -> list[str]:
        usual = [name for name in METRICS if name in self.request.available and name not in ON_REQUEST]
        return [name for name in names if name in (usual if self.asked is None else self.asked)]

    def _of_vectors(self, asked: list[str] | None) -> list[str]:
        """The only metric of vectors."""
        wrong = [name for name in asked or () if name != "modes"]
        if wrong:
            name = self.sides.data.short  # type: ignore[union-attr]
            raise InputError(f"{wrong[0]}: it is a metric of images, and {name} has vectors: --metrics modes")
        return ["modes"]

    # -- pairs --------------------------------------------------------------------------------------------------------

    def _measures(self) -> dict[str, Measure]:
        wanted, sides = self._wanted("paired", "lpips"), self.sides
        if not wanted:
            return {}
        one_way = sides.model is not None and list(sides.fields.values()) == ["y"]
        if not sides.translates or sides.real_path is not None:
            why = "no image is there that another should be"
        elif sides.data_are(ImagePairs) or (one_way and not sides.data_are(Unpaired)):
            return self._pair_measures(wanted)
        else:
            why = "the data are no pairs"
        if self.asked is not None:
            raise InputError(f"{wanted[0]}: {why}")
        return {}

    def _pair_measures(self, wanted: list[str]) -> dict[str, Measure]:
        found: dict[str, Measure] = dict(MEASURES) if "paired" in wanted else {}
        _, batch = next(self.sides.split().batches(1))
        sizes = [min(as_images(field_of(batch, of), "the data").shape[-2:]) for of in self.sides.fields.values()]
        if "ssim" in found and min(sizes) < WINDOW:
            del found["ssim"]
            self.left_out["ssim"] = f"it needs images of at least {WINDOW} x {WINDOW} pixels"
        if "lpips" in wanted:
            found["lpips"] = LPIPS()
        return found

    # -- pixels -------------------------------------------------------------------------------------------------------

    def _pixel_metrics(self) -> dict[str, Requirement]:
        wanted, sides = self._wanted(*PIXEL_METRICS), self.sides
        if not wanted:
            return {}
        every, classes = ", ".join(wanted), sides.generated_classes
        if sides.translates:
            name = type(sides.module).__name__
            raise InputError(f"{every}: of images that are made from noise, and {name} makes none")
        if "agreement" in wanted and not classes:
            of = sides.files.path if sides.files else sides.model.about["path"]  # type: ignore[union-attr]
            raise InputError(f"agreement: {of} cannot be asked for a class")
        if sides.real_path is not None:
            raise InputError(f"{every}: the data's splits are wanted: leave out {sides.real_path}, and give --data")
        if self.request.split != "test":
            raise InputError(f"{every}: of the test images: leave out --split {self.request.split}")
        if sides.data is None:
            raise InputError(f"{every}: the data's splits are wanted: give --data or --config")
        if "agreement" in wanted and sides.data.classes not in (None, classes):
            raise InputError(f"agreement: the model has {classes} classes and the data {sides.data.classes}")
        sample = next(sides.fake_batches(ALONE))
        found = {}
        for kind in wanted:
            for name in SPLITS[kind]:
                if name not in self.data_splits:
                    self.data_splits[name] = self._data_split(name, kind)
            real = {name: self.data_splits[name] for name in SPLITS[kind]}
            alike = like_data(sample, real["test"].one().images.shape[1])
            n = sum(sides.fake.counts.values())
            known = sides.data.modes() if kind == "modes" else None
            found[kind] = requirement(kind, real, n, classes, self.request.classifier_epochs, alike, known)
        return found

    def _data_split(self, name: str, kind: str) -> DataSplit:
        data: Any = self.sides.data
        try:
            split = data.split(name)
        except InputError as error:
            why = str(error).removesuffix(": give another --split")
            raise InputError(f"{kind}: {name} images of {data.short} are needed: {why}") from error
        if getattr(split.dataset, "transform", identity) is not identity and name == "train":
            log_info(f"{kind}: the training images are taken as the first epoch augments them")
        field = self.sides.fields[""]
        return DataSplit(split, field, f"{field} of {self.sides.fingerprint(split)[0]}")

    # -- features -----------------------------------------------------------------------------------------------------

    def _feature_metrics(self) -> tuple[Extractor | None, list[str]]:
        """The extractor, if one is needed, and the metrics that it and the numbers of images allow."""
        sides, options = self.sides, self.request.options
        wanted = self._wanted(*FEATURE_METRICS)
        if sides.real is None:
            wanted = choose(self.asked, wanted, self._refuse_without_real, self.left_out)
        if not wanted:
            return None, []
        given = self.request.extractor
        extractor = find(given, self.request.weights) if isinstance(given, str) else given
        extractor = extractor.eval().requires_grad_(False)

        def refuse(name: str) -> None:
            for of, fake in sides.fake.counts.items():
                check(name, options, Counts(fake if sides.real is None else sides.real.counts[of], fake), extractor)
            if sides.known is not None and FEATURE_METRICS[name].needs_real:
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
        known: Any = self.sides.known
        extractor.spec().refuse_unlike(known.spec, SAME_FEATURES, str(self.sides.real_path))
        have, need = len(known.features), min(self.request.options.keep, known.count)
        if rows and have != need:
            raise InputError(f"{self.sides.real_path}: keep is {have} there and {need} here: give --keep {have}")

    # -- classes ------------------------------------------------------------------------------------------------------

    def _classes(self) -> int:
        sides = self.sides
        if not self.request.per_class:
            return 0
        name = str(sides.files.path) if sides.files else type(sides.module).__name__
        if sides.files is not None or not isinstance(sides.module, Sampler) or not sides.module.classes:
            raise InputError(f"per_class needs a model that is sampled by class, and {name} is none: leave it out")
        if sides.real is None or sides.real_path is not None or not self.needs_real:
            raise InputError("per_class needs labelled real images (--data), and a metric that compares with them: distance")
        if self.request.moments:
            raise InputError("per_class needs a row for each image: leave out moments")
        return sides.module.classes

    def choose_per_class(self, real: Sequence[int] | None = None) -> list[str]:
        """The metrics that can be had of each class.

        Args:
            real: real images of each class; None where they are not known yet.

        Raises:
            InputError: a metric that is asked for cannot be had of a class, or none can.
        """
        assert self.extractor is not None
        extractor, n = self.extractor, self.sides.fake.counts[""]
        fake = [len(range(c, n, self.classes)) for c in range(self.classes)]

        def refuse(name: str) -> None:
            for c, counts in enumerate(zip(real or fake, fake, strict=True)):
                try:
                    check(name, self.request.options, Counts(*counts), extractor)
                except InputError as error:
                    where = f"of class {c}" if real else f"of {n} samples class {c} has {fake[c]}"
                    raise InputError(f"{where}: {error}") from None

        wanted = [name for name in self.features if FEATURE_METRICS[name].needs_real]
        left_out: dict[str, str] = {}
        found = choose(self.asked, wanted, refuse, left_out)
        self.left_out |= {f"{name} of classes": why for name, why in left_out.items()}
        if not found:
            raise InputError(f"per_class: {next(reversed(left_out.values()))}")
        return found
