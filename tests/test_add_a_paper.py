"""docs/add_a_paper.md keeps its word: three files and one line, and the tests of the zoo find the rest."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PAGE = (CHECKOUT / "docs/add_a_paper.md").read_text(encoding="utf-8")
TOUCHED = [
    "ganzoo/models/geometric_gan.py",
    "configs/geometric_gan_digits.yaml",
    "docs/models/geometric_gan.md",
    "ganzoo/models/__init__.py",
]


def block(language: str) -> str:
    """The page's one block of this language."""
    (code,) = re.findall(rf"^(````?){language}\n(.*?)^\1\n", PAGE, re.S | re.M)
    return code[1]


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.fixture
def copy(tmp_path):
    """A copy of the checkout, without what is not the project's."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("ganzoo", "configs", "docs", "tests", "examples"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    for name in ("README.md", "setup.cfg", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, folder / name)
    return folder


def add_the_paper(copy: Path) -> None:
    """The page's four touches."""
    named = re.findall(r"`([\w/]+\.(?:py|yaml|md))`", PAGE)
    assert list(dict.fromkeys(name for name in named if name in TOUCHED)) == TOUCHED
    for name, language in zip(TOUCHED[:3], ("python", "yaml", "markdown"), strict=True):
        (copy / name).write_text(block(language), encoding="utf-8")
    lines = copy / TOUCHED[3]
    lines.write_text(lines.read_text(encoding="utf-8") + block("text"), encoding="utf-8")


def python(copy: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *args], cwd=copy, env=environment, capture_output=True, text=True, check=False)


def run_tests(copy: Path, names: str, chosen: str) -> str:
    """What pytest prints for the chosen tests in the copy, all of which pass."""
    tests = [f"tests/test_{name}.py" for name in names.split()]
    ran = python(copy, "-m", "pytest", "-v", "-n0", "-p", "no:cacheprovider", "-k", chosen, *tests)
    assert ran.returncode == 0, ran.stdout[-4000:]
    return ran.stdout


def test_a_paper_is_three_files_and_one_line(copy):
    before = contents(copy)
    add_the_paper(copy)
    added = contents(copy)
    assert changed(before, added) == set(TOUCHED)
    assert len(added[TOUCHED[3]].splitlines()) == len(before[TOUCHED[3]].splitlines()) + 1
    assert python(copy, "docs/tables.py").returncode == 0
    assert changed(added, contents(copy)) == {"README.md", "docs/index.md"}  # generated
    said = run_tests(
        copy,
        "contract imports layout results",
        "(GeometricGAN and (documented or page)) or geometric_gan or models or layout or results",
    )
    assert "test_every_model_has_a_page_and_a_config[GeometricGAN] PASSED" in said


@pytest.mark.slow
def test_the_tests_of_the_zoo_find_the_paper_and_pass(copy):
    add_the_paper(copy)
    assert python(copy, "docs/tables.py").returncode == 0
    chosen = "GeometricGAN or geometric_gan or generated or api_page or lists_them_all"
    said = run_tests(copy, "contract subclasses configs readme", chosen)
    contract = re.findall(r"^@every_model\w*\ndef (test_\w+)", (CHECKOUT / "tests/test_contract.py").read_text(), re.M)
    assert len(contract) > 7
    expected = [f"test_contract.py::{name}[GeometricGAN]" for name in contract]
    expected += [
        "test_configs.py::test_a_config_trains_draws_and_saves[geometric_gan_digits]",
        "test_every_model_is_named[GeometricGAN]",
    ]
    for test in expected:
        assert f"{test} PASSED" in said, test
