"""The cache of real images' features: where it is, and the name of each table in it."""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from ganzoo.errors import InputError
from ganzoo.evaluation.table import FeatureTable
from ganzoo.metrics.statistics import FeatureSpec
from ganzoo.utils.files import cache_home
from ganzoo.utils.log import log_info

DEFAULT_CACHE = "default"
"""Stands for the usual cache folder: ``features`` in ``$GANZOO_CACHE``, or in ``~/.cache/ganzoo`` where that is not set."""


def cache_folder(cache: str | Path | None) -> Path | None:
    """The folder that is meant: :data:`DEFAULT_CACHE`, a path, or None for no cache."""
    if cache is None:
        return None
    if cache == DEFAULT_CACHE:
        return cache_home() / "features"
    return Path(cache).expanduser()


def cached_table(cache: Path, spec: FeatureSpec, count: int) -> Path:
    """The folder in the cache of a set's table, whether it is there or not.

    Its name is a hash of all that matters, so that another network, resize, split, set or number of images is another
    folder, and nobody has to remember what a table was made of.
    """
    what = json.dumps({**asdict(spec), "count": count}, sort_keys=True)
    readable = "-".join(filter(None, (spec.extractor, spec.split)))
    return cache / f"{''.join(c if c.isalnum() else '-' for c in readable)}-{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def recall(folder: Path, table: FeatureTable) -> FeatureTable | None:
    """The features in a cache: a whole table, or what an empty one recalls for itself.

    Args:
        folder: that :func:`cached_table` names.
        table: an empty one, of the wanted spec and count.

    Returns:
        None where there is nothing, or a damaged table, which is said and removed.
    """
    assert table.spec is not None
    if folder.exists():
        try:
            return FeatureTable.load(folder, table.spec, table.count)
        except InputError as error:
            log_info(f"{error}: it is made anew")
            shutil.rmtree(folder, ignore_errors=True)
    return table if table.recall(folder) else None
