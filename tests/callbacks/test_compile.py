"""torch.compile of the networks in place: the same training, whole graphs, and a bounded number of them."""

import copy
import shutil

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from support.games import Tug
from support.training import loader, trainer
from support.zoo import MODELS, Two, build, data, every_model, random_images
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters

from ganzoo.callbacks import Compile
from ganzoo.errors import InputError
from ganzoo.models import LAPGAN, DomainNormDANN
from ganzoo.utils.compilation import backend_of

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _anew():
    """What was compiled is the process's: each test begins with nothing, and with torch's limit."""
    limit = torch.compiler.config.recompile_limit
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()
    torch.compiler.config.recompile_limit = limit


def graphs() -> int:
    return counters["stats"]["unique_graphs"]


def networks(model) -> list[nn.Module]:
    return [network for mine in model.players().values() for network in mine]


class Losses(L.Callback):
    """Every loss that is descended, and how many graphs there are at each epoch's end."""

    def __init__(self):
        self.losses, self.graphs = [], []

    def on_before_backward(self, trainer, pl_module, loss):
        self.losses.append(loss.item())

    def on_validation_end(self, trainer, pl_module):
        self.graphs.append(graphs())


def run(model, tmp_path, *callbacks, batches=None, held_out=None, ckpt_path=None, epochs=3, **options):
    """Epochs with a last batch of another size, and a validation at the end of each."""
    seen = Losses()
    played = trainer(tmp_path, max_epochs=epochs, callbacks=[seen, *callbacks], log_every_n_steps=1, **options)
    torch.manual_seed(5)
    n = 8 if isinstance(model, DomainNormDANN) else 7  # batch norm cannot train on a last batch of one image
    played.fit(model, batches or data(model, n), held_out or data(model, 2, held_out=True), ckpt_path=ckpt_path)
    return played, seen


def alike(model, compiled, tolerance=1e-5):
    there, here = compiled.state_dict(), model.state_dict()
    assert list(there) == list(here)
    for name, value in here.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            assert torch.allclose(value, there[name], atol=tolerance, rtol=10 * tolerance), name


def test_a_discriminator_with_a_penalty_on_its_gradient_is_left_alone(tmp_path, capsys):
    model = build("WGANGP")
    run(model, tmp_path, Compile(backend="aot_eager", fullgraph=True), epochs=1)
    assert model.D._compiled_call_impl is None
    assert model.G._compiled_call_impl is not None
    assert "torch compiles no second derivative, as gradient_penalty needs" in capsys.readouterr().err


QUICK = {"GAN", "DCGAN", "CGAN", "DANN", "Pix2Pix"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in MODELS])
def test_a_compiled_training_is_the_same_training_in_whole_graphs(name, tmp_path):
    plain, compiled = build(name), build(name)
    _, wanted = run(plain, tmp_path)
    assert graphs() == 0
    _, seen = run(compiled, tmp_path, Compile(backend="eager", fullgraph=True))  # which raises at a graph break
    assert len(wanted.losses) > 0
    assert seen.losses == wanted.losses
    alike(plain, compiled)
    # nothing is compiled anew once every way of calling was there
    assert seen.graphs[1] == seen.graphs[2]
    assert len(networks(compiled)) <= seen.graphs[2] <= 8 * len(networks(compiled))


@pytest.mark.slow
@every_model
def test_and_so_it_is_with_graphs_for_the_gradients(name, tmp_path):
    """Batches of one size but for those of QUICK: the graphs are those of the test above, which has two sizes for all."""
    plain, compiled = build(name), build(name)
    options = {} if name in QUICK else {"batches": data(plain, 6), "held_out": data(plain, 2, held_out=True), "epochs": 2}
    _, wanted = run(plain, tmp_path, **options)
    _, seen = run(compiled, tmp_path, Compile(backend="aot_eager", fullgraph=True), **options)
    assert seen.losses == pytest.approx(wanted.losses, rel=1e-4, abs=1e-6)
    # SNGAN's biases before a batch norm have no gradient but rounding errors, which Adam makes as large as any
    alike(plain, compiled, 1e-3 if name in ("SNGAN", "SNGANProjection") else 1e-5)
    assert seen.graphs[-2] == seen.graphs[-1] > 0


