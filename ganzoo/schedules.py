"""Learning-rate and momentum schedules of the papers that torch does not have.

Each is stepped by ``descend``, per step or per epoch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganzoo.errors import InputError
from ganzoo.utils.ranges import (
    AtLeastOne,
    Checked,
    HalfOpenUnitInterval,
    NonNegativeFloat,
    NonNegativeInt,
    OpenUnitInterval,
    PositiveInt,
)


class Schedule(Checked, LRScheduler):
    """Base class: a checkpoint holds a schedule's position, not its shape, so that a resumed run may be longer."""

    shape: tuple[str, ...]

    def state_dict(self) -> dict[str, Any]:
        """Returns the state without the shape."""
        return {name: value for name, value in super().state_dict().items() if name not in self.shape}


class ExponentialDecay(Schedule):
    """Divides the learning rate at each step: ``lr = max(lr0 / factor^n, floor)`` after n steps.

    As in pylearn2, which the 2014 GAN recipes use.

    Args:
        optimizer: the optimizer whose learning rate is scheduled.
        factor: divisor of the learning rate at each step; 1.000004 in the released MNIST recipe.
        floor: lower bound of the learning rate.
    """

    shape = ("factor", "floor")

    def __init__(
        self, optimizer: Optimizer, factor: AtLeastOne = 1.000004, floor: NonNegativeFloat = 1e-6, last_epoch: int = -1
    ) -> None:
        self.factor, self.floor = factor, floor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """Returns the current learning rate of each parameter group."""
        return [max(rate / _power(self.factor, self.last_epoch), self.floor) for rate in self.base_lrs]


