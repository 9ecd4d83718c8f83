"""Turns errors that other libraries raise into one line for the user."""

import errno
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from ganzoo.errors import InputError, did_you_mean

# errors of the file system that the user can fix; other OSErrors may be ganzoo's fault
_REFUSED = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
}

LONGEST = 500  # of a line
WHERE = " (GANZOO_TRACEBACK=1 shows where)"

# jsonargparse's message for whatever a class that a config names raises in its constructor
_WRAPPED = ("Does not validate against any of the Union subtypes", "Problem with given class_path")


def one_line(error: BaseException) -> str | None:
    """The message for an error that the user can fix; None for any other, whose traceback is wanted."""
    if isinstance(error, InputError):
        text = str(error)
        if "Original Traceback" in text:  # from a DataLoader's worker, which sends its traceback as the message
            text = text.rpartition("InputError: ")[2]
        return _squeeze(text)
    if isinstance(error, OSError) and error.errno in _REFUSED:
        name = str(error.filename or "a file of the run")
        return f"{name if len(name) <= 300 else name[:100] + '...' + name[-100:]}: {error.strerror}"
    if type(error) is ValueError and str(error).startswith(_WRAPPED) and error.__cause__ is not None:
        return one_line(error.__cause__)
    from lightning.pytorch.utilities.exceptions import MisconfigurationException
    from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

    if isinstance(error, MemoryError | RuntimeError) and re.search(r"can't allocate memory|out of memory", str(error)):
        asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", str(error))
        return f"there is not enough memory{f' for {asked[1]} more' if asked else ''}: a smaller model or batch is needed"
    if isinstance(error, UnpicklingError):  # a checkpoint that only Lightning reads, from an address
        return "the checkpoint holds more than weights: give --weights_only false if you trust it"
    if isinstance(error, InterpolationKeyError):
        missing = re.search(r"key '\.*([^']+)' not found", str(error))
        where = re.search(r"full_key: (?:\w+\.)?(\S+)", str(error))
        if missing and where:
            key = re.sub(r"^(fit|validate|test|predict)\.", "", missing[1])
            return f"{where[1]} refers to ${{{key}}}, which is nowhere in the config"
    if isinstance(error, OmegaConfBaseException):
        return _squeeze(str(error))
    if isinstance(error, MisconfigurationException):
        return _squeeze(str(error))
    if (memory := _memory(error)) is not None:
        return memory
    if isinstance(error, RuntimeError | ValueError | TypeError) and _told_by_lightning(error):
        return _shortened(_squeeze(str(error))) + WHERE
    if isinstance(error, ModuleNotFoundError) and error.name is None:  # an optional package that Lightning asks for
        return _squeeze(str(error))
    return None


def built(error: BaseException) -> str | None:
    """One line on what the constructor of a class in a config raised; None for an error that is no user's.

    Args:
        error: as jsonargparse has wrapped it.
    """
    if one_line(error) is not None:
        return None
    root, text = error, str(error)
    while root.__cause__ is not None:
        root = root.__cause__
        text += f"\n{root}"
    if not isinstance(root, ValueError | TypeError | RuntimeError | ArithmeticError | MemoryError):
        return None
    names = re.findall(r"Problem with given class_path '([^']+)'", text) or re.findall(
        r"Given value: Namespace\(class_path='([^']+)'", text
    )
    message = _memory(root) or f"{type(root).__name__}: {root}"
    return _shortened(f"{names[-1] if names else 'a class of the config'} cannot be built: {_squeeze(message)}") + WHERE


def refused_argument(message: str, options: list[str]) -> str:
    """One line out of jsonargparse's report on an argument or a config, of at most 500 letters.

    Args:
        message: the report, of up to thirty lines.
        options: every option of the command, to find the nearest.
    """
    return _shortened(_refused_argument(message, options))


