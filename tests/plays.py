"""The forms of play on two linear nets; in a module of their own, so that another process can import them."""

import torch
from toys import Tug


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
