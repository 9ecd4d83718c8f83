"""The folder of a saved model: its files, and its config.json. Read without torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError

FORMAT = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
TEST_INPUT = "test_input.safetensors"
TEST_OUTPUT = "test_output.safetensors"
SAMPLES = "samples.png"
FILES = (CONFIG, WEIGHTS, CARD, TEST_INPUT, TEST_OUTPUT, SAMPLES)
"""The files of a saved folder. No other file is shared, fetched or read."""

MAX_BYTES = 1_000_000  # of config.json
SECTIONS: dict[str, type] = {"model": dict, "weights": dict, "training": dict, "metrics": list, "tasks": list, "test": dict}


def is_saved_folder(path: Path) -> bool:
    """Whether a folder is one that ``ganzoo save`` wrote."""
    return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()


def read_folder(path: Path) -> dict[str, Any]:
    """Reads a saved folder's ``config.json`` and checks its form. Nothing that it names is imported.

    Raises:
        InputError: it cannot be read, is of another kind, or was written by a newer ganzoo.
    """
    file = path / CONFIG
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} is larger than any config.json of ganzoo's")
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file} is damaged: it is not JSON") from error
    if not isinstance(content, dict) or "saved_by" not in content:
        raise InputError(f"{file} is no config.json of a model that `ganzoo save` wrote")
    if type(content.get("format")) is not int or content["format"] < 1:
        raise InputError(f"{file} is damaged: its format is no whole number")
    if content["format"] > FORMAT:
        raise InputError(f"{file} was written by a newer ganzoo, {content['saved_by']}: install that one")
    for name, kind in SECTIONS.items():
        if not isinstance(content.get(name), kind):
            raise InputError(f"{file} is damaged: it has no {name}, or of another kind")
    model = content["model"]
    if not isinstance(model.get("class_path"), str) or not isinstance(model.get("init_args"), dict):
        raise InputError(f"{file} is damaged: its model has no class_path or no init_args")
    for each in content["metrics"]:
        if not isinstance(each, dict) or not {"name", "value"} <= each.keys():
            raise InputError(f"{file} is damaged: a metric has no name or no value")
    return content


def data_of(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The class path and init_args of the training data; None where they are not known."""
    data = content["training"].get("data")
    return data if isinstance(data, dict) and isinstance(data.get("class_path"), str) else None
