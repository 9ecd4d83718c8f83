"""Optimizers and schedules: what cannot train is refused, what is given is used, a resumed run follows what has changed."""

from typing import Any

import pytest
import torch
from support.player_schedules import BATCHES, OURS, TORCHS, Game, by_hand, play, recipe, same
from support.training import loader, trainer
from torch.optim import SGD

from ganzoo.cli import main
from ganzoo.errors import InputError
from ganzoo.models import DANN, DCGAN, GAN, CycleGAN
from ganzoo.training.optimizers import fuse
from ganzoo.utils.ranges import HalfOpenUnitInterval, LearningRate

nan, inf = float("nan"), float("inf")
ADAM = recipe("torch.optim.Adam", lr=2e-4)


def refused(model: Any) -> str:
    with pytest.raises(InputError) as caught:
        model.configure_optimizers()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "arguments", "line"),
    [
        ("Adam", {"lr": nan}, "Invalid learning rate: nan"),
        ("Adam", {"lr": inf}, "lr of Adam is inf"),
        ("Adam", {"lr": -1.0}, "Invalid learning rate: -1.0"),
        ("Adam", {"lr": None}, "does not accept its init_args"),
        ("Adam", {"lr": "nan"}, "does not accept its init_args: lr is the text 'nan'"),
        ("Adam", {"betas": [0.5, nan]}, "nan"),
        ("Adam", {"betas": [1.5, 0.9]}, "1.5"),
        ("Adam", {"betas": []}, "does not accept its init_args"),
        ("Adam", {"betas": 0.5}, "does not accept its init_args"),
        ("Adam", {"eps": inf}, "eps of Adam is inf: give a float in (-inf, inf)"),
        ("SGD", {"lr": 1e12}, "lr of SGD is 1000000000000.0: give a float in [0, 1000]"),
        ("SGD", {"lr": 0.1, "momentum": 5.0}, "momentum of SGD is 5.0: give a float in [0, 1)"),
        ("SGD", {"lr": 0.1, "momentum": nan}, "momentum of SGD is nan"),
        ("SGD", {"lr": 0.1, "dampening": nan}, "dampening of SGD is nan"),
        ("SGD", {"lr": 0.1, "weight_decay": nan}, "weight_decay of SGD is nan"),
        ("RMSprop", {"alpha": 1.0}, "alpha of RMSprop is 1.0: give a float in [0, 1)"),
        ("Adam", {"amsgrad": nan}, "amsgrad of Adam is nan: give true or false"),
        ("SGD", {"lr": 0.1, "nesterov": 2, "momentum": 0.5}, "nesterov of SGD is 2: give true or false"),
        ("LBFGS", {}, "needs a closure"),
        ("SparseAdam", {}, "needs sparse gradients"),
    ],
)
def test_an_optimizer_that_cannot_train_is_one_line(kind, arguments, line):
    assert line in refused(Game(optimizers={"generator": recipe(f"torch.optim.{kind}", **arguments)}))


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("StepLR", {"step_size": 0}),
        ("StepLR", {"step_size": 30, "gamma": nan}),
        ("StepLR", {"step_size": 30, "gamma": -1.0}),
        ("StepLR", {"step_size": "x"}),
        ("ExponentialLR", {"gamma": inf}),
        ("ExponentialLR", {"gamma": 10.0}),
        ("CosineAnnealingLR", {"T_max": 0}),
        ("CosineAnnealingWarmRestarts", {"T_0": 0}),
        ("MultiStepLR", {"milestones": 3}),
        ("OneCycleLR", {"max_lr": nan, "total_steps": 5}),
    ],
)
def test_a_scheduler_that_cannot_train_is_one_line(kind, arguments):
    line = refused(Game(schedules={"generator": [recipe(TORCHS + kind, **arguments)]}))
    assert kind in line


# -- what is given is used --

BOTH = {"discriminator": ADAM, "generator": ADAM}


@pytest.mark.parametrize(
    ("model", "argument", "advice"),
    [
        (GAN(optimizers=BOTH, lr=0.01), "model.lr is 0.01", "--model.optimizers.generator.init_args.lr 0.01"),
        (GAN(optimizers=BOTH, momentum=0.1), "model.momentum is 0.1", "set it within model.optimizers"),
        (CycleGAN(width=1, blocks=0, optimizers=BOTH, constant=3), "model.constant is 3", "leave model.optimizers out"),
        (
            CycleGAN(width=1, blocks=0, schedules={"discriminator": [], "generator": []}, decay=3),
            "model.decay is 3",
            "leave model.schedules out",
        ),
    ],
)
def test_an_argument_that_nothing_uses_is_refused_with_what_to_write(model, argument, advice):
    line = refused(model)
    assert argument in line
    assert advice in line


