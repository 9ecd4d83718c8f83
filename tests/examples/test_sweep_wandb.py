"""The sweep's command line, as an agent of W&B writes it, is one of ``ganzoo fit``, and its metric is logged."""

from pathlib import Path

import torch

from ganzoo.cli import main
from ganzoo.utils.yaml_text import read_yaml

SWEEP = Path(__file__).resolve().parent.parent.parent / "examples" / "sweep_wandb.yaml"


def test_an_agents_command_line_trains_two_steps(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweep = read_yaml(SWEEP)
    chosen = {name: one.get("min") or one["values"][0] for name, one in sweep["parameters"].items()}
    assert set(chosen) == {"model.lr", "model.lambda_L1"}
    args = [f"--{name}={value}" for name, value in chosen.items()]  # what ${args} stands for
    program, *command = [each for word in sweep["command"] for each in (args if word == "${args}" else [word])]
    assert program == sweep["program"] == "ganzoo"
    few = ["--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--trainer.limit_val_batches", "1"]
    few += ["--trainer.num_sanity_val_steps", "0", "--trainer.accelerator", "cpu", "--data.num_workers", "0"]
    few += ["--data.batch_size", "1", "--model.width", "2", "--trainer.logger", "CSVLogger"]
    assert main([*command, *few]) == 0, capsys.readouterr().err
    run = Path("runs/pix2pix_maps/version_0")
    made = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert {f"model.{name}": made[name] for name in ("lr", "lambda_L1")} == chosen
    assert sweep["metric"]["name"] in (run / "metrics.csv").read_text().splitlines()[0].split(",")
