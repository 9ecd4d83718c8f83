"""Averages gradients over the processes: only those of the players whose turn it is."""

from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor
from torch.distributed import GradBucket, all_reduce, get_world_size
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel


def average_in_turn(strategy: Strategy) -> None:
    """Makes DDP average the gradients of the players in turn, and not the zeros of those that are frozen meanwhile.

    By itself DDP sends all parameters' gradients in every backward pass, so in a game of two players each is sent twice. A
    hook of the user's own (``DDPStrategy(ddp_comm_hook=...)``) is kept.

    Args:
        strategy: a trainer's, whose model is wrapped already.
    """
    model = strategy.model
    if isinstance(strategy, DDPStrategy) and strategy._ddp_comm_hook is None and isinstance(model, DistributedDataParallel):
        model.register_comm_hook(None, average)


def average(state: object, bucket: GradBucket) -> Future[Tensor]:
    """Averages the gradients of a bucket whose parameters are trained in this turn; leaves the others as they are.

    A hook for ``DistributedDataParallel.register_comm_hook``. Which parameters are frozen must not differ between processes.
    """
    whole, every = bucket.buffer(), list(zip(bucket.parameters(), bucket.gradients(), strict=True))
    mine = [gradient for parameter, gradient in every if parameter.requires_grad]
    if not mine:
        nothing: Future[Tensor] = Future()
        nothing.set_result(whole)
        return nothing
    sent = whole if len(mine) == len(every) else torch.cat([gradient.flatten() for gradient in mine])
    sent.div_(get_world_size())  # before the sum, as DDP itself does

    def put_back(_: Any) -> Tensor:
        if sent is not whole:
            for gradient, part in zip(mine, sent.split([gradient.numel() for gradient in mine]), strict=True):
                gradient.copy_(part.view_as(gradient))
        return whole

    return all_reduce(sent, async_op=True).get_future().then(put_back)  # type: ignore[no-any-return,union-attr]
