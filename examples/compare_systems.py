"""Compares the GANs of the zoo on Fashion-MNIST at one budget of counted operations, by the commands that a user has.

    python examples/compare_systems.py --root data                          # all systems, 3 seeds: two hours of one core
    python examples/compare_systems.py --root data --systems DCGAN WGAN-GP  # a part of it; finished runs are kept
    python examples/compare_systems.py --table                              # the table of what is there

Images are 32 x 32 pixels. All but GAN and BEGAN, whose networks are their own, have DCGAN's networks with 16 maps, as their
papers norm them; all else is the shipped config's. A training ends when its networks have used the budget: the operations
of matrices and convolutions, forward and backward, counted in ten of its steps. So a system with five critic steps or with
a gradient penalty gets fewer generator steps. `ganzoo evaluate` measures 10,000 samples of the last weights against the
10,000 test images, on the features of a small classifier that is trained first. The metrics go into a CSV file, the samples
of the first seed into a PNG file for each system.
"""

import argparse
import csv
import json
import shutil
import time
from pathlib import Path
from statistics import mean
from typing import Any

import lightning.pytorch as L
import torch

from ganzoo.benchmark.worker import Operations
from ganzoo.cli import main as command
from ganzoo.utils.files import atomic_write

COUNTED = 10  # steps: two generator steps where there are five of the critic to one
OPERATIONS = 5e12  # of each training
METRICS = "fd_classifier_fashionmnist", "precision_classifier_fashionmnist", "recall_classifier_fashionmnist"
DATA = ["--data", "FashionMNIST", "--data.size", "32"]
FIELDS = ("system", "seed", "operations_of_a_step", "steps", "seconds", *METRICS)
NO_NORM = ["--model.family", "NoNormDCGANFamily", "--model.family.width", "16"]
# config and options
SYSTEMS = {
    "GAN": ["gan_mnist", *DATA, "--model.shape", "[1,32,32]"],
    "DCGAN": ["dcgan_fashion", "--model.width", "16", "--data.batch_size", "64"],
    "LSGAN": ["lsgan_fashion"],
    "WGAN": ["wgan_fashion"],
    "WGAN-GP": ["wgan_gp_fashion", *DATA, "--data.batch_size", "64", "--model.shape", "[1,32,32]", *NO_NORM],
    "BEGAN": ["began_fashion"],
    "SNGAN": ["sngan_fashion", *NO_NORM],
}


class CountOperations(L.Callback):
    """Counts the operations of a training's steps. ``each`` is their mean in the last one that was counted."""

    each = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.counter = Operations()
        self.counter.__enter__()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.counter.__exit__(None, None, None)
        CountOperations.each = self.counter.total / trainer.global_step


def ganzoo(*words: Any) -> None:
    """Runs a command of ganzoo; a command that fails ends the script."""
    if code := command([str(word) for word in words]):
        raise SystemExit(code)


def options(name: str, given: argparse.Namespace) -> list[str]:
    """The config, and what all trainings have in common."""
    config, *own = SYSTEMS[name]
    return ["--config", config, *own, "--data.root", given.root, "--trainer.max_epochs", "-1",
            "--trainer.limit_val_batches", "0", "--trainer.accelerator", "cpu"]  # fmt: skip


def operations(name: str, given: argparse.Namespace) -> float:
    """Operations of a step, on average over the first ten."""
    ganzoo("fit", *options(name, given), "--trainer.max_steps", COUNTED, "--trainer.logger", "false",
           "--trainer.callbacks+=compare_systems.CountOperations",
           "--trainer.default_root_dir", given.out / "counted" / name)  # fmt: skip
    import compare_systems  # the command's own copy: this file runs as __main__

    return compare_systems.CountOperations.each


def run(name: str, seed: int, each: float, given: argparse.Namespace) -> dict[str, Any]:
    """Trains one system with one seed to the budget, and evaluates it."""
    steps, began = round(given.operations / each), time.process_time()
    folder = given.out / name / f"seed_{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # of a training that was interrupted
    ganzoo("fit", *options(name, given), "--trainer.max_steps", steps, "--seed_everything", seed,
           "--trainer.default_root_dir", folder)  # fmt: skip
    seconds = time.process_time() - began
    (checkpoint,) = folder.glob("**/last.ckpt")
    ganzoo("evaluate", checkpoint, *DATA, "--data.root", given.root, "--extractor", given.out / "clothes.pt",
           "--metrics", "distance,manifold", "--n", 10_000, "--seed", seed, "--device", "cpu",
           "--out", folder / "metrics.json")  # fmt: skip
    if seed == min(given.seeds):
        ganzoo("generate", checkpoint, "-n", 40, "--seed", 0, "--grid", given.out / f"{name}.png", "--overwrite")
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["metrics"]
    row = {"system": name, "seed": seed, "operations_of_a_step": f"{each:.4g}", "steps": steps, "seconds": round(seconds)}
    return row | {metric: round(found[metric]["value"], 4) for metric in METRICS}


def read(file: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    return list(csv.DictReader(file.open(encoding="utf-8"))) if file.exists() else []


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Writes all runs, whole or not at all, in the order of the systems."""
    rows = sorted(rows, key=lambda row: (list(SYSTEMS).index(row["system"]), int(row["seed"])))
    with atomic_write(file) as part, part.open("w", encoding="utf-8", newline="") as open_file:
        writer = csv.DictWriter(open_file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def table(rows: list[dict[str, Any]]) -> str:
    """The table of the docs page: the mean of each metric over the seeds, and the range of the Frechet distance."""
    lines = ["| system | 10^9 operations of a step | steps | Frechet distance | from, to | precision | recall | seeds |"]
    lines.append("|---" * 8 + "|")
    for name in SYSTEMS:
        if own := [row for row in rows if row["system"] == name]:
            distance, precision, recall = ([float(row[metric]) for row in own] for metric in METRICS)
            lines.append(
                f"| {name} | {float(own[0]['operations_of_a_step']) / 1e9:.2f} | {own[0]['steps']} | {mean(distance):.2f} "
                f"| {min(distance):.2f}, {max(distance):.2f} | {mean(precision):.2f} | {mean(recall):.2f} | {len(own)} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS), help="which; all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="which; 0 1 2")
    parser.add_argument("--root", default="data", help="folder of Fashion-MNIST")
    parser.add_argument("--operations", type=float, default=OPERATIONS, help="of each training")
    parser.add_argument("--out", type=Path, default=Path("compared"), help="folder of runs, results and pictures")
    parser.add_argument("--table", action="store_true", help="train nothing")
    given = parser.parse_args()
    file = given.out / "compared.csv"
    if not given.table:
        given.out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(1)
        if not (given.out / "clothes.pt").exists():
            ganzoo("classifier", *DATA, "--data.root", given.root, "--out", given.out / "clothes.pt")
        for name in given.systems:
            missing = set(given.seeds) - {int(row["seed"]) for row in read(file) if row["system"] == name}
            each = operations(name, given) if missing else 0.0
            for seed in sorted(missing):
                found = run(name, seed, each, given)
                write(file, [*read(file), found])
    print(table(read(file)))


if __name__ == "__main__":
    main()
