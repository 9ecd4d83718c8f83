"""The two sides of an evaluation: generated images, and the real ones that they are compared with."""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from torch import Tensor

from ganzoo.data.batches import ImagePairs, Unpaired
from ganzoo.errors import InputError
from ganzoo.evaluation.batches import ImageBatch, ImageFiles, Shard
from ganzoo.evaluation.generate import (
    BATCH_SIZE,
    Context,
    count_generated,
    default_batch_size,
    generated_batches,
    normalizes_by_batch,
    output_kinds,
)
from ganzoo.evaluation.request import Request
from ganzoo.evaluation.sources import Model, Splits
from ganzoo.interfaces import Sampler, field_of
from ganzoo.metrics.statistics import Statistics
from ganzoo.utils.log import log_info


@dataclass
class Side:
    """What is known of the images of one side.

    Attributes:
        what: its images are, for messages and the progress bar.
        counts: images of each set.
        identify: gives the sources of the sets, and whether the images are the same whenever they are read.
        split: of the data; "" where it has none.
    """

    what: str
    counts: dict[str, int]
    identify: Callable[[], tuple[dict[str, str], bool]]
    split: str = ""

    @cached_property
    def identity(self) -> tuple[dict[str, str], bool]:
        """The same, found out once: it reads up to a thousand images."""
        return self.identify()

    @property
    def sources(self) -> dict[str, str]:
        """By what the images of each set are known, for the protocol and the cache."""
        return self.identity[0]


