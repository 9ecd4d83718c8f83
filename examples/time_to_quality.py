"""Time to quality: seconds of training until DCGAN's samples of Fashion-MNIST are within a stated Frechet distance.

    python examples/time_to_quality.py --root data                                          # float32 on the CPU
    python examples/time_to_quality.py --root data --options --trainer.precision bf16-mixed
    python examples/time_to_quality.py --root data --options --trainer.accelerator gpu

Trains the config `dcgan_fashion` and keeps a checkpoint every 250 steps. Then `ganzoo evaluate` measures 10,000 samples of
each, from the first on, against the 10,000 test images, until their distance is at most 4. The features are those of a small
classifier, trained before. The seconds are those from the first step to the checkpoint, on the wall: data, steps and
logs. Start-up, checkpoints and evaluations are not in them. One seed a call; prints a table.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from ganzoo.cli import main as command

DATA = ["--data", "FashionMNIST", "--data.size", "32"]
METRIC = "fd_classifier_fashionmnist"


class KeepTimed(L.Callback):
    """Saves a checkpoint every so many steps, named after its step and the seconds of training before it.

    Args:
        folder: for the checkpoints.
        every: steps from one to the next.
    """

    def __init__(self, folder: str, every: int) -> None:
        self.folder, self.every, self.not_training = Path(folder), every, 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begun = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *rest: Any) -> None:
        if trainer.global_step % self.every:
            return
        next(pl_module.parameters()).sum().item()  # a GPU has ended its work
        now = time.perf_counter()
        seconds = now - self.begun - self.not_training
        trainer.save_checkpoint(self.folder / f"{trainer.global_step:06}_{seconds:.1f}.ckpt")
        self.not_training += time.perf_counter() - now


def ganzoo(*words: Any) -> None:
    """Runs a command of ganzoo; a command that fails ends the script."""
    if code := command([str(word) for word in words]):
        raise SystemExit(code)


def train(given: argparse.Namespace, folder: Path) -> list[Path]:
    """Trains, and returns the checkpoints in their order."""
    shutil.rmtree(folder, ignore_errors=True)
    ganzoo("fit", "--config", "dcgan_fashion", "--data.root", given.root, "--trainer.max_epochs", "-1",
           "--trainer.max_steps", given.steps, "--trainer.limit_val_batches", "0", "--seed_everything", given.seed,
           "--data.seed", given.seed, "--trainer.default_root_dir", folder / "run", "--trainer.callbacks", "null",
           "--trainer.callbacks+=ChannelsLast", "--trainer.callbacks.only_avx512=true",
           "--trainer.callbacks+=time_to_quality.KeepTimed", f"--trainer.callbacks.folder={folder}",
           f"--trainer.callbacks.every={given.every}", *given.options)  # fmt: skip
    return sorted(folder.glob("*.ckpt"))


def distance(checkpoint: Path, given: argparse.Namespace) -> float:
    """The Frechet distance of its samples."""
    out = checkpoint.with_suffix(".json")
    ganzoo("evaluate", checkpoint, *DATA, "--data.root", given.root, "--extractor", given.out / "clothes.pt", "--metrics",
           "distance", "--n", 10_000, "--seed", given.seed, "--out", out)  # fmt: skip
    return float(json.loads(out.read_text(encoding="utf-8"))["metrics"][METRIC]["value"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="folder of Fashion-MNIST")
    parser.add_argument("--distance", type=float, default=4.0, help="the quality that is asked for")
    parser.add_argument("--steps", type=int, default=2000, help="steps of the training")
    parser.add_argument("--every", type=int, default=250, help="steps from one evaluation to the next")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("time_to_quality"), help="folder of runs")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="further options of ganzoo fit, at the end")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if not (given.out / "clothes.pt").exists():
        ganzoo("classifier", *DATA, "--data.root", given.root, "--out", given.out / "clothes.pt")
    rows, found = ["| steps | seconds | Frechet distance |", "|---|---|---|"], None
    for checkpoint in train(given, given.out / f"seed_{given.seed}"):
        steps, seconds = checkpoint.stem.split("_")
        far = distance(checkpoint, given)
        rows.append(f"| {int(steps)} | {seconds} | {far:.2f} |")
        if far <= given.distance:
            found = seconds
            break
    print("\n".join(rows))
    print(
        f"{found} seconds to {given.distance:g}" if found else f"{given.distance:g} was not reached in {given.steps} steps"
    )


if __name__ == "__main__":
    main()
