"""Shows how far a long piece of work is: a bar on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, Self, TypeVar

from tqdm import tqdm

from ganzoo.utils.log import log_info

LINE_EVERY = 30.0  # seconds between two lines, where there is no terminal for a bar
Item = TypeVar("Item")


class ProgressBar:
    """Shows how far a pass is.

    Args:
        total: units of the whole.
        what: is done, in front of the bar.
        done: units that were done before.
        unit: what is counted, in the plural.
        delay: seconds without a bar, so that short work shows none.
        shown: False for no bar and no lines.
    """

    def __init__(
        self, total: int, what: str, done: int = 0, unit: str = "images", delay: float = 0.0, shown: bool = True
    ) -> None:
        self.total, self.what, self.done, self.unit, self.shown = total, what, done, unit, shown
        how: dict[str, Any] = {"delay": delay, "leave": False, "disable": None if shown else True, "file": sys.stderr}
        self._bar = tqdm(total=total, initial=done, desc=what, unit=f" {unit}", **how)
        self._logged = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, n: int = 1) -> None:
        """n units more; beyond the total nothing is counted."""
        n = min(n, self.total - self.done)
        self.done += n
        self._bar.update(n)
        if self.shown and self._bar.disable and time.monotonic() - self._logged >= LINE_EVERY:
            log_info(f"{self.what}: {self.done} of {self.total} {self.unit}")
            self._logged = time.monotonic()


def tracked(items: Iterable[Item], what: str, **options: Any) -> Iterator[Item]:
    """The items, with a progress bar of :class:`ProgressBar`'s options while they are taken."""
    total = len(items) if isinstance(items, Sized) else 0
    with ProgressBar(total, what, **options) as bar:
        for item in items:
            yield item
            bar.update()
