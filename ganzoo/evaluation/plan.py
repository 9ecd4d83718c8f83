"""What a measurement is: found out, and refused if it cannot be had, before any picture is made."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace

from ganzoo.cli.arguments import ASKED_FOR, LEAST, OF_FEATURES, kinds, parser
from ganzoo.cli.options import (
    MOST,
    Data,
    device,
    loader,
    quiet_trainer,
    read,
    refuse_unwritable,
    section,
    set_up,
    sorted_out,
    value_of,
    values_of,
)
from ganzoo.cli.trained import Trained, load, run_config, trained_batch_size
from ganzoo.data.batches import ImagePairs, Unpaired
from ganzoo.data.pictures import EXTENSIONS
from ganzoo.data.sampling import identity
from ganzoo.errors import InputError
from ganzoo.evaluation.looking import Folder, Judged, Remembering
from ganzoo.evaluation.protocol import FIELDS, Result, commit, versions
from ganzoo.evaluation.whole import OF_PICTURES, SPLITS, Known, Need, as_data, needed
from ganzoo.interfaces import Sampler
from ganzoo.judging import (
    BATCH_SIZE,
    Share,
    Split,
    as_pictures,
    default_batch_size,
    fakes,
    field_of,
    how_many,
    normalizes_by_batch,
    sets,
)
from ganzoo.metrics.extractors import find
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.paired import LPIPS, MEASURES, WINDOW, Measure
from ganzoo.metrics.quality import Settings
from ganzoo.metrics.statistics import SAME_FEATURES, Statistics
from ganzoo.utils.log import log_info
from ganzoo.utils.trust import check_trusted

DTYPE = "features float32, statistics float64"


@dataclass
class Side:
    """One of the two sides of a comparison.

    Attributes:
        what: it is, for the progress bar.
        counts: pictures of each set.
        sources: of each set, for the features' header.
        parts: pictures from a batch's number on.
        split: of the data.
        lasting: they are the same whenever they are asked for.
    """

    what: str
    counts: dict[str, int]
    sources: dict[str, str]
    parts: Callable[[int], Iterator[Judged]]
    split: str = ""
    lasting: bool = True


class Plan:
    """One measurement. Making it finds out what is to be measured, and refuses what cannot be, before any picture is made.

    Args:
        args: of the command.

    Attributes:
        given: what they say.
        name: of the file to write, unless another is given.
        left_out: kinds of figures, and why.
    """

    def __init__(self, args: Sequence[str]) -> None:
        self.args, self.parser = args, parser(args)
        self.left_out: dict[str, str] = {}
        self.given = given = self._read(for_model=False)
        for option, least in LEAST.items():
            if given[option] is not None and given[option] < least:
                raise InputError(f"--{option} is a number of at least {least}, not {given[option]}")
            if given[option] is not None and given[option] > MOST:
                raise InputError(f"--{option} is a number from {least} to {MOST} (2**63 - 1), not {given[option]}")
        self.kinds = kinds(given.figures)
        self.device = device(given.device)
        self.trainer = quiet_trainer(self.device.type)
        self.data: Data | None = None
        self.split: Split | None = None
        self.known: Statistics | None = None  # of real pictures, instead of them
        self.real_is = ""
        self.trained, self.folder = self._what()
        self.batch_size: int = self._batch_size()
        self.fields = self._sets()
        self.real = self._real_side()
        self.fake = self._fake_side()
        self.measures = self._measures()
        self.known_splits: dict[str, Known] = {}  # of the data, for the figures of whole pictures
        self.whole = self._whole()
        self.extractor, self.settings = self._choose()
        self.classes = self._classes()
        stem = Path(given.fake).stem if self.trained else Path(given.fake).resolve().name
        label = self.extractor.label if self.extractor else "paired" if self.measures else "_".join(self.whole)
        self.name: Path = (Path(given.fake).parent if self.trained else Path()) / f"{stem}_{label}.json"
        if given.save_statistics is not None:
            self._check_saving(Path(given.save_statistics))

    # -- arguments ----------------------------------------------------------------------------------------------------

    def _read(self, for_model: bool) -> Namespace:
        """The arguments, with the data of the config or of the checkpoint's run, if they are wanted.

        Args:
            for_model: a model needs data, whatever the real pictures are.
        """
        configs, (words, _) = values_of(self.args, "--config", "-c"), sorted_out(self.parser, self.args)
        data = section("data", *configs) if configs else None
        if configs and data is None:
            raise InputError(f"--config {' '.join(configs)}: it has no data; give --data")
        changed = any(arg.startswith("--data.") for arg in self.args)
        if data is None and value_of(self.args, "--data") is None and words and Path(words[0]).is_file():
            own = run_config(Path(words[0]))
            if own is not None and (for_model or changed or len(words) == 1):
                data = section("data", own)
                check_trusted(data, str(own), f"give it yourself: --config {own}")
        return read(self.parser, self.args, data)

    def _get_split(self) -> Split:
        if self.split is None:
            if self.given.data is None:
                self.given = self._read(for_model=True)
            if self.given.data is None:
                raise InputError(
                    f"{self.given.fake} needs data, and no config.yaml of its run is there: give --data or --config"
                )
            self.data = set_up(self.parser, self.given, self.given.split, self.trainer)
            module = self.data.module

            def prepare(batch: Any) -> Any:  # as a trainer does
                return module.on_after_batch_transfer(module.on_before_batch_transfer(batch, 0), 0)

            self.split = Split(self.data.loader, self.given.split, prepare)
            if len(self.split) == 0:
                raise InputError(f"{self.data.short} has no {self.given.split} pictures: give another --split")
        return self.split

    # -- the two sides ------------------------------------------------------------------------------------------------

    def _what(self) -> tuple[Trained | None, Folder | None]:
        given, path = self.given, Path(self.given.fake)
        if path.is_dir():
            for option in ("raw", "model", "per_class"):
                if given[option]:
                    raise InputError(f"--{option} is of a checkpoint, and {path} is a folder")
            return None, Folder(path, given.n)
        if not path.is_file():
            raise InputError(f"{path}: there is no such checkpoint, and no such folder of pictures")
        if path.suffix.lower() in EXTENSIONS:
            raise InputError(f"{path} is one picture: give the folder of many, or a checkpoint")
        trained = load(path, given.model, given.raw, given.weights_only, value_of(self.args, "--config", "-c"))
        trained.module.to(self.device)
        self.trainer.strategy.connect(trained.module)
        trained.module.trainer = self.trainer
        return trained, None

    def _batch_size(self) -> int:
        found: int | None = self.given.batch_size
        if self.trained is None:
            return found or BATCH_SIZE
        own = trained_batch_size(Path(self.given.fake))
        by_batch = normalizes_by_batch(self.module)
        if found is None and by_batch:
            why = "as in its training" if own else "as no config.yaml of its run says how many there were"
            name = type(self.module).__name__
            log_info(f"{name} normalizes by the statistics of each batch: batches of {own or 1}, {why}")
        found = found or default_batch_size(self.module, own)
        if by_batch:
            self.trained.protocol["batch_norm"] = f"statistics of batches of {found}"
        return found

    @property
    def module(self) -> Any:
        assert self.trained is not None
        return self.trained.module

    @property
    def can_be_asked(self) -> int:
        """For so many classes; 0 for none."""
        return 0 if self.trained is None else self.module.classes or 0

    def _sets(self) -> dict[str, str]:
        """The sets of pictures, and the field of the data's batches that has the real ones of each."""
        given = self.given
        if self.trained is not None:
            needs = None if isinstance(self.module, Sampler) else self._get_split()
            check = getattr(self.module, "check_batch", None)
            if needs is not None and check is not None:  # as a trainer has it done
                check(next(needs.batches(self.batch_size))[1])
            fields = sets(self.module, needs, self.batch_size)
        else:
            fields = {"": "x"}
        own_data = self.trained is not None and not isinstance(self.module, Sampler)
        if given.real is not None and given.data is not None and not own_data:
            raise InputError(f"{given.real} and --data or --config both say which pictures are real: give one of them")
        if given.real is not None and len(fields) > 1:
            raise InputError(
                f"{type(self.module).__name__} makes pictures of two kinds: leave out {given.real}, and give --data"
            )
        if self.folder is not None and given.data is not None and self._of_pairs((ImagePairs, Unpaired)):
            log_info(f"{self.folder.path} is compared with y, the pictures that a translation aims at")
            fields = {"": "y"}
        return fields

    def _of_pairs(self, kinds: tuple[type, ...]) -> bool:
        _, batch = next(self._get_split().batches(1))
        return isinstance(batch, kinds)

    def _real_side(self) -> Side | None:
        given = self.given
        if given.real is None and given.data is None:
            return None
        if given.real is None:
            return self._of_split(self._get_split())
        path = Path(given.real)
        self.real_is = str(path)
        if path.is_dir():
            folder = Folder(path)
            return Side(f"real {path}", {"": len(folder)}, {"": folder.fingerprint()}, self._all_of(folder))
        if not path.is_file() or path.suffix != ".npz":
            raise InputError(f"{path} is neither a folder of real pictures nor a file of statistics, .npz")
        self.known = Statistics.load(path)
        header = self.known.header
        return Side(f"{path}", {"": self.known.count}, {"": header.source}, lambda _: iter(()), header.split)

    def _of_split(self, split: Split) -> Side:
        assert self.data is not None
        self.real_is, size = self.data.short, self.batch_size
        (text, lasting), fields = self._fingerprint(split), self.fields

        def parts(begin: int) -> Iterator[Judged]:
            share = Share(begin, 1)  # every first from there on
            each = (split.real(name_of, size, share, name) for name, name_of in fields.items())
            return (Judged(part) for batch in zip_longest(*each) for part in batch if part is not None)

        return Side(
            f"real {self.data.short}, {split.name}",
            {name: split.count(name_of) for name, name_of in fields.items()},
            {name: f"{name_of} of {text}" for name, name_of in fields.items()},
            parts,
            split.name,
            lasting,
        )

    def _all_of(self, folder: Folder) -> Callable[[int], Iterator[Judged]]:
        return lambda begin: folder.parts(self.batch_size, begin)

    def _fake_side(self) -> Side:
        given = self.given
        if self.folder is not None:
            return Side(str(self.folder.path), {"": len(self.folder)}, {"": ""}, self._all_of(self.folder))
        module, kind = self.module, type(self.module).__name__
        inputs = None if isinstance(module, Sampler) else self.split
        n = given.n or (sum(self.real.counts.values()) if inputs is None and self.real else 0) or len(inputs or ())
        if not n:
            raise InputError(
                f"--n says how many pictures {kind} makes, where there are no real ones to be as many as: give it, or --data"
            )

        def parts(begin: int) -> Iterator[Judged]:
            share = Share(begin, 1)
            if inputs is None or not self.measures:
                made = fakes(module, inputs, n, self.batch_size, given.seed, share)
                return (Judged(part) for part in made)
            pairs = Remembering(inputs, self.fields)
            made = fakes(module, pairs, n, self.batch_size, given.seed, share)
            return (Judged(part, pairs.truths[part.name][: len(part.places)]) for part in made)

        counts = {name: how_many(module, inputs, name, n) for name in self.fields}
        return Side(kind, counts, dict.fromkeys(counts, kind), parts)

    # -- which figures ------------------------------------------------------------------------------------------------

    def _wanted(self, kind: str) -> bool:
        return kind not in ASKED_FOR if self.kinds is None else kind in self.kinds

    def _leave_out(self, kind: str, why: str) -> None:
        if self.kinds is not None and kind in self.kinds:
            raise InputError(f"{kind}: {why}")
        self.left_out[kind] = why

    def _measures(self) -> dict[str, Measure]:
        """Of pairs."""
        wanted = [kind for kind in ("paired", "lpips") if self._wanted(kind)]
        one_way = self.trained is not None and list(self.fields.values()) == ["y"]
        if not wanted:
            return {}
        if self.trained is None or isinstance(self.module, Sampler) or self.given.real is not None:
            why = "no picture is there that another should be"
        elif self._of_pairs((ImagePairs,)) or (one_way and not self._of_pairs((Unpaired,))):
            return self._pair_measures(wanted)
        else:
            why = "the data are no pairs"
        for kind in wanted:
            if self.kinds is not None:
                self._leave_out(kind, why)
        return {}

    def _pair_measures(self, wanted: list[str]) -> dict[str, Measure]:
        found: dict[str, Measure] = dict(MEASURES) if "paired" in wanted else {}
        _, batch = next(self._get_split().batches(1))
        sides = [min(as_pictures(field_of(batch, of), "the data").shape[-2:]) for of in self.fields.values()]
        if "ssim" in found and min(sides) < WINDOW:
            del found["ssim"]
            self.left_out["ssim"] = f"it needs pictures of at least {WINDOW} x {WINDOW} pixels"
        if "lpips" in wanted:
            found["lpips"] = LPIPS()
        return found

    def _whole(self) -> dict[str, Need]:
        """The figures of whole pictures, each with the samples that it takes and what it is of."""
        given, wanted = self.given, [kind for kind in OF_PICTURES if self._wanted(kind)]
        if not wanted:
            return {}
        every = ", ".join(wanted)
        if self.trained is not None and not isinstance(self.module, Sampler):
            raise InputError(f"{every}: of pictures that are made from noise, and {type(self.module).__name__} makes none")
        classes = self.can_be_asked
        if "agreement" in wanted and not classes:
            raise InputError(f"agreement: {given.fake} cannot be asked for a class")
        if given.real is not None:
            raise InputError(f"{every}: the data's splits are wanted: leave out {given.real}, and give --data")
        if given.split != "test":
            raise InputError(f"{every}: of the test pictures: leave out --split {given.split}")
        self._get_split()
        assert self.data is not None
        declared = getattr(self.data.module, "classes", None)
        if "agreement" in wanted and declared not in (None, classes):
            raise InputError(f"agreement: the model has {classes} classes and the data {declared}")
        n, found = sum(self.fake.counts.values()), {}
        sample = next(self.fake.parts(0)).part
        for kind in wanted:
            for name in SPLITS[kind]:
                if name not in self.known_splits:
                    self.known_splits[name] = self._known(name, kind)
            real = {name: self.known_splits[name] for name in SPLITS[kind]}
            as_there = as_data(sample, real["test"].one().images.shape[1])
            found[kind] = needed(kind, real, n, classes, given.classifier_epochs, as_there)
        return found

    def _known(self, name: str, kind: str) -> Known:
        """A split of the data, which is prepared as the one that is measured against."""
        own, field = self._get_split(), self.fields[""]
        assert self.data is not None
        try:
            split = own if name == own.name else Split(loader(self.data.module, name), name, own.prepare)
            if len(split) == 0:
                raise InputError("there are none")
        except InputError as error:
            why = str(error).removesuffix(": give another --split")
            raise InputError(f"{kind}: {name} pictures of {self.data.short} are needed: {why}") from error
        if getattr(split.dataset, "transform", identity) is not identity and name == "train":
            log_info(f"{kind}: the training pictures are taken as the first epoch augments them")
        return Known(split, field, f"{field} of {self._fingerprint(split)[0]}")

    def _fingerprint(self, split: Split) -> tuple[str, bool]:
        """By what a split's pictures are known again, and whether they are the same at each look."""
        assert self.data is not None
        known = split.fingerprint()
        if known is not None:
            return known, True
        log_info(f"the {split.name} pictures of {self.data.short} change between two looks: the figures cannot be repeated")
        arguments = json.dumps(self.data.arguments, sort_keys=True, default=str)
        return f"changing pictures of {self.data.short} {arguments}", False

    def _choose(self) -> tuple[Extractor | None, Settings]:
        """The extractor, if one is needed, and the figures that it and the numbers of pictures can bear."""
        given = self.given
        names = ("keep", "subsets", "subset_size", "splits", "k", "k_density", "seed")
        settings = Settings(distance=False, **{name: given[name] for name in names})
        wanted = [kind for kind in OF_FEATURES if self._wanted(kind)]
        if self.real is None:
            for kind in wanted:
                if kind != "score":
                    self._leave_out(kind, "there are no real pictures to compare with: give REAL or --data")
            wanted = [kind for kind in wanted if kind == "score"]
        if not wanted:
            return None, settings
        extractor = find(given.extractor, given.weights).eval().requires_grad_(False).to(self.device)
        for kind in wanted:
            alone = replace(settings, **{kind: True})
            try:
                for name, fake in self.fake.counts.items():
                    real = fake if self.real is None else self.real.counts[name]
                    alone.check(real, fake, extractor.has_logits, extractor.name)
                self._check_known(extractor, alone)
            except InputError as error:
                self._leave_out(kind, str(error))
            else:
                settings = replace(settings, **{kind: True})
        if not any(getattr(settings, kind) for kind in OF_FEATURES) and not self.measures and not self.whole:
            raise InputError("; ".join(f"{kind}: {why}" for kind, why in self.left_out.items()))
        return extractor, settings

    def _check_known(self, extractor: Extractor, settings: Settings) -> None:
        """Refuses statistics of another protocol."""
        if self.known is None or not settings.needs_real:
            return
        extractor.header().refuse_unlike(self.known.header, SAME_FEATURES, str(self.given.real))
        if settings.kernel or settings.manifold:
            have, need = len(self.known.features), min(settings.keep, self.known.count)
            if have != need:
                raise InputError(f"{self.given.real}: keep is {have} there and {need} here: give --keep {have}")

    def _classes(self) -> int:
        if not self.given.per_class:
            return 0
        if not isinstance(self.module, Sampler) or not self.module.classes:
            raise InputError(f"--per_class: {type(self.module).__name__} cannot be asked for a class")
        if self.real is None or self.given.real is not None or not self.settings.needs_real:
            raise InputError(
                "--per_class needs labelled real pictures (--data), and a kind of figure that compares with them: distance"
            )
        return self.module.classes

    def _check_saving(self, path: Path) -> None:
        if not self.settings.needs_real or len(self.fields) > 1 or self.known is not None:
            raise InputError("--save_statistics is for one set of real pictures, which this measurement does not look at")
        if path.suffix == ".npz":
            refuse_unwritable(path, "--save_statistics")
        if path.suffix != ".npz" or path.exists():
            raise InputError(f"--save_statistics {path}: give the name of a new file, .npz")

    # -- what it is ---------------------------------------------------------------------------------------------------

    def announced(self) -> Result:
        """The result, but for its figures."""
        given, settings, extractor = self.given, self.settings, self.extractor
        protocol: dict[str, Any] = dict.fromkeys(FIELDS)
        about: dict[str, Any] = {"path": given.fake}
        if self.trained is not None:
            protocol |= self.trained.protocol
            about |= self.trained.about
        if self.folder is not None:
            about["pictures"] = self.folder.fingerprint()
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
        if self.real is not None and (settings.needs_real or self.whole):
            protocol |= {"real": _one(self.real.sources), "n_real": _one(self.real.counts), "split": self.real.split or None}
            about["real"] = self.real_is
        if self.trained is not None and not isinstance(self.module, Sampler):
            assert self.split is not None
            protocol |= {"inputs": self.split.fingerprint() or "changing", "split": self.split.name}
        if settings.kernel or settings.manifold or (settings.distance and self.classes):
            most = max(*self.fake.counts.values(), *(self.real or self.fake).counts.values())
            protocol["keep"] = "all" if most <= settings.keep else settings.keep
        if settings.kernel:
            protocol |= {"subsets": settings.subsets, "subset_size": settings.subset_size}
        if settings.score:
            protocol["splits"] = settings.splits
        if settings.manifold:
            protocol |= {"k": settings.k, "k_density": settings.k_density}
        if "lpips" in self.measures:
            protocol["lpips"] = f"alex {self.measures['lpips'].weights}"  # type: ignore[attr-defined]
        protocol |= {kind: need.words for kind, need in self.whole.items()}
        if self.data is not None:
            about["data"] = {"class": self.data.name, "arguments": self.data.arguments}
        about |= {
            "figures": [kind for kind in OF_FEATURES if getattr(settings, kind)] + [*self.measures, *self.whole],
            "per_class": self.classes,
            "batch_size": self.batch_size,
            "seed": given.seed,
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
            "versions": versions(),
            "commit": commit(),
        }
        return Result(protocol, about, left_out=self.left_out)


def _one(values: dict[str, Any]) -> Any:
    """The value of the only set, or all of them."""
    return values[""] if list(values) == [""] else values
