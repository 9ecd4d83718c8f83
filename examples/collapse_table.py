"""Trains every GAN of the zoo on a ring and a grid, and counts the modes that each one reaches.

    python examples/collapse_table.py                              # all systems, 5 seeds: two hours of one core
    python examples/collapse_table.py --systems GAN --seeds 2      # a part of it; finished runs are kept
    python examples/collapse_table.py --table                      # the table and the picture of what is there

Each finished run is a line of collapse.csv; a run that is there is not trained again, so an interrupted table goes on where
it was. All systems have the same fully connected networks, noise, batches and number of discriminator steps. What a paper
changes stays: its loss, regularizer, clipping or norm, and its discriminator steps to a generator step. The rate of both
players is 1e-3 and falls to 0 in the second half; the optimizer is Adam with betas 0.5 and 0.9, and RMSprop for WGAN.
"""

import argparse
import csv
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn

from ganzoo.data import Grid, Ring
from ganzoo.data.plane import NormalMixture
from ganzoo.errors import InputError
from ganzoo.losses import Minimax
from ganzoo.metrics.modes import SAMPLES, mode_coverage
from ganzoo.models import BEGAN, DCGAN, GAN, LSGAN, SNGAN, WGAN, WGANGP
from ganzoo.models.base import GeneratorModel
from ganzoo.networks.extra_layers import MinibatchDiscrimination
from ganzoo.networks.families import MLPFamily
from ganzoo.networks.mlp import MLP
from ganzoo.noises import Normal
from ganzoo.regularizers import R1, GradientPenalty
from ganzoo.schedules import LinearDecay
from ganzoo.utils.files import atomic_write
from ganzoo.utils.progress import ProgressBar

Build = Callable[[int], GeneratorModel]
HIDDEN, LAYERS, LATENT, BATCH = 128, 3, 2, 128
RATE = 1e-3  # of both players at the start
STEPS = 8000  # discriminator steps
DATA: dict[str, type[NormalMixture]] = {"ring": Ring, "grid": Grid}
FIELDS = ("data", "system", "seed", "batches", "modes", "high_quality", "kl", "seconds")


class PointAutoencoder(nn.Module):
    """Scores points by how well an autoencoder of one number reconstructs them: ``-L(v)``. [N, 2] -> [N, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = MLP(2, (1,), HIDDEN, LAYERS), MLP(1, (2,), HIDDEN, LAYERS)

    def forward(self, v: Tensor) -> Tensor:
        return -(v - self.decoder(self.encoder(v))).abs().mean(1, keepdim=True)


class PointBEGAN(BEGAN):
    """A BEGAN of points: its networks are fully connected."""

    def networks(self) -> tuple[nn.Module, nn.Module]:
        return MLP(self.latent, self.shape, HIDDEN, LAYERS), PointAutoencoder()


def rates(steps: int, n_critic: int, optimizer: str = "Adam", lr: float = RATE) -> dict[str, Any]:
    """Both players' optimizer and schedule: the rate falls to 0 in the second half of each player's own steps."""
    options = {"lr": lr} | ({"betas": [0.5, 0.9]} if optimizer == "Adam" else {})
    schedules = {}
    for player, own in (("discriminator", steps), ("generator", max(2, steps // n_critic))):
        fall = {"constant": own // 2, "decay": own - own // 2}
        path = f"{LinearDecay.__module__}.{LinearDecay.__name__}"
        schedules[player] = [{"class_path": path, "init_args": fall, "interval": "step"}]
    recipe = {"class_path": f"torch.optim.{optimizer}", "init_args": options}
    return {"optimizers": dict.fromkeys(schedules, recipe), "schedules": schedules}


def system(
    model: type[GeneratorModel], n_critic: int = 1, lr: float = RATE, optimizer: str = "Adam", **options: Any
) -> Build:
    """A function of the number of discriminator steps that builds one of the compared models."""

    def build(steps: int) -> GeneratorModel:
        own = {} if model is PointBEGAN else {"family": MLPFamily(HIDDEN, LAYERS)}
        return model(shape=(2,), latent=LATENT, noise=Normal(), **own, **rates(steps, n_critic, optimizer, lr), **options)

    return build


SYSTEMS: dict[str, Build] = {
    "GAN, minimax": system(GAN, loss=Minimax()),
    "GAN": system(GAN),
    "GAN + minibatch discrimination": system(DCGAN, layers=[MinibatchDiscrimination(8, 4)]),
    "GAN + R1": system(GAN, regularizers=[R1(0.1)]),
    "LSGAN": system(LSGAN),
    "WGAN": system(WGAN, n_critic=5, optimizer="RMSprop"),
    "WGAN, clip 0.1": system(WGAN, n_critic=5, optimizer="RMSprop", clip=0.1),
    "WGAN-GP": system(WGANGP, n_critic=5, regularizers=[GradientPenalty(0.1)]),  # the weight of the authors' toy script
    "BEGAN": system(PointBEGAN),
    "SNGAN": system(SNGAN, n_critic=5),
}


class Steps(L.Callback):
    """Shows a training's batches on a progress bar."""

    def __init__(self, bar: ProgressBar) -> None:
        self.bar = bar

    def on_train_batch_end(self, *_: Any) -> None:
        self.bar.update()


