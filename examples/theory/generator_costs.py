"""Draws the three costs of a generator, what is left of each one's gradient, and how it vanishes while D learns.

    python examples/theory/generator_costs.py        # writes generator_costs.png, in half a minute

Left and middle: the costs of ``ganzoo.losses`` and their derivatives by the discriminator's logit. Right: a generator that
does not move yet, while its discriminator is trained (Arjovsky and Bottou 2017, figure 2, in one dimension).
"""

import argparse

import torch
from torch import Tensor, nn
from torch.optim import Adam

from ganzoo.losses import AdversarialLoss, MaximumLikelihood, Minimax, NonSaturating, Wasserstein
from ganzoo.networks.mlp import MLP
from ganzoo.penalties import gradient_penalty

COSTS: dict[str, AdversarialLoss] = {
    "minimax: log(1 - D)": Minimax(),
    "non-saturating: -log D": NonSaturating(),
    "maximum likelihood: -D / (1 - D)": MaximumLikelihood(),
}
DISTANCE, SIGMA = 4.0, 0.5  # data and samples are normals so far apart that a discriminator can become sure


def slopes(cost: AdversarialLoss, logits: Tensor) -> Tensor:
    """The derivative of a generator's cost by the logit of a sample, at each of the logits [N]."""
    at = logits.clone().requires_grad_()
    # a mean over N samples of one each: N times the gradient is the sum's
    (found,) = torch.autograd.grad(cost.generator(at) * len(at), at)
    return found


def gradients_while_d_learns(steps: int, every: int, seed: int = 0) -> dict[str, list[float]]:
    """Trains a discriminator and a critic between two normals, and measures what a sample would get of each cost.

    Args:
        steps: of the discriminator.
        every: measure after so many.
        seed: of networks and samples.

    Returns:
        By cost, the mean size of its gradient by the sample, at steps 0, every, 2 every ...
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        D, critic = MLP(1, (1,), 64, 2), MLP(1, (1,), 64, 2)
        found: dict[str, list[float]] = {name: [] for name in [*COSTS, "Wasserstein, gradient penalty"]}
        players = [(D, Minimax(), Adam(D.parameters(), 1e-3)), (critic, Wasserstein(), Adam(critic.parameters(), 1e-3))]
        for step in range(steps + 1):
            real, fake = (SIGMA * torch.randn(256, 1) + place for place in (0.0, DISTANCE))
            if step % every == 0:
                for name, cost in COSTS.items():
                    found[name].append(_gradient_by_samples(cost, D, fake))
                found["Wasserstein, gradient penalty"].append(_gradient_by_samples(Wasserstein(), critic, fake))
            for network, loss, optimizer in players:
                cost = loss.discriminator(network(real), network(fake))
                if network is critic:
                    cost = cost + 10 * gradient_penalty(critic, real, fake)
                optimizer.zero_grad()
                cost.backward()
                optimizer.step()
    return found


def _gradient_by_samples(cost: AdversarialLoss, network: nn.Module, samples: Tensor) -> float:
    at = samples.clone().requires_grad_()
    (found,) = torch.autograd.grad(cost.generator(network(at)) * len(at), at)
    return found.abs().mean().item()


def draw(file: str) -> None:
    """Draws three panels into a PNG file."""
    import matplotlib.pyplot as plt  # the extra "plots"

    figure, (first, second, third) = plt.subplots(1, 3, figsize=(14, 4.3), layout="constrained")
    logits = torch.linspace(-7, 4, 400)
    for name, cost in COSTS.items():
        first.plot(logits.sigmoid(), [cost.generator(each[None]).item() for each in logits], label=name)
        style = "--" if isinstance(cost, MaximumLikelihood) else "-"
        second.semilogy(logits, slopes(cost, logits).abs(), style, label=name)
    first.set(title="cost of one sample", xlabel="D(G(z))", ylim=(-8, 6))
    second.set(title="size of its derivative by the logit", xlabel="logit of D(G(z)); below 0 D says generated")
    first.legend(fontsize=8, loc="lower left")
    second.set_ylim(1e-3, 30)
    every = 10
    for name, sizes in gradients_while_d_learns(400, every).items():
        style = "--" if name.startswith("maximum") else "-"
        third.semilogy([every * i for i in range(len(sizes))], sizes, style, label=name.partition(":")[0])
    third.set(title="gradient by the sample while D learns, G held", xlabel="steps of D", ylim=(1e-4, 1e2))
    third.legend(fontsize=8, loc="upper right")
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="generator_costs.png", help="the PNG file")
    draw(parser.parse_args().out)
