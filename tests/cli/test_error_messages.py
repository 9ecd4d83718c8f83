"""A user's mistake is one line."""

import sys
from pathlib import Path

import pytest
from support.command import (
    error,
)

from ganzoo.cli import main
from ganzoo.cli.error_messages import one_line

pytestmark = pytest.mark.usefixtures("toy_folder")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--model.wieght_l1", "3"], "support.command.Toy has no option 'wieght_l1': did you mean 'weight_l1'?"),
        (["--trainer.max_epohcs", "3"], "there is no option 'trainer.max_epohcs': did you mean 'trainer.max_epochs'?"),
        (["--trainer.max_epoch", "3"], "there is no option 'trainer.max_epoch': did you mean 'trainer.max_epochs'?"),
        (["--cofnig", "x"], "there is no option 'cofnig': did you mean 'config'?"),
        (["--config", "{modle: {init_args: {width: 3}}}"],
         "there is no option 'modle.init_args.width': did you mean 'model'?"),
        (["--model", "Toi"], "model: there is no class 'Toi': did you mean 'Toy'?"),
        (["--model", "support.command.Toi"], "did you mean 'Toy'?"),
        (["--model", "ToyData"], "did you mean"),
        (["--model", "support.command.ToyData"], "model: support.command.ToyData is not a LightningModule"),
        (["--model", "nowhere.GAN"], "model: there is no class 'nowhere.GAN' (No module named 'nowhere')"),
        (["--data.batch_size", "four"], "data.batch_size: expected int, not four"),
        (["--data", "WorldMaps", "--data.a", "moon"], "data.a: expected one of photo, relief, etopo, not moon"),
        (["--trainer.max_epochs", "three"], "trainer.max_epochs: expected int, not three"),
        (["--config", "{trainer: {callbacks: [{class_path: SampleGird}]}}"],
         "no class 'SampleGird': did you mean 'SampleGrid'?"),
        (["--config", "{trainer: {callbacks: [{class_path: SampleGrid, init_args: {sed: 1}}]}}"],
         "ganzoo.callbacks.SampleGrid has no option 'sed': did you mean 'seed'?"),
        (["--config", "{trainer: {callbacks: [{class_path: SampleGrid, init_args: {n: 0}}]}}"],
         "trainer.callbacks.n: give an int in [1, 10000], not 0"),
        (["--config", "toy_nose"], "there is no config 'toy_nose': did you mean 'toy_noise'?"),
        (["--config", "configs/toy_nose.yaml"], "did you mean 'toy_noise'?"),
        (["--config", "{model: {init_args: {weight_l1: '${data.init_args.nope}'}}}"],
         "model.init_args.weight_l1 refers to ${data.init_args.nope}, which is nowhere in the config"),
        (["--model.width", "0"], "width is at least 1, not 0"),
        (["--model.accumulate", "0"], "model.accumulate: give an int in [1, 2**31), not 0"),
        (["--model.accumulate", "null"], "model.accumulate: expected int in [1, 2**31), not null"),
        (["--model.ema_half_life", "nan"], "model.ema_half_life: give a float in (0, inf), not nan"),
        (["--trainer.gradient_clip_val", "1"], "model.clip_norm"),
        (["--trainer.accumulate_grad_batches", "2"], "model.accumulate"),
        (["--model.clip_norm", "{critic: 1.0}"], "clip_norm names a player 'critic'"),
        (["--ckpt_path", "nope.ckpt"], "--ckpt_path nope.ckpt: there is no such file"),
        (["--ckpt_path", "last"], "no run in runs/toy_noise has left a checkpoint"),
        (["--data", "support.command.BrokenData"], "photo_7.jpg is no image: delete it"),
        (["--trainer.callbacks", "support.command.FullDisk"], "metrics.csv: No space left on device"),
        (["--trainer.strategy", "fsdp"], "fsdp cannot train several players (FSDP needs Lightning's automatic"),
        (["--trainer.strategy", "deepspeed_stage_2"], "each player has its own): use --trainer.strategy ddp"),
        (["--trainer.strategy", "lightning.pytorch.strategies.ModelParallelStrategy"], "ModelParallelStrategy cannot train"),
        (["--config", "{trainer: {strategy: {class_path: FSDPStrategy, init_args: {cpu_offload: true}}}}"], "use --trainer"),
        (["--trainer.strategy", "dp"], "there is no strategy 'dp': did you mean 'ddp'?"),
        (["--trainer.strategy", "horovod"], "there is no strategy 'horovod'"),
    ],
)  # fmt: skip
def test_a_user_s_error_is_one_line(capsys, args, line):
    assert line in error(capsys, "fit", "--config", "toy_noise", *args)


