"""Who may import whom, read from the source; and what importing the package costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ganzoo

PACKAGE = Path(ganzoo.__file__).parent
LEAVES = {
    "ema",
    "errors",
    "images",
    "parts",
    "prediction",
    "schedules",
    "losses",
    "noises",
    "rates",
    "generative",
    "reversal",
    "replay",
    "pyramid",
    "say",
    "sheets",
    "ranges",
}
ALLOWED = {
    "errors": set(),
    "images": set(),
    "ranges": {"errors"},
    "schedules": {"errors", "ranges"},
    "losses": {"errors", "ranges"},
    "noises": {"errors", "ranges"},
    "rates": {"errors"},
    "generative": {"errors", "images", "say"},
    "prediction": {"errors", "generative"},
    "parts": {"errors"},
    "reversal": set(),
    "replay": {"errors", "ranges"},
    "pyramid": {"errors", "ranges"},
    "download": {"errors"},
    "metrics": {"download", "errors", "files", "metrics", "noise"},
    "say": {"errors"},
    "sheets": {"images"},
    "files": {"errors"},
    "strategies": {"errors"},
    "noise": set(),
    "ema": {"errors", "ranges"},
    "resume": {"errors", "say"},
    "trust": {"errors"},
    "processes": set(),
    "checkpoint_io": {"errors", "files"},
    "hyperparameters": {"checkpoint_io", "errors", "parts", "ranges", "say", "trust"},
    "optimizers": {"errors", "parts", "schedules"},
    "adversarial": {
        "ema",
        "errors",
        "generative",
        "hyperparameters",
        "noise",
        "optimizers",
        "parts",
        "ranges",
        "rates",
        "replay",
        "resume",
    }
    | {"say", "strategies"},
    "networks": {"errors", "networks", "ranges"},
    "models": LEAVES | {"adversarial", "networks", "models"},
    "data": {"download", "errors", "generative", "images", "data", "prediction", "ranges", "resume", "say"},
    "judging": {"errors", "generative", "images", "noise", "ranges", "say"},
    "callbacks": LEAVES | {"callbacks", "files", "judging", "metrics", "processes"},
    "evaluation": {"catalogue", "checkpoint_io", "command", "data", "errors", "evaluation", "explain", "files", "generative"}
    | {
        "images",
        "judging",
        "lightning_log",
        "merge",
        "metrics",
        "parts",
        "ranges",
        "runs",
        "say",
        "sheets",
        "trust",
        "yaml_text",
    },
    "yaml_text": {"errors"},
    "merge": {"catalogue", "errors", "yaml_text"},
}
# "X is Y with Z changed" in the paper's own words
MODEL_IMPORTS_MODEL = {("dcgan", "gan")}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def ganzoo_parts(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("ganzoo.")}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("part", ALLOWED)
def test_arrows_point_one_way(part):
    mine = [path for path in files() if path.relative_to(PACKAGE).parts[0].removesuffix(".py") == part]
    assert mine
    for path in mine:
        assert ganzoo_parts(path) <= ALLOWED[part], path


def test_models_import_models_only_where_the_paper_says_so():
    for path in (PACKAGE / "models").glob("*.py"):
        others = {name.split(".")[2] for name in imported(path) if name.startswith("ganzoo.models.")}
        if path.stem != "__init__":
            assert {(path.stem, other) for other in others} <= MODEL_IMPORTS_MODEL


def test_networks_know_no_lightning_and_no_optimizer():
    for path in (PACKAGE / "networks").glob("*.py"):
        assert not any(name.startswith(("lightning", "torch.optim")) for name in imported(path)), path


def test_the_ritual_exists_once():
    """No .backward(), .item() or .step() in a model or a loss."""
    for path in [*(PACKAGE / "models").glob("*.py"), PACKAGE / "losses.py"]:
        called = {
            n.func.attr
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
        }
        assert not called & {"backward", "manual_backward", "item", "step", "zero_grad", "cpu"}, path


def test_every_subpackage_is_listed_for_the_wheel():
    listed = (PACKAGE.parent / "setup.cfg").read_text()
    for folder in sorted(path.parent for path in PACKAGE.rglob("__init__.py")):
        name = ".".join(["ganzoo", *folder.relative_to(PACKAGE).parts])
        assert f"    {name}\n" in listed


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import ganzoo, sys; print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'lightning', 'wandb', 'yaml'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    assert ganzoo.GAN.__module__ == "ganzoo.models.gan"


def test_wandb_is_imported_only_when_its_logger_is_asked_for():
    code = "import ganzoo.models, ganzoo.data, ganzoo.callbacks, ganzoo.cli, sys; print('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
