"""Draws what the divergences say of two distributions: KL has two directions, JS is bounded, and what that does to a fit.

    python examples/theory/divergences.py            # writes divergences.png, in seconds

The value of the game at the optimal discriminator is ``V(G, D*) = -log 4 + 2 JSD(p_data || p_g)`` (Goodfellow et al. 2014,
theorem 1), so what JS does not see, the discriminator's cost does not show.
"""

import argparse
from collections.abc import Callable
from math import log

import numpy as np
import torch
from scipy.optimize import minimize

from ganzoo.metrics.divergences import jensen_shannon, kullback_leibler

X = torch.linspace(-12, 12, 4801, dtype=torch.float64)  # the line, in steps of 0.005
Divergence = Callable[[torch.Tensor, torch.Tensor], float]


def normal(mean: float, sigma: float) -> torch.Tensor:
    """The histogram of a normal distribution on the line: floats [4801] whose sum is 1."""
    density = torch.exp(-0.5 * ((X - mean) / sigma) ** 2)
    return density / density.sum()


def two_modes() -> torch.Tensor:
    """The histogram of two normals with equal weights, at -2 and 2, sigma 0.6."""
    return (normal(-2, 0.6) + normal(2, 0.6)) / 2


def kl_of_normals(mean: float, sigma: float, other_mean: float, other_sigma: float) -> float:
    """``KL(N(mean, sigma^2) || N(other_mean, other_sigma^2))`` in closed form, in nats."""
    squares = (sigma**2 + (mean - other_mean) ** 2) / (2 * other_sigma**2)
    return log(other_sigma / sigma) + squares - 0.5


def reverse(p: torch.Tensor, q: torch.Tensor) -> float:
    """``KL(q || p)``."""
    return kullback_leibler(q, p)


def fit(p: torch.Tensor, divergence: Divergence, mean: float = 0.5, sigma: float = 1.0) -> tuple[float, float]:
    """Fits one normal to a distribution.

    Args:
        p: histogram on the line.
        divergence: of p and the normal's histogram, made small.
        mean, sigma: where the search begins.

    Returns:
        Mean and sigma of the normal.
    """
    found = minimize(lambda at: divergence(p, normal(at[0], np.exp(at[1]))), [mean, np.log(sigma)], method="Nelder-Mead")
    return float(found.x[0]), float(np.exp(found.x[1]))


def draw(file: str) -> None:
    """Draws three panels into a PNG file."""
    import matplotlib.pyplot as plt  # the extra "plots"

    figure, (first, second, third) = plt.subplots(1, 3, figsize=(14, 4.3), layout="constrained")
    p, sigmas = normal(0, 1), np.geomspace(0.3, 3.5, 60)
    kinds: dict[str, Divergence] = {"KL(p || q)": kullback_leibler, "KL(q || p)": reverse, "JS(p, q)": jensen_shannon}
    for name, kind in kinds.items():
        first.plot(sigmas, [kind(p, normal(0, s)) for s in sigmas], label=name)
    first.set(title="p = N(0, 1), q = N(0, s²): KL has two directions", xlabel="s", ylabel="nats", ylim=(0, 3))
    first.legend()

    modes, window = two_modes(), slice(1400, 3401)
    second.fill_between(X[window], (modes / 0.005)[window], color="0.85", label="p, two modes")
    for name, kind in kinds.items():
        style = "--" if kind is jensen_shannon else "-"
        second.plot(X[window], (normal(*fit(modes, kind)) / 0.005)[window], style, label=f"q that makes {name} small")
    second.set(title="the best single normal for two modes", xlabel="x", ylim=(0, 0.9))
    second.legend(fontsize=8, loc="upper left")

    shifts = np.linspace(0, 5, 60)
    js = [jensen_shannon(normal(0, 0.3), normal(shift, 0.3)) for shift in shifts]
    third.plot(shifts, js, "tab:green", label="JS: flat where the two do not overlap")
    third.plot(shifts, shifts / 5, "tab:purple", label="Wasserstein-1, divided by 5: the distance itself")
    third.axhline(log(2), color="0.5", ls=":")
    third.text(5, log(2) + 0.01, "log 2", ha="right")
    third.set(title="p = N(0, 0.3²), q = N(t, 0.3²)", xlabel="t", ylim=(0, 1.25))
    third.legend(fontsize=8, loc="upper left")
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="divergences.png", help="the PNG file")
    draw(parser.parse_args().out)