@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.slow
def test_inductor_trains_a_dcgan_alike(tmp_path):
    plain, compiled = build("DCGAN"), build("DCGAN")
    _, wanted = run(plain, tmp_path, epochs=1)
    _, seen = run(compiled, tmp_path, Compile(fullgraph=True), epochs=1)
    assert graphs() > 0
    assert seen.losses == pytest.approx(wanted.losses, rel=1e-3)
    made = [model.eval().sample(4, generator=torch.Generator().manual_seed(1)) for model in (plain, compiled)]
    assert torch.allclose(*made, atol=1e-3)


FAMILIES = {
    "NormedFamily": (28, {"maps": (4, 4), "hidden": 8}),
    "SVHNFamily": (32, {}),
    "GTSRBFamily": (40, {}),
    "TorchvisionFamily": (32, {"name": "resnet18"}),
}


@pytest.mark.parametrize(
    "family", ["NormedFamily", *(pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES if f != "NormedFamily")]
)
def test_two_domains_pass_through_whole_graphs(family, tmp_path):
    """A norm of two domains is a graph for each: the number that says which is fixed in it."""
    torch.manual_seed(0)
    size, arguments = FAMILIES[family]
    recipe = {"class_path": f"ganzoo.networks.dann.{family}", "init_args": arguments}
    plain = DomainNormDANN((3, size, size), 3, family=recipe)
    compiled = copy.deepcopy(plain)
    shape = plain.hparams["shape"]
    x, y, target = random_images(8, *shape), torch.arange(8) % 3, random_images(8, *shape)
    batches = loader(x, y, target, batch_size=4, kind=Two)
    held_out = [loader(of, y, batch_size=4) for of in (x, target)]
    options = {"batches": batches, "held_out": held_out, "epochs": 2}
    _, wanted = run(plain, tmp_path, **options)
    _, seen = run(compiled, tmp_path, Compile(backend="eager", fullgraph=True), **options)
    assert seen.losses == wanted.losses
    alike(plain, compiled)
    assert seen.graphs[0] == seen.graphs[1] <= 8 * 3


def marked(module) -> set[nn.Module]:
    return {part for part in module.modules() if part._compiled_call_impl is not None}


@pytest.mark.parametrize("name", ["DCGAN", "CycleGAN", "LAPGAN"])
def test_the_players_networks_are_compiled_and_nothing_else(name, tmp_path):
    model = build(name)
    model.ema_half_life = 100.0
    before = list(model.state_dict())
    played = trainer(tmp_path, max_epochs=1, limit_train_batches=0, callbacks=[Compile(backend="eager")])
    played.fit(model, data(model))
    assert marked(model) == set(networks(model))
    assert model.ema is not None
    assert not marked(model.ema)
    assert list(model.state_dict())[: len(before)] == before
    assert not marked(copy.deepcopy(model))


def test_a_level_that_is_not_trained_is_not_compiled(tmp_path):
    model = LAPGAN(shape=(1, 8, 8), sizes=(4, 8), width=2, latent=2, hidden_G=4, hidden_D=4, train_level=1)
    trainer(tmp_path, max_epochs=1, limit_train_batches=0, callbacks=[Compile(backend="eager")]).fit(model, data(model))
    assert marked(model) == {model.G[1], model.D[1]}


class Listed(Tug):
    """Two networks that only lie in a list, one of them named by both of a player's entries."""

    def __init__(self):
        super().__init__()
        self.held = nn.ModuleList([nn.Linear(3, 3), nn.ModuleDict({"one": nn.Linear(3, 3)})])

    def players(self):
        return {"discriminator": [self.D], "generator": [self.G, self.held, self.G]}


def test_what_only_holds_networks_is_looked_into(tmp_path):
    model = Listed()
    Compile(backend="eager").setup(trainer(tmp_path), model, "fit")
    assert marked(model) == {model.D, model.G, model.held[0], model.held[1]["one"]}


