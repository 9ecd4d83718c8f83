"""Verifies a saved folder: its test input gives its test output."""

from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file

from ganzoo.errors import InputError, one_line
from ganzoo.hub.examples import difference, example_output
from ganzoo.hub.facts import sha256
from ganzoo.hub.folder import TEST_INPUT, TEST_OUTPUT, WEIGHTS, read_folder
from ganzoo.hub.loading import load_trained
from ganzoo.hub.sources import find_model


class Verified(NamedTuple):
    """What the comparison found.

    Attributes:
        difference: the largest absolute difference of the outputs (images in [-1, 1], or probabilities).
        tolerance: what another processor's rounding may make of it.
    """

    difference: float
    tolerance: float


def verify(source: str | Path, *, model: str | None = None, config: str | Path | None = None) -> Verified:
    """Computes the output of a saved folder's test input and compares it with the saved one.

    Args:
        source: a saved folder, or the name of weights that come with ganzoo.
        model: the model's class, where it is one of yours.
        config: the run's config, which says which classes of yours may be imported.

    Raises:
        InputError: the outputs differ by more than the tolerance, the weights are not those that were saved, or a file is
            missing or damaged.
    """
    path = find_model(source).path
    if not path.is_dir():
        raise InputError(f"{path} is a checkpoint, and has no test output: save it first (ganzoo save {path} FOLDER)")
    content = read_folder(path)
    tensors = []
    for name in (TEST_INPUT, TEST_OUTPUT):
        try:
            # copies: on some processors the last bits of a sum depend on where in memory its numbers begin
            tensors.append({key: value.clone() for key, value in load_file(path / name).items()})
        except Exception as error:  # safetensors raises an error of its own for damaged files, and OSError
            raise InputError(f"{path / name} cannot be read: {one_line(error)[:160]}") from error
    inputs, wanted = tensors
    allowed = content["test"].get("tolerance")
    if not isinstance(allowed, int | float) or not 0 < allowed < 1:
        raise InputError(f"{path} is damaged: the tolerance of its test is {allowed!r:.40}")
    module = load_trained(path, model, config=config).module
    if sha256(path / WEIGHTS) != content["weights"].get("sha256"):
        raise InputError(f"{path / WEIGHTS} is not the file that was saved: its sha256 differs from that in config.json")
    found = difference(example_output(module, inputs), wanted)
    if found > allowed:
        raise InputError(
            f"{path} does not compute what it did when it was saved: the test output is off by {found:.2g}, and "
            f"{allowed:.2g} is allowed"
        )
    return Verified(found, allowed)
