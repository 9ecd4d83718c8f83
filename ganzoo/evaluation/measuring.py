"""The figures of a measurement that is planned."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError
from ganzoo.evaluation.looking import Looked, look
from ganzoo.evaluation.plan import Plan, Side
from ganzoo.evaluation.protocol import Figure
from ganzoo.evaluation.whole import MADE, Whole, samples_of
from ganzoo.metrics.agreement import Labelled
from ganzoo.metrics.extractors import figure_name
from ganzoo.metrics.quality import ByClass, Seen, Settings, figures, figures_by_class
from ganzoo.metrics.reference import Reference, folder_of
from ganzoo.metrics.statistics import Header
from ganzoo.utils.files import atomic_write
from ganzoo.utils.log import log_info
from ganzoo.utils.signals import Stops

SHEET = "neighbours.png"  # in the folder of what an interrupted measurement leaves


class Measuring:
    """Looks at the pictures of a plan.

    Args:
        plan: what is measured.

    Attributes:
        found: what is known of the pictures afterwards.
        left_out: kinds of figures of the plan, and why; more may be found while measuring.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.found: dict[str, Any] = {}
        self.left_out = plan.left_out

    def measured(self, work: Path, stops: Stops) -> dict[str, Figure]:
        """The figures.

        Args:
            work: a folder for what an interrupted measurement leaves, and goes on from.
            stops: what interrupts it.

        Raises:
            InputError: pictures that cannot be judged.
            KeyboardInterrupt: it was interrupted.
        """
        real = self._look_at_real(work, stops) if self.plan.real is not None and self.plan.settings.needs_real else None
        of_classes = self._bearable(real) if self.plan.classes and real is not None else None
        fake = Looked(lambda: self._nothing(self.plan.fake, fake=True), self.plan.measures)
        if self.plan.extractor is not None or self.plan.measures:
            self._look(fake, self.plan.fake, work / "fake", stops)
        found: dict[str, Figure] = {}
        for name in self.plan.fields:
            end = f"_{name}" if name else ""
            if self.plan.extractor is not None:
                theirs = None if real is None else real.seen[name]
                values = figures(self.plan.extractor, self.plan.settings, theirs, fake.seen[name])
                if of_classes is not None and real is not None:
                    values |= figures_by_class(self.plan.extractor, of_classes, real.classes[name], fake.classes[name])
                found |= {f"{kind}{end}": figure for kind, figure in self._with_deviations(values).items()}
            if name in fake.pairs:
                scores = fake.pairs[name].scores()
                for kind, score in scores.items():
                    error = score.error if math.isfinite(score.error) else None
                    found[f"{kind}{end}"] = Figure(score.mean, error, "standard error" if error is not None else "")
        return found | self._of_whole_pictures(work)

    def _of_whole_pictures(self, work: Path) -> dict[str, Figure]:
        """Each kind is kept when it is made, for a measurement that is interrupted in the next."""
        plan, found = self.plan, dict[str, Figure]()
        samples: Labelled | None = None
        for kind in plan.whole:
            kept = work / f"{kind}.json"
            try:
                if not kept.exists():
                    samples = samples or self._samples()
                    options = plan.given.seed, plan.given.classifier_epochs, plan.device, work / SHEET
                    made = MADE[kind](Whole(samples, plan.known_splits, plan.can_be_asked, *options))
                    with atomic_write(kept) as part:
                        part.write_text(json.dumps({name: vars(figure) for name, figure in made.items()}))
            except InputError as error:  # what was not seen before: a class of one picture, a file of another size
                self.left_out[kind] = str(error)
                continue
            except KeyboardInterrupt:
                log_info(f"stopped while making {kind}; the same command goes on with it")
                raise
            found |= {name: Figure(**each) for name, each in json.loads(kept.read_text()).items()}
        if not found and plan.whole and plan.extractor is None:
            raise InputError("; ".join(f"{kind}: {why}" for kind, why in self.left_out.items()))
        return found

    def _samples(self) -> Labelled:
        """As many as any kind of figure takes."""
        plan = self.plan
        most = max(need.samples for need in plan.whole.values())
        channels = plan.known_splits["test"].one().images.shape[1]
        return samples_of(plan.fake.parts(0), most, channels, plan.fake.what)

    def _look_at_real(self, work: Path, stops: Stops) -> Looked:
        assert self.plan.real is not None
        side = self.plan.real
        looked = Looked(lambda: self._nothing(side, fake=False))
        if self.plan.known is not None:
            looked.seen[""].statistics = self.plan.known
            return looked
        kept = self._references()
        if self._recalled(looked, kept):
            self.found["real_seen"] = "by an earlier measurement"
        else:
            self._look(looked, side, work / "real", stops)
            for name, reference in kept.items():
                try:
                    reference.save(looked.seen[name])
                    if self.plan.classes:
                        reference.save(looked.classes[name])
                except InputError as error:
                    log_info(f"{error}: the next measurement looks at the real pictures again")
        if self.plan.given.save_statistics is not None:
            try:
                looked.seen[""].statistics.save(self.plan.given.save_statistics)
            except OSError as error:
                raise InputError(f"cannot write {self.plan.given.save_statistics}: {error.strerror}") from error
        return looked

    def _references(self) -> dict[str, Reference]:
        assert self.plan.real is not None
        folder = None if self.plan.given.cache.lower() == "none" else folder_of(self.plan.given.cache)
        if folder is None or not self.plan.real.lasting:
            return {}
        counts = self.plan.real.counts
        return {n: Reference(folder, self._header(self.plan.real, n), counts[n], self.plan.settings) for n in counts}

    def _recalled(self, looked: Looked, kept: dict[str, Reference]) -> bool:
        """Whether all is known from an earlier measurement."""
        for name, reference in kept.items():
            try:
                seen = reference.load(looked.seen[name].statistics.mean.device)
                classes = reference.load_by_class(self.plan.classes) if self.plan.classes else None
            except InputError as error:
                log_info(f"{error}: it is measured anew")
                seen = None
            if seen is None or (self.plan.classes and classes is None):
                looked.forget()
                return False
            looked.seen[name] = seen
            if classes is not None:
                looked.classes[name] = classes
        return bool(kept)

    def _look(self, looked: Looked, side: Side, place: Path, stops: Stops) -> None:
        total = sum(side.counts.values())
        look(looked, side.parts, self.plan.extractor, self.plan.batch_size, total, side.what, place, stops)
        if side is self.plan.fake:  # what real ones are is in their fingerprint
            self.found |= {"sizes": sorted(looked.sizes), "converted": sorted(looked.converted)}

    def _nothing(self, side: Side, fake: bool) -> dict[str, tuple[Seen, ByClass | None]]:
        """Nothing seen yet, of each set."""
        if self.plan.extractor is None:
            return {}
        logits, found = int(fake and self.plan.settings.score), {}
        on = self.plan.device if self.plan.device.type == "cuda" else "cpu"
        for name in side.counts:
            header = self._header(side, name)
            by_class = ByClass(header, self.plan.settings, self.plan.classes) if self.plan.classes else None
            found[name] = Seen(header, self.plan.settings, logits, on), by_class
        return found

    def _header(self, side: Side, name: str) -> Header:
        assert self.plan.extractor is not None
        return self.plan.extractor.header(side.sources[name], side.split)

    def _bearable(self, real: Looked) -> Settings:
        """The settings of figures class by class: those that the smallest class can bear."""
        assert self.plan.extractor is not None
        n, settings = self.plan.fake.counts[""], replace(self.plan.settings, score=False)
        why = ""
        for kind in ("distance", "kernel", "manifold"):
            if not getattr(settings, kind):
                continue
            alone = replace(settings, **{**dict.fromkeys(("distance", "kernel", "manifold"), False), kind: True})
            try:
                for c, count in enumerate(real.classes[""].counts):
                    alone.check(count, len(range(c, n, self.plan.classes)), False, f"class {c}")
            except InputError as error:
                why = f"of class {c}: {error}"
                if self.plan.kinds is not None:
                    raise InputError(f"{kind} {why}") from None
                self.left_out[f"{kind} of classes"] = why
                settings = replace(settings, **{kind: False})
        if not settings.needs_real:
            raise InputError(f"--per_class: {why}")
        return settings

    def _with_deviations(self, values: dict[str, float]) -> dict[str, Figure]:
        assert self.plan.extractor is not None
        parts = {
            figure_name("kd", self.plan.extractor): f"{self.plan.settings.subsets} subsets",
            figure_name("score", self.plan.extractor): f"{self.plan.settings.splits} splits",
        }
        return {
            name: Figure(value, values.get(f"{name}_std"), parts[name] if f"{name}_std" in values else "")
            for name, value in values.items()
            if not name.endswith("_std")
        }
