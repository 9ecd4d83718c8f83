"""Half precision: bf16-mixed for every model, and float16 under a loss scaler, on the CPU."""

import contextlib
import warnings

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from support.games import Tug
from support.training import fit, loader, trainer
from support.zoo import MODELS, SMALL, build, data, every_model
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from ganzoo.adversarial import AdversarialModule
from ganzoo.errors import InputError
from ganzoo.interfaces import Adapted, Classifier, CycleTranslator, Sampler, Translator
from ganzoo.losses import NonSaturating
from ganzoo.models import GAN

# -- bf16-mixed --

# moves numbers about and computes nothing
MOVES = {"CatBackward0", "ViewBackward0", "ReshapeAliasBackward0", "UnsafeViewBackward0", "SliceBackward0"}


class Spy:
    """What players descend, and whether it was computed in half precision between a network and the sum."""

    def __init__(self, model, monkeypatch):
        self.dtypes: dict[str, set[torch.dtype]] = {}
        self.values: list[Tensor] = []
        self.halves: set[str] = set()  # operations in half precision between the networks and a term
        self.networks: set[torch.dtype] = set()
        self._ends: list = []
        for mine in model.players().values():
            for network in mine:
                network.register_forward_hook(self._left_a_network)
        descend = AdversarialModule._descend

        def watched(module, playing, terms=None, /, **each):
            told = {"+".join(seat.name for seat in playing): terms} if terms is not None else each
            for player, named in told.items():
                for name, term in named.items():
                    self.dtypes.setdefault(f"{player}/{name}", set()).add(term.dtype)
                    self.values.append(term.detach())
                    self._walk(f"{player}/{name}", term.grad_fn)
            descend(module, playing, terms, **each)

        monkeypatch.setattr(AdversarialModule, "_descend", watched)

    def _left_a_network(self, network, inputs, output):
        self.networks.add(output.dtype)
        if output.grad_fn is not None:
            self._ends.append(output.grad_fn)

    def _walk(self, term, node):
        waiting, been = [node], set()
        while waiting:
            node = waiting.pop()
            if node is None or node in been or any(node is end for end in self._ends) or "AccumulateGrad" in node.name():
                continue
            been.add(node)
            if node._input_metadata[0].dtype != torch.float32 and node.name() not in MOVES:
                self.halves.add(f"{term}: {node.name()}")
            waiting.extend(following for following, _ in node.next_functions)


@every_model
def test_bf16_mixed_computes_networks_in_bfloat16_and_losses_in_float32(name, tmp_path, monkeypatch):
    model = build(name)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    spy = Spy(model, monkeypatch)
    played = trainer(tmp_path, max_epochs=1, limit_train_batches=2, precision="bf16-mixed", log_every_n_steps=1)
    played.fit(model, data(model), data(model, 2, held_out=True))
    assert played.global_step == 2
    assert torch.bfloat16 in spy.networks
    assert spy.dtypes
    assert all(kinds == {torch.float32} for kinds in spy.dtypes.values()), spy.dtypes
    # a penalty on gradients has the network's own backward pass, in bfloat16, in its graph; its value is float32 as well
    penalties = tuple(f"discriminator/{part.name}:" for part in getattr(model, "regularizers", ()))
    assert {half for half in spy.halves if not half.startswith(penalties)} == set()
    assert all(value.isfinite() for value in spy.values)
    for key, p in model.named_parameters():
        assert p.dtype == torch.float32
        assert p.isfinite().all(), key
    assert any(not torch.equal(p, before[key]) for key, p in model.named_parameters())
    assert all(value.dtype == torch.float32 and value.isfinite() for value in played.callback_metrics.values())


class HalfLoss(NonSaturating):
    """Computes in whatever precision the logits have."""

    def generator(self, fake):
        return softplus(-fake).mean()


class HalfLossInDisguise(NonSaturating):
    """And converts at the end."""

    def generator(self, fake):
        return softplus(-fake).float().mean()


@pytest.mark.parametrize("loss", [HalfLoss(), HalfLossInDisguise()])
def test_a_loss_that_computes_in_bfloat16_is_caught(loss, tmp_path, monkeypatch):
    model = GAN(loss=loss, **SMALL["GAN"])
    spy = Spy(model, monkeypatch)
    fit(model, data(model), tmp_path, max_steps=1, precision="bf16-mixed")
    assert "generator/gan: SoftplusBackward0" in spy.halves
    assert (spy.dtypes["generator/gan"] == {torch.bfloat16}) == isinstance(loss, HalfLoss)
    assert spy.dtypes["discriminator/gan"] == {torch.float32}


