"""Writes image grids while training, always from the same noise or inputs, as PNG files and in the logger."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganzoo.callbacks.evaluating import EvaluatingCallback
from ganzoo.callbacks.loggers import log_image, run_folder
from ganzoo.errors import InputError
from ganzoo.interfaces import (
    CascadeSampler,
    Cycled,
    CycleTranslator,
    Sampler,
    Translated,
    Translator,
    eval_mode,
    isolated_rng,
)
from ganzoo.utils.image_grid import as_image, grid
from ganzoo.utils.images import to_float, to_uint8
from ganzoo.utils.ranges import Checked, GridSize, NonNegativeInt, PositiveInt, Seed

MOST_CLASSES = 16  # rows of a conditional model's grid
MOST_CASCADES = 8  # rows of the image of all levels


class SampleGrid(Checked, EvaluatingCallback):
    """Writes image grids, ``images/step_000400.png`` in the run's folder, and logs them to W&B,
    TensorBoard, MLflow or Comet.

    A ``Sampler`` is sampled from the same noise each time. With classes each row is a class (the first 16), and each
    column has the same noise. A ``CascadeSampler`` has a second image, ``cascade_step_000400.png``: each row is a sample
    (at most 8), from its coarsest level to its finest. A ``Translator`` translates the first validation images: each row
    is input, output, target; for a ``CycleTranslator`` it is x, G(x), F(G(x)), y, F(y), G(F(y)). The inputs are taken
    from the records of ``validation_step``. So the first grid is at the start of the training if Lightning's sanity
    check runs, else after the first validation.

    The training is not changed: images come from a separate random state, without gradients, in evaluation mode, on rank
    0 only.

    Args:
        n: number of images for a sampler without classes; number of rows for a translator.
        columns: number of images in a row, for a sampler.
        seed: seed of the noise.
        every_n_epochs: write a grid every n epochs, and at the start and end; 0 for only these two.
        every_n_steps: write a grid also every n steps.
        folder: folder of the PNG files. Default: ``images`` in the run's folder.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(
        self,
        n: GridSize = 64,
        columns: GridSize = 8,
        seed: Seed = 0,
        every_n_epochs: NonNegativeInt = 1,
        every_n_steps: PositiveInt | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self.n = n
        self.columns = columns
        self.seed = seed
        self.every_n_epochs = every_n_epochs
        self.every_n_steps = every_n_steps
        self.folder = folder
        self._kept: list[tuple[Tensor, Tensor]] = []  # x and y of the first validation images, batch by batch
        self._drawn_at = -1
        self._home = Path()

    @property
    def state_key(self) -> str:
        """Key of this callback's state in the checkpoint, which differs between several grids."""
        return self._generate_state_key(n=self.n, columns=self.columns, seed=self.seed)

    def state_dict(self) -> dict[str, Any]:
        """Returns the first validation images, so that a resumed run can show them before its first validation."""
        return {"kept": [[_packed(x), _packed(y)] for x, y in self._kept]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads the first validation images from the checkpoint.

        Raises:
            InputError: the saved state has wrong types.
        """
        kept = state_dict.get("kept", [])
        tensors = isinstance(kept, list) and all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, Tensor) and x.dim() == 4 for x in pair)
            for pair in kept
        )
        if not tensors:
            raise InputError("the checkpoint is damaged inside: what SampleGrid kept in it is of another kind")
        self._kept = [(_unpacked(x), _unpacked(y)) for x, y in kept]

    # -- when ---------------------------------------------------------------------------------------------------------

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Determines the folder; every process must ask, because the answer is broadcast."""
        home = run_folder(trainer)
        self._home = Path(self.folder) if self.folder is not None else home / "images"
        self._drawn_at = -1

    def take(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, number: int, loader: int) -> None:
        """Stores the first images of a validation or test."""
        # only batches that are not stored yet: a later validation continues where a short one stopped
        if number == len(self._kept) and isinstance(outputs, Translated | Cycled):
            room = self.n - sum(len(x) for x, _ in self._kept)
            both = (outputs.input, outputs.truth) if isinstance(outputs, Translated) else (outputs.x, outputs.y)
            if room > 0:
                # a copy: a slice would keep the whole batch
                x, y = (images[:room].detach().cpu().clone() for images in both)
                self._kept.append((x, y))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the first grid."""
        self._draw(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Writes a grid every n steps."""
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            self._draw(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes a grid every n epochs, after the validation."""
        if self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the last grid."""
        self._draw(trainer, pl_module)

    def close(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Draws the grid of ``ganzoo validate`` and ``ganzoo test``."""
        if trainer.state.fn != "fit":
            self._draw(trainer, module)

    # -- what ---------------------------------------------------------------------------------------------------------

    def _draw(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero or self._drawn_at == trainer.global_step:
            return
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # which Lightning sets behind the checker's back
            return
        with isolated_rng(self.seed, module.device), eval_mode(module), torch.no_grad():
            images = self._images(module)
        if not images:
            return
        self._drawn_at = trainer.global_step
        fn = trainer.state.fn
        name = f"step_{trainer.global_step:06d}" if fn is None or fn == "fit" else fn.value
        self._home.mkdir(parents=True, exist_ok=True)
        for kind, image in images.items():
            drawn = as_image(image)
            drawn.save(self._home / (f"{name}.png" if kind == "images" else f"{kind}_{name}.png"))
            for logger in trainer.loggers:
                log_image(logger, kind, drawn, trainer.global_step)

    def _images(self, module: L.LightningModule) -> dict[str, Tensor]:
        if isinstance(module, CascadeSampler):
            levels = module.cascade(min(self.n, MOST_CASCADES), generator=self._generator())
            return {"images": self._samples(module), "cascade": _side_by_side(levels)}
        if isinstance(module, Sampler):
            return {"images": self._samples(module)}
        if isinstance(module, Translator) and self._kept:
            x, y = (torch.cat(images).to(module.device) for images in zip(*self._kept, strict=True))
            there = module.translate(x)
            if not isinstance(module, CycleTranslator):
                return {"images": _side_by_side([x, there, y])}
            back = module.translate_back(y)
            return {"images": _side_by_side([x, there, module.translate_back(there), y, back, module.translate(back)])}
        return {}

    def _samples(self, module: Sampler) -> Tensor:
        if not module.classes:
            return grid(module.sample(self.n, generator=self._generator()), self.columns)
        rows = [
            module.sample(self.columns, y=self._classes(module, y), generator=self._generator())
            for y in range(min(module.classes, MOST_CLASSES))
        ]
        return grid(torch.cat(rows), self.columns)

    def _classes(self, module: Sampler, y: int) -> Tensor:
        return torch.full((self.columns,), y, dtype=torch.int64, device=getattr(module, "device", None))

    def _generator(self) -> torch.Generator:
        # on the CPU, so that every device shows the same images
        return torch.Generator().manual_seed(self.seed)


def _packed(images: Tensor) -> Tensor:
    # a fourth of the space, where nothing is lost
    small = to_uint8(images)
    return small if torch.equal(_unpacked(small), images) else images


def _unpacked(images: Tensor) -> Tensor:
    return to_float(images) if images.dtype == torch.uint8 else images


def _side_by_side(columns: list[Tensor]) -> Tensor:
    """Makes a grid with one column per tensor [N, C, H, W]; all are resized to the largest."""
    channels = max(c.shape[1] for c in columns)
    size = max((c.shape[-2:] for c in columns), key=lambda hw: hw[0] * hw[1])
    alike = [interpolate(c.expand(-1, channels, -1, -1).float().cpu(), size) for c in columns]
    return grid(torch.stack(alike, dim=1).flatten(0, 1), len(columns))
