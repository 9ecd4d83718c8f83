"""Parzen-window log-likelihood of validation images during a training, to choose an epoch by."""

import lightning.pytorch as L
import torch

from ganzoo.callbacks.distributed import is_fast_dev_run, isolated, load_split, loader_of, on_rank_zero
from ganzoo.callbacks.periodic import PeriodicMetrics
from ganzoo.errors import InputError
from ganzoo.evaluation.generate import EvalSplit, generated_batches
from ganzoo.interfaces import Sampler
from ganzoo.metrics.parzen import SAMPLES, SIGMAS, VALIDATION, log_likelihood
from ganzoo.utils.ranges import NonNegativeInt, PositiveInt, Seed

PART = 500  # images made, or read, at a time


class ParzenLikelihood(PeriodicMetrics):
    """Logs ``val/parzen``: the Parzen-window log-likelihood of validation images under a model's samples, in nats an image.

    The code that Goodfellow et al. 2014 released watches such a value (``monitor_ll`` of ``mnist.yaml``) and saves each
    epoch. To keep the epoch that it is highest in, without a look at the test images::

        - class_path: ParzenLikelihood
        - class_path: Checkpoints
          init_args: {monitor: val/parzen, mode: max}

    It is the estimate of :mod:`ganzoo.metrics.parzen`, from 8-bit samples and the same ten widths. The difference to
    ``ganzoo evaluate --metrics parzen``: the images that choose the width are also those whose likelihood is given.

    For a ``Sampler``, with its averaged networks if there are any. Computed at the validation of each `every_n_epochs`-th
    epoch, at the first and at the last of a run; at the ends of those epochs where the training has no validation. The
    training is not changed: noise comes from a random stream of its own, without gradients, in evaluation mode. Rank 0
    computes, and all log its value.

    Args:
        n: samples of the model. The value rises with n, so only values of one n can be compared.
        points: validation images, the first ones.
        every_n_epochs: compute in each n-th epoch, beside the first and the last; 0 for no other.
        seed: of the noise.

    Raises:
        InputError: a number out of range; before the training, a model that is no ``Sampler``, or no validation images; when
            measured, samples that are not finite or not in [-1, 1], or of another size than the validation images.
    """

    def __init__(
        self, n: PositiveInt = SAMPLES, points: PositiveInt = VALIDATION, every_n_epochs: NonNegativeInt = 1, seed: Seed = 0
    ) -> None:
        super().__init__(every_n_epochs)
        self.n, self.points, self.seed = n, points, seed
        self._validation: torch.Tensor | None = None  # [points, d] in [0, 1], on rank 0 alone
        self._is_read = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Checks the model, before the training."""
        super().setup(trainer, pl_module, stage)
        self._validation, self._is_read = None, False
        if stage in ("fit", "validate") and not is_fast_dev_run(trainer) and not isinstance(pl_module, Sampler):
            raise InputError(
                f"ParzenLikelihood measures models that make images from noise: {type(pl_module).__name__} does not"
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks that there are validation images."""
        if not is_fast_dev_run(trainer):
            self._read(trainer, pl_module)

    def _measure(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, float]:
        self._read(trainer, module)
        with isolated(trainer):
            return {"val/parzen": on_rank_zero(trainer, lambda: self._likelihood(trainer, module))}

    def _read(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        def read() -> None:
            loader = loader_of(trainer, "val")
            if loader is None or loader == []:
                loader = load_split(trainer, module, "val")
            split = EvalSplit(loader, "val", trainer.strategy.batch_to_device)
            count = min(self.points, split.count("x"))
            images: list[torch.Tensor] = []
            for part in split.real_batches("x", PART, name="val"):
                images.append(part.images.cpu())
                if sum(map(len, images)) >= count:
                    break
            if not images:
                raise InputError("ParzenLikelihood needs validation images, and there are none")
            self._validation = torch.cat(images)[:count].flatten(1).float() / 255

        if not self._is_read:
            with isolated(trainer):
                on_rank_zero(trainer, read)
            self._is_read = True

    def _likelihood(self, trainer: L.Trainer, module: L.LightningModule) -> float:
        assert self._validation is not None
        parts = generated_batches(module, None, self.n, PART, self.seed, context=trainer.precision_plugin.forward_context)
        samples = torch.cat([part.images for part in parts]).flatten(1).float() / 255
        known = self._validation.to(samples.device)
        if samples.shape[1] != known.shape[1]:
            raise InputError(
                f"ParzenLikelihood: samples have {samples.shape[1]} values and validation images {known.shape[1]}: they "
                "must be of one size"
            )
        return log_likelihood(samples, known, known, SIGMAS).mean
