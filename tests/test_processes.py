"""Two processes with half of the batch each give the weights of one process with the whole of it."""

from pathlib import Path

import pytest
import torch
from plays import Noted, OnePass, SimultaneousTug, Together
from torch.utils.data import DataLoader, Dataset
from toys import Batch, Tug, fit


class Numbered(Dataset):
    """Rows made where they are asked for, so that no tensor has to travel between processes."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Batch:
        return Batch(torch.randn(3, generator=torch.Generator().manual_seed(index)))


TWO = {"strategy": "ddp_spawn", "devices": 2, "max_epochs": 4}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("play", "accumulate"),
    [(Tug, 1), (SimultaneousTug, 1), (OnePass, 1), (Together, 1), (SimultaneousTug, 2), (OnePass, 2), (Together, 2)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_two_processes_are_one(play, accumulate, tmp_path):
    """(Alternating play under accumulation is not the large batch, so it is not here: see ``accumulate``.)"""
    torch.manual_seed(0)
    alone, shared = play(), play(accumulate=accumulate)
    shared.load_state_dict(alone.state_dict())
    fit(alone, DataLoader(Numbered(), batch_size=8), tmp_path, max_epochs=4)
    # Lightning deals the 8 rows out in some order: together the processes see all of them in each effective batch
    fit(shared, DataLoader(Numbered(), batch_size=4 // accumulate), tmp_path, **TWO)
    for name, p in alone.named_parameters():
        assert torch.allclose(p, shared.get_parameter(name), atol=1e-6), name


@pytest.mark.slow
def test_two_processes_draw_different_noise(tmp_path):
    torch.manual_seed(0)
    fit(Noted(str(tmp_path)), DataLoader(Numbered(), batch_size=4), tmp_path, **TWO)
    first, second = (Path(tmp_path, f"noise_{rank}").read_text().split() for rank in (0, 1))
    assert len(first) == len(second) == 4
    assert not set(first) & set(second)
    assert len(set(first)) == 4
