"""Dropout that stays on in evaluation, as a generator's noise."""

from torch import Tensor
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd


class NoiseDropout(_DropoutNd):
    """Dropout that is always on, also in evaluation: it is the noise of the generator that learned with it.

    Args:
        p: share of the values dropped, 0 to 1; the others are divided by 1 - p.
    """

    def forward(self, input: Tensor) -> Tensor:
        return functional.dropout(input, self.p, training=True)
