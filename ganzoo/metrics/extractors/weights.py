"""Finds, verifies and safely reads files of weights."""

import hashlib
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError, one_line
from ganzoo.utils.download import fetch


class Weights(NamedTuple):
    """What a file of weights holds.

    Attributes:
        state: names and tensors, on the processor.
        known: the file's SHA-256 is the expected one.
        path: of the file.
    """

    state: dict[str, Tensor]
    known: bool
    path: Path


def published(path: str | Path | None, url: str, sha256: str, aliases: Sequence[str] = ()) -> Weights:
    """The weights in a file of the user's, or those that their authors published.

    Without a path, the file is looked for in torch hub's folder of checkpoints, where other packages keep the same one, and
    if it is not there fetched into it.

    Args:
        path: of a file; it may hold other weights, which are then not known.
        url: of the published file.
        sha256: of that file.
        aliases: other names under which that file may be in the folder.

    Raises:
        InputError: no such file, no connection, or a file that cannot be read or that is damaged.
    """
    if path is not None:
        return read(path, sha256)
    folder = Path(torch.hub.get_dir(), "checkpoints")
    named = folder / url.rsplit("/", 1)[1]
    there = [place for place in (named, *(folder / alias for alias in aliases)) if place.exists()]
    return read(fetch(url, there[0] if there else named, sha256), sha256)


def read(path: str | Path, sha256: str) -> Weights:
    """Weights of a file that :func:`torch.save` wrote. Nothing in it is executed.

    Args:
        path: of the file.
        sha256: that makes them known.

    Raises:
        InputError: no such file, or one that holds something else.
    """
    path = Path(path)
    state = plain(path)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: holds no weights by name; give a state_dict that torch.save wrote")
    return Weights(dict(state), found == sha256.lower(), path)


def plain(path: Path) -> Any:
    """What :func:`torch.save` wrote: tensors, numbers, strings, lists and dictionaries of them.

    Raises:
        InputError: no such file, one that cannot be read, or one that holds something else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file of weights") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or one_line(error)})") from error
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no file of weights, or a damaged one, or more than weights is in it") from error


def fill(network: nn.Module, weights: Weights) -> None:
    """Loads all of them, and has the network frozen and in evaluation mode.

    Raises:
        InputError: they are another network's.
    """
    try:
        network.load_state_dict(weights.state, assign=True)
    except RuntimeError as error:
        reason = one_line(error).split(": ", 1)[-1][:160]
        raise InputError(f"{weights.path}: weights of another network ({reason} ...)") from error
    network.float().requires_grad_(False).eval()
