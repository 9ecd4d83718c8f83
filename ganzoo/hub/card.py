"""Writes the model card of a saved folder: README.md with the header that the hub reads. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from ganzoo.hub.folder import SAMPLES, TEST_INPUT, TEST_OUTPUT

PIPELINES = {
    "generate": "unconditional-image-generation",
    "translate": "image-to-image",
    "classify": "image-classification",
}
"""The hub's name of a task."""


def model_card(content: Mapping[str, Any], has_samples: bool) -> str:
    """The text of README.md.

    Args:
        content: what is in the folder's ``config.json``.
        has_samples: whether the folder has an image of samples.
    """
    import yaml

    head = yaml.safe_dump(header(content), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n" + "\n".join(_body(content, has_samples)) + "\n"


def header(content: Mapping[str, Any]) -> dict[str, Any]:
    """The header of the card: library, task, tags, licence, data, and the metrics as the hub's ``model-index``."""
    task = next((PIPELINES[each] for each in content["tasks"] if each in PIPELINES), None)
    short = class_name(content["model"]["class_path"])
    found: dict[str, Any] = {"library_name": "ganzoo", "tags": ["ganzoo", "gan", "pytorch-lightning", short.lower()]}
    if task is not None:
        found["pipeline_tag"] = task
    found["license"] = content.get("license") or "unknown"
    data = data_name(content)
    if data is not None:
        found["datasets"] = [data]
    rows = [
        {"type": row["name"], "name": _metric_name(row), "value": row["value"]}
        for row in content["metrics"]
        if isinstance(row["value"], int | float)
    ]
    if rows and task is not None:
        measured = next((row["data"] for row in content["metrics"] if row.get("data")), data or "unknown")
        dataset = {"name": class_name(measured), "type": class_name(measured)}
        result = {"task": {"type": task}, "dataset": dataset, "metrics": rows}
        found["metrics"] = list(dict.fromkeys(row["type"] for row in rows))
        found["model-index"] = [{"name": content["name"], "results": [result]}]
    return found


def class_name(path: str) -> str:
    """The last part of a dotted path."""
    return path.rpartition(".")[2]


def data_name(content: Mapping[str, Any]) -> str | None:
    """The name of the training data's class; None where it is not known."""
    data = content["training"].get("data")
    path = data.get("class_path") if isinstance(data, Mapping) else data
    return class_name(path) if isinstance(path, str) else None


def _metric_name(row: Mapping[str, Any]) -> str:
    protocol = row.get("protocol") or {}
    counts = [f"{protocol[name]} {what}" for name, what in (("n_fake", "generated"), ("n_real", "real")) if name in protocol]
    return f"{row['name']} ({', '.join(counts)})" if counts else row["name"]


def _body(content: Mapping[str, Any], has_samples: bool) -> list[str]:
    name, training, weights = content["name"], content["training"], content["weights"]
    path, data = content["model"]["class_path"], data_name(content)
    kinds = " and ".join(weights["kinds"])
    lines = [f"# {name}", ""]
    lines.append(f"A {class_name(path)} (`{path}`)" + (f", trained on {data}" if data else "") + ".")
    lines += ["", f"![samples]({SAMPLES})", ""] if has_samples else [""]
    lines += ["## Use", "", "```sh", 'pip install "lightning-ganzoo[hub]"', f"ganzoo describe {name}", *_commands(content)]
    lines += ["```", "", "```python", "import ganzoo", "", f'model = ganzoo.load("{name}")', *_python(content), "```", ""]
    lines += ["`" + name + "` is this folder. From the hub it is `hf:owner/" + name + "`.", "", "## Training", ""]
    rows = [
        ("class", path),
        ("data", data),
        ("direction", training.get("direction")),
        ("steps", training.get("step")),
        ("seed", training.get("seed")),
        ("checkpoint", training.get("selection")),
        ("ganzoo", training.get("ganzoo")),
        ("commit", training.get("commit")),
        ("command", f"ganzoo fit --config {training['config']}" if training.get("config") else None),
        ("weights", f"{kinds}, {weights['precision']}, {weights.get('parameters', 0):,} parameters"),
        ("networks", ", ".join(weights["networks"])),
        ("licence", content.get("license") or "not given: ask the author before you use the weights"),
    ]
    lines += ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows if value is not None)]
    lines += ["", "The arguments of the model, its loss and the data are in `config.json`.", "", "## Metrics", ""]
    if not content["metrics"]:
        lines.append("None was given. `ganzoo evaluate` computes them.")
    else:
        lines += ["| metric | value | +- | protocol |", "|---|---|---|---|"]
        for row in content["metrics"]:
            deviation = f"{row['deviation']:.2g} {row.get('of', '')}" if row.get("deviation") is not None else ""
            protocol = ", ".join(f"{key} {value}" for key, value in (row.get("protocol") or {}).items())
            lines.append(f"| {row['name']} | {_number(row['value'])} | {_cell(deviation)} | {_cell(protocol)} |")
    lines += ["", "## Verify", "", f"    ganzoo verify {name}", ""]
    lines.append(
        f"computes the output of `{TEST_INPUT}` and compares it with `{TEST_OUTPUT}`. It may differ by at most "
        f"{content['test']['tolerance']:g}, by the rounding of another processor."
    )
    return lines


def _commands(content: Mapping[str, Any]) -> list[str]:
    name, tasks = content["name"], content["tasks"]
    lines = [f"ganzoo generate {name} -n 64 --seed 0"] if "generate" in tasks else []
    lines += [f"ganzoo translate {name} photo.jpg"] if "translate" in tasks else []
    return lines + ([f"ganzoo classify {name} photo.jpg"] if "classify" in tasks else [])


def _python(content: Mapping[str, Any]) -> list[str]:
    tasks = content["tasks"]
    lines = ["images = model.sample(16)  # [16, C, H, W] in [-1, 1]"] if "generate" in tasks else []
    lines += ["images = model.translate(x)  # [N, C, H, W] in [-1, 1], both"] if "translate" in tasks else []
    return lines + (["probabilities = model.classify(x)  # [N, classes]"] if "classify" in tasks else [])


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, int | float) else str(value)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
