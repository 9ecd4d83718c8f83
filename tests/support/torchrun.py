"""Two processes in the environment that torchrun gives them, which they need not race with others for a port."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch.distributed import TCPStore


def spawn_two(work: Callable[[int, str], None], folder: Path) -> None:
    """Runs ``work(rank, folder)`` in two processes, to their end.

    The store where they meet is this process's, as it is torchrun's own: it has its port, whichever the system gives it,
    before they begin and until they have ended. A port that is only looked up may be another's when it is used.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    torch.multiprocessing.spawn(_join, (store.port, work, str(folder)), nprocs=2)


def _join(rank: int, port: int, work: Callable[[int, str], None], folder: str) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", GROUP_RANK="0", GROUP_WORLD_SIZE="1",
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test", TORCHELASTIC_USE_AGENT_STORE="True",
        TORCHELASTIC_RESTART_COUNT="0",
    )  # fmt: skip
    torch.set_num_threads(1)
    work(rank, folder)
