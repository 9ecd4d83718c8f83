"""Evaluates generated images: features in tables, metrics of them, and results with their protocol."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganzoo.evaluation.api import evaluate as evaluate


def __getattr__(name: str) -> Any:
    if name != "evaluate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ganzoo.evaluation.api import evaluate  # torch, which `ganzoo compare` does without

    return evaluate
