"""Learning rates of parts of a player: steps by hand, schedules, clipping, ema_networks, resuming, and what is refused."""

from pathlib import Path

import pytest
import torch
import yaml
from support.games import Tug
from support.training import fit, loader, trainer

from ganzoo.cli import main
from ganzoo.errors import InputError
from ganzoo.models import GAN, DomainNormDANN
from ganzoo.training.rates import factor_of

X = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.7, -1.1]])
SGD = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.5}}
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1}}


def tug(**play):
    torch.manual_seed(0)
    return Tug(**play)


def once(n=1):
    return loader(X.repeat(n, 1), batch_size=len(X))


def moves(module, tmp_path, **options):
    before = module.snapshot()
    fit(module, once(), tmp_path, **{"max_epochs": 1, **options})
    return {name: value - before[name] for name, value in module.snapshot().items()}


def groups(module):
    return module.trainer.optimizers[list(module.players()).index("generator")].param_groups


@pytest.mark.parametrize("optimizer", [None, SGD, ADAM], ids=["the paper's", "SGD", "Adam"])
def test_a_step_is_the_factor_times_the_step_without(tmp_path, optimizer):
    play = {} if optimizer is None else {"optimizers": {"generator": optimizer, "discriminator": optimizer}}
    plain = moves(tug(**play), tmp_path)
    scaled = moves(tug(**play, rates={"G.bias": 0.25, "D": 3.0}), tmp_path)
    # the generator's gradient is of the discriminator after its step, so its weights are compared where D moves alike
    alone = moves(tug(**play, rates={"G.bias": 0.25}), tmp_path)
    assert torch.allclose(scaled["D.weight"], 3 * plain["D.weight"])
    assert torch.allclose(alone["G.bias"], 0.25 * plain["G.bias"])
    assert torch.equal(alone["G.weight"], plain["G.weight"])
    assert torch.equal(alone["D.weight"], plain["D.weight"])


def test_a_step_by_hand(tmp_path):
    module = tug(rates={"G.weight": 0.1}, lr=0.2)
    weight, bias = module.G.weight.detach().clone(), module.G.bias.detach().clone()
    fit(module, once(), tmp_path, max_epochs=1)
    W, b = weight.requires_grad_(), bias.requires_grad_()
    made = X @ W.T + b  # the discriminator has had its step before
    cost = -(made @ module.D.weight.detach().T + module.D.bias.detach()).mean() + (made - X).square().mean()
    dW, db = torch.autograd.grad(cost, (W, b))
    assert torch.allclose(module.G.weight, W - 0.2 * 0.1 * dW)
    assert torch.allclose(module.G.bias, b - 0.2 * db)


def test_the_longest_name_counts_and_a_name_is_not_a_beginning():
    rates = {"G": 0.1, "G.1": 0.5, "G.1.fc": 2.0, "G.1.fc.bias": 3.0}
    names = ["G.0.weight", "G.1.conv.weight", "G.1.fc.weight", "G.1.fc.bias", "G.10.weight", "D.weight", "G_f.weight"]
    assert [factor_of(name, rates) for name in names] == [0.1, 0.5, 2.0, 3.0, 0.1, 1.0, 1.0]


SCHEDULES = [
    {"class_path": "ganzoo.schedules.LinearDecay", "init_args": {"constant": 1, "decay": 5}},
    {"class_path": "ganzoo.schedules.ExponentialDecay", "init_args": {"factor": 1.5}},
    {"class_path": "ganzoo.schedules.ProgressDecay", "init_args": {"total": 6}},
    {"class_path": "ganzoo.schedules.MomentumRamp", "init_args": {"saturate": 4}},
    {"class_path": "torch.optim.lr_scheduler.MultiStepLR", "init_args": {"milestones": [1, 3]}},
    {"class_path": "torch.optim.lr_scheduler.CosineAnnealingLR", "init_args": {"T_max": 6}},
    {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": {"max_lr": [0.04, 0.4], "total_steps": 9}},
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s["class_path"].rpartition(".")[2])
def test_schedules_keep_the_ratio(tmp_path, schedule):
    seen = []

    class Watched(Tug):
        def on_before_optimizer_step(self, optimizer):
            super().on_before_optimizer_step(optimizer)
            if optimizer is self.trainer.optimizers[1]:
                seen.append([group["lr"] for group in optimizer.param_groups])

    module = Watched(rates={"G.weight": 0.1}, optimizers={"generator": SGD}, schedules={"generator": [schedule]})
    fit(module, once(2), tmp_path, max_epochs=4)
    assert len(seen) == 8
    assert all(weight == pytest.approx(0.1 * bias, rel=1e-6) for weight, bias in seen)
    assert len({round(bias, 9) for _, bias in seen}) > 1 or "MomentumRamp" in schedule["class_path"]


@pytest.mark.parametrize(
    ("kind", "rates"), [("OneCycleLR", {"max_lr": 0.4, "total_steps": 9}), ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1})]
)
def test_a_schedule_that_sets_one_rate_for_all_is_refused(tmp_path, kind, rates):
    schedule = {"class_path": f"torch.optim.lr_scheduler.{kind}", "init_args": rates}
    module = Tug(rates={"G.weight": 0.1}, optimizers={"generator": SGD}, schedules={"generator": [schedule]})
    with pytest.raises(InputError, match=f"{kind} sets its own rates and drops .* as a list, one for each of the 2 groups"):
        fit(module, once(), tmp_path, max_epochs=1)


