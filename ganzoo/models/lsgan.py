"""LSGAN (Mao et al. 2017, "Least Squares Generative Adversarial Networks", arXiv 1611.04076).

D descends ``1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2`` and G descends ``1/2 E (D(G(z)) - c)^2`` (eq. 2). Section 3.2.3 has
two choices: a = 0, b = c = 1 (eq. 9), which is the default here as in the released code, and a = -1, b = 1, c = 0 (eq. 8).
"""

from typing import Any, ClassVar

from ganzoo.losses import AdversarialLoss, LeastSquares
from ganzoo.models.dcgan import DCGAN
from ganzoo.utils.ranges import LearningRate, Shape, Size


class LSGAN(DCGAN):
    """Generates images from noise: a DCGAN with squared distances to target values instead of cross-entropies.

    For the choice of eq. 8, whose generator minimises a Pearson chi-square divergence, set ``loss`` to
    ``PearsonLeastSquares``.

    Args:
        shape: (C, H, W) of an image, H = W = 8, 16, 32, 64, ...; or what the family takes.
        lr: Adam's learning rate for both players; 1e-3 for the paper's scenes, 2e-4 for its characters.
        training: the other arguments of ``DCGAN``.
    """

    default_loss: ClassVar[AdversarialLoss] = LeastSquares(fake_target=0.0, real_target=1.0, generator_target=1.0)

    def __init__(self, shape: Shape | tuple[Size] = (3, 64, 64), lr: LearningRate = 1e-3, **training: Any) -> None:
        super().__init__(shape, lr=lr, **training)
