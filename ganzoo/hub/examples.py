"""The test input of a saved model, and what the model computes from it."""

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.interfaces import Classifier, CycleTranslator, NoiseSampler, Sampler, Translator, isolated_rng
from ganzoo.networks.dropout import draw_masks, given_masks, noise_dropouts
from ganzoo.utils.images import to_float

SAMPLES = 4
NOISE = "noise."  # before the names of noise in a test input
SIDE = 64  # pixels of an image to translate, if the network takes so few
EPSILON = 2.0**-24  # the relative rounding error of a float32
MARGIN = 64  # tolerance / change of the output by rounding errors of the weights
LEAST = 1e-5


def example_input(module: L.LightningModule) -> dict[str, Tensor]:
    """Makes the test input of a model: noise, classes or images, whichever it needs.

    Returns:
        For a sampler its noise, ``noise.z`` [n, ...], and classes ``y`` [n] if it has them; for a translator ``x``, uint8
        [1, C, H, W], the masks of its dropout if that is noise, and ``y`` in both directions; for a classifier ``x``, uint8
        [4, C, H, W]. ``seed`` is of what cannot be given.

    Raises:
        InputError: the model is none of these.
    """
    seed = {"seed": torch.tensor(0)}
    hyper: Any = module.hparams
    if isinstance(module, Sampler):
        n = SAMPLES if module.classes is None else min(module.classes, 10)
        classes = {} if module.classes is None else {"y": torch.arange(n) % module.classes}
        if isinstance(module, NoiseSampler):
            noise = module.draw_noise(n, torch.Generator().manual_seed(0))
            return {**seed, **classes, **{NOISE + name: z.cpu().contiguous() for name, z in noise.items()}}
        return {**seed, "n": torch.tensor(n), **classes}
    if isinstance(module, Translator):
        names = ("channels_x", "channels_y") if isinstance(module, CycleTranslator) else ("inputs",)
        images = [_waves(1, hyper.get(name, 3), *_side(module)) for name in names]
        masks: dict[str, Tensor] = {}
        if noise_dropouts(module):
            with isolated_rng(0, module.device):
                masks = draw_masks(module, lambda: module.translate(to_float(images[0]).to(module.device)))
        both = {"y": images[1].flip(-1).contiguous()} if len(images) > 1 else {}
        return {**seed, "x": images[0], **both, **{NOISE + name: mask.cpu() for name, mask in masks.items()}}
    if isinstance(module, Classifier):
        return {**seed, "x": _waves(SAMPLES, *hyper.get("shape", (3, 32, 32)))}
    raise InputError(
        f"{type(module).__name__} neither samples, translates nor classifies (ganzoo.interfaces), so there is nothing to "
        "ask of it: derive it from Sampler, Translator or Classifier"
    )


def example_output(module: L.LightningModule, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Computes what a model makes of a test input, float32: images in [-1, 1], or probabilities [N, classes].

    Raises:
        InputError: the input is of another kind of model.
    """
    seed, start = int(inputs["seed"]), len(NOISE)
    noise = {name[start:]: value.to(module.device) for name, value in inputs.items() if name.startswith(NOISE)}
    try:
        with isolated_rng(seed, module.device):
            if isinstance(module, NoiseSampler):
                output = {"samples": module.decode(noise, inputs.get("y"))}
            elif isinstance(module, Sampler):
                generator = torch.Generator().manual_seed(seed)
                output = {"samples": module.sample(int(inputs["n"]), inputs.get("y"), generator)}
            elif isinstance(module, Translator):
                with given_masks(module, noise):
                    output = {"translation": module.translate(to_float(inputs["x"]).to(module.device))}
                    if isinstance(module, CycleTranslator):
                        output["translation_back"] = module.translate_back(to_float(inputs["y"]).to(module.device))
            else:
                assert isinstance(module, Classifier)
                output = {"probabilities": module.classify(to_float(inputs["x"]).to(module.device))}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the test input is not one of a {type(module).__name__}") from error
    return {name: tensor.detach().float().cpu().contiguous() for name, tensor in output.items()}


def tolerance(module: L.LightningModule, inputs: Mapping[str, Tensor], output: Mapping[str, Tensor]) -> float:
    """Estimates how far the output may be off on another processor, whose sums round in another order.

    Each weight is changed by its own rounding error, up or down at random. The largest change of the output, times
    :data:`MARGIN`, is the tolerance: it is larger for a network that amplifies rounding errors.
    """
    generator = torch.Generator().manual_seed(1)
    floats = [p for p in module.parameters() if p.is_floating_point()]
    kept = [p.detach().clone() for p in floats]
    change = 0.0
    with torch.no_grad():
        for _ in range(2):
            for p, before in zip(floats, kept, strict=True):
                sign = torch.randint(0, 2, p.shape, generator=generator) * 2 - 1
                p.copy_(before * (1 + 2 * EPSILON * sign))  # one unit of EPSILON would round back to the same number
            change = max(change, difference(example_output(module, inputs), output))
        for p, before in zip(floats, kept, strict=True):
            p.copy_(before)
    return max(LEAST, MARGIN * change)


def difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest absolute difference of two outputs; infinite where they have other names, shapes or NaN."""
    if one.keys() != other.keys() or any(one[name].shape != other[name].shape for name in one):
        return float("inf")
    values = [float((one[name].float() - other[name].float()).abs().max()) for name in one if one[name].numel()]
    return max((value if value == value else float("inf") for value in values), default=0.0)


def _side(module: Translator) -> tuple[int, int]:
    side = -(-max(SIDE, module.least_size) // module.size_multiple) * module.size_multiple
    return side, side


def _waves(n: int, channels: int, height: int, width: int) -> Tensor:
    """Smooth images with some contrast, uint8 [n, channels, height, width]."""
    row, column = torch.arange(height).view(-1, 1) / height, torch.arange(width).view(1, -1) / width
    images = []
    for k in range(n * channels):
        waves = torch.sin(6.28 * (row * (1 + k % 3) + 0.13 * k)) * torch.cos(6.28 * (column * (1 + k % 4) - 0.29 * k))
        images.append((waves + 1) * 127.5)
    return torch.stack(images).view(n, channels, height, width).round().to(torch.uint8)
