"""Images, values and panels arrive in each logger, read back from what it wrote."""

import re
from types import SimpleNamespace

import numpy as np
import yaml
from lightning.pytorch.loggers import CometLogger, CSVLogger, MLFlowLogger, TensorBoardLogger
from PIL import Image
from support.training import trainer

from ganzoo.callbacks.loggers import log_image, log_panels, log_values, panels, run_folder

PIXELS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [9, 9, 9], [255, 255, 255]]], np.uint8)
VALUES = {"model": {"lr": 2e-4, "betas": (0.5, 0.999)}, "names": ["a"], "none": None}
AS_YAML = {"model": {"lr": 2e-4, "betas": [0.5, 0.999]}, "names": ["a"], "none": None}


def tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    return events


def pixels(encoded) -> np.ndarray:
    import io

    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def test_tensorboard_has_the_image_the_values_and_the_panels(tmp_path):
    from tensorboard.plugins.custom_scalar import layout_pb2

    logger = TensorBoardLogger(tmp_path, name="", version="")
    for step in (3, 7):
        log_image(logger, "images", Image.fromarray(PIXELS), step)
    log_image(logger, "grey", Image.fromarray(PIXELS[:, :, 0]), 3)
    log_values(logger, "config", VALUES)
    log_panels(logger, panels(["generator", "discriminator"]))
    logger.experiment.close()
    events = tensorboard(tmp_path)
    assert [event.step for event in events.Images("images")] == [3, 7]
    assert np.array_equal(pixels(events.Images("images")[0].encoded_image_string), PIXELS)
    assert np.array_equal(pixels(events.Images("grey")[0].encoded_image_string)[:, :, 1], PIXELS[:, :, 0])
    (text,) = events.Tensors("config/text_summary")
    written = text.tensor_proto.string_val[0].decode().removeprefix("```yaml\n").removesuffix("```")
    assert yaml.safe_load(written) == AS_YAML
    (layout,) = events.Tensors("custom_scalars__config__")
    found = layout_pb2.Layout.FromString(layout.tensor_proto.string_val[0])
    charts = {
        category.title: {chart.title: list(chart.multiline.tag) for chart in category.chart} for category in found.category
    }
    wanted = panels(["generator", "discriminator"])
    del wanted["players"]["discriminator outputs"]  # names with parentheses, of which it draws no line
    assert charts == wanted


def test_panels_show_every_value_that_a_gan_logs():
    """Each value of a run has its chart, and no chart of terms repeats the loss."""
    logged = ["generator/loss", "generator/gan", "discriminator/loss", "discriminator/accuracy_real", "D(x)", "D_Y(G(x))"]
    logged += ["health/gradient_generator", "health/accuracy", "health/diversity", "val/fid_tf", "test/l1"]
    charts = {name: tags for section in panels(["generator", "discriminator"]).values() for name, tags in section.items()}
    shown = {value: {name for name, tags in charts.items() if any(re.match(tag, value) for tag in tags)} for value in logged}
    assert all(len(names) == 1 for names in shown.values()), shown
    assert shown["generator/loss"] == shown["discriminator/loss"] == {"losses"}
    assert shown["generator/gan"] == {"generator: terms"}
    assert set(panels([])) == {"health", "metrics"}


def test_mlflow_has_the_image_of_each_step_and_the_values(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database needs more packages; the calls are the same
    logger = MLFlowLogger("gan", save_dir=str(tmp_path / "mlruns"))
    for step in (3, 7):
        log_image(logger, "images", Image.fromarray(PIXELS), step)
    log_values(logger, "config", VALUES)
    files = list((tmp_path / "mlruns").rglob("images/*.png"))
    assert sorted(int(re.search(r"step[^\d](\d+)", path.name)[1]) for path in files) == [3, 7]
    assert all(np.array_equal(pixels(path.read_bytes()), PIXELS) for path in files)
    (config,) = (tmp_path / "mlruns").rglob("artifacts/config.yaml")
    assert yaml.safe_load(config.read_text()) == AS_YAML


def test_comet_gets_the_image_and_the_values():
    """Comet's own package has no offline mode that Lightning's logger reaches: its two calls are recorded."""
    calls = []
    logger = CometLogger.__new__(CometLogger)
    logger._experiment = SimpleNamespace(
        log_image=lambda image_data, name=None, step=None: calls.append((np.asarray(image_data).tolist(), name, step)),
        log_asset_data=lambda data, name=None: calls.append((yaml.safe_load(data), name)),
    )
    log_image(logger, "images", Image.fromarray(PIXELS), 3)
    log_values(logger, "config", VALUES)
    assert calls == [(PIXELS.tolist(), "images", 3), (AS_YAML, "config.yaml")]


def test_a_logger_without_images_is_left_alone(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="")
    log_image(logger, "images", Image.fromarray(PIXELS), 3)
    log_values(logger, "config", VALUES)
    log_panels(logger, panels(["generator"]))
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_run_is_its_loggers_and_no_store_of_experiments(tmp_path):
    assert run_folder(trainer(tmp_path)) == tmp_path
    csv = CSVLogger(tmp_path / "csv", name="", version="")
    assert run_folder(trainer(tmp_path, logger=csv)) == tmp_path / "csv"
    mlflow = MLFlowLogger.__new__(MLFlowLogger)
    assert run_folder(SimpleNamespace(log_dir="mlruns", loggers=[mlflow], default_root_dir=str(tmp_path))) == tmp_path
