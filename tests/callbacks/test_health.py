"""The three GAN failures: trainings made to fail in each way, some that do not, and the callback."""

import math
import warnings
from tempfile import gettempdir
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch
import yaml
from support.games import Tug
from support.torchrun import two_of_a_trainer
from support.toy_distributions import VectorGAN, draw_ring, stream
from support.training import Batch, fit, loader
from support.training import trainer as quiet
from support.training_bounds import Training, bounded
from support.zoo import MODELS, data
from support.zoo import build as small
from torch import nn
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, Dataset

from ganzoo.callbacks import Checkpoints, Health
from ganzoo.cli import main
from ganzoo.errors import InputError
from ganzoo.losses import Minimax

# -- trainings that fail ------------------------------------------------------------------------------


class Apart(VectorGAN):
    """The game as written, far from the data, against a discriminator that is fast and has five steps to one."""

    def __init__(self, **options):
        super().__init__(**{"loss": Minimax(), "k": 5, "rate": 1e-4, **options})

    def player_optimizer(self, player, parameters):
        return Adam(parameters, lr=3e-3 if player == "discriminator" else self.rate, betas=(0.5, 0.999))


class Heavy(VectorGAN):
    """Adam with the momentum and, for this, the learning rate that DCGAN's authors warn of."""

    def player_optimizer(self, player, parameters):
        return Adam(parameters, lr=2e-3, betas=(0.9, 0.999))


class Calm(VectorGAN):
    """Adam without momentum: with beta1 0.5 one training in four oscillates for its first 400 steps."""

    def player_optimizer(self, player, parameters):
        return Adam(parameters, lr=1e-3, betas=(0.0, 0.999))


class Shift(nn.Module):
    """G(z) = z / 2 + theta."""

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.full((2,), 2.0))

    def forward(self, z):
        return 0.5 * z[:, :2] + self.theta


class Location(VectorGAN):
    """Where is a normal? A shift against a linear discriminator: near the solution, the xy game."""

    def networks(self):
        return Shift(), nn.Linear(2, 1)

    def player_optimizer(self, player, parameters):
        return SGD(parameters, lr=0.05, momentum=0.7)


class Deaf(VectorGAN):
    """The generator does not hear the noise."""

    def z(self, n, generator=None):
        return torch.ones(n, self.latent)


def draw_far(n, g):
    return 5 + torch.randn(n, 2, generator=g)


def draw_half(n, g):
    return 0.5 * torch.randn(n, 2, generator=g)


def draw_two(n, g):
    return torch.tensor([[-1.0, 0.0], [1.0, 0.0]])[torch.randint(2, (n,), generator=g)] + 0.1 * torch.randn(
        n, 2, generator=g
    )


def watched(model, draw, seed, tmp_path, steps=450, callbacks=(), **options):
    torch.manual_seed(seed)
    health = Health(**{"every_n_steps": 10, "patience": 200, **options})
    batches = stream(lambda n, g: Batch(draw(n, g)), steps, 64, seed)
    trainer = fit(
        model(),
        batches,
        tmp_path,
        max_epochs=1,
        log_every_n_steps=10,
        callbacks=[health, *callbacks],
        enable_checkpointing=bool(callbacks),
    )
    return health, trainer


def diagnosed(model, draw, seed, wanted=None):
    """How often the wanted failure was named (once, if it was), and how many others."""
    health, _ = watched(model, draw, seed, gettempdir())
    said = [key.removesuffix(" generator") for key in health.diagnosis.said]
    return {"named": said.count(wanted), "others": len(said) - said.count(wanted)}


@bounded(named="== 1", others="== 0")
def a_vanishing_gradient(seed):
    return diagnosed(Apart, draw_far, seed, "vanishing gradient")


@bounded(median_of=5, named="== 1", others="== 0")
def an_oscillation(seed):
    """One training in twenty does not oscillate, or collapses meanwhile."""
    return diagnosed(Heavy, draw_ring, seed, "oscillation")


