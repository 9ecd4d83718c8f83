"""Draws two games that a GAN is like: xy, whose players circle, and rock, paper, scissors, whose average finds the answer.

    python examples/theory/games.py                  # writes games.png, in seconds

Each player takes plain gradient steps, or multiplicative weights, and sees the other player only through its own loss.
"""

import argparse
from math import log
from typing import NamedTuple

import numpy as np

ROCK_PAPER_SCISSORS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
"""What the row player wins and the column player loses: paper beats rock, scissors beat paper, rock beats scissors."""


def xy_game(steps: int, eta: float, simultaneous: bool) -> np.ndarray:
    """Plays ``min_x max_y x y`` from (1, 0) by gradient steps.

    Args:
        steps: number of rounds.
        eta: size of a step.
        simultaneous: both players move from the same point; else y sees the new x.

    Returns:
        The path, [steps + 1, 2].
    """
    x, y = 1.0, 0.0
    path = [(x, y)]
    for _ in range(steps):
        new = x - eta * y
        y, x = y + eta * (x if simultaneous else new), new
        path.append((x, y))
    return np.array(path)


class Played(NamedTuple):
    """A game played with multiplicative weights.

    Attributes:
        row, column: the mixed strategy of each player before each round, [rounds, moves].
    """

    row: np.ndarray
    column: np.ndarray


def multiplicative_weights(payoff: np.ndarray, rounds: int, eta: float, row: np.ndarray, column: np.ndarray) -> Played:
    """Plays a zero-sum game: in each round each player multiplies a move's weight by ``exp(eta x what it would have won)``.

    Freund and Schapire 1999, "Adaptive Game Playing Using Multiplicative Weights".

    Args:
        payoff: what the row player wins, [moves of row, moves of column].
        rounds: number of rounds.
        eta: learning rate.
        row, column: first mixed strategies, above 0 with sum 1.
    """
    rows, columns = [row], [column]
    for _ in range(rounds - 1):
        p, q = rows[-1], columns[-1]
        rows.append(_normalised(p * np.exp(eta * payoff @ q)))
        columns.append(_normalised(q * np.exp(-eta * p @ payoff)))
    return Played(np.array(rows), np.array(columns))


def exploitability(payoff: np.ndarray, row: np.ndarray, column: np.ndarray) -> float:
    """What the two players could win together by answering best to each other; 0 at the equilibrium alone."""
    return float((payoff @ column).max() - (row @ payoff).min())


def regret_bound(moves: int, rounds: int, eta: float) -> float:
    """What the exploitability of the average strategies is at most, for payoffs in [-1, 1]: two players' average regret."""
    return 2 * (log(moves) / (eta * rounds) + eta / 2)


def _normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


def draw(file: str) -> None:
    """Draws both games into a PNG file."""
    import matplotlib.pyplot as plt  # the extra "plots"

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    for simultaneous, colour in ((True, "tab:red"), (False, "tab:blue")):
        name = "simultaneous: outward" if simultaneous else "alternating: stays"
        left.plot(*xy_game(200, 0.1, simultaneous).T, colour, lw=1.2, label=name)
    left.plot(0, 0, "k+", ms=10, label="equilibrium")
    left.set(
        title=r"$\min_x \max_y\; x\,y$,  $\eta = 0.1$, 200 rounds", xlabel="x", ylabel="y", aspect="equal", ylim=(-2.8, 4)
    )
    left.legend(loc="upper left", fontsize=8)

    start = np.array([0.5, 0.3, 0.2])
    played = multiplicative_weights(ROCK_PAPER_SCISSORS, 1500, 0.05, start, start[[1, 2, 0]])
    corners = np.array([[0, 0], [1, 0], [0.5, 3**0.5 / 2]])
    right.plot(*corners[[0, 1, 2, 0]].T, "k-", lw=0.8)
    averages = played.row.cumsum(0) / np.arange(1, 1501)[:, None]
    right.plot(*(played.row @ corners).T, "tab:red", lw=0.8, label="strategy of each round")
    right.plot(*(averages @ corners).T, "tab:blue", lw=1.8, label="average so far")
    right.plot(*corners.mean(0), "k+", ms=10, label="equilibrium (1/3, 1/3, 1/3)")
    for name, place, side in zip(("rock", "paper", "scissors"), corners, ("top", "top", "bottom"), strict=True):
        right.text(*place, name, ha="center", va=side)
    right.set(title="rock, paper, scissors by multiplicative weights", aspect="equal")
    right.axis("off")
    right.legend(loc="upper left", fontsize=8)
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="games.png", help="the PNG file")
    draw(parser.parse_args().out)
