"""``ganzoo evaluate``: a checkpoint or a folder of pictures against real ones, as a table and a file with the protocol."""

import json
import math
import os
import shlex
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, Literal

import torch
from jsonargparse import Namespace

from ganzoo.catalogue import did_you_mean
from ganzoo.command import Parser
from ganzoo.data.batches import ImagePairs, Unpaired
from ganzoo.data.pictures import EXTENSIONS
from ganzoo.errors import InputError
from ganzoo.evaluation.looking import Folder, Judged, Looked, Remembering, look
from ganzoo.evaluation.options import (
    MOST,
    Data,
    Stopped,
    Stops,
    device,
    make_parser,
    quiet_trainer,
    read,
    refuse_unwritable,
    section,
    set_up,
    sorted_out,
    value_of,
)
from ganzoo.evaluation.protocol import FIELDS, Figure, Result, commit, key_of, versions
from ganzoo.evaluation.tables import aligned
from ganzoo.evaluation.trained import Trained, load, run_config, trained_batch_size
from ganzoo.generative import Sampler
from ganzoo.judging import Share, Split, as_pictures, fakes, field_of, how_many, sets
from ganzoo.metrics.extractors import figure_name, find
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.metrics.paired import LPIPS, MEASURES, WINDOW, Measure
from ganzoo.metrics.quality import ByClass, Seen, Settings, figures, figures_by_class
from ganzoo.metrics.reference import USUAL, Reference, folder_of
from ganzoo.metrics.statistics import SAME_FEATURES, Header, Statistics
from ganzoo.say import say

try:
    import fcntl
except ImportError:  # not every system has it
    fcntl = None  # type: ignore[assignment]

OF_FEATURES = ("distance", "kernel", "score", "manifold")
KINDS = (*OF_FEATURES, "paired", "lpips")
DTYPE = "features float32, statistics float64"
LEAST = {"n": 1, "batch_size": 1, "seed": 0, "keep": 1, "subsets": 1, "subset_size": 2, "splits": 1, "k": 1, "k_density": 1}


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["last.ckpt", "--extractor", "efflite0"])``.

    Returns:
        0, or 128 and the number of the signal that ended it.

    Raises:
        InputError: what cannot be measured, in one line.
    """
    began = time.monotonic()
    evaluation = Evaluation(args)
    result = evaluation.announced()
    out = _place(evaluation.given.out, evaluation.name, result)
    try:
        with Stops() as stops, _workplace(out.parent / f".evaluate_{result.key}") as work:
            result.figures = evaluation.measured(work, stops)
            result.about |= evaluation.found | {
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - began, 1),
                "command": shlex.join(["ganzoo", "evaluate", *args]),
            }
            result.left_out = evaluation.left_out
            with stops.held():
                _save(result, out)
    except KeyboardInterrupt as stopped:
        return 128 + (stopped.signum if isinstance(stopped, Stopped) else signal.SIGINT)
    print(f"written to {out}")
    return 0


class _UnsavedError(InputError):
    """All is measured, and cannot be written."""


def _save(result: Result, out: Path) -> None:
    """Writes the result, and shows it, written or not."""
    try:
        result.save(out)
    except InputError as error:
        raise _UnsavedError(f"{error}; what was seen is kept: the same command writes it, or shows it again") from error
    finally:
        for line in report(result):
            print(line)


def report(result: Result) -> list[str]:
    """A result as lines: a table of its figures, and what they are of."""
    rows = [["figure", "value", "+-", "of"]]
    for name, each in result.figures.items():
        deviation = "" if each.deviation is None else f"{each.deviation:.2g}"
        rows.append([name, f"{each.value:.5g}", deviation, each.of])
    protocol, about = result.protocol, result.about
    known = [protocol["model_weights"] and f"{protocol['model_weights']} weights", protocol["checkpoint"]]
    known.append(None if about.get("step") is None else f"step {about['step']}")
    fake = f"{_counts(protocol['n_fake'])} pictures of {about['path']}"
    fake += f" ({', '.join(filter(None, known))})" if any(known) else ""
    lines = [*aligned(rows, right=(1, 2)), "", fake]
    if protocol["n_real"] is not None:
        split = f", {protocol['split']}" if protocol["split"] else ""
        lines.append(f"against {_counts(protocol['n_real'])} real pictures ({about['real']}{split})")
    if protocol["extractor"]:
        verified = "verified" if protocol["extractor_verified"] else "not verified"
        lines.append(f"seen by {protocol['extractor']}, weights {protocol['extractor_weights']}, {verified}")
    return [*lines, *(f"left out: {kind}: {why}" for kind, why in result.left_out.items())]


def _counts(n: int | dict[str, int]) -> str:
    return " and ".join(f"{count} {name}" for name, count in n.items()) if isinstance(n, dict) else str(n)


# -- where it is written -----------------------------------------------------------------------------------------------


def _place(given: str | None, usual: Path, result: Result) -> Path:
    """The file to write: never one that holds another measurement."""
    out = usual if given is None else Path(given)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write into {out.parent}: {error.strerror}; give another --out") from error
    refuse_unwritable(out, "--out")
    if given is not None:
        if out.is_dir() or (out.exists() and _key(out) != result.key):
            raise InputError(f"--out {out} is there, and no earlier result of this measurement: give another, or remove it")
        return out
    number = 1
    while out.exists() and _key(out) != result.key:
        number += 1
        out = usual.with_name(f"{usual.stem}_{number}{usual.suffix}")
    return out


def _key(path: Path) -> str | None:
    with suppress(InputError):
        return key_of(path)
    return None


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A folder for what an interrupted measurement leaves; it is removed when there is nothing to go on with.

    Raises:
        InputError: another process makes this measurement.
    """
    with _locked(folder) as lock:
        try:
            yield folder
        except BaseException as error:
            if isinstance(error, InputError) and not isinstance(error, _UnsavedError):
                shutil.rmtree(folder, ignore_errors=True)
            else:
                with suppress(OSError):
                    lock.unlink()
                    folder.rmdir()  # unless something is in it
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Makes a folder and a file in it that is this process's. Whoever removes the file does so inside the block."""
    path = folder / "lock"
    try:
        file = _lock(folder, path)
        while file is None:  # whoever had it has just removed it
            file = _lock(folder, path)
    except OSError as error:
        raise InputError(f"cannot write into {folder.parent}: {error.strerror}; give another --out") from error
    with file:
        yield path