@bounded(named="== 1", others="== 0")
def an_oscillation_of_a_shift(seed):
    return diagnosed(Location, draw_half, seed, "oscillation")


@bounded(named="== 1", others="== 0")
def a_collapse(seed):
    return diagnosed(Deaf, draw_ring, seed, "mode collapse")


@bounded(named="== 1", others="== 0")
def a_collapse_beside_two_modes(seed):
    return diagnosed(Deaf, draw_two, seed, "mode collapse")


@bounded(named="== 0", others="== 0")
def a_healthy_ring(seed):
    return diagnosed(Calm, draw_ring, seed)


@bounded(named="== 0", others="== 0")
def two_healthy_modes(seed):
    return diagnosed(VectorGAN, draw_two, seed)


@bounded(named="== 0", others="== 0")
def a_discriminator_that_wins_and_teaches(seed):
    return diagnosed(lambda: Apart(loss=None), draw_far, seed)


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (a_vanishing_gradient, "the discriminator wins: generator gradient"),
        pytest.param(an_oscillation, "the players go round", marks=pytest.mark.slow),
        (an_oscillation_of_a_shift, "the players go round"),
        (a_collapse, "the generator has collapsed"),
        pytest.param(a_collapse_beside_two_modes, "the generator has collapsed", marks=pytest.mark.slow),
        (a_healthy_ring, None),
        pytest.param(two_healthy_modes, None, marks=pytest.mark.slow),
        (a_discriminator_that_wins_and_teaches, None),
    ],
    ids=lambda value: value.name if isinstance(value, Training) else "",
)
def test_each_sickness_is_named_and_no_other(training, words, capsys):
    training.check()
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ganzoo: ")]
    if training.median_of > 1:
        assert sum(words in line for line in said) > training.median_of / 2
        return
    assert len(said) == (words is not None)
    assert all(words in line for line in said)


def test_a_healthy_training_is_logged_and_nothing_is_said(tmp_path, capsys):
    _, trainer = watched(VectorGAN, draw_ring, 0, tmp_path, steps=150)
    assert capsys.readouterr().err == ""
    logged = trainer.callback_metrics
    assert logged["health/diversity"] > 0
    assert logged["health/gradient_generator"] > 0
    assert logged["health/accuracy"] == pytest.approx(
        (logged["discriminator/accuracy_real"] + logged["discriminator/accuracy_fake"]).item() / 2
    )


# -- the callback -------------------------------------------------------------------------------------


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_it_stops_the_run_if_asked(tmp_path, capsys):
    _, trainer = watched(Deaf, draw_ring, 0, tmp_path, stop=True)
    assert 200 <= trainer.global_step < 350
    named, stopped = lines(capsys)
    assert "collapsed" in named
    assert f"stops at step {trainer.global_step}" in stopped


def test_the_newest_checkpoint_of_better_times_is_kept(tmp_path):
    """A generator that hears the noise until step 200, and a checkpoint each 50 steps."""

    class GoesDeaf(VectorGAN):
        def z(self, n, generator=None):
            # the flag is the training's progress, and holds for the samples as well
            return super().z(n, generator) * (self.trainer.global_step < 200)

    keeper = Checkpoints(monitor="health/well", mode="max", every_n_train_steps=50, save_last=False)
    health, _ = watched(GoesDeaf, draw_ring, 0, tmp_path, steps=420, callbacks=[keeper])
    assert health.diagnosis.said == ["mode collapse"]
    (path,) = (tmp_path / "checkpoints").iterdir()
    assert torch.load(path)["global_step"] == 150
    assert keeper.best_model_score == 150


