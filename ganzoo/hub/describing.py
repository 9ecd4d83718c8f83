"""Says what a trained model is and what it can be asked, without importing torch or running any code of its files."""

import ast
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import ganzoo
from ganzoo.hub.card import class_name, data_name
from ganzoo.hub.facts import about_training, metrics_of
from ganzoo.hub.folder import read_folder
from ganzoo.hub.records import TensorInfo, read_record
from ganzoo.hub.sources import find_model, run_config, selection, weights_names
from ganzoo.utils.configs import read_config, section_of

TASKS = {
    "generate": "Sampler",
    "translate": "Translator",
    "translate back": "CycleTranslator",
    "classify": "Classifier",
}
"""What a model can be asked, each with the interface (``ganzoo.interfaces``) of models that can."""


def describe(source: str | Path) -> dict[str, Any]:
    """Describes a trained model: class, tasks, input, output, classes, training, metrics, licence.

    Args:
        source: as in :func:`ganzoo.load`: a checkpoint, a run's folder, a saved folder, or a name.

    Returns:
        ``path``, ``model`` (class path and init_args), ``tasks``, ``input``, ``output``, ``classes``, ``weights``,
        ``training``, ``metrics`` and ``license``, as plain data. What is not known is None or left out.

    Raises:
        InputError: there is no such model, or its files cannot be read.
    """
    path = find_model(source).path
    if not path.is_dir():
        return {"path": str(path), **_of_checkpoint(path)}
    content = read_folder(path)
    kept = ("name", "model", "networks", "tasks", "input", "output", "classes", "weights", "training", "metrics", "license")
    return {"path": str(path), **{name: content.get(name) for name in kept}}


def _of_checkpoint(path: Path) -> dict[str, Any]:
    record = read_record(path)
    recorded, hyper = (part if isinstance(part, Mapping) else {} for part in (record.get("ganzoo"), record.get(_HYPER)))
    own = run_config(path)
    data = None if own is None else section_of(read_config(str(own)), "data", str(own))
    arguments = {**hyper, **(recorded.get("arguments") or {})}
    kind = recorded.get("class") or hyper.get("_class_path")
    tensors = {name: each for name, each in record["state_dict"].items() if isinstance(each, TensorInfo)}
    averaged = any(name.startswith("ema.") for name in tensors) or "current_model_state" in record
    live = [each for name, each in tensors.items() if not name.startswith("ema.") and not name.endswith("_extra_state")]
    shapes = {name: arguments.get(name) for name in ("shape", "latent", "inputs", "outputs", "channels_x", "channels_y")}
    tasks = tasks_of(kind) if isinstance(kind, str) else None
    return {
        "name": path.stem,
        "model": {"class_path": kind, "init_args": {k: v for k, v in hyper.items() if not k.startswith("_")}},
        "networks": recorded.get("networks"),
        "tasks": tasks,
        **_input_and_output(shapes, tasks or []),
        "classes": arguments.get("classes"),
        "weights": {
            "kinds": ["averaged", "raw"] if averaged else ["raw"],
            "precision": live[0].dtype if live else None,
            "parameters": sum(math.prod(each.shape) for each in live),
        },
        "training": about_training(path, record, data, selection(path, record)),
        "metrics": metrics_of(path),
        "license": None,
    }


_HYPER = "hyper_parameters"


def _input_and_output(known: Mapping[str, Any], tasks: list[str]) -> dict[str, Any]:
    shape, latent = known["shape"], known["latent"]
    if "translate" in tasks:
        channels_in, channels_out = known["inputs"] or known["channels_x"], known["outputs"] or known["channels_y"]
        return {"input": {"channels": channels_in}, "output": {"channels": channels_out, "size": "as the input"}}
    images = {"shape": list(shape)} if isinstance(shape, list | tuple) else None
    if "generate" in tasks:
        return {"input": {"noise": latent} if latent else None, "output": images}
    return {"input": images, "output": None}


