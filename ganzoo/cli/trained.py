"""A trained model as ``ganzoo evaluate`` needs it: with the fields of the protocol that it decides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganzoo.evaluation.sources import Model
from ganzoo.hub.facts import sha256
from ganzoo.hub.folder import WEIGHTS
from ganzoo.hub.loading import Trained, load_trained
from ganzoo.interfaces import Sampler


def load(
    path: Path, model: str | None = None, raw: bool = False, weights_only: bool = True, config: str | None = None
) -> Model:
    """Loads a model for an evaluation; arguments and errors are those of :func:`ganzoo.hub.loading.load_trained`."""
    trained = load_trained(path, model, raw, weights_only, config)
    module, recorded = trained.module, trained.record.get("ganzoo") or {}
    return Model(
        module,
        {
            "model_weights": "averaged" if trained.averaged else "raw",
            "batch_norm": "eval",
            "checkpoint": trained.selection,
        },
        {
            "path": str(path),
            "sha256": sha256(path / WEIGHTS if path.is_dir() else path),
            "model": f"{type(module).__module__}.{type(module).__qualname__}",
            "step": trained.record.get("global_step"),
            "epoch": trained.record.get("epoch"),
            "training_seed": recorded.get("seed"),
            "trained_by_ganzoo": recorded.get("version"),
            "classes": module.classes if isinstance(module, Sampler) else None,
        },
        trained_batch_size(trained),
    )


def trained_batch_size(trained: Trained) -> int | None:
    """Images of a batch of the run, as its config says; None where it does not."""
    arguments: Any = None if trained.data is None else trained.data.get("init_args")
    found = arguments.get("batch_size") if isinstance(arguments, Mapping) else None
    return found if isinstance(found, int) and found > 0 else None
