"""Two processes: in the environment that torchrun gives them, or of a trainer; forked from one that has all imported."""

import os
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed import TCPStore

# what takes seconds, once for all pairs of processes of this run
IMPORTED = ["lightning.pytorch", "torchvision", "ganzoo.models", "ganzoo.data", "ganzoo.callbacks"]


def spawn_two(work: Callable[[int, str], None], folder: Path) -> None:
    """Runs ``work(rank, folder)`` in two processes, to their end.

    The store where they meet is this process's, as it is torchrun's own: it has its port, whichever the system gives it,
    before they begin and until they have ended. A port that is only looked up may be another's when it is used.
    """
    start_server()
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    arguments = (store.port, work, str(folder))
    torch.multiprocessing.start_processes(_join, arguments, nprocs=2, start_method="forkserver")


def two_of_a_trainer() -> dict[str, Any]:
    """Options of a trainer that starts two processes itself and waits for them."""
    start_server()
    return {"strategy": DDPStrategy(start_method="forkserver"), "devices": 2}


def start_server() -> None:
    """Starts the process from which others are forked, unless it runs. Its threads, and theirs, are one."""
    forkserver.set_forkserver_preload(IMPORTED)
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        forkserver.ensure_running()
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads


def _join(rank: int, port: int, work: Callable[[int, str], None], folder: str) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", GROUP_RANK="0", GROUP_WORLD_SIZE="1",
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test", TORCHELASTIC_USE_AGENT_STORE="True",
        TORCHELASTIC_RESTART_COUNT="0",
    )  # fmt: skip
    torch.set_num_threads(1)
    work(rank, folder)
