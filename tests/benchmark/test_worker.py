"""A loop obeys orders: as many steps as are asked for, in the process where it is."""

from dataclasses import replace
from multiprocessing import Pipe

import pytest
import torch
from support.small_systems import SMALL_SYSTEMS, ListedOrders

from ganzoo.benchmark import worker
from ganzoo.benchmark.setups import ENDLESS, KEPT
from ganzoo.benchmark.worker import Failure, GanzooJob, Order, PlainJob, PublishedJob, Round, serve, serve_ceiling
from ganzoo.models import DCGAN

SYSTEM = SMALL_SYSTEMS["dcgan"]


@pytest.fixture(autouse=True)
def _not_for_this_process(monkeypatch):
    monkeypatch.setattr(worker, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)


@pytest.mark.parametrize("kind", [GanzooJob, PlainJob, PublishedJob])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_job_takes_the_steps_that_it_is_told_to(kind, precision, monkeypatch):
    dtypes, passes = set(), []
    built = DCGAN.networks

    def watched(self):
        G, D = built(self)
        G.register_forward_hook(lambda *call: (passes.append(len(call[2])), dtypes.add(call[2].dtype))[0] and None)
        return G, D

    monkeypatch.setattr(DCGAN, "networks", watched)
    orders = ListedOrders(Order(2), Order(3))
    kind(replace(SYSTEM, batch_size=6), "cpu", precision).work(orders)
    first, second, final = orders.answers
    counted = 0 if final.operations is None else 1
    assert passes == [6] * (2 + 3 + counted)
    lower = precision == "bf16-mixed" and kind is not PublishedJob
    assert dtypes == {torch.bfloat16 if lower else torch.float32}
    assert first.seconds > 0
    assert second.processor > 0
    assert (kind is GanzooJob) == (final.operations is None)


def test_batches_are_random_images_without_end():
    loader = SMALL_SYSTEMS["pix2pix"].build().loader(3)
    batch, again = next(iter(loader)), next(iter(loader))
    assert len(loader) == ENDLESS
    assert len(loader.dataset) == KEPT
    assert batch.x.shape == batch.y.shape == (3, 3, 16, 16)
    assert batch.x.dtype == torch.uint8
    assert not torch.equal(batch.x, batch.y)
    assert not torch.equal(batch.x, again.x)


def test_another_process_is_told_of_an_error():
    ours, theirs = Pipe()
    ours.send(Order(1))
    serve(theirs, PlainJob(replace(SYSTEM, size=9), "cpu", "32-true"))
    failure = ours.recv()
    assert isinstance(failure, Failure)
    assert failure.line.startswith("InputError: ")
    assert "networks" in failure.trace


def test_another_process_that_has_ended_leaves_this_one_quiet(capfd):
    ours, theirs = Pipe()
    ours.close()
    serve(theirs, PlainJob(SYSTEM, "cpu", "32-true"))
    assert capfd.readouterr() == ("", "")


def test_orders_come_through_a_pipe():
    ours, theirs = Pipe()
    ours.send(Order(1))
    ours.send(None)
    serve(theirs, PlainJob(SYSTEM, "cpu", "32-true"))
    assert isinstance(ours.recv(), Round)
    assert ours.recv().operations > 0


def test_a_ceiling_comes_through_a_pipe(monkeypatch):
    seen = []
    monkeypatch.setattr(worker, "measure_ceiling", lambda device, lower: seen.append((device, lower)) or "found")
    for precision in ("32-true", "bf16-mixed"):
        ours, theirs = Pipe()
        serve_ceiling(theirs, "cpu", precision)
        assert ours.recv() == "found"
    assert seen == [("cpu", False), ("cpu", True)]
