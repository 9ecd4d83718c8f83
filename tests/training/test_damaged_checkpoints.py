"""Checkpoints that are whole files and wrong inside: one line that says what is wrong, and exit code 2."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.resuming import Few, build, run

import ganzoo
from ganzoo.cli import main
from ganzoo.errors import InputError

STEPS = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 5}}
OPTIONS = ["--model.hidden", "8", "--model.latent", "4", "--model.ema_half_life", "100"]
OPTIONS += ["--model.schedules", json.dumps({"discriminator": [STEPS]})]
QUICK = ["--config", "gan_digits", *OPTIONS, "--trainer.accelerator", "cpu", "--trainer.limit_train_batches", "2"]
QUICK += ["--trainer.limit_val_batches", "1", "--trainer.enable_model_summary", "false"]
BAD: dict[str, Any] = {
    "null": None,
    "text": "x",
    "list": [1],
    "number": 1.5,
    "nan": float("nan"),
    "minus": -3,
    "dictionary": {"a": 1},
    "tensor": torch.zeros(2),
}
WEIGHT = ("state_dict", "G.hidden.0.weight")
CURRENT = ("loops", "fit_loop", "epoch_progress", "current")
BATCHES = ("loops", "fit_loop", "epoch_loop.batch_progress")
GROUP = ("optimizer_states", 0, "param_groups", 0)

# of each place: which values are wrong in it. "gone" removes it.
ANYWHERE = {
    ("pytorch-lightning_version",): "gone null list number dictionary",
    ("epoch",): "null text list nan minus dictionary",
    ("global_step",): "null text number nan minus tensor",
    ("state_dict",): "null list tensor text",
    WEIGHT: "gone null text number list dictionary",
    ("hyper_parameters",): "text list number",
    ("hyper_parameters", "shape"): "text number list dictionary nan",
    ("hyper_parameters", "hidden"): "null text list nan minus",
    ("hyper_parameters", "loss"): "list number dictionary",
    ("hyper_parameters", "optimizers"): "text number dictionary",
    ("hyper_parameters", "ema_half_life"): "text nan minus list",
    ("ganzoo",): "null text list",
    ("ganzoo", "format"): "null text list",
}
RESUMING = {
    ("loops",): "null list text",
    ("loops", "fit_loop"): "gone null list",
    CURRENT: "gone null list",
    (*CURRENT, "processed"): "gone null text nan list",
    BATCHES: "gone null",
    (*BATCHES, "is_last_batch"): "text list",
    ("callbacks",): "null list text",
    ("optimizer_states",): "null list text dictionary",
    ("optimizer_states", 0): "gone null list text",
    ("optimizer_states", 0, "state"): "gone null text dictionary",
    GROUP: "gone null text",
    (*GROUP, "lr"): "gone text nan list dictionary",
    (*GROUP, "momentum"): "text nan",
    (*GROUP, "params"): "gone null text list",
    ("lr_schedulers",): "null text dictionary",
    ("lr_schedulers", 0): "null text",
    ("lr_schedulers", 0, "last_epoch"): "text nan minus",
    ("lr_schedulers", 0, "base_lrs"): "null text dictionary",
    ("ganzoo", "seed"): "null text nan list",
    ("ganzoo", "own"): "null text list dictionary",
    ("ganzoo", "processes"): "null text minus",
    ("ganzoo", "optimizers"): "null text",
}


def put(checkpoint: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        checkpoint = checkpoint[key]
    if value == "gone":
        del checkpoint[place[-1]]
    else:
        checkpoint[place[-1]] = value


def by_place(places: dict[tuple[Any, ...], str]) -> Iterator[tuple[str, Callable[[Any], None]]]:
    for place, values in places.items():
        for name in values.split():
            yield f"{'.'.join(map(str, place))} {name}", lambda c, p=place, n=name: put(c, p, BAD.get(n, n))


def other_tensors() -> Iterator[tuple[str, Callable[[Any], None]]]:
    yield "weight sparse", lambda c: put(c, WEIGHT, c["state_dict"][WEIGHT[1]].to_sparse())
    yield "weight meta", lambda c: put(c, WEIGHT, c["state_dict"][WEIGHT[1]].to("meta"))
    yield "weight of another shape", lambda c: put(c, WEIGHT, torch.zeros(3, 3))
    yield "weight quantized", lambda c: put(c, WEIGHT, torch.quantize_per_tensor(torch.ones(8, 4), 0.1, 0, torch.qint8))
    yield "weight by a number", lambda c: put(c, ("state_dict", 7), torch.ones(1))
    yield "version of nothing", lambda c: put(c, ("pytorch-lightning_version",), "not.a.version")


def other_states() -> Iterator[tuple[str, Callable[[Any], None]]]:
    def momentum(checkpoint: Any, value: Any) -> None:
        put(checkpoint, ("optimizer_states", 0, "state", 0, "momentum_buffer"), value)

    yield "state of another shape", lambda c: momentum(c, torch.zeros(2, 2))
    yield "state meta", lambda c: momentum(c, torch.zeros(240, 64, device="meta"))
    yield "state sparse", lambda c: momentum(c, torch.zeros(2, 2).to_sparse())
    yield "state text", lambda c: momentum(c, "x")
    yield "state of nobody", lambda c: put(c, ("optimizer_states", 0, "state", 99), {"momentum_buffer": torch.zeros(1)})
    yield "one optimizer less", lambda c: c["optimizer_states"].pop()
    yield "one optimizer more", lambda c: c["optimizer_states"].append(c["optimizer_states"][0])
    for name in BAD:
        if name != "dictionary":
            yield f"callback {name}", lambda c, n=name: c["callbacks"].update(dict.fromkeys(c["callbacks"], BAD[n]))
        yield f"data {name}", lambda c, n=name: c.update(Digits=BAD[n])


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run = folder / "version_0"
    assert main(["fit", *QUICK, "--trainer.max_epochs", "1", "--run_dir", str(run)]) == 0
    return run / "checkpoints" / "last.ckpt"


@pytest.fixture
def damaged(trained, tmp_path, monkeypatch) -> Callable[[Callable[[Any], None]], Path]:
    monkeypatch.chdir(tmp_path)
    whole = torch.load(trained, weights_only=True)

    def write(change: Callable[[Any], None]) -> Path:
        other = copy.deepcopy(whole)
        change(other)
        torch.save(other, tmp_path / "damaged.ckpt")
        return tmp_path / "damaged.ckpt"

    return write


def refused(args: list[str], capsys: Any) -> str | None:
    """What is wrong with how a command ended; None if it left with 2 and one line of its own."""
    capsys.readouterr()
    try:
        code = main(args)
    except BaseException as error:
        return f"{type(error).__name__}: {error!s:.200}"
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ganzoo: error: ")]
    return None if code == 2 and len(lines) == 1 else f"exit {code}, {lines}"


def test_what_is_wrong_anywhere_is_refused_by_all(damaged, capsys):
    wrong = {}
    cases = [*by_place(ANYWHERE), *other_tensors()]
    for name, change in cases:
        path = damaged(change)
        try:
            ganzoo.GAN.load_from_checkpoint(path)
            wrong[f"load: {name}"] = "loaded"
        except InputError:
            pass
        except Exception as error:
            wrong[f"load: {name}"] = repr(error)[:200]
        wrong[f"evaluate: {name}"] = refused(
            ["evaluate", str(path), "--config", "gan_digits", "--extractor", "none"], capsys
        )
    assert len(cases) > 50
    assert {name: why for name, why in wrong.items() if why} == {}


def test_what_is_wrong_for_resuming_is_refused_from_python(tmp_path):
    model = build("GAN")
    run(model, Few(model), tmp_path, max_epochs=1).save_checkpoint(tmp_path / "whole.ckpt")
    whole, wrong = torch.load(tmp_path / "whole.ckpt", weights_only=True), {}
    cases = [*by_place(RESUMING), *((n, c) for n, c in other_states() if not n.startswith(("callback", "data")))]
    cases = [(name, change) for name, change in cases if not name.startswith("callbacks")]
    for name, change in cases:
        other = copy.deepcopy(whole)
        change(other)
        torch.save(other, tmp_path / "damaged.ckpt")
        model = build("GAN")
        try:
            run(model, Few(model), tmp_path, tmp_path / "damaged.ckpt", max_epochs=2)
            wrong[name] = "taken"
        except InputError:
            pass
        except Exception as error:
            wrong[name] = repr(error)[:200]
    assert len(cases) > 60
    assert wrong == {}


@pytest.mark.slow
def test_what_is_wrong_for_resuming_is_refused_by_the_command(damaged, capsys):
    wrong = {}
    limits = ["--trainer.max_epochs", "2"]
    hyper = [(name, change) for name, change in by_place(ANYWHERE) if not name.startswith("hyper_parameters")]
    cases = [*hyper, *other_tensors(), *by_place(RESUMING), *other_states()]
    for name, change in cases:
        wrong[name] = refused(["fit", *QUICK, *limits, "--ckpt_path", str(damaged(change))], capsys)
    assert len(cases) > 80
    assert {name: why for name, why in wrong.items() if why} == {}


def test_the_whole_one_is_taken(damaged, capsys):
    path = damaged(lambda checkpoint: None)
    assert type(ganzoo.GAN.load_from_checkpoint(path)) is ganzoo.GAN
    assert refused(["fit", *QUICK, "--trainer.max_epochs", "2", "--ckpt_path", str(path)], capsys) == "exit 0, []"
