"""The grammar: who moves, what counts as a step, what survives, what is refused."""

import copy
import csv
import inspect
import pickle
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from support.games import OnePass, SimultaneousTug, SimultaneousXY, Together, Tug
from support.training import Batch, Rows, fit, loader
from torch import nn
from torch.optim import SGD, Adam, RMSprop
from torch.optim.lr_scheduler import LambdaLR, StepLR
from torch.utils.data import DataLoader

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.losses import LeastSquares


def data(n=8, batch_size=1):
    return loader(torch.randn(n, 3, generator=torch.Generator().manual_seed(1)), batch_size=batch_size)


def rows(logger):
    logger.save()
    with open(f"{logger.log_dir}/metrics.csv") as file:
        return list(csv.DictReader(file))


# -- who moves --


def test_only_the_player_whose_turn_it_is_moves_and_nothing_is_left_behind(tmp_path):
    tug = Tug()
    fit(tug, data(), tmp_path, max_epochs=1)
    assert [turn["player"] for turn in tug.log_of_turns] == ["discriminator", "generator"] * 8
    for turn in tug.log_of_turns:
        mine, others = ("D", "G") if turn["player"] == "discriminator" else ("G", "D")
        assert turn["frozen"] == [f"{others}.weight", f"{others}.bias"]
        assert set(turn["moved"]) == {f"{mine}.weight", f"{mine}.bias"}
        assert turn["left"] == []
    assert all(p.requires_grad for p in tug.parameters())


def test_parameters_frozen_by_the_user_stay_frozen(tmp_path):
    tug = Tug()
    tug.G.bias.requires_grad_(False)
    before = tug.G.bias.clone()
    fit(tug, data(), tmp_path, max_epochs=1)
    assert not tug.G.bias.requires_grad
    assert torch.equal(tug.G.bias, before)


def test_a_step_is_the_gradient_of_the_sum_of_the_terms(tmp_path):
    """Against a hand-written loop in plain torch."""
    tug = Tug()
    G, D = nn.Linear(3, 3), nn.Linear(3, 1)
    G.load_state_dict(tug.G.state_dict())
    D.load_state_dict(tug.D.state_dict())
    for batch in data():
        x = batch.x
        loss = D(G(x)).mean() - D(x).mean() + D(x).square().mean()
        move(D, torch.autograd.grad(loss, list(D.parameters())))
        loss = -D(G(x)).mean() + (G(x) - x).square().mean()
        move(G, torch.autograd.grad(loss, list(G.parameters())))
    fit(tug, data(), tmp_path, max_epochs=1)
    for mine, theirs in ((G, tug.G), (D, tug.D)):
        assert torch.allclose(mine.weight, theirs.weight, atol=1e-6)
        assert torch.allclose(mine.bias, theirs.bias, atol=1e-6)


def move(network, gradients, lr=0.1):
    with torch.no_grad():
        for p, g in zip(network.parameters(), gradients, strict=True):
            p -= lr * g


@pytest.mark.parametrize("play", [SimultaneousTug, OnePass])
def test_simultaneous_play_takes_both_gradients_at_the_same_point(play, tmp_path):
    torch.manual_seed(3)
    tug = play()
    G, D = nn.Linear(3, 3), nn.Linear(3, 1)
    G.load_state_dict(tug.G.state_dict())
    D.load_state_dict(tug.D.state_dict())
    for batch in data():
        x = batch.x
        d = torch.autograd.grad(D(G(x)).mean() - D(x).mean() + D(x).square().mean(), list(D.parameters()))
        g = torch.autograd.grad(-D(G(x)).mean() + (G(x) - x).square().mean(), list(G.parameters()))
        move(D, d)
        move(G, g)
    fit(tug, data(), tmp_path, max_epochs=1)
    assert torch.allclose(G.weight, tug.G.weight, atol=1e-6)
    assert torch.allclose(D.weight, tug.D.weight, atol=1e-6)


