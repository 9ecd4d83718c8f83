"""Where tests are: each module has its test file, test modules do not import each other, what they share is in support."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

import ganzoo

TESTS = Path(__file__).parent
PACKAGE = Path(ganzoo.__file__).parent
# modules without a test file of their own: where they are tested, and why there
ELSEWHERE = {
    # parts of a command are tested by running it
    "cli/arguments.py": "cli/test_evaluate.py",
    "cli/demo.py": "demo/test_server.py",
    "cli/explore_images.py": "cli/test_explore.py",
    "cli/explore_sheets.py": "cli/test_explore.py",
    "cli/explored.py": "cli/test_explore.py",
    "cli/classifier.py": "cli/test_evaluate.py",
    "cli/options.py": "cli/test_evaluate.py",
    "cli/outputs.py": "cli/test_evaluate.py",
    "cli/parser.py": "cli/test_lightning.py",
    "cli/run_messages.py": "cli/test_messages.py",
    "cli/run_options.py": "cli/test_error_messages.py",
    "cli/trained.py": "cli/test_evaluate.py",
    "cli/describe.py": "hub/test_describing.py",
    "cli/function.py": "hub/test_describing.py",
    "cli/pull.py": "hub/test_sharing.py",
    "cli/push.py": "hub/test_sharing.py",
    "cli/save.py": "hub/test_describing.py",
    "cli/verify.py": "hub/test_describing.py",
    "cli/trainer_options.py": "cli/test_error_messages.py",
    # what is timed, and where: with the loops, the report, and the command
    "benchmark/results.py": "benchmark/test_report.py",
    "benchmark/runner.py": "cli/test_bench.py",
    "benchmark/setups.py": "benchmark/test_loops.py",
    "benchmark/systems.py": "benchmark/test_loops.py",
    # what callbacks share, or add to a whole run
    "callbacks/distributed.py": "callbacks/test_quality.py",
    "callbacks/evaluating.py": "callbacks/test_pairs.py",
    "callbacks/periodic.py": "callbacks/test_neighbours.py",
    "callbacks/stopping.py": "test_survival.py",
    "callbacks/summary.py": "cli/test_messages.py",
    # what some data modules share
    "data/cache.py": "data/test_emoji.py",
    "data/file_reader.py": "data/test_paired.py",
    "data/folder_base.py": "data/test_paired.py",
    "data/world.py": "data/test_world_maps.py",
    # two results are comparable or not: the command that asks
    "evaluation/api.py": "evaluation/test_evaluator.py",
    "evaluation/cache.py": "evaluation/test_features.py",
    "evaluation/protocol.py": "cli/test_compare.py",
    "evaluation/request.py": "evaluation/test_evaluator.py",
    "evaluation/selection.py": "cli/test_evaluate.py",
    "evaluation/sides.py": "cli/test_evaluate.py",
    "evaluation/sources.py": "cli/test_evaluate.py",
    "evaluation/worker.py": "callbacks/test_quality.py",
    # a folder is saved, loaded and verified
    "hub/card.py": "hub/test_saving.py",
    "hub/examples.py": "hub/test_saving.py",
    "hub/facts.py": "hub/test_describing.py",
    "hub/verifying.py": "hub/test_saving.py",
    # every model keeps to them
    "interfaces.py": "test_contract.py",
    # the rows of the table of features
    "metrics/reservoir.py": "evaluation/test_features.py",
    # networks region by region
    "ops/region_convolutions.py": "ops/test_recording.py",
    "ops/region_norms.py": "ops/test_regions.py",
    "utils/image_range.py": "test_batches.py",
    # what the grammar stands on: the grammar's own tests, and exact resume
    "training/module.py": "training/test_resume.py",
    "training/optimization.py": "test_adversarial.py",
    "training/strategies.py": "cli/test_lightning.py",
}
# what is visible at the top of the checkout, and why there; everything else has its place in one of the folders
TOP = {
    "ganzoo": "the package",
    "configs": "experiments, where a reader looks for them",
    "tests": "the package's own tests",
    "docs": "the pages",
    "examples": "scripts to copy",
    "setup.cfg": "metadata, dependencies, and the settings of the tools",
    "pyproject.toml": "names the build system; pip wants it here",
    "README.md": "the first page",
    "LICENSE": "hosts and pip look for it here",
    "CONTRIBUTING.md": "hosts show it to who opens an issue or a pull request",
    "CITATION.cff": "hosts make a citation of it",
    "SECURITY.md": "hosts show it to who reports a weakness",
}
# folders whose modules keep to one list of properties, tested in one file
TOGETHER = {
    "metrics/extractors": "metrics/test_extractors.py",
    # every loop has ganzoo's losses
    "benchmark/loops": "benchmark/test_loops.py",
    # every paper keeps the contract, so that a new one needs no test file; most have more to test, in tests/models
    "models": "test_contract.py",
    "models/base": "models/test_base.py",
}


def imported(path: Path) -> set[str]:
    """Every name in a file's imports, one dotted part each."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.update((node.module or "").split("."), (alias.name for alias in node.names))
        elif isinstance(node, ast.Import):
            found.update(part for alias in node.names for part in alias.name.split("."))
    return found


def test_nothing_else_is_at_the_top():
    top = TESTS.parent
    if not (top / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a clone: what is tracked cannot be known")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=top, capture_output=True, text=True, check=True).stdout
    names = {name.partition("/")[0] for name in listed.split("\0") if name}
    assert {name for name in names if not name.startswith(".")} == set(TOP)
    assert [line for line in (top / "pyproject.toml").read_text().splitlines() if line.startswith("[")] == ["[build-system]"]


def test_test_modules_do_not_import_each_other():
    modules = {path.stem for path in TESTS.rglob("test_*.py")}
    assert len(modules) > 50
    guilty = {path.name: names for path in TESTS.rglob("*.py") if (names := imported(path) & modules)}
    assert not guilty


def test_support_has_no_tests():
    for path in (TESTS / "support").rglob("*.py"):
        names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert not [name for name in names if name.startswith("test_")], path


def test_a_module_has_its_test_file():
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE)
        own = TESTS / name.parent / f"test_{name.stem}.py"
        if name.stem.startswith("__") or name.parent.as_posix() in TOGETHER:
            continue
        assert own.is_file() or name.as_posix() in ELSEWHERE, f"{name} has no {own.relative_to(TESTS)}"
        assert not (own.is_file() and name.as_posix() in ELSEWHERE), f"{name} has its file now: take it out of the list"
    for name, file in ELSEWHERE.items():
        assert (PACKAGE / name).is_file(), f"there is no {name} any more: take it out of the list"
        assert (TESTS / file).is_file(), f"{name} is tested in {file}, which is not there"
    for folder, file in TOGETHER.items():
        assert (PACKAGE / folder).is_dir()
        assert (TESTS / file).is_file()
