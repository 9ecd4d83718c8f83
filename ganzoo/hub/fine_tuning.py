"""Begins a training at the weights of a trained model (``ganzoo fit --init_from``)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from safetensors.torch import load_file
from torch import Tensor

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError, did_you_mean, one_line
from ganzoo.hub.facts import sha256
from ganzoo.hub.folder import WEIGHTS
from ganzoo.hub.sources import find_model
from ganzoo.training.checkpoint_io import read_checkpoint
from ganzoo.utils.log import log_info

SHOWN = 3  # differences in a message
EMA = "ema."


def begin_at(
    model: L.LightningModule,
    source: str | Path,
    part: str | None = None,
    partial: bool = False,
    weights_only: bool = True,
) -> None:
    """Loads the weights of a trained model into another, and nothing else: its training starts at its first step.

    The players begin at the weights of the last step, which belong together; the average starts anew. A part alone begins
    at its averaged weights, if there are any. Where only averaged weights were kept, those are taken.

    Args:
        model: the model that is to be trained.
        source: a trained model, as in :func:`ganzoo.load`.
        part: the name of the one network to load: ``G``; None for all.
        partial: skip weights that are missing on one side or have another shape, and say which.
        weights_only: refuse a checkpoint that holds more than weights and plain data.

    Raises:
        InputError: there is no such model or part; a weight does not fit, and ``partial`` is not given; or none fits.
    """
    try:
        found = find_model(source)
    except InputError as error:
        raise InputError(f"--init_from {error}") from error
    if found.why:
        log_info(found.why)
    there = _weights(found.path, weights_only)
    here = _tensors(model.state_dict())
    if part is None:
        there = {name: tensor for name, tensor in there.items() if not name.startswith(EMA)}
        here = {name: tensor for name, tensor in here.items() if not name.startswith(EMA)}
    else:
        there, here = _of_part(there, here, part, model, source)
    differing = _differences(there, here, type(model).__name__)
    fitting = {name: tensor for name, tensor in there.items() if name not in differing}
    if differing and not partial:
        raise InputError(
            f"--init_from {source} has other weights than the model: {_shown(differing)}: give the same model options, or "
            "--init_partial true, which skips these"
        )
    if not fitting:
        raise InputError(f"--init_from {source}: none of its weights fits {type(model).__name__}")
    of = "" if part is None else f" of {part}"
    log_info(f"the weights{of} are those of {found.path}; optimizers, schedules and counts start anew")
    if differing:
        log_info(f"skipped weights: {', '.join(differing)}")
    origin: dict[str, Any] = {"sha256": sha256(found.path / WEIGHTS if found.path.is_dir() else found.path)}
    origin |= {"part": part, "skipped": len(differing), "source": str(source)}
    if isinstance(model, AdversarialModule):
        model.begin_at(fitting, {name: value for name, value in origin.items() if value})
    else:
        model.load_state_dict(fitting, strict=False)


def _weights(path: Path, weights_only: bool) -> dict[str, Tensor]:
    if not path.is_dir():
        return _tensors(read_checkpoint(path, weights_only)["state_dict"])
    try:
        return _tensors(load_file(path / WEIGHTS))
    except Exception as error:  # safetensors raises an error of its own for damaged files, and OSError
        raise InputError(f"{path / WEIGHTS} cannot be read: {one_line(error)[:160]}") from error


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.endswith("_extra_state")}


def _of_part(
    there: Mapping[str, Tensor], here: Mapping[str, Tensor], part: str, model: L.LightningModule, source: str | Path
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    inside = {name: tensor for name, tensor in here.items() if name.startswith(f"{part}.")}
    if not inside:
        networks = [name for name, _ in model.named_children()]
        near = did_you_mean(part, networks, f"it has {', '.join(networks)}")
        raise InputError(f"--init_part {part}: {type(model).__name__} has no network of this name{near}")
    for prefix in (f"{EMA}{part}.", f"{part}."):
        found = {f"{part}.{name.removeprefix(prefix)}": each for name, each in there.items() if name.startswith(prefix)}
        if found:
            return found, inside
    raise InputError(f"--init_part {part}: {source} has no network of this name")


def _differences(there: Mapping[str, Tensor], here: Mapping[str, Tensor], kind: str) -> dict[str, str]:
    found = {}
    for name in dict.fromkeys([*here, *there]):
        shapes = [tuple(weights[name].shape) if name in weights else None for weights in (there, here)]
        if shapes[0] != shapes[1]:
            found[name] = f"{name} is {shapes[0] or 'not there'}, and {shapes[1] or 'not'} in this {kind}"
    return found


def _shown(differing: Mapping[str, str]) -> str:
    more = f" (and {len(differing) - SHOWN} more)" if len(differing) > SHOWN else ""
    return "; ".join(list(differing.values())[:SHOWN]) + more
