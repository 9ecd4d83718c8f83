"""What every model of the zoo has, and what every model with an adversarial loss has."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.interfaces import LabelledData, expect_labels
from ganzoo.losses import AdversarialLoss, NonSaturating, discriminator_stats
from ganzoo.penalties import Critic
from ganzoo.regularizers import Regularizer
from ganzoo.training.recipes import instantiate

Logits = Tensor | Sequence[Tensor]


class ZooModel(AdversarialModule):
    """The base of all models in ``ganzoo.models``.

    Attributes:
        small: arguments of a model that trains in a moment; the tests of the zoo build it. Plain numbers.
    """

    small: ClassVar[Mapping[str, Any]] = {}

    def expect_classes(self, labels: Any, classes: int) -> None:
        """Raises InputError where labels, or the number of classes that the data declares, do not fit the model.

        Args:
            labels: int64 [N], or whatever the batch has instead.
            classes: the model's number of classes.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        expect_labels(labels, classes, data.classes if isinstance(data, LabelledData) else None)

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        return self.validation_step(batch, batch_idx)


class GANModel(ZooModel):
    """A model with a discriminator, a generator and an adversarial loss.

    Args:
        loss: what each player descends; ``default_loss`` if left out.
        regularizers: further terms of the players, such as ``R1``; ``default_regularizers`` if left out, [] for none.
        training: the arguments of ``AdversarialModule``.

    Attributes:
        default_loss: the paper's loss, used where ``loss`` is left out.
        default_regularizers: the paper's regularizers, used where ``regularizers`` is left out.
    """

    default_loss: ClassVar[AdversarialLoss] = NonSaturating()
    default_regularizers: ClassVar[Sequence[Regularizer]] = ()

    D: nn.Module
    G: nn.Module

    def __init__(
        self, loss: AdversarialLoss | None = None, regularizers: list[Regularizer] | None = None, **training: Any
    ) -> None:
        super().__init__(**training)
        self.loss = instantiate(loss or self.default_loss, AdversarialLoss)  # type: ignore[type-abstract]
        given = self.default_regularizers if regularizers is None else regularizers
        if not isinstance(given, list | tuple):
            raise InputError(f"regularizers is a list, [R1] for one, and not {given!r}")
        self.regularizers = [instantiate(each, Regularizer) for each in given]  # type: ignore[type-abstract]
        names = [each.name for each in self.regularizers]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InputError(f"regularizers has two named {twice.pop()}: give each once, with the weight that you want")

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"discriminator": [self.D], "generator": [self.G]}

    def penalties(self, D: Critic, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Computes further terms of the discriminator from the images themselves: those of its ``regularizers``.

        Args:
            D: the discriminator as a function of the images alone: its condition (the class, the input) is filled in. Of a
                model with several discriminators, each of them in turn.
            real: real images [N, C, H, W], as the discriminator sees them.
            fake: generated images of the same shape, as it sees them.

        Returns:
            Scalars by name. The discriminator descends them together with the terms of ``discriminator_losses``.
        """
        return self._regularize("discriminator", D, real, fake)

    def generator_penalties(self, D: Critic, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Computes further terms of the generator from the images themselves: those of its ``regularizers``.

        Args:
            D: as in ``penalties``.
            real: as in ``penalties``.
            fake: generated images, with the generator's graph.

        Returns:
            Scalars by name. The generator descends them together with the terms of ``generator_losses``.
        """
        return self._regularize("generator", D, real, fake)

    def _regularize(self, player: str, D: Critic, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {each.name: each(D, real, fake) for each in self.regularizers if each.player == player}

    def watch(self, real: Logits, fake: Logits, names: tuple[str, str] = ("D(x)", "D(G(z))")) -> None:
        """Logs the discriminator's mean outputs and its statistics (``ganzoo.losses.discriminator_stats``).

        Args:
            real: its logits of real samples, any shape; a sequence of them where there are several discriminators.
            fake: its logits of generated samples, in the same form.
            names: what the two means are called on the progress bar.
        """
        reals, fakes = (_flat(logits) for logits in (real, fake))
        self.show(dict(zip(names, (reals, fakes), strict=True)), transform=self.loss.activation)
        self.show(lambda: discriminator_stats(self.loss, reals, fakes), prog_bar=False)


def _flat(logits: Logits) -> Tensor:
    return logits if isinstance(logits, Tensor) else torch.cat([each.flatten() for each in logits])
