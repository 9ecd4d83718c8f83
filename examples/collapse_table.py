"""Trains every system with fully connected networks on a ring and a grid, and counts the modes that each one reaches.

    python examples/collapse_table.py                              # all systems, 5 seeds: an hour of one core
    python examples/collapse_table.py --systems GAN --seeds 2      # a part of it; finished runs are kept
    python examples/collapse_table.py --table                      # the table and the picture of what is there

Each finished run is a line of collapse.csv; a run that is there is not trained again, so an interrupted table goes on where
it was. All systems have the same networks, noise, optimizer, learning rate and number of batches, and one generator step to
a discriminator step. They differ in the loss, a regularizer or a layer.
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

from ganzoo.data import Grid, Ring
from ganzoo.data.plane import NormalMixture
from ganzoo.errors import InputError
from ganzoo.losses import LeastSquares, Minimax, Wasserstein
from ganzoo.metrics.modes import SAMPLES, mode_coverage
from ganzoo.models import DCGAN
from ganzoo.networks.extra_layers import MinibatchDiscrimination
from ganzoo.networks.families import MLPFamily
from ganzoo.regularizers import R1, GradientPenalty
from ganzoo.schedules import LinearDecay
from ganzoo.utils.files import atomic_write
from ganzoo.utils.progress import ProgressBar

HIDDEN, LAYERS, LATENT, BATCH = 128, 2, 2, 128
RATE = 1e-3  # of Adam, for both players; it falls to 0 in the second half
STEPS = 8000  # batches
DATA: dict[str, type[NormalMixture]] = {"ring": Ring, "grid": Grid}
FIELDS = ("data", "system", "seed", "batches", "modes", "high_quality", "kl", "seconds")


def adam() -> dict[str, Any]:
    """Both players' optimizer, the same for all systems."""
    recipe = {"class_path": "torch.optim.Adam", "init_args": {"lr": RATE, "betas": [0.5, 0.9]}}
    return {"discriminator": recipe, "generator": recipe}


def falling(steps: int) -> dict[str, Any]:
    """Schedules by which both players' rates fall to 0 in the second half of the steps."""
    ends = {"constant": max(1, steps // 2), "decay": max(1, steps - steps // 2)}
    recipe = {"class_path": f"{LinearDecay.__module__}.{LinearDecay.__name__}", "init_args": ends, "interval": "step"}
    return {"discriminator": [recipe], "generator": [recipe]}


def system(**options: Any) -> Callable[[int], DCGAN]:
    """A function of the number of batches that builds one of the compared models."""

    def build(steps: int) -> DCGAN:
        family = MLPFamily(HIDDEN, LAYERS)
        return DCGAN((2,), latent=LATENT, family=family, optimizers=adam(), schedules=falling(steps), **options)

    return build


SYSTEMS: dict[str, Callable[[int], DCGAN]] = {
    "GAN, minimax": system(loss=Minimax()),
    "GAN": system(),
    "GAN + minibatch discrimination": system(layers=[MinibatchDiscrimination(32, 5)]),
    "GAN + R1": system(regularizers=[R1(0.1)]),
    "least squares": system(loss=LeastSquares()),
    "Wasserstein + gradient penalty": system(loss=Wasserstein(), regularizers=[GradientPenalty(0.1)]),
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
