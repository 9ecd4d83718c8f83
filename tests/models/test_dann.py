"""DANN by closed forms, published counts, finite differences, and a second implementation by hand."""

import math
from typing import NamedTuple

import pytest
import torch
from support.training import Labelled, fit, loader, trainer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus
from torch.optim import SGD

from ganzoo.errors import InputError
from ganzoo.interfaces import Adapted
from ganzoo.models import DANN, DomainNormDANN
from ganzoo.networks import dann as families
from ganzoo.networks.norms import SOURCE
from ganzoo.ops.gradient_reversal import lambda_p, reverse

SHAPE, CLASSES = (1, 16, 16), 3


class Two(NamedTuple):
    x: Tensor
    y: Tensor
    target: Tensor


class SmallFamily(families.DomainNetworks):
    """No norm, no dropout: what is computed by hand is the same to the bit."""

    def networks(self, shape, classes):
        G_f = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 8), nn.Tanh())
        return G_f, families.dense(8, 6, classes), families.dense(8, 6, 1)


def small(cls=None, family=None, **options) -> DANN:
    torch.manual_seed(0)
    cls = cls or (DomainNormDANN if isinstance(family, families.NormedFamily) else DANN)
    return cls(shape=SHAPE, classes=CLASSES, family=family or SmallFamily(), **options)


def batches(n=6, size=4):
    g = torch.Generator().manual_seed(5)
    x, target = (torch.rand(n * size, *SHAPE, generator=g) * 2 - 1 for _ in range(2))
    return loader(x, torch.arange(n * size) % CLASSES, target * 0.5, batch_size=size, kind=Two)


def test_pretrained_weights_are_fetched_by_a_new_training_and_by_nothing_else(tmp_path, monkeypatch):
    """A checkpoint brings its own: loading one, or resuming, needs no network."""
    import torchvision

    asked, plain = [], torchvision.models.get_model

    def get_model(name, weights=None):
        asked.append(weights)
        network = plain(name)
        if weights is not None:
            nn.init.constant_(network.conv1.weight, 0.25)
            network.bn1.running_mean.fill_(3.0)
        return network

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    family = families.TorchvisionFamily("resnet18", "SOME", bottleneck=8)
    shape = (3, 32, 32)
    x = torch.rand(4, *shape)
    data = loader(x, torch.arange(4) % 2, x * 0.5, batch_size=2, kind=Two)
    model = DomainNormDANN(shape, 2, family=family, lr=0.0)
    bottleneck = model.G_f[1].fc.weight.detach().clone()
    assert asked == [None]
    played = fit(model, data, tmp_path, max_steps=1, max_epochs=1)
    assert asked == [None, "SOME"]
    assert (model.G_f[1].conv1.weight == 0.25).all()
    assert (model.G_f[1].bn1.running_mean > 1).all()  # both domains' averages began with the pretrained ones
    assert torch.equal(model.G_f[1].fc.weight, bottleneck)
    played.save_checkpoint(tmp_path / "kept.ckpt")
    again = DomainNormDANN.load_from_checkpoint(tmp_path / "kept.ckpt")
    assert (again.G_f[1].conv1.weight == 0.25).all()
    trainer(tmp_path, max_steps=2).fit(
        DomainNormDANN(shape, 2, family=family, lr=0.0), data, ckpt_path=tmp_path / "kept.ckpt"
    )
    fit(again, data, tmp_path, max_steps=1)
    assert asked == [None, "SOME", None, None]
    monkeypatch.undo()
    with pytest.raises(InputError, match="NO_SUCH"):
        families.TorchvisionFamily("resnet18", "NO_SUCH").begin(nn.Sequential())


# -- the step against the same by hand ----------------------------------------------------------------


def by_hand(model: DANN, data, total: int, head_scaled_too=False) -> None:
    """The plain loop: the head's gradient and the features' are written out, no reversal layer."""
    f_params, y_params, d_params = (list(net.parameters()) for net in (model.G_f, model.G_y, model.G_d))
    optimizer = SGD([*f_params, *y_params, *d_params], lr=model.lr, momentum=model.momentum)
    for step, batch in enumerate(data):
        p = step / total
        strength = model.lambda_max * (2 / (1 + math.exp(-10 * p)) - 1)
        optimizer.param_groups[0]["lr"] = model.lr / (1 + 10 * p) ** 0.75
        f, f_target = model.G_f(batch.x), model.G_f(batch.target)
        label = cross_entropy(model.G_y(f), batch.y)
        domain = softplus(model.G_d(f)).mean() + softplus(-model.G_d(f_target)).mean()
        of_label = torch.autograd.grad(label, [*f_params, *y_params], retain_graph=True)
        of_domain = torch.autograd.grad(domain, [*f_params, *d_params])
        for i, parameter in enumerate(f_params):
            parameter.grad = of_label[i] - strength * of_domain[i]
        for parameter, gradient in zip(y_params, of_label[len(f_params) :], strict=True):
            parameter.grad = gradient
        for parameter, gradient in zip(d_params, of_domain[len(f_params) :], strict=True):
            parameter.grad = strength * gradient if head_scaled_too else gradient
        optimizer.step()


