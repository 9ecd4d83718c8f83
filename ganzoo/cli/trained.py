"""A model from a checkpoint, and what is known of how it came to be."""

import argparse
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from ganzoo.cli.options import config_section
from ganzoo.errors import InputError, did_you_mean, one_line
from ganzoo.evaluation.sources import Model
from ganzoo.interfaces import Sampler
from ganzoo.training.checkpoint_io import read_checkpoint
from ganzoo.training.recipes import find_class
from ganzoo.utils.trust import check_trusted, class_paths

LONGEST = 160  # letters of another library's reason


def trained_batch_size(checkpoint: Path) -> int | None:
    """Images of a batch of the run, as its config says; None where it does not."""
    config = run_config(checkpoint)
    data: Any = config_section("data", config) if config else None
    arguments = data.get("init_args") if isinstance(data, Mapping) else None
    found = arguments.get("batch_size") if isinstance(arguments, Mapping) else None
    return found if isinstance(found, int) and found > 0 else None


def run_config(checkpoint: Path) -> Path | None:
    """The config of the run whose checkpoint it is; None where there is none near it."""
    found = [folder / "config.yaml" for folder in (checkpoint.absolute().parent.parent, checkpoint.absolute().parent)]
    return next((path for path in found if path.is_file()), None)


def load(
    path: Path, model: str | None = None, raw: bool = False, weights_only: bool = True, config: str | None = None
) -> Model:
    """A model from a checkpoint of Lightning's.

    Args:
        path: of the file.
        model: the class, if the checkpoint does not say: a dotted path, or the name of a class that is imported.
        raw: drop the averaged weights, if there are any.
        weights_only: read weights and plain data only.
        config: that the user gave: the classes that it names may be imported. Those that only the checkpoint names, or a
            config beside it, must be ganzoo's or an installed plug-in's (``ganzoo.utils.trust``).

    Raises:
        InputError: no checkpoint, a class that cannot be found, or one that the checkpoint does not fit.
    """
    checkpoint = read_checkpoint(str(path), weights_only)
    hyper, own = checkpoint.get("hyper_parameters") or {}, run_config(path)
    told: dict[str, Any] = (config_section("model", own) if own else None) or {}
    for each in class_paths(config_section("model", config)) if config else ():
        if "." in each:
            find_class(each, object)
    if model is not None:
        named(model)
    advice = f"give --model {hyper.get('_class_path') or 'my_module.MyGAN'}"
    advice += f", or the run's config: --config {own}" if own else ", or the run's config: --config config.yaml"
    check_trusted({k: v for k, v in hyper.items() if k != "_class_path" or model is None}, str(path), advice)
    if not hyper and own:
        check_trusted({k: v for k, v in told.items() if k != "class_path" or model is None}, str(own), advice)
    name = model or hyper.get("_class_path") or told.get("class_path")
    if name is None:
        raise InputError(f"{path} does not say which class it is of: give --model GAN, or --model my_module.MyGAN")
    try:
        cls = named(name)
    except InputError as error:
        raise InputError(f"{path}: {error}, or give --model") from error
    arguments = {} if hyper else told.get("init_args") or {}
    try:
        module = cls.load_from_checkpoint(path, map_location="cpu", weights_only=weights_only, **arguments)
    except InputError:
        raise
    except (RuntimeError, TypeError, ValueError, argparse.ArgumentError) as error:
        raise InputError(f"{path} does not fit the class {name}: {one_line(error)[:LONGEST]}") from error
    averaged: Any = getattr(module, "ema", None)
    swapped = "current_model_state" in checkpoint  # Lightning's own average stands in the weights' place
    if raw and swapped:
        raise InputError(f"--raw: {path} was averaged by Lightning's callback; --raw is for model.ema_half_life")
    if raw and averaged is not None:
        averaged = None
        module.ema = None  # type: ignore[assignment]  # of an AdversarialModule
    recorded = checkpoint.get("ganzoo", {})
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Model(
        module.eval(),
        {
            "model_weights": "averaged" if swapped or averaged is not None else "raw",
            "batch_norm": "eval",
            "checkpoint": selection(path, checkpoint),
        },
        {
            "path": str(path),
            "sha256": sha256,
            "model": f"{type(module).__module__}.{type(module).__qualname__}",
            "step": checkpoint.get("global_step"),
            "epoch": checkpoint.get("epoch"),
            "training_seed": recorded.get("seed"),
            "trained_by_ganzoo": recorded.get("version"),
            "classes": module.classes if isinstance(module, Sampler) else None,
        },
        trained_batch_size(path),
    )


def named(name: str) -> type[L.LightningModule]:
    """A class by its dotted path, or by its name alone if it is imported.

    Raises:
        InputError: there is none.
    """
    if "." in name:
        return find_class(name, L.LightningModule)
    known = {cls.__name__: cls for cls in _below(L.LightningModule)}
    if name not in known:
        raise InputError(f"there is no class '{name}'{did_you_mean(name, list(known), 'write its full dotted path')}")
    return known[name]


def _below(cls: type[Any]) -> Iterator[type[Any]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _below(sub)


def selection(path: Path, checkpoint: Mapping[str, Any]) -> str:
    """What a checkpoint was kept for: ``last``, ``best by <value>``, or ``another``.

    Args:
        path: of it.
        checkpoint: what is in it. The run's newest knows better which is the best, if it is still beside it.
    """
    last = path.with_name("last.ckpt")
    newest = checkpoint
    if last.is_file() and last != path:
        with suppress(InputError):
            newest = read_checkpoint(str(last), True)
    for state in (newest.get("callbacks") or {}).values():
        if isinstance(state, dict) and state.get("monitor") and Path(state.get("best_model_path") or "").name == path.name:
            return f"best by {state['monitor']}"
    return "last" if path.name == "last.ckpt" or (last.is_file() and last.samefile(path)) else "another"
