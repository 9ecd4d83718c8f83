"""Two processes with half of the batch each give the weights of one process with the whole of it."""

import pytest
import torch
from plays import OnePass, SimultaneousTug, Together
from toys import Tug, fit, loader


@pytest.mark.slow
@pytest.mark.parametrize("play", [Tug, SimultaneousTug, OnePass, Together], ids=lambda play: play.__name__)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_are_one(play, accumulate, tmp_path):
    if accumulate > 1 and play is Tug:
        pytest.skip("alternating play under accumulation is not the large batch: see the docstring of accumulate")
    torch.manual_seed(0)
    alone, shared = play(), play(accumulate=accumulate)
    shared.load_state_dict(alone.state_dict())
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    fit(alone, loader(x, batch_size=8), tmp_path, max_epochs=4)
    # Lightning deals the 8 rows out in some order: together the processes see all of them in each effective batch
    fit(
        shared, loader(x, batch_size=4 // accumulate), tmp_path,
        max_epochs=4, strategy="ddp_spawn", devices=2, use_distributed_sampler=True,
    )  # fmt: skip
    for name, p in alone.named_parameters():
        assert torch.allclose(p, shared.get_parameter(name), atol=1e-6), name
