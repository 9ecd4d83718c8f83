"""Models that generate images from noise."""

from collections.abc import Mapping
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from ganzoo.augmentations import Augmentation
from ganzoo.errors import InputError
from ganzoo.interfaces import DifferentiableSampler, Generated, eval_mode, expect_shape, seeded_from
from ganzoo.losses import AdversarialLoss
from ganzoo.models.base.model import GANModel
from ganzoo.networks.dropout import draw_masks, given_masks, noise_dropouts
from ganzoo.networks.extra_layers import ExtraLayer
from ganzoo.networks.families import NetworkFamily
from ganzoo.noises import DropoutMask, Noise, Normal
from ganzoo.prediction import as_inputs, each_sample
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import Size


class GeneratorModel(GANModel, DifferentiableSampler):
    """A model that generates images from noise.

    To override: ``networks``, ``training_step``, ``discriminator_losses``, ``generator_losses``, ``penalties``,
    ``generator_penalties``, ``latents``, ``generate``.

    Args:
        shape: (C, H, W) of an image; the data's.
        latent: length of the noise vector z.
        loss: what each player descends; ``default_loss`` if left out.
        noise: the distribution of z; ``default_noise`` if left out.
        layers: layers added to the networks, such as ``MinibatchDiscrimination``; none if left out.
        augment: changes the real and the generated images that D sees, such as ``DiffAugment``; nothing if left out.
        training: ``regularizers`` of ``GANModel``, and the arguments of ``AdversarialModule``.

    Attributes:
        default_noise: the paper's noise, used where ``noise`` is left out.
    """

    default_noise: ClassVar[Noise] = Normal()

    def __init__(
        self,
        shape: tuple[Size, ...],
        latent: Size = 100,
        loss: AdversarialLoss | None = None,
        noise: Noise | None = None,
        augment: Augmentation | None = None,
        layers: list[ExtraLayer] | None = None,
        **training: Any,
    ) -> None:
        super().__init__(loss, **training)
        self.shape: tuple[int, ...] = shape
        self.latent = latent
        self.noise = instantiate(noise or self.default_noise, Noise)  # type: ignore[type-abstract]
        self.augment = None if augment is None else instantiate(augment, Augmentation)  # type: ignore[type-abstract]
        if not isinstance(layers or [], list | tuple):
            raise InputError(f"layers is a list, [MinibatchDiscrimination] for one, and not {layers!r}")
        self.layers = [instantiate(each, ExtraLayer) for each in layers or ()]  # type: ignore[type-abstract]
        self._layers_missing = bool(self.layers)
        self.save_hyperparameters()

    @final
    def add_layers(self, G: nn.Module, D: nn.Module) -> tuple[nn.Module, nn.Module]:
        """Adds the ``layers`` to a generator and its discriminator.

        A constructor calls it: ``self.G, self.D = self.add_layers(*self.networks())``.

        Raises:
            InputError: a layer does not fit them.
        """
        for layer in self.layers:
            G, D = layer.extend(G, D, (self.latent,), self.shape)
        self._layers_missing = False
        return G, D

    def given_family(self, family: NetworkFamily | None, *replaced: str) -> NetworkFamily | None:
        """Returns the family that a constructor was given, built; None for the paper's networks.

        Args:
            family: the constructor's argument.
            replaced: names of the arguments that describe the paper's networks.

        Raises:
            InputError: a family and one of these arguments are given.
        """
        if family is None:
            return None
        unused = [name for name in replaced if name in self._given]
        if unused:
            raise InputError(
                f"a family replaces the networks that {unused[0]} describes: leave out {unused[0]}, or the family"
            )
        return instantiate(family, NetworkFamily)  # type: ignore[type-abstract]

    @final
    def seen(self, images: Tensor) -> Tensor:
        """Returns images [N, C, H, W], real or generated, as the discriminator sees them: augmented by ``augment``.

        Each call draws anew. Give the discriminator and the penalties nothing else in a training step.
        """
        return images if self.augment is None else self.augment(images, lambda: self.progress)

    def forward(self, z: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] of noise z [N, latent]."""
        return self.G(z)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Computes the discriminator's terms from its logits of real and of generated samples."""
        return {"gan": self.loss.discriminator(real, fake)}

    def generator_losses(self, fake: Tensor) -> dict[str, Tensor]:
        """Computes the generator's terms from the discriminator's logits of its samples."""
        return {"gan": self.loss.generator(fake)}

    def z(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws noise [n, latent], on the model's device."""
        return self.noise.sample((n, self.latent), next(self.parameters()), generator)

    def latents(self, n: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Draws the noise that the generator takes as its input: each tensor [n, ...], of the distribution ``noise``."""
        return {"z": self.z(n, generator)}

    def generate(self, noise: Mapping[str, Tensor], y: Tensor | None) -> Tensor:
        """Generates images. ``decode`` calls this with its own arguments, with the EMA weights."""
        return self.G(noise["z"])

    @final
    def distributions(self) -> dict[str, Noise]:
        layers = noise_dropouts(self.G)
        return dict.fromkeys(self.latents(1), self.noise) | {name: DropoutMask(part.p) for name, part in layers.items()}

    @final
    def draw_noise(self, n: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        if not noise_dropouts(self.G):
            return self.latents(n, generator)
        with seeded_from(generator, self.device), eval_mode(self.G):  # of the masks
            noise = self.latents(n, generator)
            return noise | draw_masks(self.G, lambda: self.generate(noise, None))

    @final
    @torch.no_grad()
    def decode(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        return self.decode_with_graph(noise, y)

    @final
    @with_ema
    def decode_with_graph(self, noise: Mapping[str, Tensor], y: Tensor | None = None) -> Tensor:
        with given_masks(self.G, noise):
            return self.generate(noise, y).float()

    def labels(self, batch: Any) -> Tensor | None:
        """The classes of a batch, int64 [N], where the model is conditional; here None."""
        return None

    def check_batch(self, batch: Any) -> None:
        if self._layers_missing:
            raise InputError(
                f"{type(self).__name__} sets its networks without the layers that it was given: write self.G, self.D = "
                "self.add_layers(*self.networks()) in its constructor"
            )
        if not self.trainer.predicting:  # samples are counted by the images, and only their classes are taken from them
            expect_shape("shape", self.shape, self.field(batch, "x"))

    def generate_for(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Generated:
        """Generates as many images as there are real ones, of the same classes; for validation and prediction.

        Args:
            x: real images [N, C, H, W].
            y: int64 classes [N], or None.
            generator: the source of the noise.
        """
        return Generated(x, self.sample(len(x), y, generator))

    def validation_step(self, batch: Any, batch_idx: int) -> Generated:
        return self.generate_for(self.field(batch, "x"), self.labels(batch), torch.Generator().manual_seed(batch_idx))

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Samples [B, C, H, W], one for each image of the batch, with noise that its number in the dataset decides."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        y = self.labels(inputs)

        def sample(n: int, generator: torch.Generator) -> Tensor:
            return self.generate_for(inputs.x[n][None], None if y is None else y[n : n + 1], generator).fake

        return each_sample(inputs, sample)