def _refused_argument(message: str, options: list[str]) -> str:
    key = ""
    for part in re.findall(r'Parser key "([^"]+)"', message):  # the innermost is named twice where an option says it
        key = key if key.endswith(f".{part}") else f"{key}.{part}" if key else part
    if found := re.search(r"unrecognized arguments: --([^\s=]+)|does not accept option '([^']+)'", message):
        wrong = found[1] or found[2]
        near = did_you_mean(wrong, options)
        if not near:  # a whole section mistyped
            near = did_you_mean(wrong.split(".")[0], sorted({option.split(".")[0] for option in options}))
        return f"there is no option '{wrong}'{near}"
    if found := re.search(r"Option '([^']+)' is not accepted", message):
        classes = re.findall(r"Problem with given class_path '([^']+)'", message[: found.start()])
        if classes:
            return f"{classes[-1]} has no option '{found[1]}'{did_you_mean(found[1], _parameters(classes[-1]))}"
        return f"there is no option '{found[1]}'{did_you_mean(found[1], options)}"
    if found := re.search(r"Expected a dot import path string: (\S+)", message):
        advice = "write its full dotted path"
        return f"{key}: there is no class '{found[1]}'{did_you_mean(found[1], _class_names(), advice)}"
    if found := re.search(r"class_path '([^']+)':\s+(No module named .+|module .+ has no attribute .+)", message):
        name = found[1].rpartition(".")[2]
        return f"{key}: there is no class '{found[1]}' ({found[2]}){did_you_mean(name, _class_names())}"
    if found := re.search(r"Import path (?:(\S+) )?does not correspond to a subclass of (\w+)", message):
        return f"{key}: {found[1] or 'this'} is not a {found[2]}"
    if found := re.search(r"(Multiple subclasses with name .+)", message):
        return f"{key}: {found[1]}"
    if found := re.search(r"the following arguments are required: (.+)", message):
        missing = re.sub(r"(^|, )(fit|validate|test|predict)\.", r"\1", found[1])
        return f"{key + ': ' if key else ''}{missing} must be given"
    if found := re.search(r"Expected a typing\.Literal\[(.+)\]\. Got value: (.*)", message):
        return f"{key}: expected one of {found[1].replace(chr(39), '')}, not {found[2]}"
    if key and (found := re.search(r"Not of type \w+ in .+?: (give .+)", message)):
        return f"{key}: {found[1]}"
    kinds = re.findall(r"Expected an? (?:<class ')?([\w. ]+?)'?>?(?:\. Got|$)", message, re.M)
    expected = [kind for kind in kinds if kind != "NoneType" and not kind.startswith("path but")]
    given = re.search(r"(?:Got|Given) value: (.*)", message)
    if key and expected and given:
        return f"{key}: expected {' or '.join(dict.fromkeys(expected))}, not {given[1]}"
    if found := re.search(r"Problem with given class_path '([^']+)':\s+(.+)", message):
        return f"{key}: {found[1]} cannot be used: {found[2]}"
    if given and (found := re.search(r"Errors:\s+- (.+)", message)):
        name = re.match(r"\{'class_path': '([^']+)'", given[1])
        return f"{key}: {name[1] if name else given[1]} cannot be used: {found[1]}"
    return _squeeze(message)


def refused_trainer(message: str) -> str:
    """One line out of what Lightning says of a trainer's options that do not go together."""
    from lightning.pytorch.strategies import StrategyRegistry

    if found := re.match(r"You selected an invalid strategy name: `strategy='(.+?)'`", message):
        return f"there is no strategy '{found[1]}'{did_you_mean(found[1], StrategyRegistry.available_strategies())}"
    if found := re.search(r"Found more than one stateful callback of type `(\w+)`", message):
        return f"two callbacks of the kind {found[1]} with the same options: give one of them, or other options to one"
    return _shortened(_squeeze(message))


def _parameters(class_path: str) -> list[str]:
    from jsonargparse import ArgumentParser

    from ganzoo.training.recipes import find_class

    added = ArgumentParser(exit_on_error=False).add_class_arguments(find_class(class_path, object), fail_untyped=False)
    return list(added)


def _class_names() -> list[str]:
    from lightning.pytorch import Callback, LightningDataModule, LightningModule
    from lightning.pytorch.loggers import Logger

    def below(cls: type[Any]) -> Iterator[str]:
        yield cls.__name__
        for sub in cls.__subclasses__():
            yield from below(sub)

    return sorted({n for base in (LightningModule, LightningDataModule, Callback, Logger) for n in below(base)})


def _memory(error: BaseException) -> str | None:
    import torch

    text = _squeeze(str(error))
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in text:
        wanted = re.search(r"(?:tried to allocate|Tried to allocate|Unable to allocate) ([\d.]+ \w+)", text)
        return f"not enough memory{f' for {wanted[1]}' if wanted else ''}: a smaller batch, image or network needs less"
    return None


def _told_by_lightning(error: BaseException) -> bool:
    """Whether Lightning itself raised an error, which is how it refuses what cannot be used together."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and "lightning" in Path(frames[-1].filename).parts


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def _squeeze(text: str) -> str:
    return " ".join(text.split())
