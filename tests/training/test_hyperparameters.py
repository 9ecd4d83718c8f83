"""Optimizers and schedules of each player from YAML: stepped as said, kept, taken up again; by Python and command alike."""

from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
import yaml
from support.player_schedules import BATCHES, EPOCHS, OURS, TORCHS, Game, by_hand, data, play, recipe, same

from ganzoo.cli import main
from ganzoo.errors import InputError

SCHEDULES = [
    recipe(OURS + "ExponentialDecay", factor=1.3, floor=0.03),
    recipe(OURS + "MomentumRamp", final=0.9, start=1, saturate=5),
    recipe(OURS + "LinearDecay", constant=2, decay=5),
    recipe(OURS + "ProgressDecay", total=6, alpha=4.0, beta=0.5),
    recipe(OURS + "MomentumClimb", by=0.07, ceiling=0.7),
    recipe(TORCHS + "LinearLR", start_factor=0.2, total_iters=4),
    recipe(TORCHS + "CosineAnnealingLR", T_max=5, eta_min=0.01),
    recipe(TORCHS + "CosineAnnealingWarmRestarts", T_0=2, T_mult=2),
    recipe(TORCHS + "MultiStepLR", milestones=[1, 3, 4], gamma=0.5),
    recipe(TORCHS + "ExponentialLR", gamma=0.8),
    recipe(TORCHS + "PolynomialLR", total_iters=6, power=2.0),
    recipe(TORCHS + "ConstantLR", factor=0.25, total_iters=3),
    recipe(TORCHS + "CyclicLR", base_lr=0.01, max_lr=0.1, step_size_up=3),
    recipe(TORCHS + "OneCycleLR", max_lr=0.4, total_steps=40),
    recipe(
        TORCHS + "SequentialLR",
        schedulers=[
            recipe(TORCHS + "LinearLR", start_factor=0.1, total_iters=2),
            recipe(OURS + "LinearDecay", constant=1, decay=4),
        ],
        milestones=[2],
    ),
]
each_schedule = pytest.mark.parametrize(
    "schedule", SCHEDULES, ids=lambda schedule: schedule["class_path"].rpartition(".")[2]
)
each_interval = pytest.mark.parametrize("interval", ["step", "epoch"])


def given(schedule, interval):
    """As YAML has it, for one player of the two."""
    text = yaml.safe_dump({"generator": [{**schedule, "interval": interval}]})
    return yaml.safe_load(text)


@each_interval
@each_schedule
def test_a_schedule_is_stepped_as_said_kept_and_taken_up_again(schedule, interval, tmp_path):
    wanted = by_hand(schedule, interval)
    assert len(set(wanted)) > 1  # it does something
    whole = Game(schedules=given(schedule, interval))
    play(whole, tmp_path)
    same(whole.rates["generator"], wanted)
    assert set(whole.rates["discriminator"]) == {(0.1, 0.5)}
    # through a checkpoint, by whoever was given the same, and by one who is made from the checkpoint
    play(Game(schedules=given(schedule, interval)), tmp_path, epochs=2).save_checkpoint(tmp_path / "kept.ckpt")
    saved = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    assert len(saved["lr_schedulers"]) == 1
    assert saved["hyper_parameters"]["schedules"] == given(schedule, interval)
    for again in (Game(schedules=given(schedule, interval)), Game.load_from_checkpoint(tmp_path / "kept.ckpt")):
        play(again, tmp_path, ckpt_path=tmp_path / "kept.ckpt")
        same(again.rates["generator"], wanted[2 * BATCHES :])
        assert set(again.rates["discriminator"]) == {(0.1, 0.5)}


def test_a_training_anew_from_what_a_checkpoint_says_begins_at_the_beginning(tmp_path):
    play(Game(schedules=given(SCHEDULES[0], "step")), tmp_path, epochs=2).save_checkpoint(tmp_path / "kept.ckpt")
    anew = Game.load_from_checkpoint(tmp_path / "kept.ckpt")
    play(anew, tmp_path)
    same(anew.rates["generator"], by_hand(SCHEDULES[0], "step"))