def apart(a: nn.Module, b: nn.Module) -> float:
    return max((p - q).abs().max().item() for p, q in zip(a.parameters(), b.parameters(), strict=True))


# 20 steps of 0.3, each of which a momentum of 0.9 takes ten times, of gradients below 1 that are off by some eps (1.2e-7)
ROUNDED = 1e-5


def test_a_run_equals_the_plain_loop(tmp_path):
    model, hand, broken = small(lr=0.3), small(lr=0.3), small(lr=0.3)
    fit(model, batches(20), tmp_path, max_epochs=1)
    by_hand(hand, batches(20), 20)
    by_hand(broken, batches(20), 20, head_scaled_too=True)
    assert apart(model, hand) < ROUNDED
    assert apart(model, broken) > 1e-3


class Apart(DANN):
    """The independent oracle: three players, each with a cost of its own, played simultaneously without a reversal."""

    def training_step(self, batch, batch_idx):
        strength = self.lambda_max * lambda_p(self.progress, self.gamma)
        with self.turn("features", "label_predictor", "domain_classifier") as descend:
            f, f_target = self.G_f(batch.x), self.G_f(batch.target)
            label = self.label_losses(self.G_y(f), batch.y)["label"]
            domain = sum(self.domain_losses(self.G_d(f), self.G_d(f_target)).values())
            descend(
                features={"label": label, "domain": -strength * domain},
                label_predictor={"label": label},
                domain_classifier={"domain": domain},
            )


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_equals_simultaneous_play(tmp_path, accumulate):
    model, oracle = (small(cls, lr=0.3, accumulate=accumulate) for cls in (DANN, Apart))
    for each in (model, oracle):
        fit(each, batches(), tmp_path, max_epochs=2)
    assert apart(model, oracle) < ROUNDED
    assert apart(model, small()) > 0.01


def test_the_head_learns_at_full_strength_whatever_lambda_is():
    gradients = []
    for strength in (0.0, 0.01, 1.0):
        model, batch = small(), next(iter(batches()))
        f, f_target = model.G_f(batch.x), model.G_f(batch.target)
        losses = model.domain_losses(model.G_d(reverse(f, strength)), model.G_d(reverse(f_target, strength)))
        sum(losses.values()).backward()
        gradients.append([p.grad.clone() for p in model.G_d.parameters()])
        reach = max(p.grad.abs().max().item() for p in model.G_f.parameters())
        assert (reach > 0) == (strength > 0)
    for some in gradients:
        assert any(gradient.abs().max() > 1e-3 for gradient in some)
        for a, b in zip(some, gradients[0], strict=True):
            assert torch.equal(a, b)


def test_both_domains_are_in_the_cost_and_each_by_its_own_mean():
    model = small()
    told = model.domain_losses(torch.full((4, 1), -2.0), torch.full((9, 1), 3.0))
    assert told["domain_source"].item() == pytest.approx(math.log(1 + math.exp(-2)))
    assert told["domain_target"].item() == pytest.approx(math.log(1 + math.exp(-3)))
    wrong = model.domain_losses(torch.full((4, 1), 2.0), torch.full((9, 1), -3.0))
    assert wrong["domain_source"].item() > 2
    assert wrong["domain_target"].item() > 3


def test_without_strength_it_is_source_only_to_the_bit(tmp_path):
    """Batch norm included: neither a gradient nor a statistic of the target reaches features and labels."""
    family = families.NormedFamily((4, 4), 6, dropout=0.0)
    options = {"family": family, "beta": 0.0, "lr": 0.1}
    model, adapted = small(**options, lambda_max=0.0), small(**options)
    fit(model, batches(), tmp_path, max_epochs=1)
    fit(adapted, batches(), tmp_path, max_epochs=1)
    torch.manual_seed(0)
    G_f, G_y, G_d = family.networks(SHAPE, CLASSES)  # torch's own batch norm
    optimizer = SGD([*G_f.parameters(), *G_y.parameters()], lr=0.1, momentum=0.9, fused=True)  # as a player's
    for batch in batches():
        optimizer.zero_grad()
        cross_entropy(G_y(G_f(batch.x)), batch.y).backward()
        optimizer.step()
    for mine, theirs in ((model.G_f, G_f), (model.G_y, G_y)):
        assert all(torch.equal(p, q) for p, q in zip(mine.parameters(), theirs.parameters(), strict=True))
    assert torch.equal(model.G_f[1].running_mean[SOURCE], G_f[1].running_mean)
    assert not torch.equal(model.G_d[0].weight, G_d[0].weight)  # the head looks on, and learns
    # and the target is seen with the source's statistics, where an adapted model has its own for it
    target = next(iter(batches())).target
    for module in (model, adapted, G_f, G_y):
        module.eval()
    assert torch.allclose(model(target), G_y(G_f(target)), atol=1e-6)
    assert torch.equal(model(target), model(target, SOURCE))
    assert (adapted(target) - adapted(target, SOURCE)).abs().max() > 1e-4