@every_model
def test_images_are_float32_under_bf16_mixed_too(name, tmp_path):
    model = build(name)
    kept = []
    looked = model.validation_step
    model.validation_step = lambda *args: kept.append(looked(*args)) or kept[-1]
    trainer(tmp_path, precision="bf16-mixed").validate(model, data(model, 2, held_out=True), verbose=False)
    assert kept
    for record in kept:
        for images in () if isinstance(record, Adapted) else record:
            assert images.dtype == torch.float32
            assert images.isfinite().all()
            assert images.abs().max() <= 1
    h = model.hparams
    with torch.autocast("cpu", torch.bfloat16):
        if isinstance(model, Sampler):
            told = [model.sample(2)]
        elif isinstance(model, CycleTranslator):
            x, y = (torch.zeros(2, h[f"channels_{domain}"], 16, 16) for domain in "xy")
            told = [model.translate(x), model.translate_back(y)]
        elif isinstance(model, Translator):
            told = [model.translate(torch.zeros(2, h["inputs"], 16, 16))]
        else:
            assert isinstance(model, Classifier)
            told = [model.classify(torch.zeros(2, *h["shape"]))]
    for answer in told:
        assert answer.dtype == torch.float32
        assert answer.abs().max() <= 1


# -- float16 and its scaler: torch has both for the CPU, where Lightning takes bfloat16 unless it is given them by hand --


def scaler(scale=2.0**16, growth_interval=2000):
    return torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=growth_interval)


def half(**options):
    return MixedPrecision("16-mixed", "cpu", scaler=scaler(**options))


class ScaledOnly(MixedPrecision):
    """The scaler without float16: a power of two multiplies exactly, so that nothing may change at all."""

    def __init__(self, **options):
        super().__init__("16-mixed", "cpu", scaler=scaler(**options))

    @contextlib.contextmanager
    def forward_context(self):
        yield


def rows(n=8):
    return loader(torch.randn(n, 3, generator=torch.Generator().manual_seed(1)), batch_size=1)


class Seen(Tug):
    """Keeps the gradients that each optimizer sees, and may have a player's gradient overflow in some batches."""

    def __init__(self, overflow=(), player="generator", **options):
        super().__init__(**options)
        self.overflow, self.player = overflow, player
        self.gradients, self.norms, self.scales, self.weights, self.averages_seen = [], [], [], [], []

    def on_train_start(self):
        super().on_train_start()
        self.first = self.snapshot()

    def losses(self, player, x):
        terms = super().losses(player, x)
        if player == self.player and self.trainer.fit_loop.total_batch_idx in self.overflow:
            terms["too_much"] = 1e36 * sum(p.square().sum() for p in self.parameters() if p.requires_grad)
        return terms

    def on_before_optimizer_step(self, optimizer):
        super().on_before_optimizer_step(optimizer)
        mine = [p.grad.clone() for group in optimizer.param_groups for p in group["params"]]
        self.gradients.append(mine)
        self.norms.append(torch.cat([g.flatten() for g in mine]).norm().item())

    def on_train_batch_end(self, outputs, batch, batch_idx):
        grader = getattr(self.trainer.precision_plugin, "scaler", None)
        self.scales.append(grader.get_scale() if grader else 1.0)
        self.weights.append(self.snapshot())
        if self.ema is not None:
            self.averages_seen.append(self.ema["G"].weight.clone())


def twins(**options):
    torch.manual_seed(2)
    one, other = Seen(**options), Seen(**options)
    other.load_state_dict(one.state_dict())
    return one, other


@pytest.mark.parametrize("clip_norm", [None, {"generator": 0.01, "discriminator": 0.5}])
def test_a_scaler_is_invisible_to_the_optimizers(clip_norm, tmp_path):
    """Also while it grows, which it does at every third step: in the middle of a batch as often as not."""
    plain, scaled = twins(clip_norm=clip_norm)
    fit(plain, rows(), tmp_path, max_epochs=2)
    fit(scaled, rows(), tmp_path, max_epochs=2, plugins=[ScaledOnly(scale=2.0**10, growth_interval=3)])
    assert scaled.scales[0] == 2.0**10
    assert scaled.scales[-1] == 2.0**20  # 32 steps
    for mine, its in zip(scaled.gradients, plain.gradients, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, its, strict=True))
    for name, p in plain.named_parameters():
        assert torch.equal(p, scaled.get_parameter(name)), name
    if clip_norm:
        assert max(scaled.norms[1::2]) == pytest.approx(0.01, rel=1e-3)
        assert max(scaled.norms[::2]) == pytest.approx(0.5, rel=1e-3)