def test_clipping_is_of_the_players_whole_gradient(tmp_path):
    norms = []

    class Watched(Tug):
        def on_before_optimizer_step(self, optimizer):
            super().on_before_optimizer_step(optimizer)
            if optimizer is self.trainer.optimizers[1]:
                norms.append(torch.cat([p.grad.flatten() for p in self.G.parameters()]).norm().item())

    fit(Watched(rates={"G.weight": 0.1}, clip_norm={"generator": 0.01}), once(), tmp_path, max_epochs=1)
    assert norms == pytest.approx([0.01], rel=1e-4)


def test_the_other_players_parts_stand_still_in_a_turn(tmp_path):
    module = tug(rates={"G.weight": 0.1, "D.bias": 0.5})
    fit(module, once(), tmp_path, max_epochs=1)
    first, second = module.log_of_turns
    assert set(first["frozen"]) == {"G.weight", "G.bias"}
    assert set(first["moved"]) == {"D.weight", "D.bias"}
    assert set(second["frozen"]) == {"D.weight", "D.bias"}
    assert set(second["moved"]) == {"G.weight", "G.bias"}


def test_the_average_follows_all_parts(tmp_path):
    module = tug(rates={"G.weight": 0.1}, ema_half_life=2.0, ema_ramp=0.0)
    before = {name: value.clone() for name, value in module.G.state_dict().items()}
    fit(module, once(), tmp_path, max_epochs=1)  # two images: half of the way
    for name, value in module.G.state_dict().items():
        assert torch.allclose(module.ema["G"].state_dict()[name], (before[name] + value) / 2)


class Kept(Tug):
    def __init__(self, **play):
        super().__init__(**play)
        self.save_hyperparameters()


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["SGD", "Adam"])
def test_a_resumed_run_is_the_straight_run(tmp_path, optimizer):
    decay = [{"class_path": "ganzoo.schedules.LinearDecay", "init_args": {"constant": 1, "decay": 5}}]
    play = {"optimizers": {"generator": optimizer, "discriminator": optimizer}, "rates": {"G.weight": 0.1}}
    play["schedules"] = {"generator": decay}
    torch.manual_seed(0)
    straight = Kept(**play)
    start = {name: value.clone() for name, value in straight.state_dict().items()}
    fit(straight, once(2), tmp_path, max_epochs=4)
    half, again = Kept(**play), Kept(**play)
    half.load_state_dict(start)
    played = fit(half, once(2), tmp_path, max_epochs=2)
    played.save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path, max_epochs=4).fit(again, once(2), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    for name, value in straight.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert [g["lr"] for g in groups(again)] == [g["lr"] for g in groups(straight)]
    assert groups(again)[0]["lr"] == pytest.approx(0.1 * groups(again)[1]["lr"])


@pytest.mark.parametrize(
    ("before", "now"), [({"G.weight": 0.1}, {"G.weight": 0.2}), ({}, {"G": 0.5}), ({"G.bias": 2.0}, {})]
)
def test_a_run_goes_on_with_the_rates_that_it_began_with(tmp_path, before, now):
    played = fit(Kept(rates=before), once(), tmp_path, max_epochs=1)
    played.save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(InputError, match="keeps the rates that it began with"):
        trainer(tmp_path, max_epochs=2).fit(Kept(rates=now), once(), ckpt_path=tmp_path / "one.ckpt", weights_only=True)


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({"H": 0.1}, "no player moves a 'H': the networks are G, D"),
        ({"G.wei": 0.1}, "no player moves a 'G.wei'"),
        *[({"G": factor}, "rates") for factor in (0.0, -1.0, float("nan"), float("inf"), True, "x", None)],
    ],
)
def test_what_is_no_rate_is_refused(tmp_path, rates, words):
    with pytest.raises(InputError, match=words):
        fit(Tug(rates=rates), once(), tmp_path, max_epochs=1)


def test_rates_from_yaml(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rates.yaml").write_text("model:\n  init_args:\n    rates: {G.pixels: 0.1}\n")
    quiet = ["--trainer.max_steps=2", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--run_dir=run"]
    main(["fit", "--config", "gan_digits", "--config", "rates.yaml", *quiet])
    saved = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    rates = [[group["lr"] for group in state["param_groups"]] for state in saved["optimizer_states"]]
    assert rates == [[2e-4], [2e-4, pytest.approx(2e-5)]]
    assert saved["hyper_parameters"]["rates"] == {"G.pixels": 0.1}
    assert GAN.load_from_checkpoint(tmp_path / "run/checkpoints/last.ckpt").hparams["rates"] == {"G.pixels": 0.1}


def test_dann_folders_has_a_tenth_for_the_backbone_and_the_whole_rate_for_new_layers():
    config = yaml.safe_load((Path(__file__).resolve().parent.parent.parent / "configs/dann_folders.yaml").read_text())
    arguments = config["model"]["init_args"]
    arguments["family"]["init_args"] |= {"name": "resnet18", "weights": None}
    sgd = {
        "class_path": "torch.optim.SGD",
        "init_args": {"lr": arguments["lr"]},
    }  # the paper's asks for the training's length
    model = DomainNormDANN(**arguments, optimizers=dict.fromkeys(("features", "label_predictor", "domain_classifier"), sgd))
    (backbone, new), *heads = (list(o.param_groups) for o in model.configure_optimizers()[0])
    assert [backbone["lr"], new["lr"]] == [pytest.approx(0.001), 0.01]
    assert {len(group["params"]) for group in (backbone, new)} == {60, 2}
    assert {id(p) for p in new["params"]} == {id(p) for p in model.G_f[1].fc.parameters()}
    assert all(len(groups) == 1 and groups[0]["lr"] == 0.01 for groups in heads)