def test_players_may_descend_one_sum_together(tmp_path):
    tug = Together()
    whole = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    whole[0].load_state_dict(tug.G.state_dict())
    whole[1].load_state_dict(tug.D.state_dict())
    optimizer = SGD(whole.parameters(), 0.1)
    for batch in data():
        optimizer.zero_grad()
        whole(batch.x).square().mean().backward()
        optimizer.step()
    played = fit(tug, data(), tmp_path, max_epochs=1)
    assert torch.allclose(whole[0].weight, tug.G.weight, atol=1e-6)
    assert torch.allclose(whole[1].weight, tug.D.weight, atol=1e-6)
    assert played.global_step == 8


# -- one batch is one step --


@pytest.mark.parametrize("k", [1, 2, 3])
def test_one_batch_is_one_step(k, tmp_path):
    tug = Tug(k=k)
    played = fit(tug, data(), tmp_path, max_epochs=2)
    assert played.global_step == 16
    assert sum(turn["player"] == "generator" for turn in tug.log_of_turns) == 16 // k


def test_the_generator_plays_every_kth_step_across_epochs(tmp_path):
    tug = Tug(k=3)
    fit(tug, data(), tmp_path, max_epochs=2)
    batches, played = 0, []
    for turn in tug.log_of_turns:
        batches += turn["player"] == "discriminator"
        if turn["player"] == "generator":
            played.append(batches)
    assert played == [3, 6, 9, 12, 15]


def test_max_steps_and_fast_dev_run_count_batches(tmp_path):
    tug = Tug()
    assert fit(tug, data(), tmp_path, max_steps=5, max_epochs=-1).global_step == 5
    assert len(tug.log_of_turns) == 10
    assert fit(Tug(), data(), tmp_path, fast_dev_run=3).global_step == 3


@pytest.mark.parametrize("k", [1, 5])
def test_checkpoint_triggers_and_logger_axis_count_batches(k, tmp_path):
    saver = ModelCheckpoint(tmp_path / "kept", filename="{step}", every_n_train_steps=5, save_top_k=-1)
    logger = CSVLogger(tmp_path, name="log")
    options = {"callbacks": [saver], "logger": logger, "enable_checkpointing": True, "log_every_n_steps": 2}
    fit(Tug(k=k), data(), tmp_path, max_epochs=2, **options)
    kept = sorted((tmp_path / "kept").glob("*.ckpt"), key=lambda path: int(path.stem.split("=")[1]))
    assert [path.stem for path in kept] == ["step=5", "step=10", "step=15"]
    assert [torch.load(path, weights_only=True)["global_step"] for path in kept] == [5, 10, 15]
    steps = [int(row["step"]) for row in rows(logger) if row["discriminator/loss"]]
    assert steps == [1, 3, 5, 7, 9, 11, 13, 15]


def test_accumulation_equals_the_large_batch_and_counts_it_as_one_step(tmp_path):
    torch.manual_seed(5)
    large, small = SimultaneousTug(), OnePass(accumulate=4)
    small.load_state_dict(large.state_dict())
    one = fit(large, data(8, batch_size=4), tmp_path, max_epochs=3)
    logger = CSVLogger(tmp_path, name="accumulated")
    many = fit(small, data(8, batch_size=1), tmp_path, max_epochs=3, logger=logger, log_every_n_steps=1)
    assert one.global_step == many.global_step == 6
    for name, p in large.named_parameters():
        assert torch.allclose(p, small.get_parameter(name), atol=1e-6), name
    assert {int(row["step"]) for row in rows(logger)} == set(range(6))


def test_accumulation_in_alternating_play_is_the_large_batch_for_whoever_moves_first(tmp_path):
    large, small = Tug(), Tug(accumulate=4)
    small.load_state_dict(large.state_dict())
    before = large.G.weight.clone()
    fit(large, data(4, batch_size=4), tmp_path, max_epochs=1)
    fit(small, data(4, batch_size=1), tmp_path, max_epochs=1)
    assert torch.allclose(large.D.weight, small.D.weight, atol=1e-6)
    # the second player's gradient is collected against the first one's old parameters in 3 of the 4 small batches
    assert not torch.allclose(large.G.weight, small.G.weight, atol=1e-6)
    assert not torch.equal(small.G.weight, before)