def too_far(model, other, start):
    """How far two trainings have parted, in units of the way that they have come."""
    apart = sum((a - b).square().sum() for a, b in zip(model.parameters(), other.parameters(), strict=True))
    way = sum((a - b).square().sum() for a, b in zip(model.parameters(), start.parameters(), strict=True))
    return (apart / way).sqrt().item()


SEVERAL = {"BEGAN", "CGAN", "SimultaneousGAN", "ConvolutionalGAN", "DANN", "DomainNormDANN"}  # players in one turn


def descending(name):
    """The model with plain gradient steps: Adam's first ones are the gradient's sign, also where that is noise."""
    plain = {"class_path": "torch.optim.SGD", "init_args": {"lr": 1e-4}}
    torch.manual_seed(0)
    return MODELS[name](**SMALL[name], optimizers=dict.fromkeys(build(name).players(), plain))


@every_model
def test_alternating_play_in_float16_is_that_of_float32(name, tmp_path):
    start, plain, halved = (descending(name) for _ in range(3))
    options = {"max_epochs": 1}
    if name in SEVERAL:
        with pytest.raises(InputError, match="bf16-mixed or 32-true, not 16-mixed"):
            fit(halved, data(halved), tmp_path, plugins=[half()], **options)
        return
    torch.manual_seed(4)
    fit(plain, data(plain), tmp_path, **options)
    torch.manual_seed(4)
    dtypes = set()
    next(iter(halved.players().values()))[0].register_forward_hook(lambda net, args, out: dtypes.add(out.dtype))
    plugin = half(scale=2.0**8)
    fit(halved, data(halved), tmp_path, plugins=[plugin], **options)
    assert torch.float16 in dtypes
    assert plugin.scaler.get_scale() == 2.0**8  # nothing was skipped
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in halved.parameters())
    assert 0 < too_far(plain, halved, start) < TOLERANCE.get(name, 0.05)


# instance norm over 16 pixels: weights that are 5e-4 off turn this gradient by 15 per cent in float32 as well
TOLERANCE = {"CycleGAN": 0.6}


class Overflows(Seen):
    """A player's loss is too much for the scale in some batches, the other plays on; a rate for each step and each epoch."""

    def __init__(self, overflow=(), player="generator", absent=(), **options):
        super().__init__(overflow, player, **options)
        self.absent = absent  # batches in which the player takes no turn: what a step that is skipped is compared with

    def player_optimizer(self, player, parameters):
        return Adam(parameters, lr=self.lr)

    def player_schedules(self, player, optimizer):
        return [(LambdaLR(optimizer, lambda n: 0.9**n), "step"), (Halving(optimizer), "epoch")]

    def training_step(self, batch, batch_idx):
        for player in ("discriminator", "generator"):
            if player == self.player and self.trainer.fit_loop.total_batch_idx in self.absent:
                continue
            self.play(player, batch.x)


class Halving(LambdaLR):
    """Beside another schedule of the same rate, so it has a key of its own."""

    def __init__(self, optimizer):
        optimizer.param_groups[0].setdefault("epochs", 0)
        super().__init__(optimizer, lambda n: 1.0)

    def get_lr(self):
        self.optimizer.param_groups[0]["epochs"] = self.last_epoch
        return [group["lr"] for group in self.optimizer.param_groups]


