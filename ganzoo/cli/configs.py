"""Finds the configs that come with ganzoo by name. Reads text only and imports no torch."""

import re
from pathlib import Path
from typing import NamedTuple

import ganzoo
from ganzoo.errors import InputError, did_you_mean


class Entry(NamedTuple):
    """What a config says of itself."""

    name: str
    model: str
    data: str
    paper: str
    summary: str


def configs_folder() -> Path:
    """The folder of the configs: inside the installed package, or next to it in a checkout."""
    package = Path(ganzoo.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """The configs' names, in order."""
    return sorted(path.stem for path in configs_folder().glob("*.yaml"))


def find_config(config: str) -> str:
    """The path of a config: a file's own path, or that of the config of this name.

    YAML text is given back as it is (``--config '{trainer: {max_epochs: 2}}'``).

    Raises:
        InputError: if there is neither a file nor a config of this name.
    """
    if Path(config).is_file() or "{" in config or "://" in config:
        return config
    named = configs_folder() / f"{config}.yaml"
    if re.fullmatch(r"[\w.-]+", config) and named.is_file():
        return str(named)
    raise InputError(f"there is no config '{config}'" + did_you_mean(Path(config).stem, config_names(), "see `ganzoo list`"))


def config_entries() -> list[Entry]:
    """Every config with its model, its data, its paper and its first line."""
    return [_read(configs_folder() / f"{name}.yaml") for name in config_names()]


def _read(path: Path) -> Entry:
    import yaml

    text = path.read_text(encoding="utf-8")
    comments = [line.lstrip("# ").rstrip() for line in text.splitlines() if line.startswith("#")]
    # the authors and the year tell a paper; its title would fill the screen
    papers = [line.removeprefix("Paper:").strip() for line in comments if line.startswith("Paper:")]
    content = yaml.safe_load(text) or {}
    return Entry(
        name=path.stem,
        model=_class_name(content.get("model")),
        data=_class_name(content.get("data")),
        paper=re.split(r"(?<=\d{4}),", papers[0])[0] if papers else "",
        summary=comments[0] if comments and not comments[0].startswith("Paper:") else "",
    )


def _class_name(section: object) -> str:
    path = section.get("class_path", "") if isinstance(section, dict) else section or ""
    return str(path).rpartition(".")[2]
