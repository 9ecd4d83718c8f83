"""Draws the Dirac-GAN: the smallest GAN, which circles without a penalty and converges with R1.

    python examples/theory/dirac_gan.py              # writes dirac_gan.png, in seconds

Mescheder, Geiger and Nowozin 2018, "Which Training Methods for GANs do actually Converge?": the data are the one point 0,
the generator is one point theta, the discriminator is the line ``D(x) = psi x``. The equilibrium is (0, 0). The training is
ganzoo's own: two players with simultaneous gradient steps, the losses of ``ganzoo.losses``, and ``ganzoo.penalties.r1``.
"""

import argparse
import cmath
import warnings
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader

from ganzoo.adversarial import AdversarialModule
from ganzoo.losses import AdversarialLoss, Minimax
from ganzoo.penalties import r1


class Number(nn.Module):
    """One parameter."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value], dtype=torch.float64))


class DiracGAN(AdversarialModule):
    """The Dirac-GAN from (theta, psi) = (1, 0).

    Args:
        gamma: weight of R1, ``gamma / 2 E ||grad D(x)||^2`` on the data; 0 for none.
        lr: size of a gradient step, the paper's h.
        loss: what each player descends; ``Minimax`` is the game that the paper analyses.

    Attributes:
        path: (theta, psi) before each step.
    """

    def __init__(self, gamma: float = 0.0, lr: float = 0.1, loss: AdversarialLoss | None = None) -> None:
        super().__init__()
        self.theta, self.psi = Number(1.0), Number(0.0)
        self.gamma, self.lr, self.loss = gamma, lr, loss or Minimax()
        self.path: list[tuple[float, float]] = []

    def players(self) -> dict[str, list[nn.Module]]:
        return {"discriminator": [self.psi], "generator": [self.theta]}

    def D(self, x: Tensor) -> Tensor:
        """The discriminator's logit of points [N, 1]."""
        return self.psi.value * x

    def training_step(self, batch: Any, batch_idx: int) -> None:
        self.path.append((self.theta.value.item(), self.psi.value.item()))
        data = torch.zeros(1, 1, dtype=torch.float64)
        with self.turn("discriminator", "generator") as descend:
            fake = self.D(self.theta.value[None])
            terms = {"gan": self.loss.discriminator(self.D(data), fake)}
            if self.gamma:
                terms["r1"] = self.gamma * r1(self.D, data)
            descend(discriminator=terms, generator={"gan": self.loss.generator(fake)})

    def player_optimizer(self, player: str, parameters: Any) -> Optimizer:
        return SGD(parameters, lr=self.lr)


def play(game: DiracGAN, steps: int) -> Tensor:
    """Plays a game.

    Returns:
        (theta, psi) before each step, float64 [steps, 2].
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a loader without workers
        trainer = L.Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(game, DataLoader(torch.zeros(steps, 1), batch_size=1))
    return torch.tensor(game.path, dtype=torch.float64)


def eigenvalues(gamma: float) -> tuple[complex, complex]:
    """The eigenvalues of the gradient field at the equilibrium: ``-gamma / 2 +- sqrt(gamma^2 / 4 - f'(0)^2)``, f'(0) = 1/2.

    Mescheder et al. 2018, section 3.3; gamma = 0 is the game without a penalty. Near the equilibrium a step of size h
    multiplies the distance from it by ``|1 + h lambda|``, lambda being the eigenvalue of the larger factor.
    """
    root = cmath.sqrt(gamma**2 / 4 - 0.25)
    return -gamma / 2 + root, -gamma / 2 - root


def draw(file: str) -> None:
    """Draws the paths without and with R1 into a PNG file."""
    import matplotlib.pyplot as plt  # the extra "plots"

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    for gamma, colour in ((0.0, "tab:red"), (0.2, "tab:blue"), (1.0, "tab:green")):
        path = play(DiracGAN(gamma), 400)
        name = f"R1, gamma = {gamma:g}" if gamma else "no penalty"
        left.plot(*path.T, colour, lw=1.2, label=name)
        right.semilogy(path.norm(dim=1), colour, label=name)
    left.plot(0, 0, "k+", ms=10)
    left.set(title="Dirac-GAN, simultaneous steps of 0.1", xlabel=r"$\theta$ (generator)", ylabel=r"$\psi$ (discriminator)")
    left.set(aspect="equal", ylim=(-1.7, 2.5))
    left.legend(loc="upper left", fontsize=8)
    right.set(title="distance from the equilibrium", xlabel="step")
    right.legend()
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="dirac_gan.png", help="the PNG file")
    draw(parser.parse_args().out)