def test_what_is_used_by_a_player_or_left_out_is_taken():
    GAN(optimizers=BOTH).configure_optimizers()
    GAN(optimizers={"generator": ADAM}, lr=0.01).configure_optimizers()
    CycleGAN(width=1, blocks=0, schedules={"discriminator": []}, decay=3).configure_optimizers()
    DANN(optimizers=dict.fromkeys(("features", "label_predictor", "domain_classifier"), ADAM)).configure_optimizers()

    class Fixed(GAN):  # what its author fixes is not the user's to mend
        def __init__(self, **rest: Any) -> None:
            super().__init__(lr=0.01, **rest)

    Fixed(optimizers=BOTH).configure_optimizers()


def test_the_commands_line_says_what_to_write(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", "gan_digits", "--model.lr", "0.001", "--trainer.accelerator", "cpu"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("ganzoo: error: model.lr is 0.001, and nothing uses it")
    assert "--model.optimizers.generator.init_args.lr 0.001" in line
    assert not list(tmp_path.rglob("config.yaml"))  # nothing claims the rate


# -- resume --


class Rated(Game):
    """As a paper's model: a rate and a momentum of its own."""

    def __init__(self, lr: LearningRate = 0.1, momentum: HalfOpenUnitInterval = 0.5, **play: Any) -> None:
        super().__init__(**play)
        self.lr, self.momentum = lr, momentum

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=self.lr, momentum=self.momentum)


def resumed(tmp_path, before: dict[str, Any], after: dict[str, Any]) -> tuple[Any, list[Any], list[Any]]:
    """Two epochs with ``before``, three more with ``after``; and what each of them would have been from the beginning."""
    first, again = Rated(**before), Rated(**after)
    play(first, tmp_path, epochs=2).save_checkpoint(tmp_path / "kept.ckpt")
    play(again, tmp_path, ckpt_path=tmp_path / "kept.ckpt")
    straight = Rated(**after)
    play(straight, tmp_path)
    return again, again.rates["generator"], straight.rates["generator"][2 * BATCHES :]


STEP = {"interval": "step"}
DECAY = {"schedules": {"generator": [{**recipe(OURS + "LinearDecay", constant=1, decay=9), "interval": "epoch"}]}}
RAMP = {"schedules": {"generator": [recipe(OURS + "MomentumRamp", final=0.9, start=1, saturate=5)]}}
SEQUENCE = [recipe(TORCHS + "LinearLR", start_factor=0.5, total_iters=2), recipe(TORCHS + "ExponentialLR", gamma=0.9)]


def torchs(kind: str, **arguments: Any) -> dict[str, Any]:
    return {"schedules": {"generator": [{**recipe(TORCHS + kind, **arguments), **STEP}]}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"lr": 0.01}),
        ({"lr": 0.0}, {"lr": 0.01}),
        ({}, {"momentum": 0.9}),
        (DECAY, {**DECAY, "lr": 0.01}),
        (RAMP, {**RAMP, "momentum": 0.2}),
        (torchs("ExponentialLR", gamma=0.8), {**torchs("ExponentialLR", gamma=0.8), "lr": 0.01}),
        (torchs("SequentialLR", schedulers=SEQUENCE, milestones=[2]),
         {**torchs("SequentialLR", schedulers=SEQUENCE, milestones=[2]), "lr": 0.01}),
        (torchs("StepLR", step_size=8, gamma=0.5), torchs("StepLR", step_size=8, gamma=0.1)),
        (torchs("StepLR", step_size=20), torchs("StepLR", step_size=10)),
        ({"optimizers": {"generator": recipe("torch.optim.SGD", lr=0.1)}},
         {"optimizers": {"generator": recipe("torch.optim.SGD", lr=0.3, momentum=0.1)}}),
    ],
)  # fmt: skip
def test_a_resumed_run_uses_the_numbers_that_it_is_given(before, after, tmp_path, capsys):
    again, found, straight = resumed(tmp_path, before, after)
    same(found, straight)
    assert "resumed with changed settings: " in capsys.readouterr().err or "schedules" in after
    # and the next checkpoint knows them
    played = play(again, tmp_path, epochs=6, ckpt_path=tmp_path / "kept.ckpt")
    played.save_checkpoint(tmp_path / "next.ckpt")
    last = Rated(**after)
    play(last, tmp_path, epochs=7, ckpt_path=tmp_path / "next.ckpt")
    assert len(last.rates["generator"]) == BATCHES


def test_where_nothing_is_changed_the_rate_stays_also_where_a_callback_has_moved_it(tmp_path, capsys):
    first = Rated()
    played = play(first, tmp_path, epochs=2)
    played.optimizers[1].param_groups[0]["lr"] = 0.123
    played.save_checkpoint(tmp_path / "kept.ckpt")
    again = Rated()
    play(again, tmp_path, ckpt_path=tmp_path / "kept.ckpt")
    assert {rate for rate, _ in again.rates["generator"]} == {0.123}
    assert "goes on with" not in capsys.readouterr().err


