"""Where tests are: test modules do not import each other, and what they share is in tests/support."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def imported(path: Path) -> set[str]:
    """Every name in a file's imports, one dotted part each."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.update((node.module or "").split("."), (alias.name for alias in node.names))
        elif isinstance(node, ast.Import):
            found.update(part for alias in node.names for part in alias.name.split("."))
    return found


def test_test_modules_do_not_import_each_other():
    modules = {path.stem for path in TESTS.rglob("test_*.py")}
    assert len(modules) > 50
    guilty = {path.name: names for path in TESTS.rglob("*.py") if (names := imported(path) & modules)}
    assert not guilty


def test_support_has_no_tests():
    for path in (TESTS / "support").rglob("*.py"):
        names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert not [name for name in names if name.startswith("test_")], path
