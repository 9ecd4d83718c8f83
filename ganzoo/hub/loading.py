"""Loads a trained model: the right class, the averaged weights, evaluation mode."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as L
import torch
from lightning.pytorch.cli import instantiate_module
from safetensors.torch import load_file

from ganzoo.errors import InputError, did_you_mean, one_line
from ganzoo.hub.folder import CONFIG, WEIGHTS, data_of, read_folder
from ganzoo.hub.sources import find_model, run_config, selection
from ganzoo.training.checkpoint_io import read_checkpoint
from ganzoo.training.recipes import find_class
from ganzoo.utils.configs import find_config, read_config, section_of
from ganzoo.utils.log import log_info
from ganzoo.utils.trust import check_trusted, class_paths

LONGEST = 160  # letters of another library's reason
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"  # what Lightning's command builds a model with


class Trained(NamedTuple):
    """A trained model, and what its files say of it.

    Attributes:
        module: the model, in evaluation mode, on the CPU.
        path: the checkpoint's file, or the saved folder.
        averaged: whether the weights that it uses are averaged ones.
        selection: what the checkpoint was kept for: ``last``, ``best by <value>`` or ``another``.
        record: the checkpoint's entries besides weights: ``epoch``, ``global_step``, ``hyper_parameters``, ``ganzoo``.
        data: the class path and init_args of the run's data; None where they are not known.
    """

    module: L.LightningModule
    path: Path
    averaged: bool
    selection: str
    record: Mapping[str, Any]
    data: Mapping[str, Any] | None


def load(
    source: str | Path,
    *,
    raw: bool = False,
    device: str | torch.device = "cpu",
    model: str | None = None,
    config: str | Path | None = None,
    weights_only: bool = True,
) -> L.LightningModule:
    """Loads a trained model: ``ganzoo.load("runs/gan_digits/version_0").sample(16)``.

    The model is in the evaluation mode of its paper: pix2pix keeps its dropout, which is its noise. It uses the averaged
    weights, if it has any. Loading runs no code of a file (``ganzoo.utils.trust``).

    Args:
        source: a checkpoint; a run's folder, whose best or else last checkpoint is taken; a saved folder; the name of a
            model that comes with ganzoo; ``hf:owner/name`` or ``hf:owner/name@revision`` on the hub.
        raw: use the weights of the last step, also where there are averaged ones.
        device: where the model is to work.
        model: the model's class, where the file does not say it or names a class of yours: ``"my_module.MyGAN"``.
        config: the run's config, which says which classes of yours may be imported.
        weights_only: refuse a checkpoint that holds more than weights and plain data, because it could run code.

    Returns:
        The model: a ``Sampler``, ``Translator`` or ``Classifier`` (``ganzoo.interfaces``).

    Raises:
        InputError: there is no such model, or it cannot be used; one line says why.
    """
    path, why = find_model(source)
    if why:
        log_info(why)
    module = load_trained(path, model, raw, weights_only, config).module
    try:
        return module.to(device)
    except (RuntimeError, AssertionError) as error:  # torch's, where there is no such device
        raise InputError(f"device '{device}' cannot be used: {one_line(error)[:LONGEST]}") from error


def load_trained(
    path: Path,
    model: str | None = None,
    raw: bool = False,
    weights_only: bool = True,
    config: str | Path | None = None,
) -> Trained:
    """Loads a model and what its files say of it.

    Args:
        path: the file of a checkpoint of Lightning's, or a saved folder.
        model: the class, if the checkpoint does not say: a dotted path, or the name of a class that is imported.
        raw: drop the averaged weights, if there are any.
        weights_only: read weights and plain data only.
        config: that the user gave: the classes that it names may be imported. Those that only the checkpoint names, or a
            config beside it, must be ganzoo's or an installed plug-in's (``ganzoo.utils.trust``).

    Raises:
        InputError: no checkpoint, a class that cannot be found, or one that the checkpoint does not fit.
    """
    if path.is_dir():
        return _load_folder(path, model, raw, config)
    checkpoint = read_checkpoint(str(path), weights_only)
    hyper, recorded, own = checkpoint.get("hyper_parameters") or {}, checkpoint.get("ganzoo", {}), run_config(path)
    told = _section("model", own)
    _import_given(model, config)
    advice = f"give --model {hyper.get('_class_path') or recorded.get('class') or 'my_module.MyGAN'}"
    advice += f", or the run's config: --config {own}" if own else ", or the run's config: --config config.yaml"
    check_trusted({k: v for k, v in hyper.items() if k != "_class_path" or model is None}, str(path), advice)
    if not hyper and own:
        check_trusted({k: v for k, v in told.items() if k != "class_path" or model is None}, str(own), advice)
    name = model or hyper.get("_class_path") or told.get("class_path") or recorded.get("class")
    if name is None:
        raise InputError(f"{path} does not say which class it is of: give --model GAN, or --model my_module.MyGAN")
    if model is None:
        check_trusted({"class_path": name}, str(path), advice)
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
    swapped = "current_model_state" in checkpoint  # Lightning's own average stands in the weights' place
    if raw and swapped:
        raise InputError(f"--raw: {path} was averaged by Lightning's callback; --raw is for model.ema_half_life")
    averaged = drop_average(module, raw) or swapped
    record = {name: checkpoint.get(name) for name in ("epoch", "global_step", "hyper_parameters", "ganzoo")}
    return Trained(module.eval(), path, averaged, selection(path, checkpoint), record, _section("data", own) or None)


def _import_given(model: str | None, config: str | Path | None) -> None:
    """Imports the classes that the user named, which makes them trusted."""
    for each in class_paths(_section("model", config)):
        if "." in each:
            find_class(each, object)
    if model is not None:
        named(model)


def _load_folder(path: Path, model: str | None, raw: bool, config: str | Path | None) -> Trained:
    content, file = read_folder(path), path / CONFIG
    kinds = content["weights"].get("kinds")
    if raw and kinds == ["averaged"]:
        raise InputError(f"{path} holds the averaged weights only: load it without raw")
    given, training = content["model"], content["training"]
    _import_given(model, config)
    name, arguments = given["class_path"], given["init_args"]
    advice = f"give --model {name}, or the run's config: --config config.yaml"
    check_trusted(arguments if model else {"class_path": name, "init_args": arguments}, str(file), advice)
    try:
        cls = named(model or name)
    except InputError as error:
        raise InputError(f"{file}: {error}, or give --model") from error
    module = _build(cls, arguments, bool(given.get("by_command")), file)
    recorded = {"format": 1, "class": name, "direction": training.get("direction"), "version": training.get("ganzoo")}
    checkpoint: dict[str, Any] = {"state_dict": _read_weights(path / WEIGHTS), "ganzoo": recorded}
    checkpoint["state_dict"].update(content.get("state") or {})
    module.on_load_checkpoint(checkpoint)
    weights = checkpoint["state_dict"]
    kept = content["weights"].get("networks")
    _check_weights(module, weights, kept, path / WEIGHTS)
    module.load_state_dict(weights, strict=False)
    if isinstance(kept, list):
        _refuse_use_of_others(module, kept, path)
    averaged = drop_average(module, raw) or kinds == ["averaged"]
    record = {
        "epoch": training.get("epoch"),
        "global_step": training.get("step"),
        "hyper_parameters": {**arguments, **({"_instantiator": INSTANTIATOR} if given.get("by_command") else {})},
        "ganzoo": {**training, "version": training.get("ganzoo")},
    }
    selected = str(training.get("selection", "another"))
    return Trained(module.eval(), path, averaged, selected, record, data_of(content))


def _build(cls: type[L.LightningModule], arguments: Mapping[str, Any], by_command: bool, file: Path) -> L.LightningModule:
    """Builds a model from the arguments in a saved folder, as the command built it or as Python does."""
    try:
        if not by_command:
            return cls(**arguments)
        return instantiate_module(cls, {**arguments, "_class_path": f"{cls.__module__}.{cls.__qualname__}"})
    except Exception as error:  # whatever a constructor raises on arguments of other kinds
        raise InputError(f"{file} does not fit {cls.__name__}: {one_line(error)[:LONGEST]}") from error


def _read_weights(path: Path) -> dict[str, Any]:
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises an error of its own for damaged files, and OSError
        raise InputError(f"{path} cannot be read: {one_line(error)[:LONGEST]}") from error


def _check_weights(module: L.LightningModule, weights: Mapping[str, Any], networks: Any, path: Path) -> None:
    """Refuses weights of another model. Networks that were left out on purpose, and image pools, may be missing."""
    here = {name: value for name, value in module.state_dict().items() if not name.endswith("_extra_state")}
    there = {name: value for name, value in weights.items() if not name.endswith("_extra_state")}
    children = {name for name, _ in module.named_children()}
    absent = children - set(networks) if isinstance(networks, list) else set()
    missing = [name for name in here if name not in there and name.partition(".")[0] not in absent]
    wrong = [f"it has no {name}, which {type(module).__name__} needs" for name in missing]
    wrong += [f"it has {name}, which {type(module).__name__} has not" for name in there if name not in here]
    for name in there.keys() & here.keys():
        if there[name].shape != here[name].shape:
            sizes = f"{list(there[name].shape)} and not {list(here[name].shape)}"
            wrong.append(f"{name} is {sizes}")
    if wrong:
        more = f" (and {len(wrong) - 1} more differences)" if len(wrong) > 1 else ""
        raise InputError(f"{path} is of another model: {wrong[0]}{more}")


class _WithoutWeights:
    """Hook of a network whose weights were not saved: its output would be that of random weights."""

    def __init__(self, line: str) -> None:
        self.line = line

    def __call__(self, network: Any, inputs: Any) -> None:
        raise InputError(self.line)


@torch.no_grad()
def _refuse_use_of_others(module: L.LightningModule, kept: list[str], path: Path) -> None:
    """Makes networks whose weights were not saved refuse to work; their weights become 0, the same in each process."""
    for name, child in module.named_children():
        if name not in kept and name != "ema" and any(True for _ in child.parameters()):
            for parameter in child.parameters():
                parameter.zero_()
            line = f"{path.name} was saved without the weights of {name}: give a checkpoint of the training, which has them"
            for network in child if isinstance(child, torch.nn.ModuleList) else [child]:  # a list has no pass of its own
                network.register_forward_pre_hook(_WithoutWeights(line))


def drop_average(module: L.LightningModule, raw: bool) -> bool:
    """Drops a model's averaged weights where ``raw`` asks for the others. Returns whether it has averaged ones then."""
    ema: Any = getattr(module, "ema", None)
    if raw and ema is not None:
        module.ema = None  # type: ignore[assignment]  # of an AdversarialModule
        return False
    return ema is not None


def named(name: str) -> type[L.LightningModule]:
    """A class by its dotted path, or by its name alone if it is imported.

    Raises:
        InputError: there is none.
    """
    import ganzoo.models  # noqa: F401

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


def _section(name: str, config: str | Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    return section_of(read_config(find_config(str(config))), name, str(config)) or {}
