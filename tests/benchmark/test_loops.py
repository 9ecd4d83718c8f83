"""The loops of ``ganzoo bench`` have ganzoo's mathematics, and cost what they are said to cost."""

from itertools import islice

import lightning.pytorch as L
import pytest
import torch
from support.small_systems import SMALL_SYSTEMS
from support.training import trainer
from torch import nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from ganzoo.benchmark.loops.base import Loop
from ganzoo.benchmark.setups import Setup
from ganzoo.benchmark.systems import SYSTEMS
from ganzoo.benchmark.worker import FloatImages, count_operations
from ganzoo.data.batches import as_float
from ganzoo.utils.rng import seed_step

STEPS, SEED = 50, 7
LOOPS = {
    f"{name}, {which}": (name, which)
    for name, system in SMALL_SYSTEMS.items()
    for which in (("plain", "published") if system.published else ("plain",))
}
Run = tuple[list[dict[str, float]], dict[str, torch.Tensor]]  # the losses of each step, the weights after the last


class Recorder(L.Callback):
    """Keeps what is logged in each step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer, *_) -> None:
        self.steps.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def model_of(setup: Setup):
    torch.manual_seed(0)
    return setup.model().double()


@pytest.fixture(scope="module")
def ganzoo_run(tmp_path_factory):
    """ganzoo's losses and weights in double precision, so that rounding does not grow to what a wrong formula does."""
    done: dict[str, Run] = {}

    def run(name: str) -> Run:
        if name not in done:
            setup, recorder = SMALL_SYSTEMS[name].build(), Recorder()
            model, loader = model_of(setup), setup.loader(2)
            quiet = trainer(
                tmp_path_factory.mktemp("run"),
                precision="64-true",
                max_steps=STEPS,
                log_every_n_steps=1,
                callbacks=[recorder],
            )
            torch.manual_seed(SEED)
            quiet.fit(model, datamodule=FloatImages(loader))
            done[name] = recorder.steps, dict(model.state_dict())
        return done[name]

    return run


def loop_run(setup: Setup, kind: type[Loop]) -> Run:
    model, losses = model_of(setup), []
    loop, batches = kind(model), islice(setup.loader(2), STEPS)
    for number, batch in enumerate(batches):
        seed_step(SEED, 0, number, torch.device("cpu"))
        torch.set_default_dtype(torch.float64)  # as Lightning does in a step, and CycleGAN's pools draw in that dtype
        try:
            found = loop.step(type(batch)(*(field.double() for field in as_float(batch))))
        finally:
            torch.set_default_dtype(torch.float32)
        losses.append({name: float(value) for name, value in found.items()})
    return losses, dict(model.state_dict())


def distance(ours: Run, theirs: Run) -> float:
    """The largest difference of a loss or a weight, relative to 1 and the value."""
    assert len(ours[0]) == len(theirs[0]) == STEPS
    pairs = [(a[name], value) for a, b in zip(ours[0], theirs[0], strict=True) for name, value in b.items()]
    found = [abs(a - b) / (1 + abs(b)) for a, b in pairs]
    found += [
        float(((ours[1][name] - value).abs() / (1 + value.abs())).max())
        for name, value in theirs[1].items()
        if isinstance(value, torch.Tensor) and value.is_floating_point() and "past" not in name
    ]
    return max(found)


@pytest.mark.parametrize(("name", "which"), LOOPS.values(), ids=LOOPS)
def test_a_loop_has_the_losses_and_weights_of_ganzoo(name, which, ganzoo_run):
    setup = SMALL_SYSTEMS[name].build()
    kind = getattr(setup, which)
    ours, theirs = ganzoo_run(name), loop_run(setup, kind)
    players = {key.partition("/")[0] for losses in ours[0] for key in losses if key.endswith("/loss")}
    assert {key.partition("/")[0] for losses in theirs[0] for key in losses} == players
    assert any(float((after - before).abs().max()) > 1e-4 for after, before in _moved(setup, ours[1]))
    assert distance(ours, theirs) < 1e-5

    class Faster(kind):
        """Learns 1 % faster."""

        def configure(self, model) -> None:
            model.lr *= 1.01
            super().configure(model)

    assert distance(ours, loop_run(setup, Faster)) > 1e-5


def _moved(setup, weights):
    before = model_of(setup)
    return [(weights[name], parameter.detach()) for name, parameter in before.named_parameters()]


def optimizers(loop: Loop) -> list[Optimizer]:
    found = [loop.of_D, loop.of_G]
    return [each for one in found for each in (one if isinstance(one, list) else [one])]


class Reads(TorchDispatchMode):
    """Counts numbers that are read from the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "which"), LOOPS.values(), ids=LOOPS)
def test_numbers_read_from_the_device_in_a_step(name, which):
    setup = SMALL_SYSTEMS[name].build()
    loop, batches = getattr(setup, which)(setup.model()), islice(setup.loader(2), 2)
    first, second = map(as_float, batches)
    loop.step(first)
    for optimizer in optimizers(loop):  # one that is not fused reads its own counts of steps, which are not on the device
        optimizer.step = lambda: None
    with Reads() as reads:
        loop.step(second)
    assert reads.count == (5 if (name, which) == ("dcgan", "published") else 0)


def multiplications(network: nn.Module, x: torch.Tensor) -> list[float]:
    """Operations of each layer's forward pass, from its own shapes."""
    found = []

    def of_layer(layer, inputs, output) -> None:
        if isinstance(layer, nn.ConvTranspose2d):
            found.append(2 * inputs[0].numel() * layer.out_channels * layer.kernel_size[0] ** 2)
        elif isinstance(layer, nn.Conv2d):
            found.append(2 * output.numel() * layer.in_channels * layer.kernel_size[0] ** 2)
        elif isinstance(layer, nn.Linear):
            found.append(2 * output.numel() * layer.in_features)

    hooks = [layer.register_forward_hook(of_layer) for layer in network.modules()]
    network(x)
    for hook in hooks:
        hook.remove()
    return found


def test_operations_of_a_step_are_those_of_its_passes():
    setup = SMALL_SYSTEMS["dcgan"].build()
    model = setup.model()
    batch = as_float(next(iter(setup.loader(2))))
    of_G, of_D = multiplications(model.G, torch.randn(2, 4)), multiplications(model.D, batch.x)
    G, D = sum(of_G), sum(of_D)
    # a backward pass has twice the forward pass's: gradients of inputs and of weights. The first layers' inputs need none
    # where they are data or noise; a frozen network's weights need none
    discriminator = G + 2 * D + 2 * (2 * D - of_D[0])
    generator = D + D + (2 * G - of_G[0])
    assert count_operations(setup.plain(model), [batch]) == discriminator + generator
    # the published loop computes weight gradients of the opponent too
    assert count_operations(setup.published(model), [batch, batch]) == discriminator + generator + D


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_is_what_its_name_says(name):
    setup = SYSTEMS[name].build()
    assert issubclass(setup.plain, Loop)
    assert (setup.published is None) == (SYSTEMS[name].published is None)
    image = setup.sample(torch.Generator())[0]
    assert image.dtype == torch.uint8
    assert f"-{image.shape[-1]}" == name[name.index("-") :]
