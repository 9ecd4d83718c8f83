"""The folders of runs, and the checkpoints in them."""

import os
from pathlib import Path

import pytest
from support.command import (
    BATCHES,
    Toy,
    checkpoint,
    error,
    fit,
    saved,
)
from torch import nn

from ganzoo.cli.runs import check_fits
from ganzoo.errors import InputError

pytestmark = pytest.mark.usefixtures("toy_folder")


def test_the_second_run_has_a_second_folder():
    assert fit("--model.weight_l1", "1") == fit("--model.weight_l1", "2") == 0
    assert [saved(f"runs/toy_noise/version_{n}")["model"]["init_args"]["weight_l1"] for n in (0, 1)] == [1, 2]


def test_a_folder_of_one_s_own_is_never_written_over(capsys):
    assert fit("--run_dir", "mine/1") == 0
    assert checkpoint("mine/1")["global_step"] == BATCHES
    assert "mine/1 is not empty" in error(capsys, "fit", "--config", "toy_noise", "--run_dir", "mine/1")


def test_the_root_of_all_runs_may_be_elsewhere():
    assert fit("--trainer.default_root_dir", "elsewhere") == 0
    assert checkpoint("elsewhere/toy_noise/version_0")["global_step"] == BATCHES


def test_going_on_with_the_last_run(capsys):
    assert fit() == fit() == 0
    later = Path("runs/toy_noise/version_1/checkpoints/last.ckpt").stat().st_mtime + 10
    os.utime("runs/toy_noise/version_0/checkpoints/last.ckpt", (later, later))  # a run that began first may end last
    assert fit("--ckpt_path", "last", "--trainer.max_epochs", "2") == 0
    assert saved("runs/toy_noise/version_2")["ckpt_path"] == "runs/toy_noise/version_0/checkpoints/last.ckpt"
    assert checkpoint("runs/toy_noise/version_2")["global_step"] == 2 * BATCHES


def test_a_checkpoint_of_another_model(capsys):
    assert fit() == 0
    last = ("fit", "--config", "toy_noise", "--ckpt_path", "last")
    assert "is of support.command.Toy, and the model is OtherToy" in error(
        capsys, *last, "--model", "support.command.OtherToy"
    )
    assert error(capsys, *last, "--model.width", "6").endswith("is of another Toy: width 4 there and 6 here")
    assert not Path("runs/toy_noise/version_1").exists()


def test_averaged_weights_are_optional():
    model = Toy()
    weights = {"state_dict": model.state_dict(), "hyper_parameters": {"_class_path": "support.command.Toy"}}
    model.ema = nn.Linear(3, 3)
    check_fits(weights, model, "here")
    check_fits({**weights, "state_dict": model.state_dict()}, Toy(), "here")
    model.other = nn.Linear(3, 3)
    with pytest.raises(InputError, match="other"):
        check_fits(weights, model, "here")
