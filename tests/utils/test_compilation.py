"""Graphs that a backend cannot compile: the call goes on as if nothing had been compiled, to the bit."""

import copy

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.exc import BackendCompilerFailed
from torch._dynamo.utils import counters

from ganzoo.utils.compilation import backend_of, configure

pytestmark = pytest.mark.filterwarnings("ignore")
OLD_LIMIT = 8


def compiled(graph, inputs):
    return graph.forward


def fails(graph, inputs):
    raise RuntimeError("no working\nC++ compiler")


def fails_without_batch_norm(graph, inputs):
    """The second graph of Net."""
    return compiled(graph, inputs) if "batch_norm" in str(graph.graph) else fails(graph, inputs)


def fails_after_rewriting(graph, inputs):
    (output,) = graph.graph.find_nodes(op="output")
    output.args = ((),)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return fails(graph, inputs)


BACKENDS = {
    "fails_whole": fails,
    "fails_in_the_second_graph": fails_without_batch_norm,
    "fails_backward": aot_autograd(fw_compiler=compiled, bw_compiler=fails),
    "fails_after_rewriting": fails_after_rewriting,
}


@pytest.fixture(autouse=True)
def _backends():
    config = torch._functorch.config, torch._dynamo.config
    before = [part.save_config() for part in config]
    torch._dynamo.reset()
    counters.clear()
    for name, function in BACKENDS.items():
        torch._dynamo.register_backend(function, name=name)
    yield
    for name in BACKENDS:
        del torch._dynamo.backends.registry._COMPILER_FNS[name]
    backend_of.cache_clear()
    torch._dynamo.reset()
    for part, saved in zip(config, before, strict=True):
        part.load_config(saved)


class Net(nn.Module):
    """Batch norm moves its averages and dropout draws random numbers before the graph breaks."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.last = nn.Linear(4, 1)

    def forward(self, x):
        h = self.first(x)
        torch._dynamo.graph_break()
        return self.last(h)


def step(call, x):
    """What a call leaves: its output, the input's gradient, and the next random number."""
    torch.manual_seed(1)
    x = x.clone().requires_grad_()
    y = call(x)
    y.sum().backward()
    return y, x.grad, torch.rand(())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", BACKENDS)
def test_a_call_whose_graph_cannot_be_compiled_goes_on(name, frozen):
    torch.manual_seed(0)
    plain, x = Net().requires_grad_(not frozen), torch.randn(6, 4)
    network, twin = copy.deepcopy(plain), copy.deepcopy(plain)
    wanted = step(plain, x)
    for same in (network, twin):  # the second may run what was compiled for the first
        backend = backend_of(name, None, None, False)
        backend.failure = None
        call = torch.compile(same._call_impl, backend=backend)
        assert all(torch.equal(here, there) for here, there in zip(step(call, x), wanted, strict=True))
        assert backend.failure == "no working C++ compiler"
        assert all(torch.equal(value, same.state_dict()[key]) for key, value in plain.state_dict().items())
        gradients = [p.grad for p in same.parameters()]
        assert all(
            g is None if frozen else torch.equal(g, p.grad) for g, p in zip(gradients, plain.parameters(), strict=True)
        )


@pytest.mark.parametrize("name", ["fails_whole", "fails_backward"])
def test_strict_raises_before_anything_is_computed(name):
    network = Net().first
    backend = backend_of(name, None, None, True)
    with pytest.raises(BackendCompilerFailed, match="no working"):
        torch.compile(lambda x: network(x), backend=backend, fullgraph=True)(torch.randn(6, 4))
    assert torch.equal(network[1].running_mean, torch.zeros(4))


def test_what_can_be_compiled_is():
    network = Net()
    backend = backend_of("aot_eager", None, None, False)
    torch.compile(network._call_impl, backend=backend)(torch.randn(6, 4)).sum().backward()
    assert counters["stats"]["unique_graphs"] == 2
    assert backend.failure is None
    assert backend is backend_of("aot_eager", None, None, False)  # so that a second run compiles nothing anew


def test_an_unknown_backend_or_mode_is_torchs_own_error():
    for name, mode in (("inducter", None), ("inductor", "fastest")):
        with pytest.raises(RuntimeError):
            backend_of(name, mode, None, False)


def test_a_network_that_was_compiled_frozen_is_trained_afterwards():
    configure(1)
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)).requires_grad_(False)
    call = torch.compile(lambda x: network(x), backend=backend_of("aot_eager", None, None, False))
    assert not call(torch.ones(1, 2)).requires_grad
    network.requires_grad_(True)
    call(torch.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_a_backward_pass_may_run_twice():
    configure(1)
    network = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Dropout(0.5), nn.Linear(2, 1))
    loss = torch.compile(lambda x: network(x).sum(), backend=backend_of("aot_eager", None, None, False))(torch.ones(1, 2))
    loss.backward(retain_graph=True)
    once = [p.grad.clone() for p in network.parameters()]
    loss.backward()
    assert all(torch.equal(p.grad, 2 * g) for p, g in zip(network.parameters(), once, strict=True))


def test_the_limit_of_variants_grows_with_the_networks_and_is_never_lowered():
    configure(6)
    assert torch._dynamo.config.recompile_limit == 6 * OLD_LIMIT
    configure(1)
    assert torch._dynamo.config.recompile_limit == 6 * OLD_LIMIT