def run(data: str, name: str, seed: int, steps: int, folder: Path) -> dict[str, Any]:
    """Trains one system with one seed, and counts its modes; its samples go into a file for the picture."""
    L.seed_everything(seed, verbose=False)
    mixture, model, began = DATA[data](batch_size=BATCH, seed=seed), SYSTEMS[name](steps), time.process_time()
    with warnings.catch_warnings(), ProgressBar(steps, f"{data}, {name}, seed {seed}", unit="batches") as bar:
        warnings.simplefilter("ignore")
        trainer = L.Trainer(
            max_steps=steps,
            max_epochs=-1,
            limit_val_batches=0,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Steps(bar)],
        )
        trainer.fit(model, datamodule=mixture)
    samples = model.eval().sample(SAMPLES, generator=torch.Generator().manual_seed(0))
    row = {"data": data, "system": name, "seed": seed, "batches": steps, "seconds": round(time.process_time() - began)}
    try:
        found = mode_coverage(mixture.modes(), samples)
    except InputError:  # it diverged: there is no sample of any mode
        return {**row, "modes": 0, "high_quality": 0.0, "kl": float("nan")}
    torch.save(samples.half(), folder / f"{data}_{name}_{seed}.pt".replace(" ", "_"))
    return {**row, "modes": found.modes, "high_quality": round(found.high_quality, 4), "kl": round(found.kl, 3)}


def read(file: Path) -> list[dict[str, str]]:
    """The finished runs."""
    return list(csv.DictReader(file.open(encoding="utf-8"))) if file.exists() else []


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Writes all runs, whole or not at all, in the order of the systems."""
    order = {name: place for place, name in enumerate(SYSTEMS)}
    rows = sorted(rows, key=lambda row: (list(DATA).index(row["data"]), order[row["system"]], int(row["seed"])))
    with atomic_write(file) as part, part.open("w", encoding="utf-8", newline="") as open_file:
        writer = csv.DictWriter(open_file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def table(rows: list[dict[str, str]]) -> str:
    """The table of a docs page: for each system the fewest and most modes over its seeds, and its mean quality."""
    lines = ["| system | " + " | ".join(f"{data}: modes | high quality" for data in DATA) + " | seeds |"]
    lines.append("|---" * (2 * len(DATA) + 2) + "|")
    for name in SYSTEMS:
        cells, seeds = [], [0]
        for data in DATA:
            mine = [row for row in rows if (row["data"], row["system"]) == (data, name)]
            modes = sorted(int(row["modes"]) for row in mine)
            span = "" if not modes else str(modes[0]) if modes[0] == modes[-1] else f"{modes[0]} to {modes[-1]}"
            cells += [span, f"{mean(float(row['high_quality']) for row in mine):.1%}" if mine else ""]
            seeds.append(len(mine))
        if max(seeds):
            lines.append(f"| {name} | {' | '.join(cells)} | {max(seeds)} |")
    return "\n".join(lines)


def draw(rows: list[dict[str, str]], folder: Path, file: Path) -> None:
    """Draws the samples of the first seed of each system into a PNG file: a row for the ring, a row for the grid."""
    import matplotlib.pyplot as plt  # the extra "plots"

    names = [name for name in SYSTEMS if any(row["system"] == name for row in rows)]
    figure, panels = plt.subplots(
        len(DATA), len(names), figsize=(2.2 * len(names), 2.4 * len(DATA)), layout="constrained", squeeze=False
    )
    for row_of_panels, (data, cls) in zip(panels, DATA.items(), strict=True):
        centres = cls().modes().centres
        for panel, name in zip(row_of_panels, names, strict=True):
            mine = [row for row in rows if (row["data"], row["system"]) == (data, name)]
            panel.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), xticks=[], yticks=[], aspect="equal")
            panel.plot(*centres.T, "o", ms=7, mfc="none", mec="tab:orange", mew=0.7)
            if mine:
                first = min(mine, key=lambda row: int(row["seed"]))
                saved = folder / f"{data}_{name}_{first['seed']}.pt".replace(" ", "_")
                if saved.exists():
                    panel.plot(*torch.load(saved, weights_only=True).float().T, ".", ms=1, color="tab:blue", alpha=0.5)
                panel.set_title(f"{name}\n{first['modes']} of {len(centres)}", fontsize=8)
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS), help="which; all")
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA), help="which; both")
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--steps", type=int, default=STEPS, help="batches of a training")
    parser.add_argument("--folder", type=Path, default=Path("collapse"), help="of collapse.csv, samples and picture")
    parser.add_argument("--table", action="store_true", help="train nothing")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    file = args.folder / "collapse.csv"
    if not args.table:
        for seed in range(args.seeds):
            for data in args.data:
                for name in args.systems:
                    done = {(row["data"], row["system"], int(row["seed"])) for row in read(file)}
                    if (data, name, seed) not in done:
                        found = run(data, name, seed, args.steps, args.folder)
                        write(file, [*read(file), found])
    print(table(read(file)))
    try:
        draw(read(file), args.folder, args.folder / "samples.png")
    except ImportError:
        print('no picture: pip install "lightning-ganzoo[plots]"')


if __name__ == "__main__":
    main()
