"""Domain-adversarial network, DANN (Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks", JMLR 17).

``E(f, y, d) = 1/n sum_source L_y - lambda (1/n sum_source L_d + 1/n' sum_target L_d)`` (eq. 9 and section 4.2): features
and label predictor go to its minimum, the domain classifier to its maximum. arXiv 1505.07818.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.models.base import DomainAdaptationModel
from ganzoo.networks.dann import DomainNetworks, MNISTFamily
from ganzoo.networks.norms import SOURCE, TARGET
from ganzoo.ops.gradient_reversal import lambda_p, reverse
from ganzoo.schedules import ProgressDecay
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate, NonNegativeFloat, Shape, Size


class DANN(DomainAdaptationModel):
    """Classifies images of a target domain, learned from labels of a source domain alone.

    All three networks descend one sum; between features and domain classifier lies a gradient reversal. The strength
    follows the true progress p of the training, and so does the learning rate ``lr / (1 + alpha p)^beta``.

    Args:
        shape: (C, H, W) of an image; the data's.
        classes: how many classes; labels run from 0 to classes - 1.
        lambda_max: what the reversal's strength lambda_p is multiplied by. 0 is source-only training: nothing of the
            target reaches features or labels, and the domain classifier is only observed.
        gamma: how soon lambda_p rises.
        lr: mu_0, learning rate at the start.
        momentum: of SGD.
        alpha: of the learning rate's decay.
        beta: of the learning rate's decay; 0 keeps the rate, as the paper does from MNIST to SVHN.
        training: ``family`` (``MNISTFamily``, figure 4(a); for batch norm take ``DomainNormDANN``) of
            ``DomainAdaptationModel``, and the arguments of ``AdversarialModule``.
    """

    default_family: ClassVar[DomainNetworks] = MNISTFamily()
    schedule_arguments = ("alpha", "beta")
    small: ClassVar[dict[str, Any]] = {"shape": (3, 16, 16), "classes": 3}
    lambda_p: Tensor

    def __init__(
        self,
        shape: Shape = (3, 28, 28),
        classes: Size = 10,
        lambda_max: NonNegativeFloat = 1.0,
        gamma: NonNegativeFloat = 10.0,
        lr: LearningRate = 0.01,
        momentum: HalfOpenUnitInterval = 0.9,
        alpha: NonNegativeFloat = 10.0,
        beta: NonNegativeFloat = 0.75,
        **training: Any,
    ) -> None:
        super().__init__(shape, classes, lambda_max=lambda_max, **training)
        self.gamma, self.lr, self.momentum, self.alpha, self.beta = gamma, lr, momentum, alpha, beta
        self.G_f, self.G_y, self.G_d = self.networks()
        self.register_buffer("lambda_p", torch.zeros(()))  # the last step's strength, for the checkpoint's reader

    def networks(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        """G_f: [N, C, H, W] -> [N, F]; G_y: [N, F] -> [N, classes] logits; G_d: [N, F] -> [N, 1] logit of "target"."""
        return self.family.networks(self.shape, self.classes)

    def players(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"features": [self.G_f], "label_predictor": [self.G_y], "domain_classifier": [self.G_d]}

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, y, target = (self.field(batch, name) for name in ("x", "y", "target"))
        strength = self.strength()
        with self.turn("features", "label_predictor", "domain_classifier") as descend:
            f = self.features(x, SOURCE)  # a pass for each domain
            labels = self.G_y(f)
            d = self.domain_logits(reverse(f, strength), SOURCE)
            f_target = self.features(target, TARGET)
            d_target = self.domain_logits(reverse(f_target, strength), TARGET)
            descend(self.label_losses(labels, y) | self.domain_losses(d, d_target))
        self.lambda_p.fill_(strength)
        self.show({"D(source)": d, "D(target)": d_target}, transform=torch.sigmoid)
        self.show({"source_accuracy": labels}, transform=lambda logits: (logits.argmax(1) == y).float())
        self.show({"domain_accuracy": torch.cat([-d, d_target])}, transform=lambda right: (right > 0).float())
        self.show({"lambda": self.lambda_p})

    def strength(self) -> float:
        """lambda: how strongly the features ascend the domain loss in this step."""
        return self.lambda_max * lambda_p(self.progress, self.gamma)

    def label_losses(self, logits: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"label": cross_entropy(logits.float(), y)}

    def domain_losses(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        # both domains, each by its own mean; at full strength, because lambda acts behind the reversal only
        return {"domain_source": softplus(source.float()).mean(), "domain_target": softplus(-target.float()).mean()}

    def player_optimizer(self, player: str, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=self.lr, momentum=self.momentum)

    def player_schedules(self, player: str, optimizer: Optimizer) -> list[tuple[LRScheduler, str]]:
        return [(ProgressDecay(optimizer, self.total_steps, self.alpha, self.beta), "step")]
