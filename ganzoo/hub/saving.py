"""Saves a trained model as a folder that can be loaded, verified and shared."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from ganzoo import __version__
from ganzoo.errors import InputError
from ganzoo.hub.card import model_card
from ganzoo.hub.examples import difference, example_input, example_output, tolerance
from ganzoo.hub.facts import about_training, metrics_of, sha256
from ganzoo.hub.folder import CARD, CONFIG, FORMAT, SAMPLES, TEST_INPUT, TEST_OUTPUT, WEIGHTS
from ganzoo.hub.loading import Trained, load_trained
from ganzoo.hub.sources import find_model, run_config
from ganzoo.interfaces import Classifier, CycleTranslator, Sampler, Translator
from ganzoo.models.base import GeneratorModel
from ganzoo.ops.image_pool import ImagePool
from ganzoo.training.hyperparameters import PlainHyperparameters
from ganzoo.training.recipes import to_plain
from ganzoo.utils.files import atomic_folder, atomic_write
from ganzoo.utils.image_grid import as_image, grid
from ganzoo.utils.log import log_info

EXTRA = "_extra_state"
GRID = 64  # samples in the grid
GRID_SIDE = 640  # pixels, so that the image stays small


def save(
    source: str | Path,
    folder: str | Path,
    *,
    metrics: Sequence[str | Path] = (),
    license: str | None = None,
    raw: bool = False,
    generators_only: bool = False,
    half: bool = False,
    image: str | Path | None = None,
    model: str | None = None,
    config: str | Path | None = None,
) -> Path:
    """Saves a trained model as a folder: weights, config, model card, and a test input with its output.

    The folder holds no pickle. It is loaded again before it gets its name, and must then compute the same to the bit.

    Args:
        source: a checkpoint or a run's folder, or a saved folder.
        folder: the folder to write; it must be new or empty.
        metrics: results of ``ganzoo evaluate`` of this checkpoint, for the model card. Those beside the checkpoint are
            found without being named.
        license: the licence of the weights, as the hub writes it: ``apache-2.0``, ``cc-by-4.0``.
        raw: keep the weights of the last step only, without the averaged ones.
        generators_only: keep only the networks that are used after training, with their averaged weights if there are any.
            Without discriminators the model cannot be trained on.
        half: keep the weights in half precision. They are loaded as float32.
        image: an image for the model card; left out, samples are drawn, or the run's newest image is taken.
        model: the model's class, where the checkpoint does not say it, or names a class of yours.
        config: the run's config, which says which classes of yours may be imported.

    Returns:
        The folder.

    Raises:
        InputError: it cannot be saved, in one line. Nothing is left behind.
    """
    target = _new_folder(Path(folder))
    path, why = find_model(source)
    if why:
        log_info(why)
    trained = load_trained(path, model, raw, config=config)
    module = trained.module
    inputs = example_input(module)
    if generators_only:
        _keep_average(module)
    if half:
        before = example_output(module, inputs)
        _round_to_half(module)
        log_info(
            f"half precision changes the test output by at most {difference(before, example_output(module, inputs)):.2g}"
        )
    output = example_output(module, inputs)
    weights, state = _split_state(module, _used_networks(module) if generators_only else None)
    allowed = tolerance(module, inputs, output)
    results = metrics_of(trained.path, metrics)
    content = {
        "format": FORMAT,
        "saved_by": f"ganzoo {__version__}",
        "name": target.name,
        "license": license,
        **_about_model(trained, inputs, output),
        "weights": {
            "kinds": _kinds(trained, weights),
            "precision": "float16" if half else str(module.dtype).removeprefix("torch."),
            "networks": _used_networks(module) if generators_only else [name for name, _ in module.named_children()],
            "parameters": sum(p.numel() for name, p in module.named_parameters() if name in weights),
        },
        "state": state,
        "training": about_training(trained.path, trained.record, trained.data, trained.selection),
        "metrics": results,
        "test": {"tolerance": float(f"{allowed:.2g}")},
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(target) as part:
            _write_tensors(part / WEIGHTS, weights, half)
            content["weights"]["sha256"] = sha256(part / WEIGHTS)
            _write_tensors(part / TEST_INPUT, inputs)
            _write_tensors(part / TEST_OUTPUT, output)
            drawn = _draw(part / SAMPLES, trained, image)
            _write_json(part / CONFIG, content)
            (part / CARD).write_text(model_card(content, drawn), encoding="utf-8")
            again = load_trained(part, model, config=config).module
            if (change := difference(example_output(again, inputs), output)) != 0.0:
                raise InputError(
                    f"{type(module).__name__} does not compute the same once it is saved and loaded (its test output is off "
                    f"by {change:.2g}): it has state that is neither a parameter nor a buffer"
                )
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error
    return target


def _new_folder(target: Path) -> Path:
    try:
        if target.is_dir():
            target.rmdir()  # an empty one is as good as none
    except OSError:
        raise InputError(f"{target} is not empty: give a new folder") from None
    if target.exists():
        raise InputError(f"{target} is a file: give a new folder")
    return target.resolve()


def _used_networks(module: Any) -> list[str]:
    """The networks that are used after training: those that are averaged."""
    names = getattr(module, "ema_networks", ())
    if not names or not all(hasattr(module, name) for name in names):
        raise InputError(f"{type(module).__name__} does not say which networks are used after training (ema_networks)")
    return list(names)


def _keep_average(module: Any) -> None:
    """Puts the averaged weights in the place of the others."""
    if module.ema is not None:
        for name in module.ema:
            getattr(module, name).load_state_dict(module.ema[name].state_dict())
        module.ema = None


def _round_to_half(module: L.LightningModule) -> None:
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                rounded = tensor.half()
                if bool((rounded.isinf() & ~tensor.isinf()).any()):
                    raise InputError(f"--half: {name} has values that half precision does not reach: save without")
                tensor.copy_(rounded)


def _split_state(module: L.LightningModule, networks: Sequence[str] | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a model and its other state as plain data. Image pools are of the training, and left out.

    Args:
        module: the model.
        networks: that are kept; None for all.
    """
    pools = {f"{name}.{EXTRA}" for name, part in module.named_modules() if isinstance(part, ImagePool)}
    dropped = {name for name, _ in module.named_children()} - set(networks or ()) if networks is not None else set()
    weights, state = {}, {}
    for name, value in module.state_dict().items():
        if name in pools or name.partition(".")[0] in dropped:
            continue
        if not name.endswith(EXTRA):
            weights[name] = value.detach().cpu().contiguous().clone()
        else:
            try:
                state[name] = to_plain(value)
            except InputError:
                raise InputError(f"{name} is no plain data, so a saved folder cannot hold it") from None
    return weights, state


