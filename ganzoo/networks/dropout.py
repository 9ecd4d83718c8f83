"""Dropout that is noise."""

from torch import Tensor, nn
from torch.nn import functional


class NoiseDropout(nn.Module):
    """Dropout that is never switched off: a generator that learned with it has no other noise, or hardly any.

    Args:
        p: share of the values dropped; the others are divided by 1 - p.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.p, training=True)
