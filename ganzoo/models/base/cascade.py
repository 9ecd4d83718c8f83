"""Models that generate images from coarse to fine, with a generator and a discriminator for each level."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.interfaces import CascadeSampler
from ganzoo.models.base.conditional import ConditionalGeneratorModel
from ganzoo.networks.dropout import given_masks
from ganzoo.training.ema import with_ema
from ganzoo.utils.ranges import NonNegativeInt, Size

ROLES = "discriminator", "generator"  # in the order of their turns


class CascadeModel(ConditionalGeneratorModel, CascadeSampler):
    """A model that generates images from coarse to fine. Level 0 is the coarsest; each level has two players.

    To override: ``networks``, ``training_step``, the losses, ``penalties``, ``z``, ``generate_cascade``,
    ``generate_for``.

    Args:
        shape: (C, H, W) of an image, H = W.
        sizes: height and width of each level in pixels, coarsest first; the last is H.
        classes: number of classes, which both players get; None for none.
        train_level: the one level to train, 0 for the coarsest; the others are frozen. None trains all of them.
        optimizers: replaces players' optimizers, as in ``AdversarialModule``. The players are ``discriminator_0``,
            ``generator_0``, ``discriminator_1`` ...; those of a frozen level are ignored.
        training: the other arguments of ``ConditionalGeneratorModel``.

    Attributes:
        G: the generators of the levels.
        D: the discriminators of the levels.
        levels: the levels that are trained.

    Raises:
        InputError: the sizes do not rise to H, there is no such level, or ``augment`` is given.
    """

    G: nn.ModuleList
    D: nn.ModuleList

    def __init__(
        self,
        shape: tuple[Size, ...],
        sizes: tuple[Size, ...],
        classes: Size | None = None,
        train_level: NonNegativeInt | None = None,
        optimizers: dict[str, dict[str, Any]] | None = None,
        **training: Any,
    ) -> None:
        if not sizes or list(sizes) != sorted(set(sizes)) or tuple(shape[1:]) != (sizes[-1], sizes[-1]):
            raise InputError(f"sizes rise to the height and width of shape {tuple(shape)}, and {tuple(sizes)} do not")
        if train_level is not None and train_level >= len(sizes):
            raise InputError(f"train_level is a level from 0, the base, to {len(sizes) - 1}, not {train_level}")
        if training.get("augment") is not None:
            raise InputError(
                f"{type(self).__name__} takes no augment: its discriminators see the detail of an image beside its blurred "
                "part, and an augmentation of one alone would tear them apart"
            )
        self.levels = range(len(sizes)) if train_level is None else range(train_level, train_level + 1)
        self.frozen = [k for k in range(len(sizes)) if k not in self.levels]
        absent = {f"{role}_{k}" for role in ROLES for k in self.frozen}
        trained = {player: recipe for player, recipe in (optimizers or {}).items() if player not in absent}
        super().__init__(shape, classes, optimizers=trained, **training)
        self.sizes, self.train_level = tuple(sizes), train_level

    @classmethod
    def arguments_for(cls, data: Any) -> dict[str, Any]:
        """The images' shape, and three levels, each about half as large as the next; (8, 14, 28) for 28 pixels."""
        known, size = super().arguments_for(data), data.shape[-1]
        sizes = (8, 14, 28) if size == 28 else tuple(sorted({max(1, size // 4), max(1, size // 2), size}))
        return {**known, "sizes": sizes}

    def set_networks(self, G: Sequence[nn.Module], D: Sequence[nn.Module]) -> None:
        """Takes the networks of all levels, coarsest first, and freezes those of levels that are not trained."""
        pairs = [self.add_layers(*pair) for pair in zip(G, D, strict=True)]
        self.G, self.D = (nn.ModuleList(networks) for networks in zip(*pairs, strict=True))
        for k in self.frozen:
            self.G[k].requires_grad_(False)
            self.D[k].requires_grad_(False)

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {f"{role}_{k}": [mine[k]] for k in self.levels for role, mine in zip(ROLES, (self.D, self.G), strict=True)}

    def latents(self, n: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Draws the noise of every level."""
        return {f"z_{k}": self.z(k, n, generator) for k in range(len(self.sizes))}

    @abstractmethod
    def z(self, k: int, n: int, generator: torch.Generator | None = None) -> Tensor:  # type: ignore[override]
        """Draws the noise [n, ...] of level k."""

    def generate(self, noise: Mapping[str, Tensor], y: Tensor | None) -> Tensor:
        return self.generate_cascade(noise, y)[-1]

    @abstractmethod
    def generate_cascade(self, noise: Mapping[str, Tensor], y: Tensor | None) -> list[Tensor]:
        """Generates the images of every level, coarsest first, [n, C, H_k, W_k] in [-1, 1]."""

    @final
    @with_ema
    @torch.no_grad()
    def decode_levels(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> list[Tensor]:
        with given_masks(self.G, noise):
            return [images.float() for images in self.generate_cascade(noise, y)]
