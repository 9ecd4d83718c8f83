"""Parzen-window log-likelihood of validation images during a training, to choose an epoch by."""

import lightning.pytorch as L
import torch

from ganzoo.callbacks.aside import apart, asked_for, at_hand, is_last, is_rehearsal, together, told, validates
from ganzoo.errors import InputError
from ganzoo.interfaces import Sampler
from ganzoo.judging import Split, fakes
from ganzoo.metrics.parzen import SAMPLES, SIGMAS, VALIDATION, log_likelihood
from ganzoo.utils.ranges import Checked, NonNegativeInt, PositiveInt, Seed

PART = 500  # images made, or read, at a time


class ParzenLikelihood(Checked, L.Callback):
    """Logs ``val/parzen``: the Parzen-window log-likelihood of validation images under a model's samples, in nats an image.

    The code that Goodfellow et al. 2014 released watches such a figure (``monitor_ll`` of ``mnist.yaml``) and saves each
    epoch. To keep the epoch that it is highest in, without a look at the test images::

        - class_path: ParzenLikelihood
        - class_path: Checkpoints
          init_args: {monitor: val/parzen, mode: max}

    It is the estimate of :mod:`ganzoo.metrics.parzen`, from 8-bit samples and the same ten widths. The difference to
    ``ganzoo evaluate --figures parzen``: the images that choose the width are also those whose likelihood is told.

    For a ``Sampler``, with its averaged networks if there are any. Measured at the validation of each `every_n_epochs`-th
    epoch, at the first and at the last of a run; at the ends of those epochs where the training has no validation. Measuring
    does not change the training: noise comes from a random stream of its own, without gradients, in evaluation mode. The
    first process measures, and all log its figure.

    Args:
        n: samples of the model. The figure rises with n, so only figures of one n can be compared.
        points: validation images, the first ones.
        every_n_epochs: measure in each so many-th epoch, beside the first and the last; 0 for no other.
        seed: of the noise.

    Attributes:
        figure: the newest ``val/parzen``, None before the first.

    Raises:
        InputError: a number out of range; before the training, a model that is no ``Sampler``, or no validation images; when
            measured, samples that are not finite or not in [-1, 1], or of another size than the validation images.
    """

    def __init__(
        self, n: PositiveInt = SAMPLES, points: PositiveInt = VALIDATION, every_n_epochs: NonNegativeInt = 1, seed: Seed = 0
    ) -> None:
        self.n, self.points, self.every_n_epochs, self.seed = n, points, every_n_epochs, seed
        self.figure: float | None = None
        self._validation: torch.Tensor | None = None  # [points, d] in [0, 1], on the first process alone
        self._is_read = False
        self._measured_at: int | None = None  # a step of this run

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Checks the model, before the training."""
        self._validation, self._is_read, self._measured_at = None, False, None
        if stage in ("fit", "validate") and not is_rehearsal(trainer) and not isinstance(pl_module, Sampler):
            raise InputError(
                f"ParzenLikelihood measures models that make images from noise: {type(pl_module).__name__} does not"
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks that there are validation images."""
        if not is_rehearsal(trainer):
            self._read(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measures, if it is time."""
        if not trainer.sanity_checking and (trainer.state.fn == "validate" or self._is_due(trainer)):
            self._measure(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measures, if it is time, where there is no validation."""
        if not validates(trainer) and self._is_due(trainer):
            self._measure(trainer, pl_module)

    def _is_due(self, trainer: L.Trainer) -> bool:
        # the first of a run in any case, and of a resumed one: a monitor must be there, and be of these weights
        nth = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        return self._measured_at is None or bool(nth) or is_last(trainer)

    def _measure(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if is_rehearsal(trainer):
            return
        if trainer.state.fn != "fit" or self._measured_at != trainer.global_step:
            self._read(trainer, module)
            with apart(trainer):
                found = together(trainer, lambda: None, lambda _: self._of(trainer, module))
            self.figure = told(trainer, found)
            self._measured_at = trainer.global_step
        assert self.figure is not None
        # every process has the same number; synced all the same, as Lightning wants of what a checkpoint watches
        module.log("val/parzen", self.figure, sync_dist=trainer.world_size > 1)

    def _read(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        def first() -> torch.Tensor:
            loader = at_hand(trainer, "val")
            if loader is None or loader == []:
                loader = asked_for(trainer, module, "val")
            split = Split(loader, "val", trainer.strategy.batch_to_device)
            count = min(self.points, split.count("x"))
            images: list[torch.Tensor] = []
            for part in split.real("x", PART, name="val"):
                images.append(part.images.cpu())
                if sum(map(len, images)) >= count:
                    break
            if not images:
                raise InputError("ParzenLikelihood needs validation images, and there are none")
            return torch.cat(images)[:count].flatten(1).float() / 255

        if not self._is_read:
            with apart(trainer):
                self._validation = together(trainer, lambda: None, lambda _: first())
            self._is_read = True

    def _of(self, trainer: L.Trainer, module: L.LightningModule) -> float:
        assert self._validation is not None
        parts = fakes(module, None, self.n, PART, self.seed, context=trainer.precision_plugin.forward_context)
        samples = torch.cat([part.images for part in parts]).flatten(1).float() / 255
        known = self._validation.to(samples.device)
        if samples.shape[1] != known.shape[1]:
            raise InputError(
                f"ParzenLikelihood: samples have {samples.shape[1]} values and validation images {known.shape[1]}: they "
                "must be of one size"
            )
        return log_likelihood(samples, known, known, SIGMAS).mean
