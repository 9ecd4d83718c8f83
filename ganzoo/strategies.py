"""Lightning's strategies that several players cannot use."""

from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

from ganzoo.errors import InputError

_REASONS = {
    "fsdp": "FSDP takes no turns: it needs Lightning's own optimization, and players step by hand",
    "deepspeed": "DeepSpeed takes one optimizer, and each player has its own",
    "modelparallel": "sharded networks cannot be frozen and stepped player by player",
}
_CLASSES = {"fsdp": FSDPStrategy, "deepspeed": DeepSpeedStrategy, "modelparallel": ModelParallelStrategy}


def refuse_strategy(strategy: object | str) -> None:
    """Refuses what cannot train several players, before anything is built.

    Args:
        strategy: as ``Trainer`` takes it: a name, an object; or a class path.

    Raises:
        InputError: for FSDP, DeepSpeed and model parallelism.
    """
    given = strategy if isinstance(strategy, str) else type(strategy).__name__
    short = given.rpartition(".")[2].lower().replace("_", "")
    for kind, why in _REASONS.items():
        if kind in short or isinstance(strategy, _CLASSES[kind]):
            raise InputError(f"--trainer.strategy {given} cannot train several players ({why}): use --trainer.strategy ddp")
