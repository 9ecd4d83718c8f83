"""Which numbers Lightning's Trainer can use, and which of its options go together with a run of ganzoo."""

from collections.abc import Mapping
from typing import Any

from ganzoo.utils.ranges import IntOrUnlimited, NonNegativeInt, PositiveInt, check_ranges

# that barebones, which is for timing, switches off
OFF_IN_BAREBONES = (
    "logger",
    "enable_checkpointing",
    "enable_progress_bar",
    "enable_model_summary",
    "log_every_n_steps",
    "num_sanity_val_steps",
)


def trainer(
    num_nodes: PositiveInt = 1,
    max_epochs: IntOrUnlimited | None = None,
    min_epochs: NonNegativeInt | None = None,
    max_steps: IntOrUnlimited = -1,
    min_steps: NonNegativeInt | None = None,
    check_val_every_n_epoch: PositiveInt | None = 1,
    num_sanity_val_steps: IntOrUnlimited | None = None,
    log_every_n_steps: NonNegativeInt | None = None,
    reload_dataloaders_every_n_epochs: NonNegativeInt = 0,
) -> None:
    """The whole numbers of a Trainer and their ranges."""


def check_trainer(options: Mapping[str, Any]) -> None:
    """Checks a trainer's options before it is built.

    Raises:
        InputError: a number that no training can use.
    """
    names = trainer.__annotations__.keys() - {"return"}
    check_ranges(trainer, **{name: value for name, value in options.items() if name in names})
