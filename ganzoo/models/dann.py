"""Domain-adversarial network, DANN (Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks", JMLR 17).

``E(f, y, d) = 1/n sum_source L_y - lambda (1/n sum_source L_d + 1/n' sum_target L_d)`` (eq. 9 and section 4.2): features
and label predictor go to its minimum, the domain classifier to its maximum. arXiv 1505.07818.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.interfaces import Adapted, Classifier, as_input, expect_labels, expect_shape
from ganzoo.networks.dann import DomainNetworks, MNISTFamily
from ganzoo.networks.norms import SOURCE, TARGET, DomainNorm, of_domain, per_domain
from ganzoo.ops.gradient_reversal import lambda_p, reverse
from ganzoo.prediction import as_inputs, expect_inputs
from ganzoo.schedules import ProgressDecay
from ganzoo.training.ema import with_ema
from ganzoo.training.recipes import instantiate
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, NonNegativeFloat, Shape, Size


class DANN(AdversarialModule, Classifier):
    """Labels for the target domain, learned from labels of the source domain alone.

    All three networks descend one sum; between features and domain classifier lies a gradient reversal. The strength
    follows the true progress p of the training, and so does the learning rate ``lr / (1 + alpha p)^beta``.

    To override: ``networks``.

    Args:
        shape: (C, H, W) of a picture; the data's.
        classes: how many classes; labels run from 0 to classes - 1.
        family: the three networks; ``MNISTFamily`` is figure 4(a).
        lambda_max: what the reversal's strength lambda_p is multiplied by. 0 is source-only training: nothing of the
            target reaches features or labels, the domain classifier only looks on, and batch norm treats the target as
            it does the source.
        gamma: how soon lambda_p rises.
        lr: mu_0, learning rate at the start.
        momentum: of SGD.
        alpha: of the learning rate's decay.
        beta: of the learning rate's decay; 0 keeps the rate, as the paper does from MNIST to SVHN.
        play: ``optimizers``, ``schedules``, ``clip_norm``, ``accumulate``, ``ema_half_life`` of ``AdversarialModule``.
    """

    ema_networks = ("G_f", "G_y")
    schedule_arguments = ("alpha", "beta")

    classes: int
    lambda_p: Tensor
    adapts: Tensor

    def __init__(
        self,
        shape: Shape = (3, 28, 28),
        classes: Size = 10,
        family: DomainNetworks | None = None,
        lambda_max: NonNegativeFloat = 1.0,
        gamma: NonNegativeFloat = 10.0,
        lr: LearningRate = 0.01,
        momentum: HalfOpenUnitInterval = 0.9,
        alpha: NonNegativeFloat = 10.0,
        beta: NonNegativeFloat = 0.75,
        **play: Any,
    ) -> None:
        super().__init__(**play)
        self.save_hyperparameters()
        if classes < 2:
            raise InputError(f"telling classes apart needs at least 2 of them, not {classes}")
        self.shape, self.classes, self.lambda_max, self.gamma = shape, classes, lambda_max, gamma
        self.lr, self.momentum, self.alpha, self.beta = lr, momentum, alpha, beta
        self.family = instantiate(family or MNISTFamily(), DomainNetworks)  # type: ignore[type-abstract]
        G_f, self.G_y, G_d = self.networks()
        self.G_f, self.G_d = per_domain(G_f), per_domain(G_d)
        self.begun = False  # with what the family begins with, or from a checkpoint
        self.register_buffer("lambda_p", torch.zeros(()))  # the last step's strength, for the checkpoint's reader
        self.register_buffer("adapts", torch.tensor(bool(lambda_max)))  # how the model was trained, not how it was built

    def networks(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        """G_f: [N, C, H, W] -> [N, F]; G_y: [N, F] -> [N, classes] logits; G_d: [N, F] -> [N, 1] logit of "target"."""
        return self.family.networks(self.shape, self.classes)

    def check_batch(self, batch: Any) -> None:
        if self.trainer.predicting:  # each batch is checked
            return
        expect_shape("shape", self.shape, self.field(batch, "x"))
        declared = getattr(getattr(self.trainer, "datamodule", None), "classes", None)
        expect_labels(self.field(batch, "y"), self.classes, declared)
        if self.trainer.training:
            if not isinstance(self.field(batch, "target"), Tensor):
                raise InputError("domain adaptation trains on batches with x, y and target: use data Domains (docs, Data)")
            expect_shape("shape", self.shape, self.field(batch, "target"))
            if len(self.field(batch, "x")) == 1 and any(
                isinstance(part, DomainNorm | _BatchNorm) for part in self.modules()
            ):
                raise InputError("batch norm needs at least 2 pictures of each domain in a batch: set data.batch_size")

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"features": [self.G_f], "label_predictor": [self.G_y], "domain_classifier": [self.G_d]}

    def forward(self, x: Tensor, domain: int = TARGET) -> Tensor:
        with of_domain(self.treated_as(domain), self.G_f):
            return self.G_y(self.G_f(x))

    def treated_as(self, domain: int) -> int:
        """Whose averages batch norm takes: the source's where nothing was adapted, as the target's would be a help."""
        return domain if self.adapts else SOURCE

    @property
    def reach(self) -> float:
        """lambda_max; 0 where the labels are the target's own (``Domains(train_on_target=True)``): nothing is to adapt."""
        data = getattr(self.trainer, "datamodule", None)
        return 0.0 if getattr(data, "train_on_target", False) else self.lambda_max

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.begun = True

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if not self.begun:
            self.family.begin(self.G_f)
            self.begun = True

    def on_train_start(self) -> None:
        super().on_train_start()
        self.adapts.fill_(bool(self.reach))

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, y, target = (self.field(batch, name) for name in ("x", "y", "target"))
        strength = self.reach * lambda_p(self.progress, self.gamma)
        with self.turn("features", "label_predictor", "domain_classifier") as descend:
            # a pass for each domain: batch norm does not mix them
            with of_domain(SOURCE, self.G_f, self.G_d):
                f = self.G_f(x)
                labels, d = self.G_y(f), self.G_d(reverse(f, strength))
            with of_domain(TARGET, self.G_f, self.G_d):
                d_target = self.G_d(reverse(self.G_f(target), strength))
            descend({**self.label_losses(labels, y), **self.domain_losses(d, d_target)})
        self.lambda_p.fill_(strength)
        self.show({"D(source)": d, "D(target)": d_target}, transform=torch.sigmoid)
        self.show({"source_accuracy": labels}, transform=lambda logits: (logits.argmax(1) == y).float())
        self.show({"domain_accuracy": torch.cat([-d, d_target])}, transform=lambda right: (right > 0).float())
        self.show({"lambda": self.lambda_p})

    def label_losses(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"label": cross_entropy(logits.float(), y)}

    def domain_losses(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        # both domains, each by its own mean; at full strength, because lambda acts behind the reversal only
        return {"domain_source": softplus(source.float()).mean(), "domain_target": softplus(-target.float()).mean()}

    @with_ema
    @torch.no_grad()
    def classify(self, x: Tensor, domain: int = TARGET) -> Tensor:
        return self(as_input(x, self.dtype), domain).float().softmax(1)

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Adapted:
        return self.examined(batch, "val", dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Adapted:
        return self.examined(batch, "test", dataloader_idx)

    @with_ema
    def examined(self, batch: Any, stage: str, domain: int) -> Adapted:
        """Logs how well labels and domains are told on a batch of a domain."""
        x, y = self.field(batch, "x"), self.field(batch, "y")
        with of_domain(self.treated_as(domain), self.G_f):
            f = self.G_f(x)
            logits = self.G_y(f)
        with of_domain(domain, self.G_f, self.G_d):  # the domain classifier was trained on each domain's own
            d = self.G_d(f if self.treated_as(domain) == domain else self.G_f(x)).squeeze(1)
        name = ("source", "target")[domain]
        told = {f"{stage}/domain_accuracy_{name}": ((d > 0) == bool(domain)).float().mean()}
        if (y >= 0).all():
            # the target's labels are known to a benchmark only: a figure to report, never one to choose by
            accuracy = (logits.argmax(1) == y).float().mean()
            told[f"{stage}/{('source_accuracy', 'oracle_target_accuracy')[domain]}"] = accuracy
        self.log_dict(told, batch_size=len(f), sync_dist=True, add_dataloader_idx=False)
        return Adapted(f, logits, d, y)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Probabilities of the classes, [B, classes]."""
        inputs = as_inputs(batch, batch_idx, self._trainer)
        expect_inputs("shape", self.shape, inputs)
        if not len(inputs.number):  # no file of the batch could be read
            return next(self.parameters()).new_zeros(0, self.classes)
        return self.classify(inputs.x if isinstance(inputs.x, Tensor) else torch.stack(inputs.x))

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(ProgressDecay(optimizer, self.total_steps, self.alpha, self.beta), "step")]