def test_where_the_labels_are_the_targets_own_there_is_nothing_to_adapt(tmp_path):
    """``Domains(train_on_target=True)`` gives the target's images twice: with a strength that is refused in one line."""
    x = torch.rand(8, *SHAPE)
    twice = loader(x, torch.arange(8) % CLASSES, x.clone(), batch_size=4, kind=Two)
    with pytest.raises(InputError, match=r"the same images.*set model\.lambda_max to 0") as caught:
        fit(small(lr=0.1), twice, tmp_path, max_epochs=1)
    assert "\n" not in str(caught.value)
    fit(small(lr=0.1, lambda_max=0.0), twice, tmp_path, max_epochs=1)


def test_a_checkpoint_knows_whether_it_was_adapted(tmp_path):
    """The lower bound stays one when its checkpoint is evaluated by a config that adapts."""
    options = {"family": families.NormedFamily((4, 4), 6, dropout=0.0), "lr": 0.1}
    alone = small(**options, lambda_max=0.0)
    fit(alone, batches(), tmp_path, max_epochs=1).save_checkpoint(tmp_path / "kept.ckpt")
    configured = small(**options)
    assert configured.adapts
    configured.load_state_dict(torch.load(tmp_path / "kept.ckpt", weights_only=True)["state_dict"])
    target = next(iter(batches())).target
    assert torch.equal(configured.eval()(target), alone.eval()(target))
    # but a run that takes it up with a strength does adapt
    trainer(tmp_path, max_epochs=2).fit(resumed := small(**options), batches(), ckpt_path=tmp_path / "kept.ckpt")
    assert resumed.adapts


# -- progress -----------------------------------------------------------------------------------------


class Watched(DANN):
    def __init__(self, **options):
        super().__init__(**options)
        self.seen: list[tuple[float, float]] = []

    def training_step(self, batch, batch_idx):
        for _ in range(3):
            self(batch.x)  # a schedule that counts forward calls would run ahead
        super().training_step(batch, batch_idx)
        self.seen.append((self.progress, self.lambda_p.item()))


@pytest.mark.parametrize(
    ("limits", "accumulate", "expected"),
    [
        ({"max_epochs": 2}, 1, [i / 12 for i in range(12)]),
        ({"max_steps": 8}, 1, [i / 8 for i in range(8)]),
        ({"max_epochs": 5, "max_steps": 4}, 1, [i / 4 for i in range(4)]),
        ({"max_epochs": 2}, 4, [i / 4 for i in (0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3)]),
        ({"max_steps": 2}, 3, [0, 0, 0, 0.5, 0.5, 0.5]),
    ],
)
def test_progress_is_the_share_of_the_whole_training(tmp_path, limits, accumulate, expected):
    model = small(Watched, accumulate=accumulate)
    fit(model, batches(), tmp_path, **limits)
    assert [p for p, _ in model.seen] == pytest.approx(expected)
    assert [strength for _, strength in model.seen] == pytest.approx([math.tanh(5 * p) for p in expected], abs=1e-6)


def test_a_resumed_run_goes_on_where_it_was(tmp_path):
    from lightning.pytorch.callbacks import ModelCheckpoint

    whole = small(Watched)
    keep = ModelCheckpoint(tmp_path / "kept", filename="{step}", every_n_train_steps=5, save_top_k=-1)
    trainer(tmp_path, max_epochs=3, enable_checkpointing=True, callbacks=[keep]).fit(whole, batches())
    saved = torch.load(tmp_path / "kept" / "step=5.ckpt", weights_only=True)
    assert saved["state_dict"]["lambda_p"].item() == pytest.approx(math.tanh(5 * 4 / 18), abs=1e-6)
    resumed = small(Watched)
    trainer(tmp_path, max_epochs=3).fit(resumed, batches(), ckpt_path=tmp_path / "kept" / "step=10.ckpt")
    assert [p for p, _ in resumed.seen] == pytest.approx([i / 18 for i in range(10, 18)])
    rates = [group["lr"] for optimizer in whole.trainer.optimizers for group in optimizer.param_groups]
    assert rates == pytest.approx([0.01 / 11**0.75] * 3)
    again = [group["lr"] for optimizer in resumed.trainer.optimizers for group in optimizer.param_groups]
    assert again == pytest.approx(rates)
    longer = small(Watched)
    trainer(tmp_path, max_epochs=6).fit(longer, batches(), ckpt_path=tmp_path / "kept" / "step=10.ckpt")
    assert longer.seen[0][0] == pytest.approx(10 / 36)
    last = [group["lr"] for optimizer in longer.trainer.optimizers for group in optimizer.param_groups]
    assert last == pytest.approx([0.01 / 11**0.75] * 3)  # by the new length


