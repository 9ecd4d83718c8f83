"""What is known of a trained model besides its weights: its training, and its metrics with their protocol. No torch."""

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError
from ganzoo.evaluation.protocol import Result
from ganzoo.hub.folder import WEIGHTS, read_folder
from ganzoo.hub.sources import run_config
from ganzoo.utils.configs import config_names


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def about_training(path: Path, record: Mapping[str, Any], data: Mapping[str, Any] | None, selection: str) -> dict[str, Any]:
    """What is known of the training of a checkpoint; only what is known is in it.

    Args:
        path: of the checkpoint, or of a saved folder.
        record: its entries besides weights: ``epoch``, ``global_step``, ``ganzoo``.
        data: class path and init_args of the data. Paths of this machine among them are left out.
        selection: what the checkpoint was kept for.
    """
    recorded = record.get("ganzoo") or {}
    own = None if path.is_dir() else run_config(path)
    run = None if own is None else own.parent.parent.name
    found = {
        "data": without_paths(data) if data is not None else recorded.get("data"),
        "direction": recorded.get("direction"),
        "step": record.get("global_step"),
        "epoch": record.get("epoch"),
        "seed": recorded.get("seed"),
        "ganzoo": recorded.get("version"),
        "commit": recorded.get("commit"),
        "config": run if run in config_names() else recorded.get("config"),
        "selection": selection,
        "init_from": without_paths(recorded.get("init_from")),
        "sha256": recorded.get("sha256") if path.is_dir() else sha256(path),
    }
    return {name: value for name, value in found.items() if value is not None}


def without_paths(value: Any) -> Any:
    """Plain data without texts that are paths of this machine."""
    if isinstance(value, Mapping):
        return {name: without_paths(each) for name, each in value.items() if not is_path(each)}
    return [without_paths(each) for each in value if not is_path(each)] if isinstance(value, list | tuple) else value


def is_path(value: Any) -> bool:
    """Whether a value is a text that names a file or a folder."""
    return isinstance(value, str) and ("/" in value or os.sep in value or os.path.exists(value))


def metrics_of(path: Path, given: Sequence[str | Path] = ()) -> list[dict[str, Any]]:
    """The metrics of a model, each with the protocol of its evaluation.

    Args:
        path: of the checkpoint, or of a saved folder.
        given: results of ``ganzoo evaluate``; where there are none, those beside the checkpoint, or in the saved folder.

    Raises:
        InputError: a result is of another checkpoint, or none.
    """
    if path.is_dir() and not given:
        return read_folder(path)["metrics"]
    own = sha256(path / WEIGHTS if path.is_dir() else path)
    found = [(each, Result.load(Path(each))) for each in given]
    for each, result in found:
        if result.about.get("sha256") != own:
            raise InputError(f"{each} is a result of another checkpoint, {result.about.get('path')}")
    for each in [] if given else sorted(path.parent.glob("*.json")):
        try:
            result = Result.load(each)
        except InputError:
            continue  # another kind of file
        if result.about.get("sha256") == own:
            found.append((each, result))
    rows = {name: row for _, result in found for name, row in _rows(result)}
    return list(rows.values())


def _rows(result: Result) -> list[tuple[str, dict[str, Any]]]:
    data = result.about.get("data")
    protocol = {name: value for name, value in result.protocol.items() if value is not None and not is_path(value)}
    rows = []
    for name, metric in result.metrics.items():
        row = {
            "name": name,
            "value": _number(metric.value),
            "deviation": None if metric.deviation is None else _number(metric.deviation),
            "of": metric.of or None,
            "data": data.get("class") if isinstance(data, Mapping) else None,
            "date": result.about.get("date"),
        }
        own = {field: _of_direction(value, name) for field, value in protocol.items()}
        rows.append((name, {key: value for key, value in row.items() if value is not None} | {"protocol": own}))
    return rows


def _of_direction(value: Any, name: str) -> Any:
    """A value of the protocol: of a metric ``..._to_y`` that of ``to_y``, where the two directions have one each."""
    ways = value if isinstance(value, Mapping) else {}
    return next((ways[way] for way in ways if name.endswith(f"_{way}")), value)


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # JSON has no infinity
