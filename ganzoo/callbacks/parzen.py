"""Parzen-window log-likelihood of validation images during training, to choose the best epoch."""

import lightning.pytorch as L
import torch

from ganzoo.callbacks.distributed import is_fast_dev_run, isolated, load_split, loader_of, on_rank_zero
from ganzoo.callbacks.periodic import PeriodicMetrics
from ganzoo.errors import InputError
from ganzoo.evaluation.batches import EvalSplit
from ganzoo.evaluation.generate import generated_batches
from ganzoo.interfaces import Sampler
from ganzoo.metrics.parzen import SAMPLES, SIGMAS, VALIDATION, log_likelihood
from ganzoo.utils.ranges import NonNegativeInt, PositiveInt, Seed

PART = 500  # images made, or read, at a time


class ParzenLikelihood(PeriodicMetrics):
    """Logs ``val/parzen``: the Parzen-window log-likelihood of validation images under a model's samples, in nats per image.

    The released code of Goodfellow et al. 2014 monitors such a value (``monitor_ll`` of ``mnist.yaml``) and saves each
    epoch. To keep the epoch with the highest value, without the test images::

        - class_path: ParzenLikelihood
        - class_path: Checkpoints
          init_args: {monitor: val/parzen, mode: max}

    It is the estimate of :mod:`ganzoo.metrics.parzen`, from 8-bit samples and the same ten widths. It differs from ``ganzoo
    evaluate --metrics parzen``: the images that choose the width are also those whose likelihood is computed.

    It needs a ``Sampler``, and uses the EMA weights if there are any. Computed at the validation of every
    `every_n_epochs`-th epoch and at the first and last of a run; at the end of these epochs if there is no validation.
    The training is not changed: noise comes from a separate random state, without gradients, in evaluation mode. Rank 0
    computes, and all ranks log its value.

    Args:
        n: number of samples. The value rises with n, so compare only values with the same n.
        points: number of validation images, the first ones.
        every_n_epochs: compute in every n-th epoch, and in the first and last; 0 for only these two.
        seed: seed of the noise.

    Raises:
        InputError: a number is out of range; before the training, the model is not a ``Sampler`` or there are no validation
            images; when computed, samples are not finite, not in [-1, 1], or of another size than the validation images.
    """

    def __init__(
        self, n: PositiveInt = SAMPLES, points: PositiveInt = VALIDATION, every_n_epochs: NonNegativeInt = 1, seed: Seed = 0
    ) -> None:
        super().__init__(every_n_epochs)
        self.n, self.points, self.seed = n, points, seed
        self._validation: torch.Tensor | None = None  # [points, d] in [0, 1], on rank 0 alone
        self._is_read = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Checks that the model is a ``Sampler``, before the training."""
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