def test_too_little_memory_is_one_line():
    processor = (
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes."
    )
    gpu = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB"
    for message, asked in ((processor, "40 bytes"), (gpu, "20.00 GiB")):
        assert one_line(RuntimeError(message)).startswith(f"there is not enough memory for {asked} more: a smaller")
    assert one_line(RuntimeError("another")) is None


def test_the_line_of_a_worker_s_error_is_the_error_s_alone(capsys):
    line = error(capsys, "fit", "--config", "toy_noise", "--data", "support.command.BrokenData")
    assert line == "photo_7.jpg is no image: delete it"


EARLY = [
    "--trainer.callbacks",
    "EarlyStopping",
    "--trainer.callbacks.monitor",
    "x",
    "--trainer.check_val_every_n_epoch",
    "1",
]
GROWING = ["--trainer.callbacks", "GradientAccumulationScheduler", "--trainer.callbacks.scheduling", "{0: 2}"]
TWO = ["--trainer.callbacks+", "Checkpoints", "--trainer.callbacks+", "Checkpoints"]
RANGE = "--trainer.callbacks.n"
MINE = """
from support.command import Toy
class Odd(Toy):
    def __init__(self, **kw):
        super().__init__(**kw)
        raise ValueError("side must be even")
"""


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--model", "mine.Odd"], "mine.Odd cannot be built: ValueError: side must be even (GANZOO_TRACEBACK=1"),
        (EARLY, "metric `x` which is not available"),
        (GROWING, "manual optim"),
        (TWO, "two callbacks of the kind Checkpoints"),
        (["--trainer.callbacks+", "Progress", "--trainer.callbacks+", "Progress"], "progress bar"),
        (["--trainer.callbacks", "SampleGrid", RANGE, "0"], "trainer.callbacks.n: give an int in [1, 10000], not 0"),
        (["--trainer.callbacks", "Health", RANGE, "1e12"], "give an int in"),
        (["--trainer.callbacks", "Quality", "--trainer.callbacks.seed", "-1"], "give an int in [0, 2**63)"),
        (["--model.optimizers", "{generator: {class_path: 3}}"], "class_path is a name"),
        (["--model.optimizers", "{generator: {class_path: torch.optim.SGD, init_args: [x]}}"], "init_args a mapping"),
        (["--model.optimizers", "{generator: {class_path: .x.SGD}}"], "there is no class '.x.SGD'"),
        (["--trainer.callbacks", "Checkpoints", "--trainer.callbacks.monitor", ""], "monitor is empty"),
        (["--trainer.devices", "1.5"], "devices"),
        (["--trainer.max_epochs", "-2"], "trainer: max_epochs is -2: give an int in [-1, 2**31) or null"),
        (["--trainer.check_val_every_n_epoch", "0"], "check_val_every_n_epoch is 0"),
        (["--seed_everything", "9999999999"], "seed is 9999999999: give an int in [0, 2**32)"),
        (["--seed_everything", "-1"], "seed is -1"),
        (["--model.weight_l1", "null"], "model.weight_l1: expected float, not null"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(capsys, args, line):
    Path("mine.py").write_text(MINE)
    sys.modules.pop("mine", None)
    assert line in error(capsys, "fit", "--config", "toy_noise", *args)


def test_the_name_of_a_file_that_is_too_long_is_cut(capsys):
    assert main(["fit", "--config", "x" * 5000]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "File name too long" in line
    assert len(line) < 300
