"""Which gradients two processes exchange: those of the players in turn."""

import pytest
import torch
from torch import nn
from torch.distributed import HashStore, destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel

from ganzoo.training import exchange


class Game(nn.Module):
    """D of G's output; both are in one bucket of DDP, or each in several of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.G, self.D = nn.Linear(4, width), nn.Linear(width, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.D(self.G(z).tanh()).square().mean()


@pytest.fixture
def sent(monkeypatch):
    """The numbers that each exchange sends, in a group of this process alone, which is made to believe it is two."""
    numbers: list[int] = []

    def counted(tensor: torch.Tensor, **options):
        numbers.append(tensor.numel())
        return torch.distributed.all_reduce(tensor, **options)

    monkeypatch.setattr(exchange, "all_reduce", counted)
    monkeypatch.setattr(exchange, "get_world_size", lambda: 2)
    init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield numbers
    destroy_process_group()


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("megabytes", [25, 1e-4], ids=["one bucket", "several"])
@pytest.mark.parametrize("frozen", ["D", "G", ""])
def test_only_the_players_in_turn_are_exchanged(frozen, megabytes, last, sent):
    torch.manual_seed(0)
    game, z = Game(50), torch.randn(8, 4)
    if last:
        game.G, z = nn.Conv2d(4, 50, 3), torch.randn(8, 4, 3, 3)
        game.D = nn.Conv2d(50, 1, 1)
        game.to(memory_format=torch.channels_last)
    wrapped = DistributedDataParallel(game, find_unused_parameters=True, bucket_cap_mb=megabytes)
    wrapped.register_comm_hook(None, exchange.average)
    playing = [p for name, p in game.named_parameters() if not frozen or not name.startswith(frozen)]
    for _ in range(2):  # DDP may lay out its buckets anew after the first pass
        for parameter in game.parameters():
            parameter.requires_grad_(any(parameter is each for each in playing))
        expected = torch.autograd.grad(game(z), playing)
        game.zero_grad()
        sent.clear()
        wrapped(z).backward()
        assert sum(sent) == sum(parameter.numel() for parameter in playing)
        for parameter, gradient in zip(playing, expected, strict=True):
            assert torch.allclose(parameter.grad, gradient / 2)  # of two processes, of which the other gave nothing
        assert all(p.grad is None for p in game.parameters() if not p.requires_grad)
