"""How much of its tolerance each comparison used: ``python -m pytest -n0 --margins 0.3 tests/test_losses.py``.

Lists the comparisons (``torch.allclose``, ``numpy.allclose``, ``pytest.approx``) that used a larger share of their
tolerance, by the line of the test. Where the difference is rounding, a share near 1 is a tolerance that another CPU
may not keep to.
"""

import inspect
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

TESTS = Path(__file__).resolve().parent.parent
ApproxScalar = type(pytest.approx(1.0))  # has no public name


class Margins:
    """A pytest plugin that remembers the largest share of each line.

    Args:
        least: shares from here on are listed.
    """

    def __init__(self, least: float) -> None:
        self.least = least
        self.shares: dict[str, float] = defaultdict(float)

    def note(self, error: np.ndarray, tolerance: np.ndarray) -> None:
        """Of one comparison, in any shape."""
        with np.errstate(all="ignore"):
            share = np.where(error == 0, 0.0, error / tolerance)
        for frame in inspect.stack()[2:]:
            path = Path(frame.filename)
            if TESTS in path.parents and path != Path(__file__):
                where = f"{path.relative_to(TESTS)}:{frame.lineno}"
                self.shares[where] = max(self.shares[where], float(np.max(share, initial=0.0)))
                return

    @pytest.fixture(autouse=True)
    def _noted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        of_torch, of_numpy, of_pytest = torch.allclose, np.allclose, ApproxScalar.__eq__

        def in_torch(a: torch.Tensor, b: torch.Tensor, rtol: float = 1e-5, atol: float = 1e-8, **more: bool) -> bool:
            both = [each.detach().double().cpu().numpy() for each in (a, b)]
            self.note(np.abs(both[0] - both[1]), atol + rtol * np.abs(both[1]))
            return of_torch(a, b, rtol, atol, **more)

        def in_numpy(a: object, b: object, rtol: float = 1e-5, atol: float = 1e-8, **more: bool) -> bool:
            both = [np.asarray(each, dtype=float) for each in (a, b)]
            self.note(np.abs(both[0] - both[1]), atol + rtol * np.abs(both[1]))
            return of_numpy(a, b, rtol, atol, **more)

        def in_pytest(approx: ApproxScalar, actual: object) -> bool:
            if isinstance(actual, (int, float, np.floating)) and isinstance(approx.expected, (int, float, np.floating)):
                self.note(np.abs(np.subtract(actual, approx.expected)), np.asarray(approx.tolerance))
            return of_pytest(approx, actual)

        monkeypatch.setattr(torch, "allclose", in_torch)
        monkeypatch.setattr(np, "allclose", in_numpy)
        monkeypatch.setattr(ApproxScalar, "__eq__", in_pytest)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The list."""
        terminalreporter.section("shares of the tolerances")
        for where, share in sorted(self.shares.items(), key=lambda item: -item[1]):
            if share >= self.least:
                terminalreporter.write_line(f"{share:8.3f}  {where}")
