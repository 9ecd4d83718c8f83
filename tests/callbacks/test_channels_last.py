"""Channels last in memory: the same training, the same checkpoint."""

import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.demos.boring_classes import BoringModel
from support.training import loader, trainer
from support.zoo import MODELS, build, data
from torch import nn

from ganzoo.callbacks import ChannelsLast
from ganzoo.errors import InputError
from ganzoo.models import DCGAN
from ganzoo.networks.dropout import NoiseDropout

pytestmark = pytest.mark.filterwarnings("ignore")


def run(model, batches, tmp_path, *callbacks, epochs=1, ckpt_path=None):
    played = trainer(tmp_path, callbacks=list(callbacks), precision="64-true", max_epochs=epochs)
    torch.manual_seed(5)
    played.fit(model, batches, ckpt_path=ckpt_path)
    return played


def weights_of(model) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}


def equal(ours, theirs) -> bool:
    assert ours.keys() == theirs.keys()
    return all(torch.allclose(ours[name].double(), value.double(), rtol=1e-6, atol=1e-6) for name, value in theirs.items())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "DCGAN" else [pytest.mark.slow])
        for name in MODELS
        if name != "ConvolutionalGAN"  # whose double precision is slow
    ],
)
def test_every_model_learns_the_same(name, tmp_path):
    plain, changed = build(name), build(name)
    for model in (plain, changed):
        for part in (part for part in model.modules() if isinstance(part, nn.Dropout | NoiseDropout)):
            part.p = 0.0  # masks are drawn in the order of the memory
    run(plain, data(plain), tmp_path)
    run(changed, data(changed), tmp_path, ChannelsLast())
    assert equal(weights_of(changed), weights_of(plain))
    for networks in changed.players().values():
        for weight in (p for network in networks for p in network.parameters() if p.dim() == 4):
            assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
def test_fifty_steps_have_the_same_losses_and_a_run_goes_on_to_the_bit(tmp_path):
    images = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def train(*callbacks, epochs: int = 5, ckpt_path: str | None = None):
        torch.manual_seed(0)
        model, losses = DCGAN(**DCGAN.small, ema_half_life=20), []
        seen = LambdaCallback(on_before_backward=lambda *args: losses.append(float(args[2])))
        played = run(model, loader(images, batch_size=2), tmp_path, seen, *callbacks, epochs=epochs, ckpt_path=ckpt_path)
        return model, losses, played

    plain, expected, _ = train()
    changed, losses, _ = train(ChannelsLast())
    assert len(losses) == 100
    assert losses == pytest.approx(expected, rel=1e-6)
    assert equal(weights_of(changed), weights_of(plain))
    _, _, first = train(ChannelsLast(), epochs=2)
    first.save_checkpoint(tmp_path / "first.ckpt")
    resumed, rest, _ = train(ChannelsLast(), ckpt_path=tmp_path / "first.ckpt")
    assert rest == losses[40:]
    assert all(torch.equal(value, weights_of(changed)[name]) for name, value in weights_of(resumed).items())


@pytest.mark.parametrize(("capability", "changes"), [("AVX512", True), ("AVX2", False)])
def test_only_avx512_leaves_other_machines_as_they_are(capability, changes, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    model = build("DCGAN")
    run(model, data(model), tmp_path, ChannelsLast(only_avx512=True))
    weights = [p for p in model.parameters() if p.dim() == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert weights
    assert all(weight.is_contiguous() is not changes for weight in weights)


def test_a_module_without_players_is_refused(tmp_path):
    with pytest.raises(InputError, match="ChannelsLast is for the networks of a module's players"):
        trainer(tmp_path, callbacks=[ChannelsLast()], max_steps=1).fit(BoringModel())
