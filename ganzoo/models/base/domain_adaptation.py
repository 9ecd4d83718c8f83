"""Classifiers of a target domain, trained with the labels of a source domain."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganzoo.errors import InputError
from ganzoo.interfaces import Adapted, expect_shape
from ganzoo.models.base.classifier import ClassifierModel
from ganzoo.networks.dann import DomainNetworks
from ganzoo.networks.norms import DomainNorm
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import NonNegativeFloat, Size


class DomainAdaptationModel(ClassifierModel):
    """A classifier of a target domain, trained with the labels of a source domain.

    ``G_f`` extracts features, ``G_y`` predicts labels from them, ``G_d`` predicts their domain.

    Args:
        shape: (C, H, W) of an image; the data's.
        classes: number of classes, at least 2; labels run from 0 to classes - 1.
        family: the three networks; ``default_family`` if left out.
        lambda_max: factor of the strength of the adaptation, at least 0; 0 for no adaptation.
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
        """The domain classifier's logits [N, 1] of features of a domain; above 0 means target."""
        return self.G_d(f)

    def features_of_batch(self, x: Tensor, domain: int) -> tuple[Tensor, Tensor]:
        """The features of a domain's images in evaluation: those for the label predictor, and those for ``G_d``."""
        f = self.features(x, domain)
        return f, f

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Adapted:
        return self.evaluate_batch(batch, "val", dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Adapted:
        return self.evaluate_batch(batch, "test", dataloader_idx)

    @with_ema
    def evaluate_batch(self, batch: Any, stage: str, domain: int) -> Adapted:
        """Logs the accuracies of labels and of domains on a held-out batch of a domain; ``stage`` is "val" or "test"."""
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

    def begin_at(self, weights: Mapping[str, Tensor], origin: Mapping[str, Any]) -> None:
        super().begin_at(weights, origin)
        self.initialized = any(name.startswith("G_f.") for name in weights)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.initialized = True

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if not self.initialized:
            self.family.begin(self.G_f)
            self.initialized = True
