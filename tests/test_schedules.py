"""Schedules at chosen steps, by closed form."""

import pytest
import torch
from torch import nn
from torch.optim import SGD

from ganzoo.schedules import ExponentialDecay, LinearDecay, MomentumClimb, MomentumRamp, PlateauDecay, ProgressDecay


def optimizer(lr=0.1):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.5)


def after(schedule, n):
    for _ in range(n):
        schedule.optimizer.step()
        schedule.step()
    return schedule.optimizer.param_groups[0]


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_exponential_decay(n):
    assert after(ExponentialDecay(optimizer(), 1.000004), n)["lr"] == pytest.approx(0.1 / 1.000004**n, rel=1e-12)


def test_exponential_decay_has_a_floor():
    assert after(ExponentialDecay(optimizer(), 2.0, floor=0.01), 50)["lr"] == 0.01


@pytest.mark.parametrize(
    ("epoch", "momentum"),  # epochs from 1, as in the released code: the momentum that its updates have in that epoch
    [
        *[(1, 0.5), (2, 0.50080321), (3, 0.50160643), (50, 0.53935743), (125, 0.59959839), (126, 0.60040161)],
        *[(249, 0.69919679), (250, 0.7), (251, 0.7), (300, 0.7)],
    ],
)
def test_momentum_rises_from_epoch_1_to_250(epoch, momentum):
    group = after(MomentumRamp(optimizer()), epoch - 1)
    assert group["momentum"] == pytest.approx(momentum, abs=1e-8)
    assert group["lr"] == 0.1


class MomentumAdjustor:
    """pylearn2's, retold: before the first epoch and after each, a count goes up by one and the momentum follows it."""

    def __init__(self, final, start, saturate):
        self.final, self.start, self.saturate, self.count = final, start, saturate, 0

    def on_monitor(self, first):
        self.count += 1
        alpha = min(max((self.count - self.start) / (self.saturate - self.start), 0.0), 1.0)
        return first * (1 - alpha) + alpha * self.final


@pytest.mark.parametrize(("start", "saturate"), [(1, 250), (1, 4), (3, 7), (0, 5)])
def test_momentum_is_the_released_codes_in_every_epoch(start, saturate):
    theirs, ours = MomentumAdjustor(0.7, start, saturate), MomentumRamp(optimizer(), 0.7, start, saturate)
    for epoch in range(1, saturate + 4):
        assert after(ours, 1 if epoch > 1 else 0)["momentum"] == pytest.approx(theirs.on_monitor(0.5), abs=1e-12), epoch


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 2e-4), (99, 2e-4), (100, 2e-4), (150, 1e-4), (199, 2e-6), (200, 0.0), (210, 0.0)]
)
def test_linear_decay(epoch, rate):
    assert after(LinearDecay(optimizer(2e-4)), epoch)["lr"] == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize("kind", [ExponentialDecay, MomentumRamp, LinearDecay])
def test_state_goes_through_a_checkpoint(kind):
    first = kind(optimizer())
    after(first, 7)
    second = kind(optimizer())
    second.load_state_dict(first.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    a, b = after(first, 5), after(second, 5)
    assert (a["lr"], a["momentum"]) == (b["lr"], b["momentum"])


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (lambda o: LinearDecay(o, 2, 2), lambda o: LinearDecay(o, 6, 4)),
        (lambda o: ProgressDecay(o, 4), lambda o: ProgressDecay(o, 40, alpha=3.0)),
        (lambda o: ExponentialDecay(o, 2.0), lambda o: ExponentialDecay(o, 1.1)),
        (lambda o: MomentumRamp(o, 0.7, 1, 4), lambda o: MomentumRamp(o, 0.9, 1, 20)),
        (lambda o: MomentumClimb(o, 0.1, 0.6), lambda o: MomentumClimb(o, 0.01, 0.8)),
    ],
    ids=["LinearDecay", "ProgressDecay", "ExponentialDecay", "MomentumRamp", "MomentumClimb"],
)
def test_a_run_that_is_made_longer_has_the_new_shape_and_the_old_place(short, long):
    ended = short(optimizer())
    after(ended, 4)
    longer, whole = long(optimizer()), long(optimizer())
    longer.load_state_dict(ended.state_dict())
    found, wanted = after(longer, 2), after(whole, 6)
    assert found["lr"] == pytest.approx(wanted["lr"])
    assert found["momentum"] == pytest.approx(wanted["momentum"])


@pytest.mark.parametrize(("step", "rate"), [(0, 0.01), (10, 0.00595), (25, 0.00391), (50, 0.00261), (100, 0.001656)])
def test_mu_p(step, rate):
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    schedule = ProgressDecay(optimizer, 100)
    for _ in range(step):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(rate, abs=5e-6)


def test_a_plateau_halves_the_rate_after_so_many_epochs_without_one_percent():
    values = [1.0, 0.98, 0.975, 0.975, 0.975, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
    #         best  best  no     no     half   best no   no   half no   no
    now = iter(values)
    schedule = PlateauDecay(optimizer(), lambda: next(now), patience=3)
    rates = [schedule.optimizer.param_groups[0]["lr"]] + [after(schedule, 1)["lr"] for _ in values]
    assert rates == pytest.approx([0.1] * 5 + [0.05] * 4 + [0.025] * 3)


def test_a_plateau_is_counted_on_after_a_resume():
    """The measure is asked once an epoch, however often the rate is computed; the state is plain, finite numbers."""
    measured = []
    schedule = PlateauDecay(optimizer(), lambda: measured.append(1) or 1.0, patience=4, factor=0.1)
    after(schedule, 3)
    schedule.get_lr()
    assert len(measured) == 3
    state = schedule.state_dict()
    assert "measure" not in state
    assert state["best"] == 1.0
    again = PlateauDecay(optimizer(), lambda: 1.0, patience=4, factor=0.1)
    assert again.state_dict()["best"] == 0
    again.load_state_dict(state)
    assert after(again, 1)["lr"] == 0.1
    assert after(again, 1)["lr"] == pytest.approx(0.01)