def test_a_training_without_an_end_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match=r"max_epochs or trainer\.max_steps") as caught:
        fit(small(), batches(), tmp_path, max_epochs=-1, max_steps=-1)
    assert "\n" not in str(caught.value)


# -- validation ---------------------------------------------------------------------------------------


def held_out(y_target):
    g = torch.Generator().manual_seed(8)
    x, target = (torch.rand(6, *SHAPE, generator=g) * 2 - 1 for _ in range(2))
    return [loader(x, torch.arange(6) % CLASSES, batch_size=3), loader(target, y_target, batch_size=3)]


def test_validation_tells_each_domain_and_calls_the_target_an_oracle(tmp_path):
    model = small()
    kept = []
    wrapped = model.validation_step
    model.validation_step = lambda *args: kept.append(wrapped(*args)) or kept[-1]
    played = trainer(tmp_path)
    (source, target) = played.validate(model, held_out(torch.arange(6) % CLASSES), verbose=False)
    assert set(source) == {"val/source_accuracy", "val/domain_accuracy_source"}
    assert set(target) == {"val/oracle_target_accuracy", "val/domain_accuracy_target"}
    assert all(isinstance(record, Adapted) for record in kept)
    f, logits, d = (torch.cat([record[i] for record in kept[2:]]) for i in range(3))
    assert f.shape == (6, 8)
    assert d.shape == (6,)
    assert target["val/oracle_target_accuracy"] == pytest.approx(
        (logits.argmax(1) == torch.arange(6) % 3).float().mean().item()
    )
    assert target["val/domain_accuracy_target"] == pytest.approx((d > 0).float().mean().item())


def test_a_target_without_labels_has_no_oracle(tmp_path):
    _, target = trainer(tmp_path).validate(small(), held_out(torch.full((6,), -1)), verbose=False)
    assert set(target) == {"val/domain_accuracy_target"}


def test_probabilities(tmp_path):
    model = small().eval()
    x = torch.rand(5, *SHAPE)
    told = model.classify(x)
    assert told.shape == (5, CLASSES)
    assert told.sum(1).tolist() == pytest.approx([1.0] * 5)
    assert torch.equal(told.argmax(1), model(x).argmax(1))
    assert not told.requires_grad


# -- bad input ----------------------------------------------------------------------------------------


def test_one_image_in_a_batch_cannot_be_normed(tmp_path):
    one = loader(torch.zeros(4, *SHAPE), torch.zeros(4).long(), torch.ones(4, *SHAPE), batch_size=1, kind=Two)
    with pytest.raises(InputError, match=r"at least 2 images.*data\.batch_size"):
        fit(small(family=families.NormedFamily((4, 4), 6)), one, tmp_path, max_epochs=1)
    fit(small(), one, tmp_path, max_epochs=1)  # without batch norm it can


def test_predicting_needs_no_labels(tmp_path):
    told = trainer(tmp_path).predict(small(), loader(torch.rand(4, *SHAPE), batch_size=2))
    assert [part.shape for part in told] == [(2, CLASSES)] * 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (loader(torch.zeros(4, *SHAPE), torch.zeros(4, dtype=torch.int64), batch_size=2), "x, y and target"),
        (loader(torch.zeros(4, *SHAPE), batch_size=2), "no labels"),
        (loader(torch.zeros(4, *SHAPE), torch.full((4,), 3), torch.zeros(4, *SHAPE), batch_size=2, kind=Two), "a label 3"),
        (
            loader(torch.zeros(4, *SHAPE), torch.zeros(4).long(), torch.zeros(4, 1, 9, 9), batch_size=2, kind=Two),
            r"model\.shape",
        ),
    ],
)
def test_data_that_do_not_fit_are_one_clear_line(tmp_path, data, says):
    with pytest.raises(InputError, match=says) as caught:
        fit(small(), data, tmp_path, max_epochs=1)
    assert "\n" not in str(caught.value)


def test_labelled_is_enough_to_validate(tmp_path):
    assert Labelled._fields == ("x", "y")
    trainer(tmp_path).validate(small(), held_out(torch.full((6,), -1)), verbose=False)
