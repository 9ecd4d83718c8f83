"""Domains of folders and of digits, made in one line."""

from pathlib import Path
from typing import Any

from torch import Tensor

from ganzoo.data import MNIST, MNISTM, SVHN, USPS, Digits, DigitsM, DomainFolder, Domains, PrintedDigits

FOLDER_OPTIONS = ("mirror", "val_share", "splits", "damaged", "max_value")


def two_folders(source: str | Path, target: str | Path, size: int = 28, channels: Any = None, **options: Any) -> Domains:
    """Domains of two folders; the options of a folder are both folders'."""
    inner = {name: options.pop(name) for name in FOLDER_OPTIONS if name in options}
    folders = (DomainFolder(str(root), size, channels or 3, **inner) for root in (source, target))
    return Domains(*folders, size=size, channels=channels, **options)


def digits(name: str, root: str = "data", photographs: str | None = None, binarise: bool = False) -> Any:
    """One of the digits' data by a short name."""
    makers = {
        "mnist": lambda: MNIST(root, binarise=binarise),
        "mnist_m": lambda: MNISTM(root, photographs, binarise=binarise),
        "usps": lambda: USPS(root),
        "svhn": lambda: SVHN(root),
        "optdigits": Digits,
        "optdigits_m": lambda: DigitsM(photographs),
        "printed": PrintedDigits,
    }
    return makers[name]()


def two_digits(
    source: str, target: str, root: str = "data", photographs: str | None = None, binarise: bool = False, **options: Any
) -> Domains:
    """Domains of two of the digits' data, at 28x28 where nothing else is said."""
    domains = (digits(name, root, photographs, binarise) for name in (source, target))
    return Domains(*domains, **{"size": 28, **options})


def rows(x: Tensor) -> list[bytes]:
    """Each image as bytes, to compare and to count."""
    return [image.numpy().tobytes() for image in x.contiguous()]
