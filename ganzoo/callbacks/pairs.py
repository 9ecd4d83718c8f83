"""L1, PSNR, SSIM and LPIPS of translated pairs, over the whole validation or test split."""

import math
from collections.abc import Iterator
from typing import Any, Literal

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from ganzoo.callbacks.distributed import gather
from ganzoo.callbacks.evaluating import EvaluatingCallback
from ganzoo.errors import InputError
from ganzoo.interfaces import Cycled, Translated
from ganzoo.metrics.paired import LPIPS, MEASURES, WINDOW, Measure, Paired
from ganzoo.utils.images import to_uint8
from ganzoo.utils.log import log_info

Way = tuple[int, str]  # data loader, and "" or "back_"


class PairedQuality(EvaluatingCallback):
    """Computes metrics of translated pairs at each validation and test.

    It reads the ``Translated`` records that ``validation_step`` and ``test_step`` return, and with ``truth`` the
    ``Cycled`` ones. Other records are ignored. It logs, also as a checkpoint's monitor:

    ==========  ========================================================================================================
    val/l1      mean absolute difference on the scale [-1, 1]; replaces a value of that name that the module logs
    val/psnr    in decibels, the mean over the images; infinite if an image equals its target
    val/ssim    1 for equal images; left out, with a message, for images smaller than its window of 11 pixels
    val/lpips   0 for equal images; only with ``lpips``
    ==========  ========================================================================================================

    Each is a mean over the images as uint8. ``test/...`` too, each with its standard error, ``test/psnr_error``. For a
    ``Cycled`` the other direction is ``val/back_l1`` and so on. With several data loaders the names end in
    ``/dataloader_idx_0``. With several processes each image counts once, also if Lightning repeats it so that all
    processes have the same number. If an image has NaN or infinite values, all values are NaN.

    The training is not changed: no random state is used, and no weight is added to the checkpoint.

    Args:
        lpips: whether to compute LPIPS too. Its backbone is downloaded once (:class:`ganzoo.metrics.paired.LPIPS`).
        net: the backbone of LPIPS.
        truth: whether x and y of a ``Cycled`` are pairs: y is the target of ``fake_y``, and x of ``fake_x``.

    Raises:
        InputError: at the start of the run, if the weights of LPIPS are not available.
    """

    def __init__(self, lpips: bool = False, net: Literal["alex", "vgg", "squeeze"] = "alex", truth: bool = False) -> None:
        self.lpips = lpips
        self.net = net
        self.truth = truth
        self._lpips: dict[str, Measure] = {}
        self._sums: dict[Way, Paired] = {}
        self._shown: dict[int, int] = {}  # images of each data loader that this process has been shown
        self._broken = False
        self._said = False

    # -- when ---------------------------------------------------------------------------------------------------------

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Loads the weights of LPIPS; each machine's first process downloads them for the others."""
        if self.lpips and not self._lpips:
            if trainer.local_rank == 0:
                self._lpips = {"lpips": LPIPS(self.net)}
            trainer.strategy.barrier("LPIPS")
            self._lpips = self._lpips or {"lpips": LPIPS(self.net)}

    def begin(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Forgets the last validation or test."""
        self._sums, self._shown, self._broken = {}, {}, False

    # -- what ---------------------------------------------------------------------------------------------------------

    def _pairs(self, outputs: Any) -> Iterator[tuple[str, Tensor, Tensor]]:
        if isinstance(outputs, Translated):
            yield "", outputs.output, outputs.truth
        if isinstance(outputs, Cycled) and self.truth:
            yield "", outputs.fake_y, outputs.y
            yield "back_", outputs.fake_x, outputs.x

    def take(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, number: int, loader: int) -> None:
        """Measures one batch."""
        pairs = list(self._pairs(outputs))
        if not pairs:
            return
        first = self._shown.get(loader, 0)
        n = len(pairs[0][1])
        self._shown[loader] = first + n
        loaders = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders
        once = shown_once(_loader(loaders, loader), first, n)
        for name, output, truth in pairs:
            if output.shape != truth.shape:
                raise InputError(
                    f"PairedQuality: outputs are {list(output.shape)} and truths {list(truth.shape)}: are these pairs?"
                )
            x, y = (images.detach()[once.to(images.device)] for images in (output, truth))
            finite = (x.isfinite() & y.isfinite()).flatten(1).all(1)
            self._broken |= not bool(finite.all())
            measured = self._sums.setdefault((loader, name), Paired(self._measures(x)))
            if finite.any():
                measured.update(to_uint8(x[finite]), to_uint8(y[finite]))

    def _measures(self, images: Tensor) -> dict[str, Measure]:
        measures = {**MEASURES, **self._lpips}
        if min(images.shape[-2:]) < WINDOW:
            del measures["ssim"]
            if not self._said:
                log_info(f"PairedQuality: images smaller than {WINDOW} x {WINDOW} pixels have no SSIM; it is left out")
                self._said = True
        return measures

    def finish(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Logs."""
        mine = {way: measured.sums for way, measured in self._sums.items()}, self._broken
        everyones = gather(trainer, mine)  # in one order, so that all ranks come to the same digits
        self._sums = {}
        if trainer.sanity_checking:
            return
        whole: dict[Way, Paired] = {}
        for sums, _ in everyones:
            for key, part in sums.items():
                whole.setdefault(key, Paired({})).merge(part)
        broken = any(broken for _, broken in everyones)
        several = len({number for number, _ in whole}) > 1
        values = {}
        for (number, direction), measured in whole.items():
            suffix = f"/dataloader_idx_{number}" if several else ""
            for name, score in measured.scores().items():
                values[f"{stage}/{direction}{name}{suffix}"] = math.nan if broken else score.mean
                if stage == "test":
                    values[f"{stage}/{direction}{name}_error{suffix}"] = math.nan if broken else score.error
        # every rank has the same numbers; synced all the same, as Lightning wants of what a checkpoint monitors
        module.log_dict(values, sync_dist=True, add_dataloader_idx=False)


def _loader(loaders: Any, number: int) -> Any:
    """Returns a trainer's loader by its number; the trainer has one loader, a list or a dictionary."""
    if isinstance(loaders, dict):
        loaders = list(loaders.values())
    return loaders[number] if isinstance(loaders, list | tuple) else loaders


def shown_once(loader: Any, first: int, n: int) -> Tensor:
    """Marks the images of a batch that are not repetitions.

    Torch's ``DistributedSampler`` distributes the images in turn, and repeats the first ones until all processes have
    the same
    number: with r processes, this one's j-th image is the (r j + rank)-th of all, and a repetition beyond the data's length.

    Args:
        loader: the loader of the batch.
        first: number of images that this process had before the batch.
        n: number of images in the batch.

    Returns:
        bool tensor [n].
    """
    sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
    sampler = getattr(loader, "sampler", None) if sampler is None else sampler
    if not isinstance(sampler, DistributedSampler):
        return torch.ones(n, dtype=torch.bool)
    places = sampler.rank + sampler.num_replicas * torch.arange(first, first + n)
    return places < len(sampler.dataset)  # type: ignore[arg-type]