def test_accumulation_closes_its_window_at_the_epochs_end(tmp_path):
    """8 small batches in windows of 3 are 3, 3 and 2, and each window's gradient is the mean over its own."""
    small = OnePass(accumulate=3)
    large = SimultaneousTug()
    large.load_state_dict(small.state_dict())
    assert fit(small, data(8), tmp_path, max_epochs=2).global_step == 6
    x = torch.stack([batch.x[0] for batch in data(8)])
    windows = [Batch(x[:3]), Batch(x[3:6]), Batch(x[6:])]
    fit(large, DataLoader(Rows(windows), batch_size=None), tmp_path, max_epochs=2)
    for name, p in large.named_parameters():
        assert torch.allclose(p, small.get_parameter(name), atol=1e-6), name


def test_k_counts_accumulated_steps(tmp_path):
    tug = Tug(k=2, accumulate=2)
    fit(tug, data(8), tmp_path, max_epochs=1)
    moves = [bool(turn["moved"]) for turn in tug.log_of_turns if turn["player"] == "generator"]
    assert moves == [False, True, False, True]  # small batches 3, 4 and 7, 8


# -- optimizers, schedules, clipping --


def test_optimizers_and_schedules_from_plain_data(tmp_path):
    tug = Tug(
        optimizers={"generator": {"class_path": "torch.optim.RMSprop", "init_args": {"lr": 0.01}}},
        schedules={
            "generator": [
                {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 3}, "interval": "step"}
            ],
            "discriminator": [{"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1}}],
        },
        k=2,
    )
    played = fit(tug, data(), tmp_path, max_epochs=2)
    d, g = played.optimizers
    assert isinstance(g, RMSprop)
    assert isinstance(d, SGD)
    assert g.param_groups[0]["lr"] == pytest.approx(0.01 * 0.1 ** (8 // 3))  # 8 generator steps, a tenth every 3
    assert d.param_groups[0]["lr"] == pytest.approx(0.1 * 0.1**2)  # two epochs


class Watched(Tug):
    """Keeps the learning rate in force in each of its turns."""

    def __init__(self, **options):
        super().__init__(**options)
        self.rates: dict[str, list[float]] = {"discriminator": [], "generator": []}

    def player_schedules(self, player, optimizer):
        return [(LambdaLR(optimizer, lambda epoch: 1.0 / (1 + epoch)), "epoch")]

    def play(self, player, x):
        super().play(player, x)

    def on_before_optimizer_step(self, optimizer):
        super().on_before_optimizer_step(optimizer)
        player = "discriminator" if optimizer.param_groups[0]["params"][0] is self.D.weight else "generator"
        self.rates[player].append(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("k", [1, 3])
def test_epoch_schedules_are_in_force_for_the_whole_of_their_epoch(k, tmp_path):
    tug = Watched(k=k)
    fit(tug, data(8), tmp_path, max_epochs=3)
    epochs = [0.1] * 8 + [0.05] * 8 + [0.1 / 3] * 8
    assert tug.rates["discriminator"] == pytest.approx(epochs)
    assert tug.rates["generator"] == pytest.approx(epochs[k - 1 :: k])


@pytest.mark.parametrize("trigger", [{"every_n_epochs": 1}, {"every_n_train_steps": 8}])
def test_a_checkpoint_of_the_last_batch_holds_the_next_epochs_rate(trigger, tmp_path):
    saver = ModelCheckpoint(tmp_path / "kept", filename="{step}", save_top_k=-1, **trigger)
    fit(Watched(), data(8), tmp_path, max_epochs=2, callbacks=[saver], enable_checkpointing=True)
    state = torch.load(tmp_path / "kept" / "step=8.ckpt", weights_only=True)
    assert [optimizer["param_groups"][0]["lr"] for optimizer in state["optimizer_states"]] == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize("k", [1, 3])
def test_schedules_survive_a_checkpoint(k, tmp_path):
    saver = ModelCheckpoint(tmp_path / "kept", filename="{step}", save_top_k=-1, every_n_train_steps=8)
    fit(Watched(k=k), data(8), tmp_path, max_epochs=2, callbacks=[saver], enable_checkpointing=True)
    resumed = Watched(k=k)
    L.seed_everything(0)
    from support.training import trainer

    trainer(tmp_path, max_epochs=3).fit(resumed, data(8), ckpt_path=tmp_path / "kept" / "step=8.ckpt")
    assert resumed.rates["discriminator"] == pytest.approx([0.05] * 8 + [0.1 / 3] * 8)
    whole = Watched(k=k)
    fit(whole, data(8), tmp_path, max_epochs=3)
    assert resumed.rates["generator"] == pytest.approx(whole.rates["generator"][8 // k :])


def test_clipping_bounds_the_gradient_that_the_optimizer_sees(tmp_path):
    seen = []

    class Clipped(Tug):
        def on_before_optimizer_step(self, optimizer):
            super().on_before_optimizer_step(optimizer)
            norm = torch.cat([p.grad.flatten() for p in optimizer.param_groups[0]["params"]]).norm()
            seen.append((optimizer.param_groups[0]["params"][0] is self.G.weight, norm.item()))

    fit(Clipped(clip_norm={"generator": 0.01}), data(), tmp_path, max_epochs=1)
    generator = [norm for mine, norm in seen if mine]
    discriminator = [norm for mine, norm in seen if not mine]
    assert max(generator) == pytest.approx(0.01, rel=1e-3)
    assert max(discriminator) > 0.1


def test_default_optimizer_is_adam_of_dcgan(tmp_path):
    class Plain(Tug):
        player_optimizer = AdversarialModule.player_optimizer

    for optimizer in fit(Plain(), data(), tmp_path, max_steps=1).optimizers:
        assert isinstance(optimizer, Adam)
        assert optimizer.defaults["lr"] == 2e-4
        assert optimizer.defaults["betas"] == (0.5, 0.999)


def test_a_second_fit_starts_with_new_optimizers(tmp_path):
    tug = Tug()
    fit(tug, data(), tmp_path, max_epochs=1)
    before = tug.snapshot()
    played = fit(tug, data(), tmp_path, max_epochs=1)
    assert played.global_step == 8
    assert not torch.equal(before["G.weight"], tug.G.weight)


ADAM = {"generator": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}}}


def test_the_papers_schedules_go_with_the_papers_optimizer(tmp_path):
    played = fit(Watched(optimizers=ADAM), data(), tmp_path, max_epochs=2)
    assert len(played.lr_scheduler_configs) == 1
    assert [optimizer.param_groups[0]["lr"] for optimizer in played.optimizers] == pytest.approx([0.1 / 3, 0.01])


class Eager(Watched):
    """Three turns of the discriminator in a batch."""

    def training_step(self, batch, batch_idx):
        for player in ("discriminator", "discriminator", "discriminator", "generator"):
            self.play(player, batch.x)


def test_several_turns_in_a_batch_are_one_step_of_an_epoch_schedule(tmp_path):
    eager = Eager()
    played = fit(eager, data(4), tmp_path, max_epochs=2)
    assert played.global_step == 8
    assert [optimizer.param_groups[0]["lr"] for optimizer in played.optimizers] == pytest.approx([0.1 / 3, 0.1 / 3])


def test_two_turns_of_a_player_cannot_be_accumulated(tmp_path):
    with pytest.raises(RuntimeError, match="two turns in a batch"):
        fit(Eager(accumulate=2), data(4), tmp_path, max_epochs=1)


def test_a_fit_after_an_interrupted_one_begins_a_new_round(tmp_path):
    class Fails(Tug):
        fails = True

        def training_step(self, batch, batch_idx):
            self.play("discriminator", batch.x)
            if self.fails:
                raise KeyError("interrupted")
            self.play("generator", batch.x)

    tug = Fails()
    with pytest.raises(KeyError):
        fit(tug, data(), tmp_path, max_epochs=1)
    tug.fails = False
    assert fit(tug, data(), tmp_path, max_epochs=1).global_step == 8
    assert fit(tug, data(), tmp_path, max_steps=1).global_step == 1
    assert fit(tug, data(), tmp_path, max_steps=1).global_step == 1
    assert len(tug.log_of_turns) == 1 + 16 + 2 + 2


def test_a_module_can_be_copied_and_pickled_after_a_fit(tmp_path):
    tug = Tug()
    fit(tug, data(), tmp_path, max_epochs=1)
    for again in (copy.deepcopy(tug), pickle.loads(pickle.dumps(tug))):
        assert torch.equal(again.G.weight, tug.G.weight)


def test_another_kind_of_optimizer_cannot_take_up_a_run(tmp_path):
    first = Keeper()
    fit(first, data(), tmp_path, max_epochs=1).save_checkpoint(tmp_path / "kept.ckpt")
    from support.training import trainer

    with pytest.raises(InputError, match="optimizers that it began with"):
        trainer(tmp_path, max_epochs=2).fit(Keeper(optimizers=ADAM), data(), ckpt_path=tmp_path / "kept.ckpt")


def test_no_logging_interval_is_no_error(tmp_path):
    assert fit(Tug(), data(), tmp_path, max_epochs=1, log_every_n_steps=0).global_step == 8


# -- what is logged --


def test_every_term_is_logged_under_its_player(tmp_path):
    played = fit(Tug(), data(), tmp_path, max_epochs=1, log_every_n_steps=1)
    assert set(played.callback_metrics) == {
        "discriminator/tell", "discriminator/small", "discriminator/loss",
        "generator/fool", "generator/stay", "generator/loss",
    }  # fmt: skip
    m = played.callback_metrics
    assert m["generator/loss"] == pytest.approx(float(m["generator/fool"] + m["generator/stay"]))
    assert set(played.progress_bar_metrics) == {"discriminator/loss", "generator/loss"}


def test_show_works_only_in_rounds_that_are_shown(tmp_path):
    called = []

    class Shown(Tug):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            self.show({"D(x)": self.D(batch.x)}, transform=lambda a: called.append(self.trainer.global_step) or a.sigmoid())

    played = fit(Shown(), data(), tmp_path, max_epochs=1, log_every_n_steps=4)
    assert called == [1, 4, 8]
    assert 0 < played.progress_bar_metrics["D(x)"] < 1


# -- hyperparameters --


class Keeper(Tug):
    def __init__(self, loss=None, width: int = 3, **play):
        super().__init__(**play)
        self.save_hyperparameters()
        from ganzoo.losses import AdversarialLoss
        from ganzoo.training.recipes import instantiate

        self.loss = instantiate(loss or LeastSquares(), AdversarialLoss)


def test_a_checkpoint_loads_with_weights_only_and_gives_the_same_object(tmp_path):
    recipe = {"generator": {"class_path": "torch.optim.RMSprop", "init_args": {"lr": 0.5}}}
    keeper = Keeper(LeastSquares(real_target=0.9), optimizers=recipe, clip_norm={"generator": 1.0}, accumulate=2)
    played = fit(keeper, data(), tmp_path, max_epochs=1)
    played.save_checkpoint(tmp_path / "kept.ckpt")
    torch.load(tmp_path / "kept.ckpt", weights_only=True)
    again = Keeper.load_from_checkpoint(tmp_path / "kept.ckpt")
    assert isinstance(again.loss, LeastSquares)
    assert again.loss.real_target == 0.9
    assert again.accumulate == 2
    assert isinstance(fit(again, data(), tmp_path, max_steps=1).optimizers[1], RMSprop)


def test_load_from_checkpoint_refuses_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (eval, ("__import__('pathlib').Path('pwned').touch()",))

    torch.save({"state_dict": {}, "hyper_parameters": {"x": Evil()}}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match="more than weights"):
        Keeper.load_from_checkpoint(tmp_path / "evil.ckpt")


def test_a_network_as_hyperparameter_is_refused():
    with pytest.raises(InputError, match="subclass"):
        Keeper(nn.Linear(2, 2))


# -- mistakes --


def broken(step, **options):
    class Broken(Tug):
        def training_step(self, batch, batch_idx):
            step(self, batch.x)

    return Broken(**options)


def nested(tug, x):
    with tug.turn("generator"), tug.turn("discriminator") as descend:
        descend(tug.losses("discriminator", x))


def stranger(tug, x):
    with tug.turn("referee") as descend:
        descend({"x": x.mean()})


def half_named(tug, x):
    with tug.turn("generator", "discriminator") as descend:
        descend(generator=tug.losses("generator", x))


def empty_handed(tug, x):
    with tug.turn("generator") as descend:
        descend()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (nested, "inside another"),
        (stranger, "the players are"),
        (half_named, "one dictionary for each"),
        (empty_handed, "one dictionary"),
    ],
)
def test_ungrammatical_play_is_refused(step, message, tmp_path):
    tug = broken(step)
    with pytest.raises(RuntimeError, match=message):
        fit(tug, data(), tmp_path, max_steps=1)
    assert all(p.requires_grad for p in tug.parameters())


def test_an_error_inside_a_turn_thaws_everyone(tmp_path):
    def fails(tug, x):
        with tug.turn("generator"):
            raise KeyError("mine")

    tug = broken(fails)
    with pytest.raises(KeyError):
        fit(tug, data(), tmp_path, max_steps=1)
    assert all(p.requires_grad for p in tug.parameters())


@pytest.mark.parametrize(
    ("players", "message"),
    [
        (lambda tug: {"discriminator": [tug.D]}, "no player moves G.weight"),
        (lambda tug: {"discriminator": [tug.D, tug.G], "generator": [tug.G]}, "share a parameter"),
        (lambda tug: {"discriminator": [tug.D], "generator": [tug.G], "empty": []}, "no parameter to move"),
    ],
)
def test_every_parameter_has_exactly_one_player(players, message, tmp_path):
    class Wrong(Tug):
        def players(self):
            return players(self)

    with pytest.raises(InputError, match=message):
        fit(Wrong(), data(), tmp_path, max_steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizers": {"referee": {"class_path": "torch.optim.SGD"}}}, "referee"),
        ({"optimizers": {"generator": {"class_path": "torch.optim.Sgd"}}}, "no class"),
        ({"optimizers": {"generator": {"class_path": "torch.nn.Linear"}}}, "not a subclass of Optimizer"),
        ({"optimizers": {"generator": {"class_path": "torch.optim.SGD", "init_args": {"rate": 1}}}}, "init_args"),
        (
            {"schedules": {"generator": [{"class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau"}]}},
            "needs a metric",
        ),
        (
            {"schedules": {"generator": [{"class_path": "torch.optim.lr_scheduler.StepLR", "interval": "week"}]}},
            "step or epoch",
        ),
        ({"clip_norm": {"referee": 1.0}}, "referee"),
        ({"clip_norm": {"generator": 0.0}}, r"clip_norm\['generator'\] is 0.0: give a float in \(0"),
        ({"accumulate": 0}, "accumulate is 0: give an int"),
        (
            {"schedules": {"generator": [{"class_path": "ganzoo.schedules.MomentumRamp"}]}, "optimizers": ADAM},
            "needs an optimizer with a momentum",
        ),
    ],
)
def test_bad_settings_are_one_clear_line(options, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        fit(Tug(**options), data(), tmp_path, max_steps=1)
    assert "\n" not in str(caught.value)


def test_simultaneous_play_refuses_a_loss_scaler(tmp_path):
    from lightning.pytorch.plugins.precision import MixedPrecision

    plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    with pytest.raises(InputError, match="bf16-mixed"):
        fit(SimultaneousXY(), loader(torch.zeros(2, 1), batch_size=1), tmp_path, max_steps=1, plugins=[plugin])


def test_step_lr_by_hand_matches_the_one_in_the_grammar(tmp_path):
    class Stepped(Tug):
        def player_schedules(self, player, optimizer):
            return [(StepLR(optimizer, 2), "step")]

    played = fit(Stepped(), data(), tmp_path, max_steps=5)
    assert played.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 * 0.1**2)


# -- what is not to be overridden -----------------------------------------------------------------------------------------


def test_the_words_of_the_grammar_are_final_and_no_model_says_them_otherwise():
    import ganzoo.models as zoo

    for word in ("turn", "_descend", "every", "show"):
        assert getattr(AdversarialModule, word).__final__, word
    for word in ("total_steps", "progress"):
        assert vars(AdversarialModule)[word].fget.__final__, word
    models = [cls for cls in vars(zoo).values() if isinstance(cls, type) and issubclass(cls, AdversarialModule)]
    assert len(models) >= 9
    for cls in models:
        said_again = {"turn", "_descend", "every", "show", "total_steps", "progress"} & set(vars(cls))
        assert not said_again, f"{cls.__name__} overrides {said_again}"


def test_the_grammar_is_read_in_one_sitting():
    path = inspect.getsourcefile(AdversarialModule)
    assert len(Path(path).read_text().splitlines()) <= 200
