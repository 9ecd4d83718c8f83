"""Two processes with half of the batch each give the weights of one process with the whole of it, and go on exactly."""

import atexit
from pathlib import Path

import pytest
import support.two_processes as two
import torch
from support.games import Tug
from support.resuming import same
from support.torchrun import spawn_two
from support.training import fit
from support.zoo import MODELS
from torch.utils.data import DataLoader


def test_nobody_else_can_take_the_port_where_two_processes_meet(tmp_path):
    spawn_two(two.bind_the_port, tmp_path)
    assert [(tmp_path / str(rank)).read_text() for rank in (0, 1)] == ["taken", "taken"]


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Path:
    """Games and models trained, stopped and resumed by two processes that were started as torchrun starts them."""
    return two.results(tmp_path_factory.mktemp, tmp_path_factory.getbasetemp().parent)


@pytest.mark.slow
@pytest.mark.parametrize(("play", "accumulate"), two.PLAYS, ids=lambda value: getattr(value, "__name__", value))
def test_two_processes_are_one(play, accumulate, both, tmp_path):
    """(Alternating play under accumulation is not the large batch, so it is not here: see ``accumulate``.)"""
    torch.manual_seed(0)
    alone = play()
    fit(alone, DataLoader(two.Numbered(), batch_size=8), tmp_path, max_epochs=4)
    for rank in (0, 1):
        shared = torch.load(both / f"played_{play.__name__}_{accumulate}_{rank}.pt")
        for name, p in alone.named_parameters():
            assert torch.allclose(p, shared[name], atol=1e-6), (rank, name)


class Ended(Tug):
    """Writes down, last of all that a process does at its exit, whether its process group is still there."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def setup(self, stage: str) -> None:
        atexit.register(note_group, f"{self.folder}/group_{self.global_rank}")  # the first to be registered runs last
        super().setup(stage)


def note_group(path: str) -> None:
    Path(path).write_text(str(torch.distributed.is_initialized()))


@pytest.mark.slow
def test_a_process_group_ends_before_its_process(tmp_path):
    """A Gloo thread that outlives the interpreter aborts a process that has finished its training."""
    two_processes = {"strategy": "ddp_spawn", "devices": 2, "max_epochs": 4}
    fit(Ended(str(tmp_path)), DataLoader(two.Numbered(), batch_size=4), tmp_path, **two_processes)
    assert [Path(tmp_path, f"group_{rank}").read_text() for rank in (0, 1)] == ["False", "False"]


@pytest.mark.slow
def test_two_processes_draw_different_noise(both):
    first, second = ((both / f"noise_{rank}").read_text().split() for rank in (0, 1))
    assert len(first) == len(second) == 4
    assert not set(first) & set(second)
    assert len(set(first)) == 4


def of(both: Path, what: str, name: str) -> list[dict]:
    return [torch.load(both / f"{what}_{name}_{rank}.pt", weights_only=False) for rank in (0, 1)]


OTHERS = [name for name in MODELS if name != "ConvolutionalGAN"]


@pytest.mark.slow
@pytest.mark.parametrize("name", two.EXACT)
def test_two_processes_of_the_zoos_own_models_are_one(name, both, tmp_path):
    """Half of the batch each: weights, ema_networks, and what is logged."""
    alone = two.result(*two.fitted(two.exact(name), tmp_path, 4, max_steps=two.FEW))
    for rank, mine in enumerate(of(both, "exact", name)):
        for key, value in alone["weights"].items():
            if isinstance(value, torch.Tensor) and not key.endswith("_extra_state"):
                assert torch.allclose(value, mine["weights"][key], atol=1e-6), (rank, key)
        if "ema._extra_state" in alone["weights"]:
            assert alone["weights"]["ema._extra_state"] == mine["weights"]["ema._extra_state"]
        assert len(mine["logged"]) == len(alone["logged"]) == two.FEW
        for here, there in zip(alone["logged"], mine["logged"], strict=True):
            means = {key: value for key, value in here.items() if not key.endswith("/js")}  # js is clamped, and no mean
            assert len(means) > 5
            assert means == pytest.approx({key: there[key] for key in means}, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_ranks_agree_in_their_weights_and_differ_in_their_noise(name, both):
    first, second = of(both, "straight", name)
    running = ("running_mean", "running_var", "num_batches_tracked", "_extra_state", "kept")
    for key, value in first["weights"].items():
        if not key.endswith(running):
            assert torch.equal(value, second["weights"][key]), key
    assert same(first["optimizers"], second["optimizers"]) == []
    assert len(first["drawn"]) == 8
    assert not set(first["drawn"]) & set(second["drawn"])
    for here, there in zip(first["logged"], second["logged"], strict=True):
        assert here == pytest.approx(there)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["epoch=0-step=1", "end-0"])
@pytest.mark.parametrize("name", OTHERS)
def test_two_processes_go_on_exactly(name, moment, both):
    """On both ranks: the first rank's file holds what the second has of its own (its history, its open gradients)."""
    for straight, resumed in zip(of(both, "straight", name), of(both, moment, name), strict=True):
        for what in ("weights", "optimizers", "schedules", "step"):
            differing = same(straight[what], resumed[what])
            # each rank's batch norm has running ema_networks of its own until the next step, and the first's are kept
            own = ("running_mean", "running_var")
            assert [key for key in differing if straight["rank"] == 0 or not key.endswith(own)] == []
        assert straight["drawn"][-len(resumed["drawn"]) :] == resumed["drawn"]


@pytest.mark.slow
def test_histories_of_both_ranks_survive(both):
    first, second = of(both, "straight", "CycleGAN")
    assert not torch.equal(first["weights"]["past_x._extra_state"], second["weights"]["past_x._extra_state"])
