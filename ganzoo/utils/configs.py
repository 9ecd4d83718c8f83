"""Finds the configs that come with ganzoo by name, and reads configs. Reads text only and imports no torch."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ganzoo
from ganzoo.errors import InputError, did_you_mean, one_line
from ganzoo.utils.yaml_text import load_yaml, read_yaml

Tree = dict[str, Any]
SECTIONS = ("model", "data")  # whose value is a class


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


def read_config(path: str) -> Tree:
    """A config as plain data; of YAML text instead of a file, the text's.

    Raises:
        InputError: it is no YAML, or no mapping.
    """
    if Path(path).is_file():
        found, where = read_yaml(Path(path)), path
    else:
        found, where = load_yaml(path, "--config"), "--config"
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise InputError(f"{where}: a config is a mapping with model, data and trainer, not {type(found).__name__}")
    config = dict(found)
    for name in SECTIONS:  # a section in a file of its own, beside the config
        value = config.get(name)
        if isinstance(value, str) and value.endswith((".yaml", ".yml")):
            config[name] = read_yaml(Path(path).parent / value if where == path else Path(value))
    return config


def section_of(config: Mapping[str, Any], name: str, where: str) -> Any:
    """A section of a config, with what it refers to filled in; None where there is none.

    Args:
        config: that was read.
        name: of the section: ``data``.
        where: the config comes from, for the message.

    Raises:
        InputError: it refers to what is not there.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        found: Any = OmegaConf.to_container(OmegaConf.create(dict(config)), resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{where}: {one_line(error)}") from error
    value = found.get(name)
    return {"class_path": value} if isinstance(value, str) else value
