"""Refuses Lightning strategies that cannot train several players; ends the process group before the interpreter exits."""

import atexit

from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from torch import distributed

from ganzoo.errors import InputError

_REASONS = {
    "fsdp": "FSDP needs Lightning's automatic optimization, and players take turns by manual optimization",
    "deepspeed": "DeepSpeed takes one optimizer, and each player has its own",
    "modelparallel": "sharded networks cannot be frozen and stepped player by player",
}
_CLASSES = {"fsdp": FSDPStrategy, "deepspeed": DeepSpeedStrategy, "modelparallel": ModelParallelStrategy}


def refuse_strategy(strategy: object | str) -> None:
    """Refuses FSDP, DeepSpeed and model parallelism, which cannot train several players.

    Args:
        strategy: what ``Trainer`` takes, a name or an object; or a class path.

    Raises:
        InputError: it is one of these.
    """
    given = strategy if isinstance(strategy, str) else type(strategy).__name__
    short = given.rpartition(".")[2].lower().replace("_", "")
    for kind, why in _REASONS.items():
        if kind in short or isinstance(strategy, _CLASSES[kind]):
            raise InputError(f"--trainer.strategy {given} cannot train several players ({why}): use --trainer.strategy ddp")


def end_group_at_exit() -> None:
    """Destroys the process group, if there is one, before the interpreter shuts down.

    Lightning 2.6 does so for NCCL only. A Gloo thread that frees its last tensor while the interpreter shuts down aborts the
    process ("terminate called without an active exception"), and a finished training counts as failed.
    """
    if distributed.is_available() and distributed.is_initialized():
        atexit.unregister(_end_group)
        atexit.register(_end_group)


def _end_group() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