LAST = 15  # of two epochs of 8 batches: nothing comes after it that could make up for an epoch's schedule


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("batch", [0, 3, LAST])
def test_an_overflow_skips_that_players_step_alone(player, batch, tmp_path):
    one = Overflows(overflow=(batch,), player=player)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*lr_scheduler.step.*")
        played = trainer(tmp_path, max_epochs=2, plugins=[ScaledOnly()])
        played.fit(one, rows())
    mine, other = ("G", "D") if player == "generator" else ("D", "G")
    # the player has stood still in that batch, and in no other; the other player in none
    for name, still in ((mine, {batch}), (other, set())):
        path = [one.first, *one.weights]
        stood = {i for i in range(16) if torch.equal(path[i][f"{name}.weight"], path[i + 1][f"{name}.weight"])}
        assert stood == still
    assert all(p.isfinite().all() for p in one.parameters())
    # the scale is halved, once
    assert one.scales == [2.0**16] * batch + [2.0**15] * (16 - batch)
    # a batch is a step, and schedules follow the training's course; Adam counts what it did
    assert played.global_step == 16
    for name, optimizer in zip(one.players(), played.optimizers, strict=True):
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(0.1 * 0.9**16)
        assert group["epochs"] == 2
        counts = {int(state["step"]) for state in optimizer.state.values()}
        assert counts == {15 if name == player else 16}


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_the_other_player_goes_on_as_if_that_turn_had_not_been(player, tmp_path):
    """Against a float32 run in which the player takes no turn in that batch; the rates stand still, so that they agree."""

    class Constant(Overflows):
        def player_schedules(self, player, optimizer):
            return []

    torch.manual_seed(2)
    skipped = Constant(overflow=(3,), player=player)
    absent = Constant(absent=(3,), player=player)
    absent.load_state_dict(skipped.state_dict())
    fit(skipped, rows(), tmp_path, max_epochs=1, plugins=[ScaledOnly()])
    fit(absent, rows(), tmp_path, max_epochs=1)
    for name, p in skipped.named_parameters():
        assert torch.equal(p, absent.get_parameter(name)), name


def test_clipping_does_not_hide_an_overflow(tmp_path):
    """An infinite norm would make a gradient of zeros and NaN of it."""
    one = Overflows(overflow=(3,), clip_norm={"generator": 0.01, "discriminator": 0.01})
    fit(one, rows(), tmp_path, max_epochs=1, plugins=[ScaledOnly()])
    assert torch.equal(one.weights[2]["G.weight"], one.weights[3]["G.weight"])
    assert all(p.isfinite().all() for p in one.parameters())
    assert one.scales[-1] == 2.0**15


def test_a_step_that_was_skipped_does_not_move_the_average(tmp_path):
    """It waits for the next, which then counts the images of both."""
    one = Overflows(overflow=(3,), ema_half_life=4.0, ema_ramp=0.0)
    fit(one, rows(), tmp_path, max_epochs=1, plugins=[ScaledOnly()])
    wanted, since = one.first["G.weight"].clone(), 0
    for batch, (weights, seen) in enumerate(zip(one.weights, one.averages_seen, strict=True)):
        since += 1
        if batch != 3:
            wanted = wanted + (1 - 0.5 ** (since / 4.0)) * (weights["G.weight"] - wanted)
            since = 0
        assert torch.allclose(seen, wanted, atol=1e-6), batch


def test_the_scale_goes_on_where_the_run_is_taken_up(tmp_path):
    whole, first, second = Overflows(overflow=(3, 9)), Overflows(overflow=(3, 9)), Overflows(overflow=(3, 9))
    for other in (first, second):
        other.load_state_dict(whole.state_dict())
    plugin = ScaledOnly(growth_interval=20)
    fit(whole, rows(), tmp_path, max_epochs=2, plugins=[plugin])
    fit(first, rows(), tmp_path, max_epochs=1, plugins=[ScaledOnly(growth_interval=20)]).save_checkpoint(tmp_path / "a.ckpt")
    again = ScaledOnly(growth_interval=20)
    trainer(tmp_path, max_epochs=2, plugins=[again]).fit(second, rows(), ckpt_path=tmp_path / "a.ckpt")
    assert again.scaler.state_dict() == plugin.scaler.state_dict()
    assert second.scales == whole.scales[8:]
    for name, p in whole.named_parameters():
        assert torch.equal(p, second.get_parameter(name)), name


def test_gradients_of_small_batches_are_not_mixed_with_a_scale_that_has_moved(tmp_path):
    """Between them the first player's step may move the scale under the second's gradients."""
    with pytest.raises(InputError, match="accumulate"):
        fit(Seen(accumulate=2), rows(), tmp_path, max_epochs=1, plugins=[ScaledOnly()])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
def test_mixed_precision_on_a_gpu(precision, tmp_path):
    model = build("DCGAN")
    options = {"accelerator": "gpu", "devices": 1, "precision": precision, "max_epochs": 4}
    played = fit(model, data(model), tmp_path, **options)
    assert played.global_step == 16
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
    # the scale begins at 2^16 and is halved until the first step fits: by now it does
    for optimizer in played.optimizers:
        assert all(int(state["step"]) > 0 for state in optimizer.state.values())
