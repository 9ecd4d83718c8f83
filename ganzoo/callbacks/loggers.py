"""Writes images, plain values and panels into a logger: the one place that knows each logger's own calls.

Each function has a case for each kind of logger. A logger of your own gets one with ``log_image.register``.
"""

import json
from collections.abc import Iterable, Mapping
from functools import singledispatch
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import yaml
from lightning.pytorch.loggers import CometLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image

Panels = dict[str, dict[str, list[str]]]
"""Charts of each section, each with the patterns of the values in it."""


def run_folder(trainer: L.Trainer) -> Path:
    """The folder for a run's own files; all processes must ask, because the first one's answer is broadcast."""
    folder = trainer.log_dir
    # a store of many runs, which takes each folder in it for an experiment
    if trainer.loggers and isinstance(trainer.loggers[0], MLFlowLogger):
        folder = None
    return Path(folder or trainer.default_root_dir)


@singledispatch
def log_image(logger: Logger, name: str, image: Image.Image, step: int) -> None:
    """Logs an image to W&B, TensorBoard, MLflow or Comet; a logger without images (CSVLogger) is left alone.

    Args:
        logger: any logger.
        name: name of the image in the logger; the images of all steps have the same.
        image: the image.
        step: training step.
    """


@log_image.register
def _(logger: WandbLogger, name: str, image: Image.Image, step: int) -> None:
    logger.log_image(name, [image], step=step)


@log_image.register
def _(logger: TensorBoardLogger, name: str, image: Image.Image, step: int) -> None:
    import numpy as np

    logger.experiment.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")


@log_image.register
def _(logger: MLFlowLogger, name: str, image: Image.Image, step: int) -> None:
    logger.experiment.log_image(logger.run_id, image, key=name, step=step)


@log_image.register
def _(logger: CometLogger, name: str, image: Image.Image, step: int) -> None:
    logger.experiment.log_image(image, name=name, step=step)


@singledispatch
def log_values(logger: Logger, name: str, values: Mapping[str, Any]) -> None:
    """Logs plain values that are no metrics, such as a config; a logger without a place for them (CSVLogger) is left alone.

    W&B has them in the run's config, TensorBoard among its texts, MLflow and Comet as a YAML file.

    Args:
        logger: any logger.
        name: name of the whole.
        values: plain data, nested or not.
    """


@log_values.register
def _(logger: WandbLogger, name: str, values: Mapping[str, Any]) -> None:
    logger.log_hyperparams({name: dict(values)})


@log_values.register
def _(logger: TensorBoardLogger, name: str, values: Mapping[str, Any]) -> None:
    logger.experiment.add_text(name, f"```yaml\n{_as_yaml(values)}```")


@log_values.register
def _(logger: MLFlowLogger, name: str, values: Mapping[str, Any]) -> None:
    logger.experiment.log_text(logger.run_id, _as_yaml(values), f"{name}.yaml")


@log_values.register
def _(logger: CometLogger, name: str, values: Mapping[str, Any]) -> None:
    logger.experiment.log_asset_data(_as_yaml(values), name=f"{name}.yaml")


def _as_yaml(values: Mapping[str, Any]) -> str:
    # by way of JSON, where everything has a text
    return yaml.safe_dump(json.loads(json.dumps(dict(values), default=str)), sort_keys=False)


def panels(players: Iterable[str]) -> Panels:
    """The panels of a run: the players against each other, each player's terms, health, and metrics.

    Args:
        players: names of the players, in order.

    Returns:
        By section and chart, regular expressions that match the names of the values from their beginning.
    """
    names = list(players)
    of_players: Panels = {
        "players": {
            "losses": [f"{player}/loss$" for player in names],
            "discriminator outputs": [r"D.*\(.*\)"],
            **{f"{player}: terms": [f"{player}/(?!loss$)"] for player in names},
        }
    }
    return (of_players if names else {}) | {
        "health": {
            "gradient norms": ["health/gradient_"],
            "accuracy and diversity": ["health/accuracy", "health/diversity"],
        },
        "metrics": {"validation": ["val/"], "test": ["test/"]},
    }


@singledispatch
def log_panels(logger: Logger, layout: Panels) -> None:
    """Arranges values in panels: TensorBoard's Custom Scalars. Other loggers group them by the part before the slash.

    Of TensorBoard's panels those of names with parentheses, D(x), are left out: it draws nothing in them.

    Args:
        logger: any logger.
        layout: panels as :func:`panels` describes them.
    """


@log_panels.register
def _(logger: TensorBoardLogger, layout: Panels) -> None:
    # Custom Scalars draws no line for a value with parentheses in its name (2.21: the chart stays empty)
    drawn = {
        section: {chart: ["Multiline", tags] for chart, tags in charts.items() if not any(r"\(" in tag for tag in tags)}
        for section, charts in layout.items()
    }
    logger.experiment.add_custom_scalars(drawn)
