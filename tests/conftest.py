"""What all tests share: one random state and one thread.

``GANZOO_TEST_THREADS`` and ``GANZOO_TEST_SEED`` in the environment change them: no test may depend on either.
"""

import gc
import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("support")

CHECKOUT = Path(__file__).resolve().parent.parent
OWN_THREADS = torch.get_num_threads()
THREADS = int(os.environ.get("GANZOO_TEST_THREADS", "1"))


def pytest_addoption(parser):
    parser.addoption("--margins", type=float, metavar="SHARE", help="list comparisons that used this share of a tolerance")


def pytest_configure(config):
    torch.set_num_threads(THREADS)  # of fixtures of a module too, which are made before those of a test
    if config.option.margins is not None:
        from support.tolerance_margins import Margins  # patches what it watches

        config.pluginmanager.register(Margins(config.option.margins))


def pytest_collection_finish(session):
    """What was imported and collected stays until the end: to look through it for garbage is 5 % of a run of all tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Two processes share a run of all tests (setup.cfg): that of a file is not worth it, and benchmarks do not bear it."""
    if config.args_source is pytest.Config.ArgsSource.ARGS and "-n" not in config.invocation_params.args:
        config.option.numprocesses, config.option.dist = None, "no"


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk():
    """No test's file has to outlive a power cut, so a checkpoint is not waited for until it is on the disk: 7 ms or more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(autouse=True)
def _one_stream(request):
    """Every test starts from the same random state, on one thread: small networks gain nothing from two, which wait for
    each other where the machine is busy. Benchmarks keep theirs."""
    torch.manual_seed(int(os.environ.get("GANZOO_TEST_SEED", "0")))
    torch.set_num_threads(OWN_THREADS if "benchmarks" in request.node.path.parts else THREADS)
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture
def configs() -> list[Path]:
    return sorted((CHECKOUT / "configs").glob("*.yaml"))
