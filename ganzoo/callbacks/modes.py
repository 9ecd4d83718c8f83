"""Counts the modes that a generator reaches during training, and draws its samples as an animation."""

import re
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganzoo.callbacks.distributed import is_fast_dev_run, isolated, on_rank_zero
from ganzoo.callbacks.loggers import log_image, run_folder
from ganzoo.callbacks.periodic import PeriodicMetrics
from ganzoo.errors import InputError
from ganzoo.evaluation.generate import generated_batches
from ganzoo.inference.frames import save_frames
from ganzoo.interfaces import Sampler
from ganzoo.metrics.modes import SAMPLES, Coverage, ModeData, Modes, NormalModes, mode_coverage
from ganzoo.utils.image_grid import as_image, grid
from ganzoo.utils.images import to_float
from ganzoo.utils.ranges import NonNegativeInt, PositiveFloat, PositiveInt, Seed
from ganzoo.utils.scatter import scatter

PART = 500  # samples generated at a time
TILES, COLUMNS = 64, 8  # of a frame, where samples are images
FRAME = re.compile(r"modes_step_(\d+)\.png")


class ModeCoverage(PeriodicMetrics):
    """Logs how many modes of the data a generator's samples reach, and writes an animation of the samples.

    ==================  =================================================================================================
    val/modes           number of modes with a sample of high quality; stop or choose by the ``max``
    val/high_quality    share of the samples within three sigma of a mode, in [0, 1]
    val/modes_kl        KL divergence, in nats, of how the samples spread over the modes from an even spread; 0 is best
    ==================  =================================================================================================

    It needs a ``Sampler``, and a DataModule that knows its modes: ``Ring``, ``Grid``, ``StackedMNIST`` or your own with a
    method ``modes`` (:class:`ganzoo.metrics.modes.ModeData`). Computed at the validation of every `every_n_epochs`-th
    epoch, at the first and last, and every `every_n_steps` steps. Each time, and at the start and end of the training, it
    writes ``images/modes_step_000400.png`` in the run's folder; at the end all of them become ``images/modes.gif``. They
    show points in the plane with the modes as rings, or a grid of images.

    The training is not changed: the noise is the same each time, from a separate random state. Rank 0 computes.

    Args:
        n: number of samples; 2,500 are usual for rings and grids, 26,000 for stacked MNIST.
        every_n_epochs: compute in every n-th epoch, and in the first and last; 0 for only these two.
        every_n_steps: compute also every n steps.
        frames_per_second: of the animation.
        seed: seed of the noise.
        folder: folder of the pictures. Default: ``images`` in the run's folder.

    Raises:
        InputError: a number is out of range; before the training, the model is not a ``Sampler`` or the data does not know
            its modes; when computed, samples that are not finite or of another form than the data.
    """

    def __init__(
        self,
        n: PositiveInt = SAMPLES,
        every_n_epochs: NonNegativeInt = 1,
        every_n_steps: PositiveInt | None = None,
        frames_per_second: PositiveFloat = 5.0,
        seed: Seed = 0,
        folder: str | Path | None = None,
    ) -> None:
        super().__init__(every_n_epochs, every_n_steps)
        self.n, self.frames_per_second, self.seed, self.folder = n, frames_per_second, seed, folder
        self._modes: Modes | None = None
        self._home = Path()
        self._drawn_at = -1

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Checks the model and the data; every process must ask for the folder, because the answer is broadcast."""
        super().setup(trainer, pl_module, stage)
        self._drawn_at = -1
        home = run_folder(trainer)
        self._home = Path(self.folder) if self.folder is not None else home / "images"
        if stage not in ("fit", "validate"):
            return
        if not isinstance(pl_module, Sampler):
            name = type(pl_module).__name__
            raise InputError(f"ModeCoverage counts the modes of models that generate from noise: {name} does not")
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, ModeData):
            raise InputError(
                "ModeCoverage needs data that know their modes: Ring, Grid, StackedMNIST, or a DataModule with a method "
                f"modes; {type(data).__name__} has none"
            )
        self._modes = data.modes()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws the samples of the untrained model."""
        if trainer.global_step == 0 and not is_fast_dev_run(trainer):
            self._measure(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the animation from all pictures of the run, also those from before a resume."""
        super().on_train_end(trainer, pl_module)
        if is_fast_dev_run(trainer):
            return
        if self._drawn_at != trainer.global_step:
            self._measure(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        numbered = {int(found[1]): path for path in self._home.glob("*.png") if (found := FRAME.fullmatch(path.name))}
        steps = sorted(step for step in numbered if step <= trainer.global_step)
        if len(steps) > 1:
            pictures = np.stack([np.asarray(Image.open(numbered[step]).convert("RGB")) for step in steps])
            frames = torch.from_numpy(pictures).permute(0, 3, 1, 2)
            record = {"model": type(pl_module).__name__, "steps": steps}
            save_frames(self._home / "modes.gif", frames, self.frames_per_second, record)

    def _measure(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, float]:
        self._drawn_at = trainer.global_step
        with isolated(trainer):
            found = on_rank_zero(trainer, lambda: self._coverage(trainer, module))
        return {"val/modes": float(found.modes), "val/high_quality": found.high_quality, "val/modes_kl": found.kl}

    def _coverage(self, trainer: L.Trainer, module: L.LightningModule) -> Coverage:
        assert self._modes is not None
        context = trainer.precision_plugin.forward_context
        parts = generated_batches(module, None, self.n, PART, self.seed, context=context)
        samples = torch.cat([part.images.cpu() for part in parts])
        found = mode_coverage(self._modes, samples)
        self._draw(trainer, samples, found)
        return found

    def _draw(self, trainer: L.Trainer, samples: Tensor, found: Coverage) -> None:
        assert self._modes is not None
        step, fn = trainer.global_step, trainer.state.fn
        title = f"step {step:,}: {found.modes} of {self._modes.count} modes, {found.high_quality:.0%} high quality"
        picture = draw_samples(samples, self._modes, title)
        if picture is None:
            return
        name = f"step_{step:06d}" if fn is None or fn == "fit" else fn.value
        self._home.mkdir(parents=True, exist_ok=True)
        picture.save(self._home / f"modes_{name}.png")
        for logger in trainer.loggers:
            log_image(logger, "modes", picture, step)


def draw_samples(samples: Tensor, modes: Modes, title: str = "") -> Image.Image | None:
    """Draws samples with their modes.

    Args:
        samples: points [N, 2], or uint8 images [N, C, H, W], of which a grid of 64 is drawn, without the title.
        modes: their modes.
        title: the line above the points.

    Returns:
        The picture; None for samples that are neither.
    """
    if samples.ndim == 4:
        return as_image(grid(to_float(samples[:TILES]), COLUMNS))
    if isinstance(modes, NormalModes) and samples.shape[1] == 2:
        return scatter(samples, modes.centres, modes.deviations * modes.sigma, title)
    return None