@pytest.mark.parametrize("name", ["GAN", "DCGAN", "CGAN", "Pix2Pix", "CycleGAN", "LAPGAN", "DANN"])
def test_looking_changes_nothing(name, tmp_path):
    """Dropout, batch norm and noise included: weights, buffers and torch's random stream, to the bit."""
    both, streams = [], []
    for callbacks in ([], [Health(every_n_steps=1, n=8)]):
        torch.manual_seed(3)
        model = small(name)
        fit(model, data(model), tmp_path, max_epochs=2, log_every_n_steps=1, callbacks=callbacks)
        both.append(model.state_dict())
        streams.append(torch.get_rng_state())
        assert model.training
    assert torch.equal(*streams)
    for key, value in both[0].items():
        assert torch.equal(value, both[1][key]), key


LOOKED_AT = {
    "Pix2Pix": {"gradient_generator", "gradient_discriminator", "accuracy", "r_t", "well"},
    "CycleGAN": {"gradient_generator", "gradient_discriminator", "accuracy", "r_t", "well"},
    "DANN": {"gradient_features", "gradient_label_predictor", "gradient_domain_classifier", "well"},
    "DomainNormDANN": {"gradient_features", "gradient_label_predictor", "gradient_domain_classifier", "well"},
    "LAPGAN": {f"gradient_{role}_{k}" for role in ("generator", "discriminator") for k in range(3)}
    | {"accuracy", "r_t", "diversity", "well"},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_looked_at_for_what_it_has(name, tmp_path):
    model = small(name)
    played = fit(model, data(model), tmp_path, max_epochs=1, log_every_n_steps=1, callbacks=[Health(every_n_steps=1)])
    found = {key.removeprefix("health/") for key in played.callback_metrics if key.startswith("health/")}
    usual = {"gradient_generator", "gradient_discriminator", "accuracy", "r_t", "diversity", "well"}
    loss = getattr(model, "loss", None)
    is_critic = loss is not None and loss.threshold is None
    usual -= {"accuracy", "r_t"} if is_critic else set()
    # two images in a batch are of two classes
    assert found == LOOKED_AT.get(name, usual) - ({"diversity"} if getattr(model, "classes", None) else set())
    for player in model.players():
        if player.startswith("discriminator") and is_critic:
            assert f"{player}/w1" in played.callback_metrics
        elif player.startswith("discriminator"):
            assert {f"{player}/accuracy_real", f"{player}/accuracy_fake", f"{player}/gradient_ratio"} <= set(
                played.callback_metrics
            )
            assert (f"{player}/js" in played.callback_metrics) == isinstance(loss, Minimax)


@pytest.mark.parametrize("train_level", [None, 1])
def test_a_pyramid_with_one_level_in_training_has_no_samples(train_level, tmp_path):
    torch.manual_seed(0)
    whole = small("LAPGAN")
    model = type(whole)(**{**whole.hparams, "classes": None, "train_level": train_level})
    played = fit(model, data(model), tmp_path, max_epochs=1, log_every_n_steps=1, callbacks=[Health(every_n_steps=1)])
    assert "health/accuracy" in played.callback_metrics
    assert ("health/diversity" in played.callback_metrics) == (train_level is None)


def test_a_sampler_with_noise_of_its_own_changes_nothing_either(tmp_path):
    class Careless(VectorGAN):
        @torch.no_grad()
        def sample(self, n, y=None, generator=None):
            drawn.append(torch.randn(n, self.latent))  # from torch's own stream
            return self.G(drawn[-1])

    drawn, both = [], []
    for options in ({}, {"every_n_steps": 1000}):
        _, trainer = watched(Careless, draw_ring, 0, tmp_path, steps=20, **options)
        both.append(trainer.lightning_module.state_dict())
    assert len(drawn) == 3 + 1
    assert all(torch.equal(z, drawn[0]) for z in drawn)
    assert all(torch.equal(value, both[1][key]) for key, value in both[0].items())


def test_gradients_are_those_before_clipping_and_looks_are_as_often_as_asked(tmp_path):
    looked = {}

    class Clipped(VectorGAN):
        def on_before_optimizer_step(self, optimizer):
            norm = torch.nn.utils.get_total_norm([p.grad for g in optimizer.param_groups for p in g["params"]])
            super().on_before_optimizer_step(optimizer)
            looked.setdefault(self.trainer.fit_loop.total_batch_idx, []).append(norm.item())

    class Reader(L.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            logged = trainer.callback_metrics
            read.append([logged.get(f"health/gradient_{player}") for player in ("discriminator", "generator")])

    read = []
    model = Clipped(clip_norm={"generator": 1e-4, "discriminator": 1e-4})
    batches = stream(lambda n, g: Batch(draw_ring(n, g)), 20, 64)
    options = {"max_epochs": 1, "log_every_n_steps": 3, "callbacks": [Health(every_n_steps=5), Reader()]}
    fit(model, batches, tmp_path, **options)
    # the first batch, and then each sixth: the least multiple of 3 that is not below 5
    for batch, seen in enumerate(read):
        of = max(b for b in (0, 5, 11, 17) if b <= batch)
        assert [value.item() for value in seen] == pytest.approx(looked[of], rel=1e-6)


class Carried(Deaf):
    """Deaf, and stepped by an epoch of a hundred batches."""


def test_a_run_that_is_taken_up_goes_on_with_what_was_seen(tmp_path, capsys):
    def run(epochs, ckpt=None):
        health = Health(every_n_steps=10, patience=300)
        batches = stream(lambda n, g: Batch(draw_ring(n, g)), 100, 64)
        torch.manual_seed(0)
        options = {"max_epochs": epochs, "log_every_n_steps": 10, "enable_checkpointing": True}
        keeper = Checkpoints(monitor="health/well", mode="max", save_top_k=-1, filename="{step}")
        trainer = L.Trainer(
            **options, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path, callbacks=[health, keeper],
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.fit(Carried(), batches, ckpt_path=ckpt)
        return health

    before = run(2)
    assert lines(capsys) == []
    last = tmp_path / "checkpoints" / "last.ckpt"
    kept = next(value for key, value in torch.load(last, weights_only=True)["callbacks"].items() if "Health" in key)
    assert kept["diagnosis"] == before.diagnosis.state_dict()
    assert len(kept["diagnosis"]["oscillation"]["centres"]) == 21
    after = run(4, last)
    assert len(after.diagnosis.oscillation.centres) == 41
    assert ["collapsed: for 3" in line for line in lines(capsys)] == [True]  # within 100 steps of the second half
    run(6, last)
    assert lines(capsys) == []  # it was said


def test_a_monitor_is_there_from_the_first_batch_of_a_resumed_run(tmp_path):
    """Epochs of five batches, a look each ten: the third epoch, the first after resuming, has none."""
    rows = loader(torch.randn(10, 3), batch_size=2)
    options = {"enable_checkpointing": True, "log_every_n_steps": 10}
    for epochs, ckpt in ((2, None), (3, "last")):
        keeper = Checkpoints(tmp_path, monitor="health/well", mode="max", save_top_k=-1, save_on_train_epoch_end=True)
        played = quiet(tmp_path, max_epochs=epochs, callbacks=[Health(every_n_steps=10), keeper], **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            played.fit(Tug(), rows, ckpt_path=ckpt and tmp_path / "last.ckpt")
    assert [float(value) for value in keeper.best_k_models.values()] == [1.0, 10.0, 10.0]


# -- numbers that are none ----------------------------------------------------------------------------


class Poisoned(Tug):
    """A player's loss, or its gradient alone, is no number from a step on."""

    def __init__(self, player="generator", step=5, what="loss", together=False):
        super().__init__()
        self.player, self.step, self.what, self.together = player, step, what, together

    def losses(self, player, x):
        terms = super().losses(player, x)
        if player == self.player and self.trainer.global_step >= self.step:
            if self.what == "loss":
                terms["bad"] = terms["stay" if player == "generator" else "small"] * math.nan
            else:
                # the root of zero: a loss of zero, with a gradient that is no number
                own = self.G if player == "generator" else self.D
                terms["bad"] = (0 * own.weight).sum().sqrt()
        return terms


def poisoned(tmp_path, model, checkpoints=True, batches=20, **options):
    keeper = [Checkpoints(every_n_train_steps=2, save_top_k=-1, dirpath=tmp_path / "kept")] if checkpoints else []
    callbacks = [Health(**options), *keeper]
    rows = loader(torch.randn(2 * batches, 3), batch_size=2)
    fit(model, rows, tmp_path, max_epochs=1, callbacks=callbacks, enable_checkpointing=checkpoints)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_loss_that_is_no_number_stops_at_once(player, tmp_path):
    # the generator's turn comes when the discriminator has ticked: it is still the fifth batch
    step = 5 if player == "generator" else 6
    with pytest.raises(InputError) as caught:
        poisoned(tmp_path, Poisoned(player))
    line = str(caught.value)
    assert line.startswith(f"the loss of {player} is nan in step {step}, ")
    assert f"the last good checkpoint is {tmp_path / 'kept' / 'epoch=0-step=4.ckpt'}" in line
    assert "\n" not in line
    assert all(torch.isfinite(p).all() for p in torch.load(tmp_path / "kept" / "last.ckpt")["state_dict"].values())


def test_a_gradient_that_is_no_number_is_the_players_own(tmp_path):
    """The opponent's loss is the first to be no number, and the opponent is not to blame."""
    with pytest.raises(InputError, match="the weights of generator are not finite after step 7, and the loss of discr") as e:
        poisoned(tmp_path, Poisoned("generator", 7, "gradient"))
    assert "step=6.ckpt" in str(e.value)


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    with pytest.raises(InputError, match="the weights of generator are not finite after step 6") as caught:
        poisoned(tmp_path, Poisoned("generator", 6, "gradient"))
    assert str(tmp_path / "kept" / "last.ckpt") in str(caught.value)
    assert torch.load(tmp_path / "kept" / "last.ckpt")["global_step"] == 4
    assert not (tmp_path / "kept" / "epoch=0-step=6.ckpt").exists()


def test_elsewhere_losses_wait_for_the_next_look(tmp_path, monkeypatch):
    """As on a GPU, which is not to be waited for."""
    monkeypatch.setattr(Health, "_waits_for_nothing", lambda *_: False)
    with pytest.raises(InputError, match="the loss of discriminator is nan in step 6, ") as caught:
        poisoned(tmp_path, Poisoned("discriminator"), checkpoints=False, batches=200)
    assert "there is no checkpoint from before" in str(caught.value)
    # before a checkpoint nothing waits
    with pytest.raises(InputError, match=r"the loss of discriminator is nan in step 6, .*last\.ckpt"):
        poisoned(tmp_path, Poisoned("discriminator"), batches=200)
    assert torch.load(tmp_path / "kept" / "last.ckpt")["global_step"] == 4
    # and at the end nothing is left
    with pytest.raises(InputError, match="the loss of discriminator is nan in step 6, "):
        poisoned(tmp_path, Poisoned("discriminator"), checkpoints=False, batches=7)


def test_players_of_one_turn_are_named_together(tmp_path):
    class Both(Tug):
        def training_step(self, batch, batch_idx):
            with self.turn("generator", "discriminator") as descend:
                bad = math.inf if self.trainer.global_step == 3 else 1
                descend({"both": bad * self.D(self.G(batch.x)).square().mean()})

    with pytest.raises(InputError, match="the loss of discriminator and generator is inf in step 4, "):
        poisoned(tmp_path, Both())


def test_it_can_be_told_to_let_it_run(tmp_path):
    poisoned(tmp_path, Poisoned(), checkpoints=False, stop_on_nan=False, every_n_steps=1)


def test_samples_that_are_no_numbers_do_no_harm(tmp_path):
    class Broken(VectorGAN):
        def sample(self, n, y=None, generator=None):
            return super().sample(n, y, generator) * math.nan

    health, _ = watched(Broken, draw_ring, 0, tmp_path, steps=30)
    assert health.diagnosis.said == []


def test_under_a_loss_scaler_a_gradient_may_overflow():
    health = Health()
    health._norms = {"generator": (3, torch.tensor(math.inf))}
    scaled = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=object()), checkpoint_callbacks=[])
    health._check_gradients(scaled, {"generator": math.inf})
    plain = SimpleNamespace(precision_plugin=SimpleNamespace(), checkpoint_callbacks=[])
    with pytest.raises(InputError, match="the gradient of generator is inf in step 3"):
        health._check_gradients(plain, {"generator": math.inf})


@pytest.mark.parametrize("options", [{"every_n_steps": 0}, {"patience": 0}, {"n": 1}])
def test_numbers_out_of_range(options):
    with pytest.raises(InputError, match=r"Health: (every_n_steps is 0|patience is 0|n is 1): give an int in"):
        Health(**options)


# -- from a config, and in two processes --------------------------------------------------------------


def test_from_a_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {
        "model": {"class_path": "GAN", "init_args": {"shape": [1, 8, 8], "latent": 4, "hidden": 16}},
        "data": {"class_path": "Digits"},
        "trainer": {
            "max_epochs": 1,
            "accelerator": "cpu",
            "log_every_n_steps": 5,
            "callbacks": [
                {"class_path": "Health", "init_args": {"every_n_steps": 5, "stop": True}},
                {"class_path": "Checkpoints", "init_args": {"monitor": "health/well", "mode": "max"}},
            ],
        },
    }
    (tmp_path / "sick.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "sick.yaml"]) == 0
    (table,) = tmp_path.rglob("metrics.csv")
    header = table.read_text().splitlines()[0].split(",")
    assert {"health/diversity", "health/gradient_generator", "discriminator/accuracy_real", "discriminator/js"} <= set(
        header
    )
    assert list(tmp_path.rglob("last.ckpt"))


class TwoDeaf(Deaf):
    """Says where it ended; in the process of one rank its loss may become no number."""

    def __init__(self, bad_rank=None):
        super().__init__()
        self.bad_rank = bad_rank

    def generator_losses(self, fake):
        terms = super().generator_losses(fake)
        if self.bad_rank == self.trainer.global_rank and self.trainer.global_step >= 22:
            terms["gan"] = terms["gan"] * math.nan
        return terms

    def on_train_end(self):
        with open(f"{self.trainer.default_root_dir}/ended_{self.trainer.global_rank}", "w") as file:
            file.write(f"{self.trainer.global_step}")


class Ring(Dataset):
    """Rows made where they are asked for, so that no tensor has to travel between processes."""

    def __len__(self):
        return 640

    def __getitem__(self, index):
        return Batch(draw_ring(1, torch.Generator().manual_seed(index))[0])


LONG = {"max_epochs": 100, "log_every_n_steps": 10}


@pytest.mark.slow
def test_two_processes_stop_together(tmp_path):
    fit(
        TwoDeaf(),
        DataLoader(Ring(), batch_size=32),
        tmp_path,
        callbacks=[Health(10, 100, stop=True)],
        **LONG,
        **two_of_a_trainer(),
    )
    first, second = ((tmp_path / f"ended_{rank}").read_text() for rank in (0, 1))
    assert first == second
    assert 100 <= int(first) < 200


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_number_that_is_none_in_one_process_stops_both(rank, tmp_path):
    other = r"is nan|of another process is not finite"
    with pytest.raises(Exception, match=rf"the loss of generator ({other}) in step 2[23]"):
        fit(TwoDeaf(rank), DataLoader(Ring(), batch_size=32), tmp_path, callbacks=[Health(10)], **LONG, **two_of_a_trainer())
