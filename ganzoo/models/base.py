"""What each kind of model does alike: generators, conditional generators, translators, two-way translators, classifiers.

A paper's file is one class on top of one of these. It gives the constructor's defaults, ``networks``, ``training_step``,
the losses and the optimizers. Sampling and translating under the moving average, validation, test and prediction steps, the
check of the first batch and the numbers shown of a discriminator are here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, one_hot
from torch.nn.modules.batchnorm import _BatchNorm

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.interfaces import (
    Adapted,
    Classifier,
    Cycled,
    CycleTranslator,
    Generated,
    Sampler,
    Translated,
    Translator,
    as_input,
    expect_labels,
    expect_shape,
    isolated_rng,
)
from ganzoo.losses import AdversarialLoss, NonSaturating, discriminator_stats
from ganzoo.networks.dann import DomainNetworks
from ganzoo.networks.norms import DomainNorm
from ganzoo.noises import Noise, Normal
from ganzoo.prediction import Directed, as_inputs, each, each_sample, expect_inputs
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import NonNegativeFloat, Size

Logits = Tensor | Sequence[Tensor]


class ZooModel(AdversarialModule):
    """What all kinds share: an adversarial loss, a discriminator that is watched, the players' usual names.

    Attributes:
        default_loss: the paper's loss, taken where ``loss`` is left out.
    """

    default_loss: ClassVar[AdversarialLoss] = NonSaturating()

    D: nn.Module
    G: nn.Module
    loss: AdversarialLoss

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"discriminator": [self.D], "generator": [self.G]}

    def watch(self, real: Logits, fake: Logits, names: tuple[str, str] = ("D(x)", "D(G(z))")) -> None:
        """Logs what the discriminator says of real and of generated samples.

        Args:
            real: its logits of real samples, any shape; a sequence of them where there are several discriminators.
            fake: its logits of generated samples.
            names: what the two means are called on the progress bar.
        """
        reals, fakes = (_flat(logits) for logits in (real, fake))
        self.show(dict(zip(names, (reals, fakes), strict=True)), transform=self.loss.activation)
        self.show(lambda: discriminator_stats(self.loss, reals, fakes), prog_bar=False)

    def expect_classes(self, labels: Any, classes: int) -> None:
        """Raises InputError where labels, or the number of classes that the data declares, do not fit the model."""
        declared = getattr(getattr(self.trainer, "datamodule", None), "classes", None)
        expect_labels(labels, classes, declared)

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        return self.validation_step(batch, batch_idx)


class GeneratorModel(ZooModel, Sampler):
    """A model that generates images from noise.

    To override: ``networks``, ``training_step``, ``discriminator_losses``, ``generator_losses``, ``generate``.

    Args:
        shape: (C, H, W) of an image; the data's.
        latent: length of z.
        loss: what each player descends; ``default_loss`` if left out.
        noise: what z is drawn from; ``default_noise`` if left out.
        training: the arguments of ``AdversarialModule``.

    Attributes:
        default_noise: the paper's noise, taken where ``noise`` is left out.
    """

    default_noise: ClassVar[Noise] = Normal()

    def __init__(
        self,
        shape: tuple[Size, ...],
        latent: Size = 100,
        loss: AdversarialLoss | None = None,
        noise: Noise | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.shape: tuple[int, ...] = shape
        self.latent = latent
        self.loss = instantiate(loss or self.default_loss, AdversarialLoss)  # type: ignore[type-abstract]
        self.noise = instantiate(noise or self.default_noise, Noise)  # type: ignore[type-abstract]
        self.save_hyperparameters()

    def forward(self, z: Tensor) -> Tensor:
        return self.G(z)

    def discriminator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The discriminator's terms, from its logits of real and of generated samples."""
        return {"gan": self.loss.discriminator(real, fake)}

    def generator_losses(self, fake: Tensor) -> dict[str, Tensor]:
        """The generator's terms, from the discriminator's logits of its samples."""
        return {"gan": self.loss.generator(fake)}

    def z(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise [n, latent]."""
        return self.noise.sample((n, self.latent), next(self.parameters()), generator)

    def generate(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Generates images; ``sample`` calls this with the same arguments, under the moving average and without a graph."""
        return self.G(self.z(n, generator))

    @final
    @with_ema
    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return self.generate(n, y, generator).float()

    def labels(self, batch: Any) -> Tensor | None:
        """The classes of a batch that the model is told; here None."""
        return None

    def check_batch(self, batch: Any) -> None:
        if not self.trainer.predicting:  # samples are counted by the images, and only their classes are taken from them
            expect_shape("shape", self.shape, self.field(batch, "x"))

    def generate_for(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Generated:
        """Real images and as many generated ones, of the same classes; for validation and prediction.

        Args:
            x: real images [N, C, H, W].
            y: int64 classes [N], or None.
            generator: where the noise comes from.
        """
        return Generated(x, self.sample(len(x), y, generator))

    def validation_step(self, batch: Any, batch_idx: int) -> Generated:
        return self.generate_for(self.field(batch, "x"), self.labels(batch), torch.Generator().manual_seed(batch_idx))

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """A sample [B, C, H, W] for each image of the batch, by its number in the dataset."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        y = self.labels(inputs)

        def sample(n: int, generator: torch.Generator) -> Tensor:
            return self.generate_for(inputs.x[n][None], None if y is None else y[n : n + 1], generator).fake

        return each_sample(inputs, sample)


class ConditionalGeneratorModel(GeneratorModel):
    """A model that generates images of a class.

    Args:
        shape: (C, H, W) of an image; the data's.
        classes: how many classes; labels run from 0 to classes - 1. None for a model without classes.
        training: the other arguments of ``GeneratorModel``.
    """

    def __init__(self, shape: tuple[Size, ...], classes: Size | None = 10, **training: Any) -> None:
        self.classes = classes
        super().__init__(shape, **training)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        """Images of noise z [N, latent] and classes y, int64 [N]."""
        return self.G(z, self.one_hot(y, len(z)))

    def one_hot(self, y: Tensor | None, n: int) -> Tensor:
        """One-hot codes of classes.

        Args:
            y: int64 classes [n]; None for all classes by turns.
            n: how many.

        Returns:
            Floats [n, classes]; [n, 0] for a model without classes.
        """
        like = next(self.parameters())
        if self.classes is None:
            return like.new_zeros(n, 0)
        y = torch.arange(n, device=like.device) % self.classes if y is None else y.to(like.device)
        return one_hot(y, self.classes).to(like)

    def labels(self, batch: Any) -> Tensor | None:
        return None if self.classes is None else self.field(batch, "y")

    def check_batch(self, batch: Any) -> None:
        super().check_batch(batch)
        if self.classes is not None and not self.trainer.predicting:
            self.expect_classes(self.field(batch, "y"), self.classes)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """A sample [B, C, H, W] of each image's class, by its number in the dataset."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        if self.classes is not None and len(inputs.number):
            expect_labels(inputs.y, self.classes)
        return super().predict_step(inputs, batch_idx)


class TranslatorModel(Directed, ZooModel, Translator):
    """A model that translates an image of one domain into one of another, learned from pairs.

    To override: ``networks``, ``training_step``, the losses. ``G`` translates.

    Args:
        inputs: channels of an input.
        outputs: channels of an output.
        loss: the adversarial term; ``default_loss`` if left out.
        training: the arguments of ``AdversarialModule``.
    """

    def __init__(self, inputs: Size = 3, outputs: Size = 3, loss: AdversarialLoss | None = None, **training: Any) -> None:
        super().__init__(**training)
        self.inputs, self.outputs = inputs, outputs
        self.loss = instantiate(loss or self.default_loss, AdversarialLoss)  # type: ignore[type-abstract]
        self.save_hyperparameters()

    def forward(self, x: Tensor) -> Tensor:
        return self.G(x)

    @final
    @with_ema
    @torch.no_grad()
    def translate(self, x: Tensor) -> Tensor:
        return self.G(as_input(x, self.dtype)).float()

    def check_batch(self, batch: Any) -> None:
        if self.trainer.predicting:  # where there is no answer, and the sizes are the images' own
            return
        x, y = self.field(batch, "x"), self.field(batch, "y")
        size = x.shape[2:] if isinstance(x, Tensor) else ()
        expect_shape("inputs", (self.inputs, *size), x)
        expect_shape("outputs", (self.outputs, *size), y)

    def validation_step(self, batch: Any, batch_idx: int) -> Translated:
        """Translates; logs ``<stage>/l1``, the mean absolute difference to the target."""
        return self._shared_eval_step(batch, batch_idx, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Translated:
        return self._shared_eval_step(batch, batch_idx, "test")

    def _shared_eval_step(self, batch: Any, batch_idx: int, stage: str) -> Translated:
        x, y = self.field(batch, "x"), self.field(batch, "y")
        with isolated_rng(batch_idx, x.device):
            output = self.translate(x)
        self.log(f"{stage}/l1", l1_loss(output.float(), y), prog_bar=True, batch_size=len(output), sync_dist=True)
        return Translated(x, output, y)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Translations [B, C, H, W] of the batch's x, each at its own size; a list of [C, H, W] where sizes differ.

        Raises:
            InputError: the images are of the side that this model was trained to make.
        """
        inputs = as_inputs(batch, batch_idx, self._trainer)
        if inputs.direction and self.direction and inputs.direction != self.direction:
            raise InputError(
                f"this model was trained with data.direction {self.direction} and goes that way only, not "
                f"{inputs.direction}: leave data.direction as in training, or train a second model with "
                f"--data.direction {inputs.direction}"
            )
        return each(inputs, self.translate, self, "inputs", self.inputs)


class CycleTranslatorModel(Directed, ZooModel, CycleTranslator):
    """A model that translates between two domains in both directions: ``G`` from X to Y, ``F`` back, ``D_X`` and ``D_Y``.

    To override: ``networks``, ``training_step``, the losses.

    Args:
        channels_x: of the images of X.
        channels_y: of the images of Y.
        loss: the adversarial terms; ``default_loss`` if left out.
        training: the arguments of ``AdversarialModule``.
    """

    ema_networks = ("G", "F")
    F: nn.Module
    D_X: nn.Module
    D_Y: nn.Module

    def __init__(
        self, channels_x: Size = 3, channels_y: Size = 3, loss: AdversarialLoss | None = None, **training: Any
    ) -> None:
        super().__init__(**training)
        self.channels_x, self.channels_y = channels_x, channels_y
        self.loss = instantiate(loss or self.default_loss, AdversarialLoss)  # type: ignore[type-abstract]
        self.save_hyperparameters()

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"generator": [self.G, self.F], "discriminator": [self.D_X, self.D_Y]}

    def forward(self, x: Tensor) -> Tensor:
        return self.G(x)

    @final
    @with_ema
    @torch.no_grad()
    def translate(self, x: Tensor) -> Tensor:
        return self.G(as_input(x, self.dtype)).float()

    @final
    @with_ema
    @torch.no_grad()
    def translate_back(self, y: Tensor) -> Tensor:
        return self.F(as_input(y, self.dtype)).float()

    def check_batch(self, batch: Any) -> None:
        if self.trainer.predicting:  # where there is one domain, and the sizes are the images' own
            return
        for domain, channels in (("x", self.channels_x), ("y", self.channels_y)):
            images = self.field(batch, domain)
            size = images.shape[2:] if isinstance(images, Tensor) else ()
            expect_shape(f"channels_{domain}", (channels, *size), images)

    def validation_step(self, batch: Any, batch_idx: int) -> Cycled:
        """Translates both ways and back; logs ``<stage>/cycle_x`` and ``cycle_y``, means of absolute differences."""
        return self._shared_eval_step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Cycled:
        return self._shared_eval_step(batch, "test")

    def _shared_eval_step(self, batch: Any, stage: str) -> Cycled:
        x, y = self.field(batch, "x"), self.field(batch, "y")
        fake_y, fake_x = self.translate(x), self.translate_back(y)
        back_x, back_y = self.translate_back(fake_y), self.translate(fake_x)
        for name, back, start in (("cycle_x", back_x, x), ("cycle_y", back_y, y)):
            distance = l1_loss(back.float(), start)
            self.log(f"{stage}/{name}", distance, prog_bar=True, batch_size=len(start), sync_dist=True)
        return Cycled(x, fake_y, back_x, y, fake_x, back_y)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """Translations [B, C, H, W] of the batch's x, each at its own size; a list of [C, H, W] where sizes differ.

        They are G's where x are images of the domain that was X in training, and F's where they are of Y.
        """
        inputs = as_inputs(batch, batch_idx, self._trainer)
        if inputs.direction in (None, self.direction or "AtoB"):
            return each(inputs, self.translate, self, "channels_x", self.channels_x)
        return each(inputs, self.translate_back, self, "channels_y", self.channels_y)


class ClassifierModel(ZooModel, Classifier):
    """A model that says which class an image shows; ``forward`` gives the logits [N, classes] of images [N, C, H, W].

    Args:
        shape: (C, H, W) of an image; the data's.
        classes: how many classes, at least 2; labels run from 0 to classes - 1.
        training: the arguments of ``AdversarialModule``.

    Raises:
        InputError: fewer than 2 classes.
    """

    def __init__(self, shape: tuple[Size, ...], classes: Size = 10, **training: Any) -> None:
        super().__init__(**training)
        if classes < 2:
            raise InputError(f"telling classes apart needs at least 2 of them, not {classes}")
        self.shape, self.classes = shape, classes

    @with_ema
    @torch.no_grad()
    def classify(self, x: Tensor) -> Tensor:
        return self(as_input(x, self.dtype)).float().softmax(1)

    def check_batch(self, batch: Any) -> None:
        if not self.trainer.predicting:  # each batch is checked
            expect_shape("shape", self.shape, self.field(batch, "x"))
            self.expect_classes(self.field(batch, "y"), self.classes)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Probabilities of the classes, [B, classes]."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        expect_inputs("shape", self.shape, inputs)
        if not len(inputs.number):  # no file of the batch could be read
            return next(self.parameters()).new_zeros(0, self.classes)
        return self.classify(inputs.x if isinstance(inputs.x, Tensor) else torch.stack(inputs.x))


class DomainAdaptationModel(ClassifierModel):
    """A classifier of a target domain that is trained with the labels of a source domain.

    ``G_f`` extracts features, ``G_y`` predicts labels from them, ``G_d`` says which domain they are of.

    Args:
        shape: (C, H, W) of an image; the data's.
        classes: how many classes, at least 2; labels run from 0 to classes - 1.
        family: the three networks; ``default_family`` if left out.
        lambda_max: what the strength of the adaptation is multiplied by, at least 0; 0 for no adaptation.
        training: the arguments of ``AdversarialModule``.

    Attributes:
        default_family: the paper's networks.
    """

    default_family: ClassVar[DomainNetworks]
    ema_networks = ("G_f", "G_y")
    G_f: nn.Module
    G_y: nn.Module
    G_d: nn.Module

    def __init__(
        self,
        shape: tuple[Size, ...],
        classes: Size = 10,
        family: DomainNetworks | None = None,
        lambda_max: NonNegativeFloat = 1.0,
        **training: Any,
    ) -> None:
        super().__init__(shape, classes, **training)
        self.lambda_max = lambda_max
        self.family = instantiate(family or self.default_family, DomainNetworks)  # type: ignore[type-abstract]
        self.save_hyperparameters()
        self.initialized = False  # G_f has the family's pretrained weights, or a checkpoint's

    def forward(self, x: Tensor) -> Tensor:
        return self.G_y(self.G_f(x))

    def features(self, x: Tensor, domain: int) -> Tensor:
        """Features [N, F] of images of a domain, ``SOURCE`` or ``TARGET``."""
        return self.G_f(x)

    def domain_logits(self, f: Tensor, domain: int) -> Tensor:
        """The domain classifier's logits [N, 1] of features of a domain; above 0 it says target."""
        return self.G_d(f)

    def features_of_batch(self, x: Tensor, domain: int) -> tuple[Tensor, Tensor]:
        """In evaluation: the features that the label predictor sees of a domain's images, and those that G_d sees."""
        f = self.features(x, domain)
        return f, f

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Adapted:
        return self._shared_eval_step(batch, "val", dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Adapted:
        return self._shared_eval_step(batch, "test", dataloader_idx)

    @with_ema
    def _shared_eval_step(self, batch: Any, stage: str, domain: int) -> Adapted:
        """Logs how well labels and domains are told on a batch of a domain."""
        x, y = self.field(batch, "x"), self.field(batch, "y")
        f, of_domain_classifier = self.features_of_batch(x, domain)
        logits, d = self.G_y(f), self.domain_logits(of_domain_classifier, domain).squeeze(1)
        name = ("source", "target")[domain]
        values = {f"{stage}/domain_accuracy_{name}": ((d > 0) == bool(domain)).float().mean()}
        if (y >= 0).all():
            # the target's labels are known to a benchmark only: a metric to report, never one to choose by
            accuracy = (logits.argmax(1) == y).float().mean()
            values[f"{stage}/{('source_accuracy', 'oracle_target_accuracy')[domain]}"] = accuracy
        self.log_dict(values, batch_size=len(f), sync_dist=True, add_dataloader_idx=False)
        return Adapted(f, logits, d, y)

    def check_batch(self, batch: Any) -> None:
        super().check_batch(batch)
        if not self.trainer.training:
            return
        x, target = self.field(batch, "x"), self.field(batch, "target")
        if not isinstance(target, Tensor):
            raise InputError("domain adaptation trains on batches with x, y and target: use data Domains (docs, Data)")
        expect_shape("shape", self.shape, target)
        if len(x) == 1 and any(isinstance(part, DomainNorm | _BatchNorm) for part in self.modules()):
            raise InputError("batch norm needs at least 2 images of each domain in a batch: set data.batch_size")
        if self.lambda_max and torch.equal(x, target):
            raise InputError(
                "source and target of the first batch are the same images, as with data.train_on_target: there is nothing "
                "to adapt, so set model.lambda_max to 0"
            )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.initialized = True

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if not self.initialized:
            self.family.begin(self.G_f)
            self.initialized = True


def _flat(logits: Logits) -> Tensor:
    return logits if isinstance(logits, Tensor) else torch.cat([each.flatten() for each in logits])
