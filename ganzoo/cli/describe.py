"""``ganzoo describe``: says what a trained model is and what it can be asked. Imports no torch."""

import json as json_text
from collections.abc import Sequence

from ganzoo.cli.function import call
from ganzoo.cli.tables import aligned


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["gan_mnist"])``. Returns 0; errors as in :func:`ganzoo.hub.describe`."""
    call("describe", describe, ["--json=true" if arg == "--json" else arg for arg in args])
    return 0


def describe(source: str, json: bool = False) -> None:
    """Says what a trained model is: class, input, output, training data, metrics, licence, and what it can be asked.

    Args:
        source: A checkpoint, a run's folder, a saved folder, or the name of weights that come with ganzoo.
        json: Print all that is known as JSON.
    """
    from ganzoo.hub.describing import as_lines, describe

    about = describe(source)
    if json:
        print(json_text.dumps(about, indent=2, default=str))
        return
    for line in aligned(as_lines(about)):
        print(line)
