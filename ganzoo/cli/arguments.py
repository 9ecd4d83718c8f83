"""The arguments of ``ganzoo evaluate``."""

from collections.abc import Sequence
from typing import Literal

from ganzoo.cli.options import make_parser
from ganzoo.cli.parser import Parser
from ganzoo.errors import InputError
from ganzoo.evaluation.cache import DEFAULT_CACHE
from ganzoo.evaluation.metrics import METRICS, ON_REQUEST, MetricOptions, check_names
from ganzoo.utils.ranges import SampleCount, Size


def parser(args: Sequence[str] = ()) -> Parser:
    """The parser of the command; the numbers of the metrics are those of :class:`MetricOptions`."""
    made = make_parser(
        "evaluate",
        "Evaluates the images of a model, or of a folder, against real ones. Prints a table, and writes a JSON file with "
        "the metrics and the whole protocol.",
        args,
    )
    made.add_argument("fake", type=str, help="A checkpoint, or a folder of images.")
    made.add_argument(
        "real",
        nargs="?",
        type=str,  # a folder may be called null
        default=None,
        help="A folder of images, or a file of --save_statistics. Default: --data, or the data of the checkpoint's run.",
    )
    for name, kind, default, text in (
        ("extractor", str, "inception", "inception, inception-clean, efflite0, dinov2-vits14 ..., or a classifier's file."),
        ("weights", str | None, None, "The file of the extractor's weights, if not in its usual place."),
        ("metrics", str | None, None, f"Of {','.join(METRICS)}. Default: all but {', '.join(ON_REQUEST)} that can be had."),
        ("n", SampleCount | None, None, "Images to generate. Default: as many as there are real ones, or to translate."),
        ("split", Literal["train", "val", "test"], "test", "Of the data."),
        (
            "batch_size",
            Size | None,
            None,
            "Images at a time; a model draws its noise batch by batch. Default: 50; of a model that translates, or that "
            "normalizes by each batch's statistics, as in its training.",
        ),
        ("device", Literal["auto", "cpu", "cuda"], "auto", "Where the networks work."),
        ("classifier_epochs", Size, 5, "Of the two classifiers that agreement trains."),
        ("out", str | None, None, "The JSON file. Default: beside the checkpoint; of a folder, where you stand."),
        (
            "save_statistics",
            str | None,
            None,
            "A new .npz file for the real images' moments; another time it is REAL.",
        ),
        (
            "cache",
            str,
            DEFAULT_CACHE,
            "Folder where features of real images are kept for another time; none for none.",
        ),
        ("model", str | None, None, "The checkpoint's class, if it does not say: GAN, my_module.MyGAN."),
        ("weights_only", bool, True, "Refuse a checkpoint that holds more than weights: it could run code."),
    ):
        made.add_argument(f"--{name}", type=kind, default=default, help=text)
    made.add_class_arguments(MetricOptions, as_group=False)
    made.add_argument("--raw", action="store_true", help="The trained weights, also where the model has averaged ones.")
    made.add_argument(
        "--moments",
        action="store_true",
        help="Keep moments of features, not a row for each image: less disk and memory.",
    )
    made.add_argument("--per_class", action="store_true", help="Also metrics of each class.")
    return made


def metric_names(text: str | None) -> list[str] | None:
    """The metrics that are asked for; None for all that can be had.

    Raises:
        InputError: there is no such metric.
    """
    try:
        return None if text is None else check_names(name.strip() for name in text.split(","))
    except InputError as error:
        raise InputError(f"--metrics: {error}") from None
