"""Who may import whom, read from the source; and what importing the package costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ganzoo

PACKAGE = Path(ganzoo.__file__).parent
# The floors of the house, from the ground up. A file imports from its own folder and from the floors below it; a folder's
# new file needs no entry.
FLOORS = (
    {"errors"},
    {"utils"},
    {"ops", "schedules", "penalties"},
    {"noises", "regularizers", "augmentations"},
    {"interfaces"},
    {"losses", "networks", "metrics", "training"},
    {"adversarial", "prediction"},
    {"data", "models"},
    {"evaluation"},
    {"inference"},
    {"callbacks"},
    {"hub", "benchmark"},
    {"demo"},
    {"cli"},
    {"__main__"},
)
SEPARATE = {  # on a lower floor, and yet not to be known
    ("evaluation", "models"),
    ("callbacks", "models"),
}
# what still points up, each with its reason; to become empty
UP = {}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def ganzoo_parts(path: Path) -> set[str]:
    """The folders and top-level modules of ganzoo that a file imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("ganzoo.")}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def floor_of(part: str) -> int:
    found = [n for n, floor in enumerate(FLOORS) if part in floor]
    assert len(found) == 1, f"ganzoo.{part} has no floor, or two: put it into FLOORS"
    return found[0]


def may_import(part: str, other: str) -> bool:
    if part == other:
        return True
    return floor_of(other) < floor_of(part) and (part, other) not in SEPARATE


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path):
    name = path.relative_to(PACKAGE).as_posix()
    part = name.partition("/")[0].removesuffix(".py")
    if part != "__init__":  # fetches names when they are first asked for
        wrong = {other for other in ganzoo_parts(path) if not may_import(part, other)}
        assert wrong == {other for file, other in UP if file == name}


def test_an_import_that_points_up_is_seen():
    assert may_import("cli", "models")
    assert may_import("adversarial", "training")
    assert not may_import("training", "adversarial")
    assert not may_import("models", "cli")
    assert not may_import("callbacks", "models")
    assert not may_import("data", "models")
    with pytest.raises(AssertionError, match="no floor"):
        may_import("attic", "errors")


# within training, what others than the grammar and the models may import
OPEN_TRAINING = {"checkpoint_io", "hyperparameters", "recipes", "resume", "strategies"}


def test_only_the_grammar_and_the_models_know_how_training_works():
    for path in files():
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part not in ("adversarial", "models", "training"):
            known = {name.split(".")[2] for name in imported(path) if name.startswith("ganzoo.training.")}
            assert known <= OPEN_TRAINING, path


def models_of_others(source: str) -> dict[str, tuple[str, bool]]:
    """The classes that a model's file imports from other papers' files: from which, and whether it subclasses each."""
    tree, found = ast.parse(source), {}
    bases = {
        base.id for node in tree.body if isinstance(node, ast.ClassDef) for base in node.bases if isinstance(base, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ganzoo.models."):
            home = node.module.split(".")[2]
            found.update({alias.name: (home, alias.name in bases) for alias in node.names if home != "base"})
    return found


def test_models_import_models_only_where_the_paper_says_so():
    """ "X is Y with Z changed": X subclasses Y, and X's page links to Y's."""
    for path in (PACKAGE / "models").glob("[!_]*.py"):
        for name, (home, subclassed) in models_of_others(path.read_text()).items():
            assert subclassed, f"{path.name} imports {name} and is not a kind of {name}"
            page = PACKAGE.parent / "docs" / "models" / f"{path.stem}.md"
            assert f"]({home}.md)" in page.read_text(), f"{page.name} does not say that it is {name} with something changed"


def test_an_import_of_another_paper_that_is_no_parent_is_seen():
    source = "from ganzoo.models.gan import GAN, ConvolutionalGAN\nclass Mine(GAN): ...\n"
    assert models_of_others(source) == {"GAN": ("gan", True), "ConvolutionalGAN": ("gan", False)}
    assert models_of_others("from ganzoo.models.base import GeneratorModel") == {}


def test_every_model_is_at_the_top_of_the_package():
    import ganzoo.models as zoo

    models = {name for name, cls in vars(zoo).items() if isinstance(cls, type)}
    assert set(ganzoo.__all__) == {*models, "AdversarialModule", "__version__", "load"}
    assert all(getattr(ganzoo, name) is getattr(zoo, name) for name in models)
    assert models <= set(dir(ganzoo))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = ganzoo.Nothing


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
