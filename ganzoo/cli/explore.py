"""``ganzoo explore``: looks into the latent space of a trained GAN. ``ganzoo explore --help`` lists what it can draw."""

import signal
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

from jsonargparse import ArgumentParser, Namespace

from ganzoo.cli.explore_images import edit, encoder, invert, opinion
from ganzoo.cli.explore_sheets import arithmetic, interpolate, manifold, neighbours, trajectory
from ganzoo.cli.explored import Explored
from ganzoo.cli.generate import parse, parse_classes
from ganzoo.errors import InputError, did_you_mean, printable

HELP = """\
usage: ganzoo explore <what> MODEL [options]

{modes}

  ganzoo explore interpolate gan_mnist --seeds 0-11 --interpolation both
  ganzoo explore arithmetic gan_mnist --plus 1,2,3 --minus 4,5,6 --plus 7,8,9
  ganzoo explore invert gan_mnist digit.png
  ganzoo explore manifold --help                       the options of one

MODEL is a checkpoint, a run's folder, a saved model, or the name of one that comes with ganzoo.
"""


class Mode(NamedTuple):
    """What ``ganzoo explore`` can be asked.

    Attributes:
        function: draws it; its options are those of the mode.
        out: the file, if the user names none.
        classes: what ``--class`` means; None where there is no such option.
    """

    function: Callable[..., None]
    out: str
    classes: str | None


_ONE = "The class, by number or name."
_EACH = "The class of each seed, or one for all, by number or name. By default the seed modulo the number of classes."
MODES = {
    "interpolate": Mode(interpolate, "interpolation.png", _EACH),
    "trajectory": Mode(trajectory, "trajectory.png", _EACH),
    "manifold": Mode(manifold, "manifold.png", _ONE),
    "arithmetic": Mode(arithmetic, "arithmetic.png", _EACH),
    "neighbours": Mode(neighbours, "neighbours.png", _EACH),
    "invert": Mode(invert, "inversion.png", "Classes to try, by number or name; all by default."),
    "encoder": Mode(encoder, "encoder.safetensors", None),
    "edit": Mode(edit, "edit.png", _ONE),
    "opinion": Mode(opinion, "opinion.png", "The class of each image, or one for all, by number or name."),
}


def _first_line(function: Callable[..., None]) -> str:
    return (function.__doc__ or "").splitlines()[0]


def parser(name: str) -> ArgumentParser:
    """The parser of a mode."""
    mode = MODES[name]
    made = ArgumentParser(
        prog=f"ganzoo explore {name}",
        description=" ".join((mode.function.__doc__ or "").split("Args:")[0].split()),
        exit_on_error=False,
        allow_abbrev=False,
    )
    made.add_argument("model", type=str, help="A checkpoint, a run's folder, a saved model, or a name of `ganzoo list`.")
    if name == "invert":
        made.add_argument("inputs", nargs="+", type=str, help="Image files.")
    if name == "opinion":
        made.add_argument("inputs", nargs="*", type=str, default=[], help="Image files; generated images if there are none.")
    if name == "edit":
        made.add_argument("strokes", type=str, help="An image file with strokes of colour on a transparent ground.")
    if name == "arithmetic":
        for option, what in (("plus", "added"), ("minus", "subtracted")):
            text = f"Seeds of the exemplars whose mean is {what}, such as 1,2,3; may be repeated."
            made.add_argument(f"--{option}", type=str, action="append", help=text)
    made.add_function_arguments(mode.function, as_group=False, skip={"explored", "terms", "inputs", "strokes"})
    if mode.classes:
        made.add_argument("--class", dest="classes", type=str | None, default=None, help=mode.classes)
    made.add_function_arguments(_common, as_group=False)
    made.add_argument("--overwrite", action="store_true", help="Replace a file that is there.")
    made.add_argument("--raw", action="store_true", help="The trained weights, also where the model has averaged ones.")
    return made


def _common(out: str | None = None, device: Literal["auto", "cpu", "cuda"] = "auto", config: str | None = None) -> None:
    """The options of every mode.

    Args:
        out: The file to write. By default it is called after what is drawn.
        device: Where the network works; auto is a GPU if there is one.
        config: The config of the model's run, where the model is of a class of yours.
    """


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["manifold", "last.ckpt", "--size", "20"])``.

    Returns:
        0; 128 and the number of the signal that ended it.

    Raises:
        InputError: what cannot be drawn, in one line.
    """
    name, *rest = args or ["--help"]
    if name in ("-h", "--help"):
        print(HELP.format(modes="\n".join(f"  {key:13}{_first_line(mode.function)}" for key, mode in MODES.items())), end="")
        return 0
    if name not in MODES:
        near = did_you_mean(name, list(MODES), f"there are {', '.join(MODES)}")
        raise InputError(f"`ganzoo explore` has no '{printable(name)[:60]}'{near}")
    mode = MODES[name]
    given = parse(parser(name), rest)
    own = {key: value for key, value in vars(given).items() if key not in NOT_OF_A_MODE}
    if name == "arithmetic":
        own["terms"] = _terms(rest)

    from ganzoo.cli.options import plain
    from ganzoo.utils.signals import Stopped, Stops

    with Stops():
        try:
            mode.function(lambda: _open(name, given), **{key: plain(value) for key, value in own.items()})
        except KeyboardInterrupt as stopped:
            return 128 + (stopped.signum if isinstance(stopped, Stopped) else signal.SIGINT)
    return 0


NOT_OF_A_MODE = ("model", "out", "device", "config", "overwrite", "raw", "classes", "plus", "minus")


def _terms(args: Sequence[str]) -> list[tuple[str, str]]:
    """The signs and seeds of a sum, in the order in which they were written."""
    signs = {"--plus": "+", "--minus": "-"}
    found = []
    for arg, following in zip_longest(args, args[1:]):
        option, equals, value = arg.partition("=")
        if option in signs:
            found.append((signs[option], value if equals else following))
    return found


def _open(name: str, given: Namespace) -> Explored:
    from ganzoo.cli.lightning_log import filter_log
    from ganzoo.cli.options import device, refuse_unwritable
    from ganzoo.hub.loading import load_trained
    from ganzoo.hub.sources import find_model
    from ganzoo.inference.classify import class_names, training_images
    from ganzoo.inference.generation import sampler_of
    from ganzoo.utils.log import log_info
    from ganzoo.utils.weights import weights_sha256

    filter_log()
    out = Path(given.out or MODES[name].out)
    for path in (out, *([Path(given.animation)] if given.get("animation") else [])):
        if path.exists() and not given.overwrite:
            raise InputError(f"{printable(path)} already exists: give another name, or --overwrite")
        refuse_unwritable(path, "--out" if path == out else "--animation")
    path, why = find_model(given.model)
    if why:
        log_info(why)
    trained = load_trained(path, raw=given.raw, config=given.config)
    model = trained.module.to(device(given.device))
    classes = sampler_of(model).classes
    if given.get("classes") is not None and classes is None:
        parse_classes(given.classes, None, None)
    record = {"explore": name, "model": type(model).__name__, "weights_sha256": weights_sha256(model)}
    return Explored(
        model, out, record, class_names(training_images(trained.data), classes), trained.data, given.get("classes")
    )