class MomentumSchedule(Schedule, ABC):
    """Base class of schedules that change the momentum with each epoch. The learning rate does not change.

    Args:
        optimizer: an optimizer with a momentum (SGD).

    Raises:
        InputError: the optimizer has no momentum.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        for group in optimizer.param_groups:
            if "momentum" not in group:
                name = type(self).__name__
                raise InputError(f"{name} needs an optimizer with a momentum, and {type(optimizer).__name__} has none")
            group.setdefault("initial_momentum", group["momentum"])
        super().__init__(optimizer, last_epoch)

    @abstractmethod
    def momentum(self, first: float) -> float:
        """Returns the momentum after ``self.last_epoch`` epochs, where it was ``first`` at the start."""

    def get_lr(self) -> list[Any]:
        """Sets the momentum, and returns the learning rates unchanged."""
        for group in self.optimizer.param_groups:
            group["momentum"] = self.momentum(group["initial_momentum"])
        return [group["lr"] for group in self.optimizer.param_groups]


class MomentumRamp(MomentumSchedule):
    """Raises the momentum linearly from its first value in epoch ``start`` to ``final`` in epoch ``saturate``.

    Epochs count from 1. The learning rate does not change. The released code of Goodfellow et al. 2014 (pylearn2's
    ``MomentumAdjustor``) has 0.5 in epoch 1, and 0.7 from epoch 250 on.

    Args:
        optimizer: an optimizer with a momentum (SGD).
        final: the final momentum.
        start: the last epoch with the initial momentum.
        saturate: the first epoch with the final momentum.
    """

    shape = ("final", "start", "saturate")

    def __init__(
        self,
        optimizer: Optimizer,
        final: HalfOpenUnitInterval = 0.7,
        start: NonNegativeInt = 1,
        saturate: PositiveInt = 250,
        last_epoch: int = -1,
    ) -> None:
        if saturate <= start:
            raise InputError(f"MomentumRamp must saturate after it starts: {saturate} is not above {start}")
        self.final, self.start, self.saturate = final, start, saturate
        super().__init__(optimizer, last_epoch)

    def momentum(self, first: float) -> float:
        epoch = self.last_epoch + 1  # of the training that comes now; pylearn2 counts it before it begins
        share = min(max((epoch - self.start) / (self.saturate - self.start), 0.0), 1.0)
        return first + share * (self.final - first)


class LinearDecay(Schedule):
    """Keeps the learning rate for ``constant`` intervals, then lowers it linearly to zero over ``decay`` intervals.

    Zhu et al. 2017, section 4 ("Training details"): 100 epochs constant, 100 epochs of linear decay.

    Args:
        optimizer: the optimizer whose learning rate is scheduled.
        constant: epochs (or steps) at the full rate.
        decay: epochs (or steps) over which it falls; it is zero after ``constant + decay``.
    """

    shape = ("constant", "decay")

    def __init__(
        self, optimizer: Optimizer, constant: NonNegativeInt = 100, decay: PositiveInt = 100, last_epoch: int = -1
    ) -> None:
        self.constant, self.decay = constant, decay
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """Returns the current learning rate of each parameter group."""
        share = 1.0 - max(0, self.last_epoch - self.constant) / self.decay
        return [rate * max(share, 0.0) for rate in self.base_lrs]


class ProgressDecay(Schedule):
    """Decays the learning rate with the progress p in [0, 1] of the training: ``lr / (1 + alpha p)^beta``.

    mu_p of Ganin et al. 2016, section 5.2.2.

    Args:
        optimizer: the optimizer whose learning rate is scheduled.
        total: steps of the whole training.
        alpha: factor of p; a larger one makes the rate fall earlier.
        beta: exponent; a larger one makes the rate fall further.
    """

    shape = ("total", "alpha", "beta")

    def __init__(
        self,
        optimizer: Optimizer,
        total: PositiveInt,
        alpha: NonNegativeFloat = 10.0,
        beta: NonNegativeFloat = 0.75,
        last_epoch: int = -1,
    ) -> None:
        self.total, self.alpha, self.beta = total, alpha, beta
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """Returns the current learning rate of each parameter group."""
        progress = min(self.last_epoch / self.total, 1.0)
        return [rate / _power(1 + self.alpha * progress, self.beta) for rate in self.base_lrs]


class PlateauDecay(Schedule):
    """Multiplies the learning rate by a factor when a measure has not fallen for some epochs, like ``ReduceLROnPlateau``.

    For a model that measures its own convergence while it trains (Berthelot et al. 2017: the rate is halved when M stalls).
    The best value, the epochs without a better one and the factors taken are in the checkpoint.

    Args:
        optimizer: the optimizer whose learning rate is scheduled.
        measure: returns the measure now, above 0; asked once an epoch.
        factor: what the rate is multiplied by.
        patience: epochs without a better value before that.
        threshold: a value is better if it is below ``(1 - threshold)`` times the best so far.
    """

    shape = ("measure", "factor", "patience", "threshold")

    def __init__(
        self,
        optimizer: Optimizer,
        measure: Callable[[], float],
        factor: OpenUnitInterval = 0.5,
        patience: PositiveInt = 10,
        threshold: HalfOpenUnitInterval = 0.01,
        last_epoch: int = -1,
    ) -> None:
        self.measure, self.factor, self.patience, self.threshold = measure, factor, patience, threshold
        self.best, self.waited, self.decays, self.measured = 0.0, 0, 0, 0  # 0: none yet, and a checkpoint can hold it
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """Returns the current learning rate of each parameter group."""
        if self.last_epoch > self.measured:
            self.measured = self.last_epoch
            value = self.measure()
            better = not self.best or value < self.best * (1 - self.threshold)
            self.best, self.waited = (value, 0) if better else (self.best, self.waited + 1)
            if self.waited >= self.patience:
                self.decays, self.waited = self.decays + 1, 0
        return [rate * self.factor**self.decays for rate in self.base_lrs]


class MomentumClimb(MomentumSchedule):
    """Raises the momentum each epoch: ``momentum = min(momentum0 + by n, ceiling)`` after n epochs.

    As in LAPGAN's released code (Denton et al. 2015): by 0.0008 per epoch. The learning rate does not change.

    Args:
        optimizer: an optimizer with a momentum (SGD).
        by: increase per epoch.
        ceiling: upper bound of the momentum.
    """

    shape = ("by", "ceiling")

    def __init__(
        self, optimizer: Optimizer, by: NonNegativeFloat = 0.0008, ceiling: HalfOpenUnitInterval = 0.8, last_epoch: int = -1
    ) -> None:
        self.by, self.ceiling = by, ceiling
        super().__init__(optimizer, last_epoch)

    def momentum(self, first: float) -> float:
        return min(first + self.by * self.last_epoch, self.ceiling)


def _power(base: float, exponent: float) -> float:
    try:
        return base**exponent
    except OverflowError:
        return inf