def _lock(folder: Path, path: Path) -> IO[str] | None:
    """An open file whose lock the system takes back when the process ends, however it ends; None if the file is gone."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = path.open("a+", encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        if fcntl is not None:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        owner = file.read() or "another"
        file.close()
        raise InputError(f"it is being measured by process {owner}: wait for that one's result") from None
    except OSError:  # a file system without locks
        pass
    try:
        here = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        here = False
    if not here:
        file.close()
        return None
    file.truncate(0)
    print(f"{os.getpid()} of {socket.gethostname()}", end="", file=file, flush=True)
    return file


# -- what is asked for -------------------------------------------------------------------------------------------------


def _parser() -> Parser:
    parser = make_parser(
        "evaluate",
        "Measures the pictures of a model, or of a folder, against real ones. Prints a table, and writes a JSON file with "
        "the figures and the whole protocol.",
    )
    usual = Settings()
    parser.add_argument("fake", type=str, help="A checkpoint, or a folder of pictures.")
    parser.add_argument(
        "real",
        nargs="?",
        type=str,  # a folder may be called null
        default=None,
        help="A folder of pictures, or a file of --save_statistics. Default: --data, or the data of the checkpoint's run.",
    )
    for name, kind, default, text in (
        ("extractor", str, "inception", "inception, inception-clean, efflite0, dinov2-vits14 ..., or a classifier's file."),
        ("weights", str | None, None, "The file of the extractor's weights, if not in its usual place."),
        ("figures", str | None, None, f"Of {','.join(KINDS)}. Default: all but lpips that can be had."),
        ("n", int | None, None, "Pictures to judge. Default: as many as there are real ones, or pictures to translate."),
        ("split", Literal["train", "val", "test"], "test", "Of the data."),
        (
            "batch_size",
            int,
            50,
            "Pictures at a time; a model draws its noise batch by batch. Of one that normalizes by each batch's statistics "
            "the default is that of its training, or 1.",
        ),
        ("seed", int, 0, "Of the noise, and of all that is drawn for the figures."),
        ("device", Literal["auto", "cpu", "cuda"], "auto", "Where the networks work."),
        ("keep", int, usual.keep, "Features of each set, at most, that kernel and manifold look at; of a class, all."),
        ("subsets", int, usual.subsets, "Of the kernel distance."),
        ("subset_size", int, usual.subset_size, "Pictures in each subset."),
        ("splits", int, usual.splits, "Of the Inception score."),
        ("k", int, usual.k, "Neighbours of precision and recall."),
        ("k_density", int, usual.k_density, "Neighbours of density and coverage."),
        ("out", str | None, None, "The JSON file. Default: beside the checkpoint; of a folder, where you stand."),
        (
            "save_statistics",
            str | None,
            None,
            "A file for what was seen of the real pictures, which may be REAL another time.",
        ),
        ("cache", str, USUAL, "Folder where the same is kept for the next measurement of the same pictures; none for none."),
        ("model", str | None, None, "The checkpoint's class, if it does not say: GAN, my_module.MyGAN."),
        ("weights_only", bool, True, "Refuse a checkpoint that holds more than weights: it could run code."),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    parser.add_argument("--raw", action="store_true", help="The trained weights, also where the model has averaged ones.")
    parser.add_argument("--per_class", action="store_true", help="Also figures of each class.")
    return parser


def _kinds(text: str | None) -> set[str] | None:
    """The kinds of figures that are asked for; None for whatever can be had."""
    if text is None:
        return None
    found = {name.strip() for name in text.split(",")}
    for name in found:
        if name not in KINDS:
            near = did_you_mean(name, list(KINDS), f"they are {', '.join(KINDS)}")
            raise InputError(f"--figures: there is no kind '{name}'{near}")
    return found


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


class Evaluation:
    """One measurement. Making it finds out what is to be measured, and refuses what cannot be, before any picture is made.

    Args:
        args: of the command.

    Attributes:
        given: what they say.
        name: of the file to write, unless another is given.
        left_out: kinds of figures, and why.
        found: what is known of the pictures afterwards.
    """

    def __init__(self, args: Sequence[str]) -> None:
        self.args, self.parser = args, _parser()
        self.left_out: dict[str, str] = {}
        self.found: dict[str, Any] = {}
        self.given = given = self._read(for_model=False)
        for option, least in LEAST.items():
            if given[option] is not None and given[option] < least:
                raise InputError(f"--{option} is a number of at least {least}, not {given[option]}")
            if given[option] is not None and given[option] > MOST:
                raise InputError(f"--{option} is a number from {least} to {MOST} (2**63 - 1), not {given[option]}")
        self.kinds = _kinds(given.figures)
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
        self.extractor, self.settings = self._choose()
        self.classes = self._classes()
        stem = Path(given.fake).stem if self.trained else Path(given.fake).resolve().name
        label = self.extractor.label if self.extractor else "paired"
        self.name: Path = (Path(given.fake).parent if self.trained else Path()) / f"{stem}_{label}.json"
        if given.save_statistics is not None:
            self._check_saving(Path(given.save_statistics))

    # -- arguments ----------------------------------------------------------------------------------------------------

    def _read(self, for_model: bool) -> Namespace:
        """The arguments, with the data of the config or of the checkpoint's run, if they are wanted.

        Args:
            for_model: a model needs data, whatever the real pictures are.
        """
        config, (words, _) = value_of(self.args, "--config", "-c"), sorted_out(self.parser, self.args)
        data = section(config, "data") if config else None
        if config and data is None:
            raise InputError(f"--config {config}: it has no data; give --data")
        changed = any(arg.startswith("--data.") for arg in self.args)
        if data is None and value_of(self.args, "--data") is None and words and Path(words[0]).is_file():
            own = run_config(Path(words[0]))
            if own is not None and (for_model or changed or len(words) == 1):
                data = section(own, "data")
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
        trained = load(path, given.model, given.raw, given.weights_only)
        trained.module.to(self.device)
        self.trainer.strategy.connect(trained.module)
        trained.module.trainer = self.trainer
        return trained, None

    def _batch_size(self) -> int:
        if self.trained is None or not self.trained.by_batch:
            return self.given.batch_size
        found: int = self.given.batch_size
        if value_of(self.args, "--batch_size") is None:
            own = trained_batch_size(Path(self.given.fake))
            found = own or 1
            why = "as in its training" if own else "as no config.yaml of its run says how many there were"
            say(f"{type(self.module).__name__} normalizes by the statistics of each batch: batches of {found}, {why}")
        self.trained.protocol["batch_norm"] = f"statistics of batches of {found}"
        return found

    @property
    def module(self) -> Any:
        assert self.trained is not None
        return self.trained.module

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
            say(f"{self.folder.path} is compared with y, the pictures that a translation aims at")
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
        known = split.fingerprint()
        if known is None:
            say(f"the {split.name} pictures of {self.data.short} change between two looks: the figures cannot be repeated")
        text = (
            known or f"changing pictures of {self.data.short} {json.dumps(self.data.arguments, sort_keys=True, default=str)}"
        )
        fields = self.fields

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
            known is not None,
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
            raise InputError(f"--n says how many pictures {kind} makes, where there are no real ones to be as many as")

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
        return kind != "lpips" if self.kinds is None else kind in self.kinds

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
        if not any(getattr(settings, kind) for kind in OF_FEATURES) and not self.measures:
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
            raise InputError("--per_class needs labelled real pictures, and figures that compare with them: give --data")
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
        if self.real is not None and settings.needs_real:
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
        if self.data is not None:
            about["data"] = {"class": self.data.name, "arguments": self.data.arguments}
        about |= {
            "figures": [kind for kind in OF_FEATURES if getattr(settings, kind)] + list(self.measures),
            "per_class": self.classes,
            "batch_size": self.batch_size,
            "seed": given.seed,
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
            "versions": versions(),
            "commit": commit(),
        }
        return Result(protocol, about, left_out=self.left_out)

    # -- measuring ----------------------------------------------------------------------------------------------------

    def measured(self, work: Path, stops: Stops) -> dict[str, Figure]:
        """The figures.

        Args:
            work: a folder for what an interrupted measurement leaves, and goes on from.
            stops: what interrupts it.

        Raises:
            InputError: pictures that cannot be judged.
            KeyboardInterrupt: it was interrupted.
        """
        real = self._look_at_real(work, stops) if self.real is not None and self.settings.needs_real else None
        of_classes = self._bearable(real) if self.classes and real is not None else None
        fake = Looked(lambda: self._nothing(self.fake, fake=True), self.measures)
        self._look(fake, self.fake, work / "fake", stops)
        found: dict[str, Figure] = {}
        for name in self.fields:
            end = f"_{name}" if name else ""
            if self.extractor is not None:
                theirs = None if real is None else real.seen[name]
                values = figures(self.extractor, self.settings, theirs, fake.seen[name])
                if of_classes is not None and real is not None:
                    values |= figures_by_class(self.extractor, of_classes, real.classes[name], fake.classes[name])
                found |= {f"{kind}{end}": figure for kind, figure in self._with_deviations(values).items()}
            if name in fake.pairs:
                scores = fake.pairs[name].scores()
                for kind, score in scores.items():
                    error = score.error if math.isfinite(score.error) else None
                    found[f"{kind}{end}"] = Figure(score.mean, error, "standard error" if error is not None else "")
        return found

    def _look_at_real(self, work: Path, stops: Stops) -> Looked:
        assert self.real is not None
        side = self.real
        looked = Looked(lambda: self._nothing(side, fake=False))
        if self.known is not None:
            looked.seen[""].statistics = self.known
            return looked
        kept = self._references()
        if self._recalled(looked, kept):
            self.found["real_seen"] = "by an earlier measurement"
        else:
            self._look(looked, side, work / "real", stops)
            for name, reference in kept.items():
                try:
                    reference.save(looked.seen[name])
                    if self.classes:
                        reference.save(looked.classes[name])
                except InputError as error:
                    say(f"{error}: the next measurement looks at the real pictures again")
        if self.given.save_statistics is not None:
            try:
                looked.seen[""].statistics.save(self.given.save_statistics)
            except OSError as error:
                raise InputError(f"cannot write {self.given.save_statistics}: {error.strerror}") from error
        return looked

    def _references(self) -> dict[str, Reference]:
        assert self.real is not None
        folder = None if self.given.cache.lower() == "none" else folder_of(self.given.cache)
        if folder is None or not self.real.lasting:
            return {}
        counts = self.real.counts
        return {n: Reference(folder, self._header(self.real, n), counts[n], self.settings) for n in counts}

    def _recalled(self, looked: Looked, kept: dict[str, Reference]) -> bool:
        """Whether all is known from an earlier measurement."""
        for name, reference in kept.items():
            try:
                seen = reference.load(looked.seen[name].statistics.mean.device)
                classes = reference.load_by_class(self.classes) if self.classes else None
            except InputError as error:
                say(f"{error}: it is measured anew")
                seen = None
            if seen is None or (self.classes and classes is None):
                looked.forget()
                return False
            looked.seen[name] = seen
            if classes is not None:
                looked.classes[name] = classes
        return bool(kept)

    def _look(self, looked: Looked, side: Side, place: Path, stops: Stops) -> None:
        total = sum(side.counts.values())
        look(looked, side.parts, self.extractor, self.batch_size, total, side.what, place, stops)
        if side is self.fake:  # what real ones are is in their fingerprint
            self.found |= {"sizes": sorted(looked.sizes), "converted": sorted(looked.converted)}

    def _nothing(self, side: Side, fake: bool) -> dict[str, tuple[Seen, ByClass | None]]:
        """Nothing seen yet, of each set."""
        if self.extractor is None:
            return {}
        logits, found = int(fake and self.settings.score), {}
        on = self.device if self.device.type == "cuda" else "cpu"
        for name in side.counts:
            header = self._header(side, name)
            by_class = ByClass(header, self.settings, self.classes) if self.classes else None
            found[name] = Seen(header, self.settings, logits, on), by_class
        return found

    def _header(self, side: Side, name: str) -> Header:
        assert self.extractor is not None
        return self.extractor.header(side.sources[name], side.split)

    def _bearable(self, real: Looked) -> Settings:
        """The settings of figures class by class: those that the smallest class can bear."""
        assert self.extractor is not None
        n, settings = self.fake.counts[""], replace(self.settings, score=False)
        why = ""
        for kind in ("distance", "kernel", "manifold"):
            if not getattr(settings, kind):
                continue
            alone = replace(settings, **{**dict.fromkeys(("distance", "kernel", "manifold"), False), kind: True})
            try:
                for c, count in enumerate(real.classes[""].counts):
                    alone.check(count, len(range(c, n, self.classes)), False, f"class {c}")
            except InputError as error:
                why = f"of class {c}: {error}"
                if self.kinds is not None:
                    raise InputError(f"{kind} {why}") from None
                self.left_out[f"{kind} of classes"] = why
                settings = replace(settings, **{kind: False})
        if not settings.needs_real:
            raise InputError(f"--per_class: {why}")
        return settings

    def _with_deviations(self, values: dict[str, float]) -> dict[str, Figure]:
        assert self.extractor is not None
        parts = {
            figure_name("kd", self.extractor): f"{self.settings.subsets} subsets",
            figure_name("score", self.extractor): f"{self.settings.splits} splits",
        }
        return {
            name: Figure(value, values.get(f"{name}_std"), parts[name] if f"{name}_std" in values else "")
            for name, value in values.items()
            if not name.endswith("_std")
        }


def _one(values: dict[str, Any]) -> Any:
    """The value of the only set, or all of them."""
    return values[""] if list(values) == [""] else values
