"""Games of two players, small enough to know the answer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD

from ganzoo.adversarial import AdversarialModule


class Number(nn.Module):
    """One parameter."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))


class XY(AdversarialModule):
    """``min_x max_y x y``: x descends xy, y descends -xy, by plain gradient steps of size eta."""

    def __init__(self, eta: float = 0.1, **play: Any) -> None:
        super().__init__(**play)
        self.x, self.y, self.eta = Number(1.0), Number(0.0), eta
        self.path: list[tuple[float, float]] = []

    def players(self):
        return {"x": [self.x], "y": [self.y]}

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=self.eta)

    def xy(self) -> Tensor:
        return self.x.value * self.y.value

    def training_step(self, batch, batch_idx):
        with self.turn("x") as descend:
            descend({"xy": self.xy()})
        with self.turn("y") as descend:
            descend({"xy": -self.xy()})
        self.path.append((self.x.value.item(), self.y.value.item()))


class SimultaneousXY(XY):
    def training_step(self, batch, batch_idx):
        with self.turn("x", "y") as descend:
            descend(x={"xy": self.xy()}, y={"xy": -self.xy()})
        self.path.append((self.x.value.item(), self.y.value.item()))


class Tug(AdversarialModule):
    """Two linear nets, one batch: enough to watch who moves and when. ``log`` keeps what was seen inside each turn."""

    def __init__(self, k: int = 1, lr: float = 0.1, **play: Any) -> None:
        super().__init__(**play)
        self.k, self.lr = k, lr
        self.G, self.D = nn.Linear(3, 3), nn.Linear(3, 1)
        self.log_of_turns: list[dict[str, Any]] = []

    def players(self):
        return {"discriminator": [self.D], "generator": [self.G]}

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=self.lr)

    def losses(self, player: str, x: Tensor) -> dict[str, Tensor]:
        if player == "generator":
            return {"fool": -self.D(self.G(x)).mean(), "stay": (self.G(x) - x).square().mean()}
        return {"tell": self.D(self.G(x)).mean() - self.D(x).mean(), "small": self.D(x).square().mean()}

    def snapshot(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.named_parameters()}

    def play(self, player: str, x: Tensor) -> None:
        before = self.snapshot()
        with self.turn(player) as descend:
            frozen = [name for name, p in self.named_parameters() if not p.requires_grad]
            descend(self.losses(player, x))
        self.log_of_turns.append(
            {
                "player": player,
                "frozen": frozen,
                "moved": [name for name, p in self.named_parameters() if not torch.equal(p, before[name])],
                "left": [name for name, p in self.named_parameters() if p.grad is not None],
                "step": self.trainer.global_step,
            }
        )

    def training_step(self, batch, batch_idx):
        self.play("discriminator", batch.x)
        if self.every(self.k):
            self.play("generator", batch.x)


class SimultaneousTug(Tug):
    """Both players of each player's own graph at the same point."""

    def training_step(self, batch, batch_idx):
        x = batch.x
        with self.turn("discriminator", "generator") as descend:
            descend(generator=self.losses("generator", x), discriminator=self.losses("discriminator", x))
        if self.accumulate == 1:
            assert all(p.grad is None for p in self.parameters()), "a gradient was left behind"


class OnePass(Tug):
    """One graph for both players, as the released GAN code has it."""

    def training_step(self, batch, batch_idx):
        x = batch.x
        with self.turn("discriminator", "generator") as descend:
            fake = self.G(x)
            real, judged = self.D(x), self.D(fake)
            descend(
                discriminator={"tell": judged.mean() - real.mean(), "small": real.square().mean()},
                generator={"fool": -judged.mean(), "stay": (fake - x).square().mean()},
            )


class Together(Tug):
    """Both players descend one sum, as DANN's three networks do."""

    def training_step(self, batch, batch_idx):
        with self.turn("generator", "discriminator") as descend:
            descend({"both": self.D(self.G(batch.x)).square().mean()})


class Noted(Together):
    """Writes down a random number a step, to see whether two processes draw the same ones."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)
        with open(f"{self.folder}/noise_{self.trainer.global_rank}", "a") as file:
            file.write(f"{torch.rand(()).item()} ")


class Penalised(Tug):
    """A critic with a gradient penalty, whose gradient is taken through a gradient."""

    def __init__(self, **play):
        super().__init__(**play)
        self.D = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))

    def losses(self, player, x):
        terms = super().losses(player, x)
        if player == "discriminator":
            x = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.D(x).sum(), x, create_graph=True)
            terms["penalty"] = 10 * (slope.norm(dim=1) - 1).square().mean()
        return terms

    def play(self, player, x):
        with self.turn(player) as descend:
            descend(self.losses(player, x))
