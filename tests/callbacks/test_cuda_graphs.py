"""Compile in a mode that records CUDA graphs: nothing is used after the step whose memory it lies in."""

import math

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from support.cuda_graphs import Recorded
from support.training import trainer
from support.zoo import build, data, every_model
from torch._inductor.cudagraph_trees import MarkStepBox

from ganzoo.callbacks import Compile
from ganzoo.models import DCGAN
from ganzoo.utils.compilation import backend_of

pytestmark = pytest.mark.filterwarnings("ignore")
NAME = "recorded"


@pytest.fixture
def recorded():
    torch._dynamo.reset()
    limit, MarkStepBox.mark_step_counter = torch.compiler.config.recompile_limit, 0
    memory = Recorded()
    torch._dynamo.register_backend(lambda *graph, **mode: memory.backend(*graph, **mode), name=NAME)
    yield memory
    del torch._dynamo.backends.registry._COMPILER_FNS[NAME]
    backend_of.cache_clear()
    torch._dynamo.reset()
    torch.compiler.config.recompile_limit, MarkStepBox.mark_step_counter = limit, 0


def run(model, tmp_path, *callbacks, n=8, **options):
    """Two epochs of batches of two, each with a validation; returns the losses that were logged."""
    played = trainer(tmp_path, **{"max_epochs": 2, "callbacks": list(callbacks), "log_every_n_steps": 1, **options})
    torch.manual_seed(5)
    played.fit(model, data(model, n), data(model, 2, held_out=True))
    return {name: value.item() for name, value in played.callback_metrics.items()}


def alike(here, there, tolerance):
    assert list(here) == list(there)
    for name, value in here.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            assert torch.allclose(value, there[name], atol=tolerance, rtol=10 * tolerance), name


def graphs():
    return Compile(mode="reduce-overhead", backend=NAME)


def test_the_backend_overwrites_at_a_mark_and_without_marks_after_each_backward_pass(recorded):
    double = torch.compile(lambda x: 2 * x, backend=NAME, mode="reduce-overhead")
    x = torch.ones(1, requires_grad=True)
    first, second = double(x), double(x)
    assert (first.item(), second.item()) == (2, 2)  # both wait for their backward pass
    first.sum().backward()
    double(x)
    assert math.isnan(second.item())
    torch.compiler.cudagraph_mark_step_begin()
    x.grad = None
    first, second = double(x), double(x)
    first.sum().backward()
    double(x)
    assert (second.item(), x.grad.item()) == (2, 2)  # the step has not ended
    torch.compiler.cudagraph_mark_step_begin()
    double(x)
    assert math.isnan(second.item())
    assert math.isnan(x.grad.item())


QUICK = ("GAN", "DCGAN", "CGAN", "CycleGAN", "DANN")


def trains_alike(name, tmp_path, memory):
    plain, compiled = build(name), build(name)
    wanted = run(plain, tmp_path)
    seen = run(compiled, tmp_path, graphs())
    assert memory.steps >= 8  # batches, and validations
    assert seen == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    alike(plain.state_dict(), compiled.state_dict(), 1e-3 if name.startswith("SNGAN") else 1e-5)


@pytest.mark.parametrize("name", QUICK)
def test_a_training_with_cuda_graphs_is_the_same_training(name, tmp_path, recorded):
    trains_alike(name, tmp_path, recorded)


@pytest.mark.slow
@every_model
def test_and_so_it_is_of_every_model(name, tmp_path, recorded):
    trains_alike(name, tmp_path, recorded)


class Looks(DCGAN):
    """Calls G without a gradient while another pass of G waits for its backward pass."""

    def discriminator_losses(self, real, fake):
        with torch.no_grad():
            self.show({"brightness": self.G(self.z(2))})
        return super().discriminator_losses(real, fake)


class Gradients(L.Callback):
    """What is left of earlier batches' gradients when a batch goes backward."""

    left = 0

    def on_before_backward(self, trainer, pl_module, loss):
        self.left += sum(p.grad is not None and not p.grad.isfinite().all() for p in pl_module.parameters())


def test_a_call_without_gradient_within_a_batch_ends_no_step(recorded, tmp_path):
    torch.manual_seed(0)
    plain, compiled = Looks(**DCGAN.small), Looks(**DCGAN.small)
    compiled.load_state_dict(plain.state_dict())
    assert run(compiled, tmp_path, graphs()) == pytest.approx(run(plain, tmp_path), rel=1e-3, abs=1e-4)


def test_gradients_end_with_their_step(recorded, tmp_path):
    torch.manual_seed(0)
    seen = Gradients()
    run(DCGAN(**DCGAN.small, k=2), tmp_path, graphs(), seen)
    assert recorded.steps >= 8
    assert seen.left == 0


def test_what_a_network_returns_outlives_the_step(recorded, tmp_path):
    model = build("DCGAN")
    run(model, tmp_path, graphs())
    first = model.eval().sample(3, generator=torch.Generator().manual_seed(1))
    steps = recorded.steps
    again = [model.sample(3, generator=torch.Generator().manual_seed(1)) for _ in range(3)][-1]
    assert recorded.steps == steps + 3  # of calls that wait for no backward pass each is a step: nothing piles up
    assert torch.equal(first, again)
    assert first.isfinite().all()
    seen = model.G(model.z(2))  # with a gradient, outside a training: two calls before one backward pass
    (seen + model.G(model.z(2))).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.G.parameters())


def test_accumulated_gradients_go_without_cuda_graphs_and_a_line_says_so(recorded, tmp_path, capsys):
    plain, compiled = DCGAN(**DCGAN.small, accumulate=2), DCGAN(**DCGAN.small, accumulate=2)
    compiled.load_state_dict(plain.state_dict())
    wanted = run(plain, tmp_path)
    assert run(compiled, tmp_path, graphs()) == pytest.approx(wanted, rel=1e-3, abs=1e-4)
    alike(plain.state_dict(), compiled.state_dict(), 1e-5)
    assert recorded.steps == 0
    said = capsys.readouterr().err
    assert said.count("Compile takes mode default instead of reduce-overhead: gradients that are accumulated over 2") == 1


def test_a_run_is_resumed_to_the_bit_with_its_average(recorded, tmp_path):
    torch.manual_seed(0)
    whole, again = (DCGAN(**DCGAN.small, ema_half_life=10) for _ in range(2))
    saving = ModelCheckpoint(tmp_path, save_top_k=-1, every_n_epochs=1)
    run(whole, tmp_path, graphs(), saving, enable_checkpointing=True)
    (first,) = tmp_path.glob("epoch=0*")
    torch.manual_seed(8)
    played = trainer(tmp_path, max_epochs=2, callbacks=[graphs()])
    played.fit(again, data(again, 8), data(again, 2, held_out=True), ckpt_path=first)
    alike(whole.state_dict(), again.state_dict(), 0)
    assert any(name.startswith("ema.") for name in whole.state_dict())
    assert not any("_orig_mod" in name for name in whole.state_dict())
