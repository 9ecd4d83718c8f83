"""Small distributions that a GAN must learn, and what counts as having learned them."""

from math import exp, pi
from tempfile import gettempdir

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader, IterableDataset

from ganzoo.models import GAN, WGAN

SIGMA = 0.05  # of each mode of the ring of radius 1; neighbours are 0.765 apart


class Draws(IterableDataset):
    """Batches drawn afresh from a function of a generator."""

    def __init__(self, draw, batches: int, batch_size: int, seed: int = 0) -> None:
        self.draw, self.batches, self.batch_size, self.seed = draw, batches, batch_size, seed

    def __len__(self) -> int:
        return self.batches

    def __iter__(self):
        g = torch.Generator().manual_seed(self.seed)
        for _ in range(self.batches):
            yield self.draw(self.batch_size, g)


def stream(draw, batches: int, batch_size: int = 256, seed: int = 0) -> DataLoader:
    return DataLoader(Draws(draw, batches, batch_size, seed), batch_size=None)


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden), nn.LeakyReLU(0.2),
        nn.Linear(hidden, outputs),
    )  # fmt: skip


class VectorGAN(GAN):
    """A GAN of vectors: the model of the zoo with small networks and Adam."""

    def __init__(self, dimensions: int = 2, hidden: int = 64, rate: float = 1e-3, **options) -> None:
        self.dimensions, self.rate = dimensions, rate
        super().__init__(shape=(dimensions, 1, 1), latent=options.pop("latent", 4), hidden=hidden, **options)

    def check_batch(self, batch):
        pass  # rows of vectors [N, dimensions], and no images

    def networks(self):
        return mlp(self.latent, self.hidden, self.dimensions), mlp(self.dimensions, self.hidden, 1)

    def player_optimizer(self, player, parameters):
        return Adam(parameters, lr=self.rate, betas=(0.5, 0.999))

    def player_schedules(self, player, optimizer):
        return []


def ring_modes() -> Tensor:
    """Eight different angles: 2 pi k / 8, not a linspace that holds both ends."""
    angles = 2 * pi * torch.arange(8) / 8
    return torch.stack([angles.cos(), angles.sin()], 1)


def draw_ring(n: int, g: torch.Generator) -> Tensor:
    return ring_modes()[torch.randint(8, (n,), generator=g)] + SIGMA * torch.randn(n, 2, generator=g)


def modes_and_quality(points: Tensor, modes: Tensor, sigma: float = SIGMA) -> tuple[int, float]:
    """Modes that have a sample within three sigma of them, and the share of samples that lie so near to any."""
    distance, nearest = torch.cdist(points, modes).min(1)
    near = distance <= 3 * sigma
    return len(nearest[near].unique()), near.float().mean().item()


ORACLE_QUALITY = 1 - exp(-4.5)  # a two-dimensional normal within three sigma: 98.89 %


def trained(model: L.LightningModule, data: DataLoader) -> L.LightningModule:
    """The model after one pass over the data; nothing is written."""
    from support.training import fit

    fit(model, data, gettempdir(), max_epochs=1, log_every_n_steps=100_000)
    return model.eval()


# -- images whose colour cannot be known ------------------------------------------------------------

RED, BLUE = torch.tensor([0.9, -0.9, -0.9]), torch.tensor([-0.9, -0.9, 0.9])


def glyphs() -> Tensor:
    """scikit-learn's digits as 16 x 16 masks in [0, 1], [1797, 1, 16, 16]."""
    from sklearn.datasets import load_digits

    images = torch.tensor(load_digits().images, dtype=torch.float32).unsqueeze(1) / 16
    return nn.functional.interpolate(images, scale_factor=2, mode="nearest").gt(0.4).float()


def red_or_blue(masks: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Input: the glyph in white on black. Output: the same glyph, red or blue at random, on black."""
    red = torch.rand(len(masks), generator=g) < 0.5
    colour = torch.where(red[:, None], RED, BLUE)[:, :, None, None]
    return masks * 2 - 1, masks * colour - (1 - masks)


def colour_of_glyph(images: Tensor, masks: Tensor) -> Tensor:
    """Mean colour over the glyph's pixels, [N, 3]."""
    return (images * masks).sum((2, 3)) / masks.sum((2, 3))


def near_a_colour(colours: Tensor, tolerance: float = 0.45) -> float:
    """The share of colours within ``tolerance`` of red or blue (they are 2.5 apart; grey purple is 1.27 from each)."""
    return (torch.cdist(colours, torch.stack([RED, BLUE])).min(1).values < tolerance).float().mean().item()


# -- a generator that stays ---------------------------------------------------------------------------


class Shift(nn.Module):
    """A generator that moves its noise by a fixed vector. [N, d] -> [N, d]."""

    def __init__(self, by: list[float]) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, z: Tensor) -> Tensor:
        return z + self.by


def against_a_shift(model: type[L.LightningModule], by: list[float], noise=torch.randn, **options) -> L.LightningModule:
    """A model of vectors whose discriminator trains against noise moved by ``by``.

    The generator never has its turn, unless ``n_critic`` or ``k`` is given.

    Args:
        model: its class.
        by: the vector.
        noise: (n, d, generator=) -> the noise [n, d].
        options: further arguments of the model, ``family`` among them.
    """

    class Shifted(model):
        def networks(self):
            D = super().networks()[1]
            last = [part for part in D.modules() if isinstance(part, nn.Linear)][-1]
            for parameter in last.parameters():
                nn.init.zeros_(parameter)  # it prefers no side at the start
            return Shift(by), D

        def z(self, n, generator=None):
            return noise(n, len(by), generator=generator)

        def check_batch(self, batch):
            pass  # vectors, of any size

    turns = {"n_critic": 10**6} if issubclass(model, WGAN) else {"k": 10**6}
    return Shifted(shape=(len(by),), latent=len(by), **{**turns, **options})