def _kinds(trained: Trained, weights: Mapping[str, Tensor]) -> list[str]:
    if any(name.startswith("ema.") for name in weights):
        return ["averaged", "raw"]
    return ["averaged" if trained.averaged else "raw"]


def _about_model(trained: Trained, inputs: Mapping[str, Tensor], output: Mapping[str, Tensor]) -> dict[str, Any]:
    module: Any = trained.module
    kind, hyper = type(module), dict(module.hparams)
    by_command = "_instantiator" in (trained.record.get("hyper_parameters") or {})
    tasks = [
        task
        for task, its in (
            ("generate", Sampler),
            ("translate", Translator),
            ("translate back", CycleTranslator),
            ("classify", Classifier),
        )
        if isinstance(module, its)
    ]
    first = next(iter(output.values()))
    about: dict[str, Any] = {
        "model": {
            "class_path": f"{kind.__module__}.{kind.__qualname__}",
            "init_args": to_plain({name: value for name, value in hyper.items() if not name.startswith("_")}),
            "by_command": by_command,
        },
        "parts": to_plain(module.used_arguments()) if isinstance(module, PlainHyperparameters) else {},
        "networks": {name: f"{type(net).__module__}.{type(net).__qualname__}" for name, net in module.named_children()},
        "tasks": tasks,
        "classes": getattr(module, "classes", None),
    }
    images = inputs.get("x")
    if images is None:
        about["input"] = {"noise": module.latent} if isinstance(module, GeneratorModel) else {}
    elif isinstance(module, Translator):
        about["input"] = {
            "channels": images.shape[1],
            "multiple_of": module.size_multiple,
            "at_least": max(module.least_size, module.size_multiple),
        }
    else:
        about["input"] = {"shape": list(images.shape[1:])}
    if isinstance(module, Translator):
        about["output"] = {"channels": first.shape[1], "size": "as the input"}
    else:
        about["output"] = {"shape": list(first.shape[1:])} if isinstance(module, Sampler) else {"classes": first.shape[1]}
    return about


def _write_tensors(path: Path, tensors: Mapping[str, Tensor], half: bool = False) -> None:
    halved = {name: each.half() if half and each.is_floating_point() else each for name, each in tensors.items()}
    path.write_bytes(to_bytes(halved, {"format": "pt"}))  # save_file would let nobody else read the file


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _draw(path: Path, trained: Trained, image: str | Path | None) -> bool:
    """Writes the model card's image. Returns whether there is one."""
    from PIL import Image

    module: Any = trained.module
    own = None if trained.path.is_dir() else run_config(trained.path)
    if image is None and isinstance(module, Sampler):
        y = None if module.classes is None else torch.arange(GRID) % min(module.classes, 8)
        samples = module.sample(GRID, y, torch.Generator().manual_seed(0))
        if samples.ndim != 4:
            return False
        found = as_image(grid(samples, 8))
    else:
        newest = sorted(own.parent.glob("images/*.png")) if own is not None else []
        chosen = Path(image) if image is not None else newest[-1] if newest else trained.path / SAMPLES
        if image is None and not chosen.is_file():
            return False
        try:
            with Image.open(chosen) as opened:
                found = opened.convert("RGB")
        except (OSError, ValueError) as error:
            raise InputError(f"{chosen} cannot be read as an image") from error
    found.thumbnail((GRID_SIDE, GRID_SIDE))
    with atomic_write(path) as part:
        found.save(part, format="PNG", optimize=True)
    return True
