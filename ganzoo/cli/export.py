"""``ganzoo export``: writes a trained model to a file that runs without ganzoo."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from ganzoo.cli.function import parse


def options(
    out: str | None = None,
    format: Literal["onnx", "torch"] = "onnx",
    direction: Literal["AtoB", "BtoA"] | None = None,
    io: Literal["uint8", "float"] = "uint8",
    layout: Literal["nchw", "nhwc"] = "nchw",
    model: str | None = None,
    config: str | None = None,
    weights_only: bool = True,
) -> None:
    """The options of the command.

    Args:
        out: The file to write; it must be new. By default it is named by the model, in the current folder.
        format: onnx for onnxruntime and other runtimes, torch for torch.export.load.
        direction: One direction of a CycleGAN. By default two files are written, with _AtoB and _BtoA in their names.
        io: Images of the file as uint8 in 0 to 255, or as float32 in -1 to 1.
        layout: Images of the file as batch, channels, height, width; or with the channels last.
        model: The model's class, if the checkpoint does not say it.
        config: The run's config, which says which classes of yours may be imported.
        weights_only: Refuse a checkpoint that holds more than weights, because it could run code.
    """


def parser() -> ArgumentParser:
    """The parser of the command."""
    made = ArgumentParser(
        prog="ganzoo export",
        description="Writes a trained model to a file that runs without ganzoo, for any number of images, with the "
        "conversion of the pixels inside. The file is compared with the model before it gets its name.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    made.add_argument("source", metavar="MODEL", type=str, help="A checkpoint, a run's folder, or a saved model.")
    made.add_function_arguments(options, as_group=False)
    made.add_argument("--raw", action="store_true", help="The trained weights, also where the model has averaged ones.")
    return made


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["last.ckpt", "--out", "pix2pix.onnx"])``.

    Returns:
        0.

    Raises:
        InputError: what cannot be exported, in one line.
    """
    given = parse(parser(), args)
    from ganzoo.cli.options import refuse_unwritable
    from ganzoo.hub.export import FORMATS, export
    from ganzoo.hub.loading import load

    kind = FORMATS[given.format]
    kind.expect_packages()
    path = Path(given.source)
    model = load(path, raw=given.raw, model=given.model, config=given.config, weights_only=given.weights_only)
    out = Path(given.out or f"{type(model).__name__.lower()}{kind.suffix}")
    refuse_unwritable(out, "--out")
    written = export(
        model,
        out,
        given.format,
        direction=given.direction,
        uint8=given.io == "uint8",
        channels_last=given.layout == "nhwc",
    )
    for file, parity in written:
        print(f"{file}: {file.stat().st_size / 2**20:.1f} MiB, {parity}")
    return 0
