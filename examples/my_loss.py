"""A loss of one's own: ``ganzoo fit --config gan_digits --model.loss my_loss.Hinge`` in this folder."""

from torch import Tensor
from torch.nn.functional import relu

from ganzoo.losses import AdversarialLoss


class Hinge(AdversarialLoss):
    """The hinge loss: real logits are pushed above ``margin``, generated ones below ``-margin``, and no further."""

    def __init__(self, margin: float = 1.0) -> None:
        self.margin = margin  # kept under its own name: a checkpoint writes it down from here

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(self.margin - real.float()).mean() + relu(self.margin + fake.float()).mean()

    def generator(self, fake: Tensor) -> Tensor:
        return -fake.float().mean()

    def activation(self, logits: Tensor) -> Tensor:
        return logits.detach().float()  # a logit here is a score, not the logit of a probability