def test_a_checkpoint_of_an_older_ganzoo_is_followed_too(tmp_path):
    play(Rated(**DECAY), tmp_path, epochs=2).save_checkpoint(tmp_path / "kept.ckpt")
    old = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    del old["ganzoo"]["built"]
    torch.save(old, tmp_path / "old.ckpt")
    for lr in (0.1, 0.01):
        again = Rated(lr=lr, **DECAY)
        play(again, tmp_path, ckpt_path=tmp_path / "old.ckpt")
        wanted = [
            (rate * lr / 0.1, momentum)
            for rate, momentum in by_hand(recipe(OURS + "LinearDecay", constant=1, decay=9), "epoch")
        ]
        same(again.rates["generator"], wanted[2 * BATCHES :])


def test_schedules_of_another_kind_are_refused(tmp_path):
    play(Rated(**DECAY), tmp_path, epochs=2).save_checkpoint(tmp_path / "kept.ckpt")
    with pytest.raises(InputError, match=r"trained with schedules LinearDecay \(generator\), and this run has none"):
        play(Rated(), tmp_path, ckpt_path=tmp_path / "kept.ckpt")


# -- torch's fused kernels ------------------------------------------------------------------------------------------------


def parameters() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.linspace(-1, 1, n)) for n in (3, 1000)]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, SGD])
def test_the_fused_kernel_is_the_same_formula(kind):
    """Over 50 steps, by the two kernels of torch."""
    ends = []
    for fused in (False, None):
        mine = parameters()
        optimizer = kind(mine, lr=0.01, weight_decay=0.1, fused=fused)
        fuse(optimizer)
        assert optimizer.param_groups[0]["fused"] is (fused is None)
        rng = torch.Generator().manual_seed(0)
        for _ in range(50):
            for each in mine:
                each.grad = torch.randn(each.shape, generator=rng)
            optimizer.step()
        ends.append(torch.cat(mine))
    assert (ends[0] - torch.cat(parameters())).abs().mean() > 0.01
    assert torch.allclose(*ends, rtol=0, atol=1e-6)


class MyAdam(torch.optim.Adam):
    """Could have a step of its own."""


@pytest.mark.parametrize(
    "optimizer",
    [
        torch.optim.RMSprop(parameters()),
        MyAdam(parameters()),
        torch.optim.Adam(parameters(), foreach=True),
        torch.optim.Adam(parameters(), fused=False),
        torch.optim.Adam(parameters(), differentiable=True),
        torch.optim.Adam([torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))]),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_other_optimizers_and_the_users_choice_are_left_alone(optimizer):
    before = optimizer.param_groups[0].get("fused")
    fuse(optimizer)
    assert optimizer.param_groups[0].get("fused") is before


def test_a_player_has_the_fused_kernel_and_a_checkpoint_from_before_it_goes_on_without(tmp_path, capsys):
    without = {"optimizers": {"generator": recipe("torch.optim.SGD", lr=0.1, fused=False)}}
    played = play(Rated(**without), tmp_path, epochs=2)
    assert [optimizer.param_groups[0]["fused"] for optimizer in played.optimizers] == [True, False]
    played.save_checkpoint(tmp_path / "kept.ckpt")
    old = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    for state in old["optimizer_states"]:
        state["param_groups"][0]["fused"] = None
    torch.save(old, tmp_path / "old.ckpt")
    capsys.readouterr()
    with_it = {"optimizers": {"generator": recipe("torch.optim.SGD", lr=0.1)}}
    resumed_one = play(Rated(**with_it), tmp_path, ckpt_path=tmp_path / "old.ckpt")
    assert [optimizer.param_groups[0]["fused"] for optimizer in resumed_one.optimizers] == [None, None]
    assert "changed settings" not in capsys.readouterr().err


def test_a_run_is_resumed_in_another_memory_layout(tmp_path):
    """A fused kernel takes weights, gradients and moments as they lie in memory."""
    images = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def train(layout: torch.memory_format, epochs: int, ckpt_path: str | None = None):
        torch.manual_seed(0)
        model = DCGAN(**DCGAN.small, accumulate=2).to(memory_format=layout)
        played = trainer(tmp_path, max_epochs=epochs, precision="64-true")
        played.fit(model, loader(images, batch_size=2), ckpt_path=ckpt_path)
        return model, played

    contiguous, channels_last = torch.contiguous_format, torch.channels_last
    for before, after in ((contiguous, channels_last), (channels_last, contiguous)):
        _, first = train(before, 1)
        first.save_checkpoint(tmp_path / "first.ckpt")
        same, changed = (train(layout, 3, tmp_path / "first.ckpt")[0] for layout in (before, after))
        assert changed.D.state_dict().keys() == same.D.state_dict().keys()
        for name, weight in same.state_dict().items():
            assert torch.allclose(changed.state_dict()[name], weight, rtol=0, atol=1e-6), name