def test_checkpoints_do_not_know_of_it_and_a_run_goes_on_exactly_with_or_without(tmp_path):
    """Dropout, batch norm, ema_networks; the straight run is compiled throughout."""
    torch.manual_seed(0)
    whole = build("Pix2Pix").__class__(inputs=3, outputs=1, depth=2, width=4, patch=16, ema_half_life=8.0)
    options = {"batches": data(whole, 8), "held_out": data(whole, 2, held_out=True)}

    def compiling():
        return Compile(backend="eager", fullgraph=True)

    first, again, without = (copy.deepcopy(whole) for _ in range(3))
    _, straight = run(whole, tmp_path, compiling(), epochs=2, **options)
    played, _ = run(first, tmp_path, compiling(), epochs=1, **options)
    played.save_checkpoint(tmp_path / "kept.ckpt")
    saved = torch.load(tmp_path / "kept.ckpt", weights_only=True)
    assert "Compile" not in "".join(saved.get("callbacks", {}))
    assert "ompile" not in str(saved["hyper_parameters"])
    assert not any("_orig_mod" in key for key in saved["state_dict"])
    for model, callbacks in ((again, [compiling()]), (without, [])):
        _, seen = run(model, tmp_path, *callbacks, epochs=2, ckpt_path=tmp_path / "kept.ckpt", **options)
        assert seen.losses == straight.losses[8:]
        alike(whole, model, tolerance=0)
    x = torch.zeros(2, 3, 16, 16)
    torch.manual_seed(1)
    made = whole.eval().translate(x)
    torch.manual_seed(1)
    assert torch.equal(made, without.eval().translate(x))


def test_stages_in_one_trainer_compile_once(tmp_path):
    model, compiling = build("GAN"), Compile(backend="eager")
    played, _ = run(model, tmp_path, compiling, epochs=1)
    before = {network: network._compiled_call_impl for network in networks(model)}
    played.validate(model, data(model, 2), verbose=False)
    assert {network: network._compiled_call_impl for network in networks(model)} == before


def test_the_limit_grows_with_the_networks_and_is_never_lowered(tmp_path):
    Compile(backend="eager").setup(trainer(tmp_path), build("LAPGAN"), "fit")
    assert torch.compiler.config.recompile_limit == 48
    Compile(backend="eager").setup(trainer(tmp_path), build("GAN"), "fit")
    assert torch.compiler.config.recompile_limit == 48


@pytest.mark.parametrize(
    ("options", "message"),
    [({"backend": "inducter"}, "backend inducter"), ({"mode": "fastest"}, "mode fastest")],
)
def test_what_torch_does_not_know_is_one_clear_line(options, message, tmp_path):
    model = build("GAN")
    with pytest.raises(InputError, match=message) as caught:
        trainer(tmp_path, max_epochs=1, callbacks=[Compile(**options)]).fit(model, data(model))
    assert "\n" not in str(caught.value)


def fails_for_the_generator(graph, inputs):
    """A backend that compiles nothing: networks of images run as they are, and one of noise is an error."""
    if any(value.dim() == 2 for value in inputs if not isinstance(value, (nn.Parameter, int))):
        raise RuntimeError("no working C++ compiler\nfound")
    return graph.forward


def fails_for_the_generators_backward(graph, inputs):
    """The same, but the error is in the backward pass alone."""

    def backward(graph, inputs):
        if "tanh" in str(graph.graph):
            raise RuntimeError("no working C++ compiler\nfound")
        return graph.forward

    return aot_autograd(fw_compiler=lambda graph, inputs: graph.forward, bw_compiler=backward)(graph, inputs)


@pytest.fixture(params=[fails_for_the_generator, fails_for_the_generators_backward])
def backend(request):
    name = request.param.__name__
    torch._dynamo.register_backend(request.param, name=name)
    yield name
    del torch._dynamo.backends.registry._COMPILER_FNS[name]
    backend_of.cache_clear()


def test_a_network_that_cannot_be_compiled_runs_as_it_is(backend, tmp_path, capsys):
    torch.manual_seed(0)
    model = build("DCGAN")
    plain = copy.deepcopy(model)
    _, expected = run(plain, tmp_path, epochs=1)
    _, seen = run(model, tmp_path, Compile(backend=backend), epochs=1)
    assert model.G._compiled_call_impl is None
    assert model.D._compiled_call_impl is not None
    assert graphs() > 0
    assert seen.losses == expected.losses
    alike(plain, model, 0.0)
    said = capsys.readouterr().err
    assert said.count("G runs as it is, because torch.compile cannot compile it: no working C++ compiler found") == 1


def test_with_fullgraph_it_is_one_clear_line(backend, tmp_path):
    with pytest.raises(InputError, match=r"torch\.compile cannot compile G: no working C") as caught:
        run(build("DCGAN"), tmp_path, Compile(backend=backend, fullgraph=True), epochs=1)
    assert "\n" not in str(caught.value)


def test_a_module_without_players_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match=r"players\(\), and BoringModel has none"):
        Compile().setup(trainer(tmp_path), BoringModel(), "fit")
