"""The protocol of a result: what two results must share to be compared, and what only identifies them.

Read without torch, so that ``ganzoo compare`` answers at once.
"""

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import ganzoo
from ganzoo.errors import InputError
from ganzoo.utils.files import atomic_write

FORMAT = 1
MANY = 40  # letters of a value in an error

FIELDS = {
    "extractor": "the network of the features",
    "extractor_weights": "a hash of its weights",
    "extractor_verified": "whether they are those that its name promises",
    "dimension": "values of a feature",
    "resize": "how images got the network's size",
    "preprocessing": "what else was done to them",
    "dtype": "of the features, and of what is computed from them",
    "real": "a fingerprint of the real images",
    "split": "of the data, where they come from",
    "n_real": "real images",
    "n_fake": "generated images",
    "inputs": "a fingerprint of the images that were translated",
    "model_weights": "averaged or raw",
    "batch_norm": "the mode of the model's normalizations",
    "checkpoint": "last, best by a value, or another",
    "keep": "features of each set, or class, that are compared one by one",
    "subsets": "of the kernel distance",
    "subset_size": "images in each",
    "splits": "of the Inception score",
    "k": "neighbours of precision and recall",
    "k_density": "neighbours of density and coverage",
    "lpips": "the network of LPIPS",
    "parzen": "the images of the Parzen windows",
    "agreement": "the classifiers of label agreement, and their images",
    "neighbours": "the images whose nearest training images are looked for",
    "modes": "the samples whose modes are counted, and what counts as one of a mode",
}
"""What must be equal for two results to be compared. A field is None where it has no meaning (neighbours, if no metric is
made of them) or is not known (how a folder's images were made); None goes with any value."""

NOTED = ("sizes", "seed", "batch_size", "device", "versions.torch", "versions.pillow")
"""What may differ between results that are compared, and is said."""

FOUND_LATER = ("date", "seconds", "command", "path", "sizes", "converted", "real_features", "grid")
"""What is no part of a result's key."""

VERSIONS = ("lightning", "torch", "torchvision", "torchmetrics", "pillow", "numpy")


@dataclass
class MetricValue:
    """The value of a metric, with its deviation.

    Attributes:
        value: the value.
        deviation: a standard deviation or error; None where there is none.
        of: over what the deviation is: ``100 subsets``, ``standard error``.
    """

    value: float
    deviation: float | None = None
    of: str = ""


@dataclass
class Result:
    """What ``ganzoo evaluate`` found, as it stands in its file.

    Attributes:
        protocol: values of the fields in :data:`FIELDS`.
        about: what was evaluated, when and with what.
        metrics: values by name.
        left_out: metrics that were not computed, and why.
    """

    protocol: dict[str, Any]
    about: dict[str, Any]
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal for two evaluations of the same images in the same way; sixteen hexadecimal digits."""
        fixed = {name: value for name, value in self.about.items() if name not in FOUND_LATER}
        text = json.dumps(_plain([self.protocol, fixed]), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Writes a file, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        content = {
            "format": FORMAT,
            "key": self.key,
            "metrics": {name: _written(metric) for name, metric in self.metrics.items()},
            "protocol": self.protocol,
            "about": self.about,
            "left_out": self.left_out,
        }
        try:
            with atomic_write(path) as part:
                text = json.dumps(_plain(content), indent=2, default=str, allow_nan=False)
                part.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: no such file, or another kind of file.
        """
        content = _content(path)
        metrics = {name: _metric(each, f"{path}: metric {name}") for name, each in content["metrics"].items()}
        return cls(content["protocol"], content["about"], metrics, content.get("left_out", {}))


def _written(metric: MetricValue) -> dict[str, Any]:
    return vars(metric) if metric.of else {"value": metric.value}


def _plain(value: Any) -> Any:
    """The same with "inf", "-inf" and "nan" for what JSON has no number for."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _metric(written: Mapping[str, Any], where: str) -> MetricValue:
    value, deviation = _number(written["value"]), _number(written.get("deviation"))
    if value is None or (deviation is None and written.get("deviation") is not None):
        wrong = written["value"] if value is None else written["deviation"]
        raise InputError(f"{where} is {json.dumps(wrong)[:MANY]}, and no number: the file was damaged, or changed by hand")
    return MetricValue(value, deviation, str(written.get("of", "")))


def _number(written: Any) -> float | None:
    """Of JSON's, or "inf", "-inf", "nan"; None for anything else."""
    if isinstance(written, str):
        return float(written) if written in ("inf", "-inf", "nan") else None
    with suppress(OverflowError):
        return float(written) if isinstance(written, int | float) and not isinstance(written, bool) else None
    return None


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no result of `ganzoo evaluate`, or a damaged one: it is not JSON") from error
    if not isinstance(content, dict) or not _has_metrics(content):
        raise InputError(f"{path} is no result of `ganzoo evaluate`: it has no metrics with their protocol")
    if not isinstance(content.get("format", FORMAT), int):
        raise InputError(f"{path} is no result of `ganzoo evaluate`: its format is no whole number")
    if content.get("format", FORMAT) > FORMAT:
        raise InputError(f"{path} was written by a newer ganzoo, whose results this one cannot read: install the newer one")
    return content


def _has_metrics(content: Mapping[str, Any]) -> bool:
    metrics = content.get("metrics")
    left_out = content.get("left_out", {})
    if not all(isinstance(part, dict) for part in (metrics, content.get("protocol"), content.get("about"), left_out)):
        return False
    assert isinstance(metrics, dict)
    return all(
        isinstance(each, dict) and {"value"} <= each.keys() <= {"value", "deviation", "of"} for each in metrics.values()
    )


def key_of(path: Path) -> str | None:
    """The key of the result in a file; None where there is no such file.

    Raises:
        InputError: the file holds something else.
    """
    return _content(path).get("key", "") if path.exists() else None


def incompatible_fields(results: Sequence[Result]) -> dict[str, list[Any]]:
    """The fields of the protocol in which results differ, each with every result's value."""
    found = {}
    for name in FIELDS:
        values = [result.protocol.get(name) for result in results]
        known = [value for value in values if value is not None]
        if any(value != known[0] for value in known):
            found[name] = values
    return found


def noted_fields(results: Sequence[Result]) -> dict[str, list[Any]]:
    """The fields of :data:`NOTED` in which results differ."""
    values = {name: [_within(result.about, name) for result in results] for name in NOTED}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


def _within(about: Mapping[str, Any], name: str) -> Any:
    value: Any = about
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def versions() -> dict[str, str | None]:
    """Of Python, of ganzoo and of what the metrics depend on."""
    found: dict[str, str | None] = {"python": platform.python_version(), "ganzoo": ganzoo.__version__}
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
