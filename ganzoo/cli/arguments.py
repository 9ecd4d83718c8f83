"""The arguments of ``ganzoo evaluate``."""

from collections.abc import Sequence
from typing import Literal

from ganzoo.cli.lightning import Parser
from ganzoo.cli.options import make_parser
from ganzoo.errors import InputError, did_you_mean
from ganzoo.evaluation.whole import OF_PICTURES
from ganzoo.metrics.quality import Settings
from ganzoo.metrics.reference import USUAL

OF_FEATURES = ("distance", "kernel", "score", "manifold")
ASKED_FOR = ("lpips", *OF_PICTURES)
"""Kinds of figures that are made only where they are named: they want weights, minutes or memory."""
KINDS = (*OF_FEATURES, "paired", *ASKED_FOR)
LEAST = {
    "n": 1,
    "batch_size": 1,
    "seed": 0,
    "keep": 2,
    "subsets": 1,
    "subset_size": 2,
    "splits": 1,
    "k": 1,
    "k_density": 1,
    "classifier_epochs": 1,
}


def parser(args: Sequence[str] = ()) -> Parser:
    made = make_parser(
        "evaluate",
        "Measures the pictures of a model, or of a folder, against real ones. Prints a table, and writes a JSON file with "
        "the figures and the whole protocol.",
        args,
    )
    usual = Settings()
    made.add_argument("fake", type=str, help="A checkpoint, or a folder of pictures.")
    made.add_argument(
        "real",
        nargs="?",
        type=str,  # a folder may be called null
        default=None,
        help="A folder of pictures, or a file of --save_statistics. Default: --data, or the data of the checkpoint's run.",
    )
    for name, kind, default, text in (
        ("extractor", str, "inception", "inception, inception-clean, efflite0, dinov2-vits14 ..., or a classifier's file."),
        ("weights", str | None, None, "The file of the extractor's weights, if not in its usual place."),
        ("figures", str | None, None, f"Of {','.join(KINDS)}. Default: all but {', '.join(ASKED_FOR)} that can be had."),
        ("n", int | None, None, "Pictures to judge. Default: as many as there are real ones, or pictures to translate."),
        ("split", Literal["train", "val", "test"], "test", "Of the data."),
        (
            "batch_size",
            int | None,
            None,
            "Images at a time; a model draws its noise batch by batch. Default: 50; of a model that translates, or that "
            "normalizes by each batch's statistics, as in its training.",
        ),
        ("seed", int, 0, "Of the noise, and of all that is drawn for the figures."),
        ("device", Literal["auto", "cpu", "cuda"], "auto", "Where the networks work."),
        ("keep", int, usual.keep, "Features of each set, at most, that kernel and manifold look at; of a class, all."),
        ("subsets", int, usual.subsets, "Of the kernel distance."),
        ("subset_size", int, usual.subset_size, "Pictures in each subset."),
        ("splits", int, usual.splits, "Of the Inception score."),
        ("k", int, usual.k, "Neighbours of precision and recall."),
        ("k_density", int, usual.k_density, "Neighbours of density and coverage."),
        ("classifier_epochs", int, 5, "Of the two classifiers that agreement trains."),
        ("out", str | None, None, "The JSON file. Default: beside the checkpoint; of a folder, where you stand."),
        (
            "save_statistics",
            str | None,
            None,
            "A file for what was seen of the real pictures, which may be REAL another time.",
        ),
        ("cache", str, USUAL, "Folder where the same is kept for the next measurement of the same pictures; none for none."),
        ("model", str | None, None, "The checkpoint's class, if it does not say: GAN, my_module.MyGAN."),
        ("weights_only", bool, True, "Refuse a checkpoint that holds more than weights: it could run code."),
    ):
        made.add_argument(f"--{name}", type=kind, default=default, help=text)
    made.add_argument("--raw", action="store_true", help="The trained weights, also where the model has averaged ones.")
    made.add_argument("--per_class", action="store_true", help="Also figures of each class.")
    return made


def kinds(text: str | None) -> set[str] | None:
    """The kinds of figures that are asked for; None for whatever can be had."""
    if text is None:
        return None
    found = {name.strip() for name in text.split(",")}
    for name in found:
        if name not in KINDS:
            near = did_you_mean(name, list(KINDS), f"they are {', '.join(KINDS)}")
            raise InputError(f"--figures: there is no kind '{name}'{near}")
    return found