class Sides:
    """Generated and real images, with the sets that each consists of.

    Args:
        generated: a model, or image files.
        data: the splits of a data module; None where there are none.
        real: a folder of real images or a .npz file of statistics; None for the images of `data`.
        request: what is to be evaluated.
        forward: context about the networks' work, a trainer's precision.

    Attributes:
        fields: the field of the data's batches that has the real images of each set; the sets are its keys.
        batch_size: images that are generated, and read, at a time.
        known: statistics of real images, instead of the images.
        real_is: what the real images are, in the result.

    Raises:
        InputError: sides that cannot be compared.
    """

    def __init__(
        self,
        generated: Model | ImageFiles,
        data: Splits | None,
        real: Path | None,
        request: Request,
        forward: Context = nullcontext,
    ) -> None:
        self.model = generated if isinstance(generated, Model) else None
        self.files = generated if isinstance(generated, ImageFiles) else None
        self.data, self.real_path, self.request, self.forward = data, real, request, forward
        self.known: Statistics | None = None
        self.real_is = ""
        self.batch_size = self._batch_size()
        self.fields = self._sets()
        self.real = self._real_side()
        self.fake = self._fake_side()

    @property
    def module(self) -> Any:
        assert self.model is not None
        return self.model.module

    @property
    def translates(self) -> bool:
        """The model makes images from the data's, and not from noise."""
        return self.model is not None and not isinstance(self.module, Sampler)

    @property
    def generated_classes(self) -> int:
        """For so many classes the model can be asked; 0 for none."""
        sampler = self.model is not None and isinstance(self.module, Sampler)
        return self.module.classes or 0 if sampler else 0

    def split(self) -> Any:
        """The split of the data that is evaluated."""
        assert self.data is not None
        return self.data.split(self.request.split)

    @property
    def of_vectors(self) -> bool:
        """Whether the data's batches are vectors [N, d], and not images."""
        if self.data is None or list(self.fields.values()) != ["x"]:
            return False
        _, batch = next(self.split().batches(1))
        x = field_of(batch, "x")
        return isinstance(x, Tensor) and x.ndim == 2

    def data_are(self, *kinds: type) -> bool:
        """Whether the data's batches are of one of these kinds."""
        _, batch = next(self.split().batches(1))
        return isinstance(batch, kinds)

    def fingerprint(self, split: Any) -> tuple[str, bool]:
        """A hash of a split's images, and whether they are the same whenever they are read."""
        assert self.data is not None
        known = split.fingerprint()
        if known is not None:
            return known, True
        name = self.data.short
        log_info(f"the {split.name} images of {name} change whenever they are read: the metrics cannot be repeated")
        return f"changing images of {name} {json.dumps(self.data.arguments, sort_keys=True, default=str)}", False

    # -- what is compared ---------------------------------------------------------------------------------------------

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

    def _sets(self) -> dict[str, str]:
        if self.translates and self.data is None:
            raise InputError(f"{type(self.module).__name__} makes images from images: give a data module")
        if self.model is not None:
            needs = self.split() if self.translates else None
            check_batch = getattr(self.module, "check_batch", None)
            if needs is not None and check_batch is not None:  # as a trainer has it done
                check_batch(next(needs.batches(self.batch_size))[1])
            fields = output_kinds(self.module, needs, self.batch_size, self.forward)
        else:
            fields = {"": "x"}
        if self.real_path is not None and self.data is not None and not self.translates:
            raise InputError(f"{self.real_path} and --data or --config both say which images are real: give one of them")
        if self.real_path is not None and len(fields) > 1:
            name = type(self.module).__name__
            raise InputError(f"{name} makes images of two kinds: leave out {self.real_path}, and give --data")
        if self.files is not None and self.data is not None and self.data_are(ImagePairs, Unpaired):
            log_info(f"{self.files.path} is compared with y, the images that a translation aims at")
            fields = {"": "y"}
        return fields

    def _real_side(self) -> Side | None:
        path = self.real_path
        if path is not None:
            self.real_is = str(path)
            if path.is_dir():
                self.real_files = files = ImageFiles(path)
                return Side(f"real {path}", {"": len(files)}, lambda: ({"": files.fingerprint()}, True))
            if not path.is_file() or path.suffix != ".npz":
                raise InputError(f"{path} is neither a folder of real images nor a file of statistics, .npz")
            self.known = known = Statistics.load(path)
            return Side(f"{path}", {"": known.count}, lambda: ({"": known.spec.source}, True), known.spec.split)
        if self.data is None:
            return None
        split, self.real_is = self.split(), self.data.short

        def identify() -> tuple[dict[str, str], bool]:
            text, lasting = self.fingerprint(split)
            return {name: f"{field} of {text}" for name, field in self.fields.items()}, lasting

        counts = {name: split.count(field) for name, field in self.fields.items()}
        return Side(f"real {self.real_is}, {split.name}", counts, identify, split.name)

    def _fake_side(self) -> Side:
        if self.files is not None:
            return Side(str(self.files.path), {"": len(self.files)}, lambda: ({"": ""}, True))
        kind = type(self.module).__name__
        inputs = self.split() if self.translates else None
        counts = {name: count_generated(self.module, inputs, name, self._n(inputs)) for name in self.fields}
        return Side(kind, counts, lambda: (dict.fromkeys(counts, kind), True), self.request.split if inputs else "")

    def _n(self, inputs: Any) -> int:
        there = sum(self.real.counts.values()) if inputs is None and self.real else 0
        n = self.request.n or there or len(inputs or ())
        if not n:
            raise InputError(
                f"--n says how many images {type(self.module).__name__} makes, where there are no real ones to be as many "
                "as: give it, or --data"
            )
        return n

    # -- images -------------------------------------------------------------------------------------------------------

    def real_batches(self, names: Collection[str], shard: Shard) -> Iterator[ImageBatch]:
        """The real images of some sets, in the batches of a shard."""
        if self.real_path is not None:
            yield from self.real_files.batches(self.batch_size, shard)
            return
        split, size = self.split(), self.batch_size
        each = (split.real_batches(field, size, shard, name) for name, field in self.fields.items() if name in names)
        for together in zip_longest(*each):
            yield from (batch for batch in together if batch is not None)

    def fake_batches(self, shard: Shard, targets: bool = False) -> Iterator[ImageBatch]:
        """The generated images, in the batches of a shard; with what they should have been, if wanted."""
        if self.files is not None:
            yield from self.files.batches(self.batch_size, shard)
            return
        inputs: Any = self.split() if self.translates else None
        n, seed, wanted = self._n(inputs), self.request.options.seed, self.fields if targets else None
        yield from generated_batches(self.module, inputs, n, self.batch_size, seed, shard, self.forward, wanted)
