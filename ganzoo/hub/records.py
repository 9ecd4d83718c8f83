"""Reads what a checkpoint says of itself without torch: plain data, and the shapes of its tensors. No code of it runs."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ganzoo.errors import InputError

MAX_BYTES = 100_000_000  # of the plain data; the values of the tensors are in other files of the archive
KINDS = {"Float": "float32", "Half": "float16", "Double": "float64", "Long": "int64", "Int": "int32", "Short": "int16"}
KINDS |= {"Char": "int8", "Byte": "uint8", "Bool": "bool", "BFloat16": "bfloat16"}


class TensorInfo(NamedTuple):
    """A tensor without its values.

    Attributes:
        shape: of the tensor.
        dtype: its type as torch writes it: ``float32``.
    """

    shape: tuple[int, ...]
    dtype: str


def read_record(path: Path) -> dict[str, Any]:
    """Reads a checkpoint's plain data; each tensor becomes a :class:`TensorInfo`.

    Nothing of the file is run: its pickle may build dictionaries, lists, numbers and texts, and nothing else.

    Args:
        path: of a checkpoint that ``torch.save`` wrote (a zip archive).

    Raises:
        InputError: it cannot be read, is no checkpoint, or holds more than plain data and tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next(each for each in archive.infolist() if each.filename.rpartition("/")[2] == "data.pkl")
            if entry.file_size > MAX_BYTES:
                raise InputError(f"{path}: {entry.file_size:,} bytes are too many for the plain data of a checkpoint")
            with archive.open(entry) as file:
                found = _PlainUnpickler(file).load()
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except _ForeignError as error:
        raise InputError(
            f"{path} holds more than weights and plain data ({error}), and was not read, because it could run code"
        ) from None
    except Exception as error:  # a damaged pickle raises any kind
        raise InputError(f"{path} is damaged, or is no checkpoint") from error
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), Mapping):
        raise InputError(f"{path} is not a checkpoint of Lightning's: it has no state_dict")
    return found


class _ForeignError(Exception):
    pass


class _Storage(NamedTuple):
    dtype: str


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that knows dictionaries and placeholders of torch's tensors, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module == "torch" and name.endswith("Storage"):
            return _Storage(KINDS.get(name.removesuffix("Storage"), name))
        if module == "torch" and name in {*KINDS.values(), "complex64", "complex128", "uint16", "uint32", "uint64"}:
            return name
        raise _ForeignError(f"{module}.{name}"[:80])

    def persistent_load(self, pid: Any) -> Any:
        kind = pid[1]
        return kind if isinstance(kind, _Storage) else _Storage("uint8")


def _tensor(storage: Any, offset: Any, size: Any, *rest: Any) -> TensorInfo:
    return TensorInfo(tuple(map(int, size)), storage.dtype)


def _parameter(data: Any, *rest: Any) -> Any:
    return data


def _device(*parts: Any) -> str:
    return ":".join(map(str, parts))


_KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # its name in the older pickles that torch writes
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "UntypedStorage"): _Storage("uint8"),
    ("torch", "Size"): tuple,
    ("torch", "device"): _device,
}
