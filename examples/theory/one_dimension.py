"""Draws figure 1 of Goodfellow et al. 2014: a GAN in one dimension, its discriminator and the densities, in four moments.

    python examples/theory/one_dimension.py          # writes one_dimension.png, in half a minute

(a) early (the paper's is near the end), (b) with G held, D is trained to its optimum ``p / (p + q)``, (c) G has moved a
little by D's gradient, (d) at the end, where p and q are the same and D is 1/2 everywhere.
"""

import argparse
import warnings
from typing import Any, NamedTuple

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.data import DataLoader

from ganzoo.adversarial import AdversarialModule
from ganzoo.losses import NonSaturating
from ganzoo.networks.mlp import MLP
from ganzoo.penalties import r1

MEAN, SIGMA = 0.0, 0.6  # of the data
X = torch.linspace(-2.5, 3.5, 241)
Z = torch.linspace(-2.2, 2.2, 21)  # whose samples are drawn as arrows


class OneDimensionalGAN(AdversarialModule):
    """A GAN of numbers, whose samples begin to the right of the data.

    Args:
        moves: the players that take their turns, in order; leave one out to hold it.
        gamma: weight of R1, with which the last moment is at rest; 0 for none.
    """

    def __init__(self, moves: tuple[str, ...] = ("discriminator", "generator"), gamma: float = 0.0) -> None:
        super().__init__()
        self.moves, self.loss, self.gamma = moves, NonSaturating(), gamma
        self.G, self.D = MLP(1, (1,), 32, 1), MLP(1, (1,), 64, 2)
        nn.init.constant_(self.G.layers[-2].bias, 1.5)

    def players(self) -> dict[str, list[nn.Module]]:
        return {"discriminator": [self.D], "generator": [self.G]}

    def z(self, n: int) -> Tensor:
        """Normal noise, [n, 1]."""
        return torch.randn(n, 1)

    def training_step(self, x: Tensor, batch_idx: int) -> None:
        if "discriminator" in self.moves:
            with self.turn("discriminator") as descend:
                fake = self.G(self.z(len(x)))
                descend({"gan": self.loss.discriminator(self.D(x), self.D(fake)), "r1": self.gamma * r1(self.D, x)})
        if "generator" in self.moves:
            with self.turn("generator") as descend:
                descend({"gan": self.loss.generator(self.D(self.G(self.z(len(x)))))})

    def player_optimizer(self, player: str, parameters: Any) -> Optimizer:
        return Adam(parameters, lr=2e-3, betas=(0.5, 0.999))


class Moment(NamedTuple):
    """What one panel shows.

    Attributes:
        title: of the panel.
        q: density of the samples at :data:`X`.
        D: what the discriminator says there, a probability.
        places: where G puts the values :data:`Z`.
    """

    title: str
    q: Tensor
    D: Tensor
    places: Tensor


def density_of_data(x: Tensor) -> Tensor:
    """p(x) of the data."""
    return torch.exp(-0.5 * ((x - MEAN) / SIGMA) ** 2) / (SIGMA * (2 * torch.pi) ** 0.5)


def density_of_samples(G: nn.Module, width: float = 0.05) -> Tensor:
    """q(x) at :data:`X`: an average of narrow normals around the samples of 20,000 quantiles of z."""
    quantiles = torch.special.ndtri((torch.arange(20_000) + 0.5) / 20_000)
    samples = G(quantiles[:, None]).detach()
    near = torch.exp(-0.5 * ((X[:, None] - samples.T) / width) ** 2)
    return near.mean(1) / (width * (2 * torch.pi) ** 0.5)


def train(game: OneDimensionalGAN, steps: int, seed: int = 0) -> None:
    """Trains with the game's players, from where they are."""
    data = MEAN + SIGMA * torch.randn(steps, 256, 1, generator=torch.Generator().manual_seed(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a loader without workers
        trainer = L.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(game, DataLoader(list(data), batch_size=None))


def moments(steps: int = 1500, seed: int = 1) -> list[Moment]:
    """Trains the game, and looks at it in the four moments of the figure."""
    torch.manual_seed(seed)
    game, found = OneDimensionalGAN(), []

    def look(title: str) -> None:
        with torch.no_grad():
            said, places = game.D(X[:, None]).sigmoid().squeeze(1), game.G(Z[:, None]).squeeze(1)
        found.append(Moment(title, density_of_samples(game.G), said, places))

    train(game, steps // 50)
    look("(a) early")
    game.moves = ("discriminator",)
    train(game, steps // 2)
    look("(b) D at its optimum, G held")
    game.moves = ("generator",)
    train(game, steps // 40)
    look("(c) G moves by D's gradient")
    game.moves, game.gamma = ("discriminator", "generator"), 0.2
    train(game, steps)
    look("(d) the end")
    return found


def draw(file: str) -> None:
    """Draws four panels into a PNG file."""
    import matplotlib.pyplot as plt  # the extra "plots"

    figure, panels = plt.subplots(1, 4, figsize=(15, 4.2), layout="constrained", sharey=True)
    p = density_of_data(X)
    for panel, moment in zip(panels, moments(), strict=True):
        panel.plot(X, p, "k:", lw=2, label="p, the data")
        panel.plot(X, moment.q, "tab:green", lw=2, label="q, the samples")
        panel.plot(X, moment.D, "tab:blue", ls="--", lw=2, label="D")
        panel.plot(X, p / (p + moment.q), "0.6", lw=1, label="p / (p + q)")
        for z, place in zip(Z, moment.places, strict=True):
            panel.annotate("", (place, -0.15), (z, -0.55), arrowprops={"arrowstyle": "->", "lw": 0.6})
        panel.axhline(-0.15, color="k", lw=0.8)
        panel.axhline(-0.55, color="k", lw=0.8)
        panel.text(-2.4, -0.13, "x")
        panel.text(-2.4, -0.53, "z")
        panel.set(title=moment.title, ylim=(-0.6, 2.1), xlim=(-2.5, 3.5), yticks=[0, 0.5, 1, 1.5, 2])
    panels[0].legend(fontsize=9, loc="upper left")
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="one_dimension.png", help="the PNG file")
    draw(parser.parse_args().out)