def tasks_of(class_path: str) -> list[str] | None:
    """What a class of ganzoo can be asked, read from the source; None for a class of another package."""
    module, _, name = class_path.rpartition(".")
    bases = _bases()
    if module.partition(".")[0] != "ganzoo" or name not in bases:
        return None
    known, waiting = set(), [name]
    while waiting:
        each = waiting.pop()
        if each not in known:
            known.add(each)
            waiting.extend(bases.get(each, ()))
    return [task for task, interface in TASKS.items() if interface in known]


@cache
def _bases() -> dict[str, list[str]]:
    """The names of the bases of every class of ganzoo's models and interfaces."""
    package = Path(ganzoo.__file__).parent
    files = [package / "interfaces.py", *(package / "models").rglob("*.py")]
    classes = [node for file in files for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)]
    return {node.name: [base.id for base in node.bases if isinstance(base, ast.Name)] for node in classes}


def weights_entries() -> list[tuple[str, ...]]:
    """A row of texts for each of the trained weights that come with ganzoo: name, class, data, size, metric, licence."""
    rows: list[tuple[str, ...]] = []
    for name in weights_names():
        folder = find_model(name).path
        content = read_folder(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        first = content["metrics"][0] if content["metrics"] else None
        metric = "" if first is None else f"{first['name']} {_number(first['value'])}"
        kind = class_name(content["model"]["class_path"])
        licence = content.get("license") or "not given"
        rows.append((name, kind, data_name(content) or "", f"{size / 1e6:.2f} MB", metric, licence))
    return rows


def as_lines(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A description as rows of a name and a text; what is not known has no row."""
    training, weights, model = about["training"], about["weights"], about["model"]
    tasks = about["tasks"]
    given, made = (about.get(name) or {} for name in ("input", "output"))
    kinds = f"{' and '.join(weights['kinds'])}, {weights['precision']}"
    rows = [
        ("model", about["path"]),
        ("class", model["class_path"] or "not said"),
        ("can be asked to", ", ".join(tasks) if tasks else "not known without importing its class" if tasks is None else ""),
        ("input", _sizes(given)),
        ("output", _sizes(made)),
        ("classes", about.get("classes")),
        ("training data", data_name(about)),
        ("direction", training.get("direction")),
        ("steps", training.get("step")),
        ("checkpoint", training.get("selection")),
        ("weights", f"{kinds}, {weights.get('parameters', 0):,} parameters"),
        ("trained by", f"ganzoo {training['ganzoo']}" if training.get("ganzoo") else None),
        ("began at", _origin(training.get("init_from"))),
        ("licence", about.get("license") or "not given"),
    ]
    for row in about["metrics"]:
        value = _number(row["value"])
        if isinstance(row.get("deviation"), int | float):
            value += f" +- {row['deviation']:.2g}"
        protocol = row.get("protocol") or {}
        counts = [f"{protocol[key]} {what}" for key, what in _COUNTS.items() if key in protocol]
        counts += [str(protocol[key]) for key in ("extractor", "split", "checkpoint", "model_weights") if key in protocol]
        rows.append((row["name"], f"{value}  ({', '.join(counts)})" if counts else value))
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, int | float) else str(value)


def _origin(origin: Any) -> str | None:
    """Where a training began, which was not at random weights."""
    if not isinstance(origin, Mapping):
        return None
    source = origin.get("source") or f"weights {str(origin.get('sha256'))[:12]}"
    return f"{source}, {origin['part']} alone" if origin.get("part") else str(source)


_COUNTS = {"n_fake": "generated", "n_real": "real images"}


def _sizes(values: Mapping[str, Any]) -> str:
    if "shape" in values:
        return "x".join(map(str, values["shape"])) + " (channels, height, width)"
    if "noise" in values:
        return f"noise, {values['noise']} numbers"
    if "channels" in values:
        text = f"images of {values['channels']} channels"
        if "multiple_of" in values:
            text += f"; the network's sizes are multiples of {values['multiple_of']} from {values['at_least']} pixels"
        return text
    return f"probabilities of {values['classes']} classes" if "classes" in values else ""
