"""DANN with batch norm for each domain (after Ganin et al. 2016, arXiv 1505.07818, whose networks have no batch norm)."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from ganzoo.interfaces import as_input
from ganzoo.models.dann import DANN
from ganzoo.networks.dann import DomainNetworks, NormedFamily
from ganzoo.networks.norms import SOURCE, TARGET, of_domain, per_domain
from ganzoo.training.ema import with_ema
from ganzoo.utils.ranges import Shape, Size


class DomainNormDANN(DANN):
    """DANN for networks with batch norm: each domain has its own statistics.

    In training each domain is normalised by its own statistics; in evaluation by its own averages. Without adaptation
    (``lambda_max`` 0) the target uses the source's averages, as its own would be an adaptation already.

    Args:
        shape: (C, H, W) of an image; the data's.
        classes: how many classes; labels run from 0 to classes - 1.
        training: the other arguments of ``DANN``.
    """

    default_family: ClassVar[DomainNetworks] = NormedFamily()
    adapts: Tensor

    def __init__(self, shape: Shape = (3, 28, 28), classes: Size = 10, **training: Any) -> None:
        super().__init__(shape, classes, **training)
        self.G_f, self.G_d = per_domain(self.G_f), per_domain(self.G_d)
        self.register_buffer(
            "adapts", torch.tensor(bool(self.lambda_max))
        )  # how the model was trained, not how it was built

    def on_train_start(self) -> None:
        super().on_train_start()
        self.adapts.fill_(bool(self.lambda_max))

    def norm_domain(self, domain: int) -> int:
        """Whose averages batch norm takes for a domain's images."""
        return domain if self.adapts else SOURCE

    def features(self, x: Tensor, domain: int) -> Tensor:
        with of_domain(domain, self.G_f):
            return self.G_f(x)

    def domain_logits(self, f: Tensor, domain: int) -> Tensor:
        with of_domain(domain, self.G_d):
            return self.G_d(f)

    def features_of_batch(self, x: Tensor, domain: int) -> tuple[Tensor, Tensor]:
        f = self.features(x, self.norm_domain(domain))
        # the domain classifier was trained on each domain's own
        return f, f if self.norm_domain(domain) == domain else self.features(x, domain)

    def forward(self, x: Tensor, domain: int = TARGET) -> Tensor:
        return self.G_y(self.features(x, self.norm_domain(domain)))

    @with_ema
    @torch.no_grad()
    def classify(self, x: Tensor, domain: int = TARGET) -> Tensor:
        return self(as_input(x, self.dtype), domain).float().softmax(1)
