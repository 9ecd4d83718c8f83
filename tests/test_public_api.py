"""What docs/versions.md calls public changes only on purpose."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.public_api import FILE, MODULES, of_module, public_api

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_public_names_and_signatures_are_those_that_are_written_down():
    """If a change is meant: ``python tests/support/public_api.py`` in ``tests/..``, and a line in docs/changelog.md."""
    written, found = FILE.read_text(encoding="utf-8").splitlines(), public_api()
    gone, new = sorted(set(written) - set(found)), sorted(set(found) - set(written))
    assert not [*gone, *new], f"gone or changed: {gone}; new or changed: {new}"


def test_the_docs_name_every_public_module():
    text = (DOCS / "versions.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^- `(ganzoo[\w.]*)`", text, flags=re.M)) == set(MODULES)


CODE = """\
class Net:
    def __init__(self, width=2, *, bias=True): ...
    def sample(self, n, y=None): ...
    @property
    def size(self): ...
    def _hidden(self): ...
def loss(a, b=1e-3): ...
def _helper(): ...
"""
LINES = ["a_module.Net(width=2, *, bias=True)", "a_module.Net.sample(self, n, y=None)", "a_module.Net.size"]
LINES += ["a_module.loss(a, b=0.001)"]


def lines(code: str, monkeypatch) -> list[str]:
    module = ModuleType("a_module")
    exec(code, vars(module))
    monkeypatch.setitem(sys.modules, "a_module", module)
    return list(of_module("a_module"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("width=2", "width=3"),
        ("width=2", "size=2"),
        ("*, bias", "bias"),
        ("n, y=None", "n, y=None, z=None"),
        ("def loss", "def cost"),
        ("@property", ""),
        ("def size", "def length"),
    ],
)
def test_a_changed_name_or_signature_is_seen(old, new, monkeypatch):
    assert lines(CODE, monkeypatch) == LINES
    assert lines(CODE.replace("_hidden", "_secret").replace("_helper", "_help"), monkeypatch) == LINES
    assert lines(CODE.replace(old, new), monkeypatch) != LINES