@each_interval
def test_a_players_steps_are_its_own(interval, tmp_path):
    """It plays every third batch: a schedule by steps counts its turns, one by epochs the training's."""
    schedule = recipe(TORCHS + "ExponentialLR", gamma=0.8)
    game = Game(k=3, schedules=given(schedule, interval))
    play(game, tmp_path)
    same(game.rates["generator"], by_hand(schedule, interval, k=3))


def test_several_schedules_of_one_player_and_others_of_the_other(tmp_path):
    schedules = {
        "generator": [
            {**recipe(OURS + "LinearDecay", constant=1, decay=5), "interval": "epoch"},
            {**recipe(OURS + "MomentumClimb", by=0.01, ceiling=0.7), "interval": "step"},
        ],
        "discriminator": [{**recipe(TORCHS + "StepLR", step_size=6, gamma=0.5), "interval": "step"}],
    }
    game = Game(schedules=schedules)
    play(game, tmp_path)
    n = range(EPOCHS * BATCHES)
    same(game.rates["generator"], [(0.1 * (1 - max(0, i // BATCHES - 1) / 5), 0.5 + min(0.01 * i, 0.2)) for i in n])
    same(game.rates["discriminator"], [(0.1 * 0.5 ** (i // 6), 0.5) for i in n])


OPTIMIZERS = [
    recipe("torch.optim.Adam", lr=0.01, betas=[0.0, 0.9], eps=1e-7),
    recipe("torch.optim.AdamW", lr=0.01, weight_decay=0.1),
    recipe("torch.optim.RMSprop", lr=0.01, alpha=0.9, momentum=0.3),
    recipe("torch.optim.SGD", lr=0.05, momentum=0.9, nesterov=True),
    recipe("torch.optim.Adagrad", lr=0.05),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer["class_path"].rpartition(".")[2])
def test_an_optimizer_goes_on_as_if_it_had_not_been_interrupted(optimizer, tmp_path):
    options = {
        "optimizers": {"generator": optimizer},
        "schedules": {"generator": [{**recipe(TORCHS + "ExponentialLR", gamma=0.8), "interval": "step"}]},
    }
    torch.manual_seed(0)
    whole, first = Game(**options), Game(**options)
    first.load_state_dict(whole.state_dict())
    played = play(whole, tmp_path)
    kinds = [f"torch.optim.{type(each).__name__}" for each in played.optimizers]
    assert kinds == ["torch.optim.SGD", optimizer["class_path"]]
    for name, value in optimizer["init_args"].items():
        found = played.optimizers[1].defaults[name]
        assert (list(found) if isinstance(found, tuple) else found) == value
    play(first, tmp_path, epochs=2).save_checkpoint(tmp_path / "kept.ckpt")
    again = Game.load_from_checkpoint(tmp_path / "kept.ckpt")
    play(again, tmp_path, ckpt_path=tmp_path / "kept.ckpt")
    for name, p in whole.named_parameters():
        assert torch.equal(p, again.get_parameter(name)), name


# -- the command --


class Shown(Game):
    """Writes what was in force beside the run, for a test that has no hold of the object."""

    def on_train_end(self):
        super().on_train_end()
        Path("rates.yaml").write_text(
            yaml.safe_dump({name: [list(pair) for pair in seen] for name, seen in self.rates.items()})
        )


CONFIG = {
    "model": {
        "class_path": "training.test_hyperparameters.Shown",
        "init_args": {
            "optimizers": {"generator": recipe("torch.optim.SGD", lr=0.2, momentum=0.5)},
            "schedules": {
                "generator": [{**SCHEDULES[-1], "interval": "step"}, {**SCHEDULES[4], "interval": "epoch"}],
                "discriminator": [{**SCHEDULES[6], "interval": "epoch"}],
            },
        },
    },
    "data": {"class_path": "training.test_hyperparameters.GameData"},
    "trainer": {"enable_progress_bar": False},
}


class GameData(L.LightningDataModule):
    def train_dataloader(self):
        return data()


def command(*args):
    assert main(["fit", *args]) == 0
    return {name: [tuple(pair) for pair in seen] for name, seen in yaml.safe_load(Path("rates.yaml").read_text()).items()}


def test_from_a_config_from_its_checkpoint_and_from_python_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("game.yaml").write_text(yaml.safe_dump(CONFIG))
    whole = command("--config", "game.yaml", "--trainer.max_epochs", "5")
    # what it should be, from the two schedules' closed forms: of 15 steps, and of 5 epochs
    warm = [0.02, 0.11, 0.2, 0.2, 0.15, 0.1, 0.05] + [0.0] * 8
    assert [rate for rate, _ in whole["generator"]] == pytest.approx(warm, abs=1e-12)
    assert [momentum for _, momentum in whole["generator"]] == pytest.approx(
        [min(0.5 + 0.07 * (i // BATCHES), 0.7) for i in range(15)]
    )
    same(whole["discriminator"], by_hand(SCHEDULES[6], "epoch"))
    command("--config", "game.yaml", "--trainer.max_epochs", "2", "--run_dir", "half")
    rest = command("--config", "half/config.yaml", "--ckpt_path", "half/checkpoints/last.ckpt", "--trainer.max_epochs", "5")
    for player in rest:
        same(rest[player], whole[player][2 * BATCHES :])
    # Python reads what the command wrote
    again = Shown.load_from_checkpoint("half/checkpoints/last.ckpt")
    assert again.hparams["schedules"]["discriminator"] == CONFIG["model"]["init_args"]["schedules"]["discriminator"]
    assert again.hparams["optimizers"] == CONFIG["model"]["init_args"]["optimizers"]
    play(again, tmp_path, ckpt_path="half/checkpoints/last.ckpt")
    for player in again.rates:
        same(again.rates[player], whole[player][2 * BATCHES :])
    # and the command what Python wrote
    first = Shown(**CONFIG["model"]["init_args"])
    play(first, tmp_path, epochs=2).save_checkpoint("python.ckpt")
    rest = command("--config", "game.yaml", "--ckpt_path", "python.ckpt", "--trainer.max_epochs", "5")
    for player in rest:
        same(rest[player], whole[player][2 * BATCHES :])


def test_one_number_of_a_schedule_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("game.yaml").write_text(yaml.safe_dump(CONFIG))
    schedules = {"generator": [{**recipe(TORCHS + "ExponentialLR", gamma=0.5), "interval": "epoch"}]}
    found = command("--config", "game.yaml", "--trainer.max_epochs", "2", "--model.schedules", yaml.safe_dump(schedules))
    assert [rate for rate, _ in found["generator"]] == pytest.approx([0.2] * 3 + [0.1] * 3)
    # the other player's stand as the config has them
    same(found["discriminator"], by_hand(SCHEDULES[6], "epoch")[: 2 * BATCHES])


# -- mistakes --


def refused(*schedules, **options):
    game = Game(schedules={"generator": list(schedules)}, **options)
    with pytest.raises(InputError) as caught:
        game.configure_optimizers()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_schedule_that_needs_a_function_is_refused_with_what_to_do():
    line = refused(recipe(TORCHS + "LambdaLR", lr_lambda="lambda n: 0.9 ** n"))
    assert "LambdaLR" in line
    with pytest.raises(InputError, match="cannot be a hyperparameter"):
        Game(schedules={"generator": [recipe(TORCHS + "LambdaLR", lr_lambda=lambda n: 0.9**n)]})


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (recipe(TORCHS + "SequentialLR", schedulers=[recipe(TORCHS + "LinearLR", factor=1)], milestones=[]), "LinearLR"),
        (recipe(TORCHS + "SequentialLR", schedulers=[recipe("torch.optim.Adam")], milestones=[]), "SequentialLR"),
        (recipe(TORCHS + "SequentialLR", schedulers=["LinearLR"], milestones=[]), "SequentialLR"),
        (recipe(TORCHS + "ChainedScheduler", schedulers=[recipe(TORCHS + "LinearLR")]), "ChainedScheduler"),
        (recipe(TORCHS + "MultiStepLR"), "milestones"),
        (recipe(TORCHS + "StepLR", steps=3), "steps"),
        (recipe(OURS + "ProgressDecay"), "total"),
        ({**recipe(TORCHS + "StepLR", step_size=1), "frequency": 2}, "frequency"),
    ],
)
def test_a_schedule_that_cannot_be_built_is_one_clear_line(schedule, message):
    assert message in refused(schedule)
