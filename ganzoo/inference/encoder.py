"""Trains an inference network: it learns the noise of a generator's images from pairs (G(z), z), which never end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from ganzoo import __version__
from ganzoo.errors import InputError, one_line, printable
from ganzoo.inference.generation import noise_of, sampler_of
from ganzoo.inference.latent_space import LatentSpace
from ganzoo.interfaces import eval_mode, isolated_rng
from ganzoo.networks.encoder import InferenceNetwork
from ganzoo.utils.files import atomic_write
from ganzoo.utils.weights import weights_sha256

FORMAT = 1
TESTED = 1000  # pairs that no step saw, for R^2


class Encoder(nn.Module):
    """Recovers noise coordinates from the images of one generator.

    Args:
        shape: (C, H, W) of an image.
        size: number of coordinates of the noise (:class:`ganzoo.inference.latent_space.LatentSpace`).
        width: as of :class:`ganzoo.networks.encoder.InferenceNetwork`.

    Attributes:
        model_weights: hash of the generator's weights (``ganzoo.utils.weights.weights_sha256``).
        r_squared: share of the coordinates' variance that it recovers on new images, at most 1 (:func:`r_squared`).
    """

    def __init__(self, shape: tuple[int, int, int], size: int, width: int = 32) -> None:
        super().__init__()
        self.shape, self.size, self.width = shape, size, width
        self.network = InferenceNetwork(shape, size, width)
        self.model_weights = ""
        self.r_squared = 0.0

    def forward(self, images: Tensor) -> Tensor:
        """Noise coordinates [N, size] of images [N, C, H, W] in [-1, 1]."""
        return self.network(images)

    def save(self, path: str | Path) -> None:
        """Writes a safetensors file that :meth:`load` reads; it is whole or not there."""
        about = {
            "format": FORMAT,
            "shape": list(self.shape),
            "size": self.size,
            "width": self.width,
            "model_weights": self.model_weights,
            "r_squared": self.r_squared,
            "saved_by": f"ganzoo {__version__}",
        }
        weights = {name: each.detach().cpu().contiguous() for name, each in self.network.state_dict().items()}
        with atomic_write(Path(path)) as part:
            save_file(weights, part, {"encoder": json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path, model: nn.Module) -> "Encoder":
        """Loads the encoder of a model. No code of the file is run.

        Args:
            path: the file.
            model: the model whose images it is for.

        Raises:
            InputError: it cannot be read, is no encoder, or is of another model.
        """
        try:
            with safe_open(path, "pt") as file:
                about: dict[str, Any] = json.loads((file.metadata() or {})["encoder"])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about["format"] != FORMAT:
                raise ValueError(f"its format is {about['format']}, and this ganzoo reads {FORMAT}")
            found = cls(tuple(about["shape"]), about["size"], about["width"])
            found.network.load_state_dict(weights)
        except Exception as error:  # safetensors raises errors of its own, and the file may hold anything
            text = one_line(error)[:160]
            raise InputError(f"{printable(path)} is no encoder of `ganzoo explore encoder`: {text}") from error
        if about["model_weights"] != weights_sha256(model):
            raise InputError(f"{printable(path)} was trained on the images of another model: train one for this model")
        found.model_weights, found.r_squared = about["model_weights"], float(about["r_squared"])
        return found.to(next(model.parameters()).device).eval()


def train_encoder(
    model: nn.Module,
    steps: int = 2000,
    batch_size: int = 64,
    *,
    lr: float = 1e-3,
    width: int = 32,
    seed: int = 0,
    report: Callable[[], object] | None = None,
) -> Encoder:
    """Trains a network to recover the noise coordinates of a generator's images: ``min_E E_z ||E(G(z)) - z||^2``.

    Every step has new noise, so the training set has no end and the network cannot learn it by heart. The classes of a model
    with classes are drawn too, and not recovered; nor are dropout masks. Zhu et al. 2016 train such a network by the image's
    error, ``||G(E(x)) - x||^2``.

    Args:
        model: a ``NoiseSampler``.
        steps: steps of Adam; the learning rate goes up and down once.
        batch_size: images of a step.
        lr: the highest learning rate.
        width: maps of the network's first convolution.
        seed: of the weights and the noise. The same seed gives the same encoder on the same machine.
        report: called after each step.

    Returns:
        The encoder, in evaluation mode, on the model's device.

    Raises:
        InputError: the model's noise has no coordinates.
    """
    space = LatentSpace(model)
    device = next(model.parameters()).device
    with eval_mode(model):
        shape = space.sampler.decode(noise_of(space.sampler, 0)).shape[1:]
    with isolated_rng(seed, device), torch.inference_mode(False), torch.enable_grad():
        encoder = Encoder((shape[0], shape[1], shape[2]), space.size, width).to(device)
        optimizer = torch.optim.Adam(encoder.parameters(), lr=lr)
        schedule = OneCycleLR(optimizer, lr, total_steps=steps)
        for _ in range(steps):
            images, coordinates = pairs(model, space, batch_size)
            optimizer.zero_grad()
            (encoder(images) - coordinates).square().mean().backward()
            optimizer.step()
            schedule.step()
            if report is not None:
                report()
        encoder.eval()
        encoder.r_squared = r_squared(encoder, model)
    encoder.model_weights = weights_sha256(model)
    return encoder


def pairs(model: nn.Module, space: LatentSpace, n: int) -> tuple[Tensor, Tensor]:
    """Draws new images [n, C, H, W] and their noise coordinates [n, size] from torch's own random numbers."""
    sampler, classes = space.sampler, sampler_of(model).classes
    noise = sampler.draw_noise(n)
    y = None if classes is None else torch.randint(classes, (n,))
    with eval_mode(model):
        images = sampler.decode(noise, y)
    return images, space.coordinates(noise).to(images)


@torch.no_grad()
def r_squared(encoder: Callable[[Tensor], Tensor], model: nn.Module, n: int = TESTED, seed: int = 1) -> float:
    """Computes the share of the variance of the noise coordinates that an encoder recovers from new images.

    ``1 - sum((E(G(z)) - z)^2) / sum((z - mean z)^2)``: 1 for an exact recovery, 0 for the mean, below 0 for worse.

    Args:
        encoder: noise coordinates [N, size] of images [N, C, H, W] in [-1, 1].
        model: a ``NoiseSampler``.
        n: images.
        seed: of the images.
    """
    space, found, true = LatentSpace(model), [], []
    with isolated_rng(seed, next(model.parameters()).device):
        for first in range(0, n, 100):
            images, coordinates = pairs(model, space, min(100, n - first))
            found.append(encoder(images).double())
            true.append(coordinates.double())
    z = torch.cat(true)
    return 1 - float((torch.cat(found) - z).square().sum() / (z - z.mean(0)).square().sum())
