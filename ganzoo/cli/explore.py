"""``ganzoo explore``: looks into the latent space of a trained GAN. ``ganzoo explore --help`` lists what it can draw."""

import signal
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jsonargparse import ArgumentParser, Namespace

from ganzoo.cli.generate import parse, parse_classes, parse_seeds
from ganzoo.errors import InputError, did_you_mean, printable
from ganzoo.utils.ranges import GridSize, LearningRate, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Seed

if TYPE_CHECKING:  # torch is imported when the work begins, so that --help is quick
    from torch import Tensor

HELP = """\
usage: ganzoo explore <what> MODEL [options]

{modes}

  ganzoo explore interpolate gan_mnist --seeds 0-11 --interpolation both
  ganzoo explore arithmetic gan_mnist --plus 1,2,3 --minus 4,5,6 --plus 7,8,9
  ganzoo explore invert gan_mnist digit.png
  ganzoo explore manifold --help                       the options of one

MODEL is a checkpoint, a run's folder, a saved model, or the name of one that comes with ganzoo.
"""
LARGEST_SHEET = 10_000  # images
BRIGHTEST = 0.98  # quantile of a map that gets the full colour


class Explored(NamedTuple):
    """A loaded model, and where its picture goes.

    Attributes:
        model: the model, on its device.
        out: the file to write.
        record: what the file says of its origin.
        class_names: the names of its classes; None where they are not known.
        data: the class path and init_args of its training data; None where they are not known.
        classes: what the user wrote for ``--class``; None for nothing.
    """

    model: Any
    out: Path
    record: dict[str, Any]
    class_names: Sequence[str] | None
    data: Mapping[str, Any] | None
    classes: str | None

    def labels(self, n: int) -> int | list[int] | None:
        """The class of n images: one for all, a list of n, or None where the user gave none."""
        if self.classes is None:
            return None
        found = parse_classes(self.classes, self.model.classes, self.class_names, repeated=True)
        if len(found) not in (1, n):
            raise InputError(f"--class has {len(found)} classes for {n} seeds: give one class, or one for each seed")
        return found[0] if len(found) == 1 else found

    def label(self) -> int | None:
        """The one class that the user gave; None for none."""
        found = self.labels(1)
        assert not isinstance(found, list)
        return found

    def write(self, board: "Tensor", /, **about: Any) -> None:
        """Writes the picture, with a record of its origin."""
        from ganzoo.utils.log import log_info
        from ganzoo.utils.png import save_png

        try:
            save_png(self.out, board, self.record | {name: each for name, each in about.items() if each is not None})
        except OSError as error:
            raise InputError(f"cannot write {printable(self.out)}: {error.strerror}") from error
        log_info(f"the picture is in {printable(self.out)}")

    def animate(self, path: Path, frames: "Tensor", fps: float, /, **about: Any) -> None:
        """Writes an animation, with a record of its origin."""
        from ganzoo.inference.frames import save_frames
        from ganzoo.utils.log import log_info

        try:
            save_frames(path, frames, fps, self.record | {name: each for name, each in about.items() if each is not None})
        except OSError as error:
            raise InputError(f"cannot write {printable(path)}: {error.strerror or error}") from error
        log_info(f"{len(frames)} frames are in {printable(path)}")


Open = Callable[[], Explored]  # loads the model; called once the options are known to be good


def interpolate(
    explored: Open, seeds: str = "0-11", steps: GridSize = 9, interpolation: Literal["slerp", "lerp", "both"] = "slerp"
) -> None:
    """Draws a row of images for each pair of seeds, on the way from one to the other.

    Args:
        explored: loads the model.
        seeds: Pairs of seeds, such as 0,1,2,3 for the two rows from 0 to 1 and from 2 to 3.
        steps: Images in a row, both ends included; at least 2.
        interpolation: slerp along great circles, lerp along straight lines, both for a row of each.
    """
    found = parse_seeds(seeds, "--seeds")
    if len(found) % 2:
        raise InputError(f"--seeds {seeds!r:.60} has {len(found)} seeds: give pairs, so an even number of them")
    if steps < 2:
        raise InputError("--steps 1: a row has both ends, so at least 2 images")
    ways: list[Literal["slerp", "lerp"]] = ["slerp", "lerp"] if interpolation == "both" else [interpolation]
    _refuse_many(len(found) // 2 * steps * len(ways))
    opened = explored()

    import torch

    from ganzoo.inference.walks import walk
    from ganzoo.utils.progress import tracked

    labels = opened.labels(len(found))
    rows = []
    for place in tracked(range(0, len(found), 2), "interpolating", unit="pairs", delay=1.0):
        label = labels[place : place + 2] if isinstance(labels, list) else labels
        rows += [walk(opened.model, found[place : place + 2], steps - 1, way, classes=label) for way in ways]
    opened.write(_grid(torch.cat(rows), steps), seeds=seeds, interpolation=interpolation, classes=labels)


def trajectory(
    explored: Open,
    seeds: str = "0,1,2",
    steps: GridSize = 9,
    interpolation: Literal["slerp", "lerp"] = "slerp",
    animation: str | None = None,
    frames: PositiveInt = 30,
    fps: PositiveFloat = 20.0,
) -> None:
    """Draws the way through several seeds, A -> B -> C, with a row for each part; and an animation of it.

    Args:
        explored: loads the model.
        seeds: The seeds on the way, such as 3,14,15.
        steps: Images from one seed to the next, both ends included; at least 2.
        interpolation: slerp along great circles, lerp along straight lines.
        animation: Write the way as an animation too, .gif, .webp or .mp4.
        frames: Frames of the animation from one seed to the next.
        fps: Frames per second of the animation.
    """
    found = parse_seeds(seeds, "--seeds")
    if steps < 2:
        raise InputError("--steps 1: a row has both ends, so at least 2 images")
    _refuse_many((len(found) - 1) * steps)
    target = _animation(animation)
    opened = explored()

    import torch

    from ganzoo.inference.walks import frame_count, walk, walk_frames
    from ganzoo.utils.progress import tracked

    labels = opened.labels(len(found))
    count = frame_count(found, frames, loop=False)
    made = walk(opened.model, found, steps - 1, interpolation, classes=labels)
    rows = [made[first : first + steps] for first in range(0, len(made) - 1, steps - 1)]
    about = {"seeds": seeds, "interpolation": interpolation, "classes": labels}
    opened.write(_grid(torch.cat(rows), steps), **about)
    if target is not None:
        images = walk_frames(opened.model, found, frames, interpolation, classes=labels)
        moving = [next(images) for _ in tracked(range(count), "generating", unit="frames", delay=1.0)]
        opened.animate(target, torch.stack(moving), fps, **about)


def manifold(explored: Open, size: GridSize = 20, axes: str | None = None, seed: Seed = 0) -> None:
    """Draws a plane through the latent space: images at the quantiles of the noise, in two directions.

    Args:
        explored: loads the model.
        size: Images in a row and in a column.
        axes: Two coordinates of the noise that vary, such as 0,1; the others are those of the seed. By default two random
            directions through the centre.
        seed: Of the random directions, or of the coordinates that do not vary.
    """
    chosen = None
    if axes is not None:
        numbers = [part.strip() for part in axes.split(",")]
        if len(numbers) != 2 or not all(part.isdecimal() and len(part) < 10 for part in numbers):
            raise InputError(f"--axes {axes!r:.60} is no pair of coordinates: give two numbers, such as 0,1")
        chosen = int(numbers[0]), int(numbers[1])
    _refuse_many(size * size)
    opened = explored()

    from ganzoo.inference.latent_space import manifold

    label = opened.label()
    opened.write(_grid(manifold(opened.model, size, chosen, seed, label), size), axes=axes, seed=seed, **{"class": label})


def arithmetic(
    explored: Open, terms: Sequence[tuple[str, str]], noise: NonNegativeFloat = 0.25, noise_seed: Seed = 0
) -> None:
    """Adds and subtracts the means of exemplars, as in figure 7 of Radford et al. 2016.

    Left, a column for each concept: its exemplars, and below them the image of their mean. Right, the result in the middle
    of eight images around it.

    Args:
        explored: loads the model.
        terms: sign and seeds of each concept.
        noise: The images around the result have uniform noise from -NOISE to NOISE added.
        noise_seed: Of this noise.
    """
    if not any(sign == "+" for sign, _ in terms):
        raise InputError("nothing to add: give the seeds of a concept, such as --plus 1,2,3 --minus 4,5,6 --plus 7,8,9")
    seeds = [parse_seeds(text, "--plus" if sign == "+" else "--minus") for sign, text in terms]
    _refuse_many(sum(map(len, seeds)))
    opened = explored()

    import torch

    from ganzoo.inference.generation import decode_each, generate, noise_sampler_of
    from ganzoo.inference.latent_space import around, combine, concept
    from ganzoo.utils.image_grid import beside, sign

    model, sampler = opened.model, noise_sampler_of(opened.model)
    labels = opened.labels(sum(map(len, seeds)))
    boards: list[Tensor] = []
    concepts = []
    for k, (symbol, _) in enumerate(terms):
        first = sum(map(len, seeds[:k]))
        own = labels[first : first + len(seeds[k])] if isinstance(labels, list) else labels
        concepts.append(concept(model, seeds[k], own))
        mean = torch.stack(list(decode_each(sampler, concepts[-1].noise, concepts[-1].code)))
        column = _grid(torch.cat([generate(model, seeds[k], own), mean]), 1)
        boards += [_glyph(sign, "" if k == 0 and symbol == "+" else symbol, column), column]
    result = around(model, combine(model, concepts, [1 if s == "+" else -1 for s, _ in terms]), 8, noise, noise_seed)
    images = list(decode_each(sampler, result.noise, result.code))
    centred = torch.stack([*images[1:5], images[0], *images[5:]])
    boards += [_glyph(sign, "=", boards[-1]), _grid(centred, 3)]
    text = " ".join(f"{sign} {written}" for sign, written in terms)
    opened.write(beside(boards), terms=text, noise=noise, noise_seed=noise_seed, classes=labels)


def neighbours(
    explored: Open,
    seeds: str = "0-9",
    k: GridSize = 5,
    root: str | None = None,
    images: str | None = None,
    extractor: str | None = None,
    most: PositiveInt = 10_000,
) -> None:
    """Draws samples, each with its nearest training images: is one of them a copy?

    Args:
        explored: loads the model.
        seeds: Seeds of the samples, which are the rows.
        k: Training images in each row, the nearest first.
        root: Folder of the training data, where it is not the one of the training.
        images: A folder of images to compare with, instead of the training data.
        extractor: Compare the features of a network, such as efflite0 or a classifier's file, and not the pixels.
        most: Images that are compared, evenly chosen.
    """
    found = parse_seeds(seeds, "--seeds")
    _refuse_many(len(found) * (k + 1))
    opened = explored()

    import torch

    from ganzoo.inference.generation import generate
    from ganzoo.inference.neighbours import compared, neighbour_rows
    from ganzoo.metrics.extractors import find

    labels = opened.labels(len(found))
    network = None if extractor is None else find(extractor)
    samples = generate(opened.model, found, labels)
    there = _training_images(opened, root, images, most, samples.shape[1:])
    device = next(opened.model.parameters()).device
    rows = neighbour_rows(samples, there, compared(there, network, device), min(k, len(there)), network, device)
    compared_with = images or (opened.data or {}).get("class_path")
    opened.write(
        _grid(torch.flatten(rows, 0, 1), rows.shape[1]),
        seeds=seeds,
        compared_with=compared_with,
        extractor=extractor,
        classes=labels,
    )


def invert(
    explored: Open,
    inputs: Sequence[str],
    starts: NonNegativeInt = 4,
    steps: PositiveInt = 200,
    candidates: PositiveInt = 64,
    seed: Seed = 0,
    encoder: str | None = None,
    extractor: str | None = None,
    feature_weight: NonNegativeFloat = 1.0,
) -> None:
    """Searches the noise whose image is nearest to an image file. A row for each file: the image, then what was found.

    Args:
        explored: loads the model.
        inputs: the files.
        starts: Starts of the search: the nearest among the candidates.
        steps: Steps of L-BFGS from each start, at most.
        candidates: Samples that are looked at, with the seeds from SEED on.
        seed: Seed of the first candidate.
        encoder: File of `ganzoo explore encoder`: the search begins at what it recovers, too.
        extractor: Add the distance of a network's features, such as those of a classifier's file.
        feature_weight: Weight of the features' distance.
    """
    if starts == 0 and encoder is None:
        raise InputError("--starts 0 needs an --encoder to start from")
    opened = explored()

    import torch

    from ganzoo.inference.encoder import Encoder
    from ganzoo.inference.inversion import extractor_features
    from ganzoo.inference.inversion import invert as search
    from ganzoo.metrics.extractors import find
    from ganzoo.utils.log import log_info
    from ganzoo.utils.progress import ProgressBar

    model = opened.model
    images = [_read(opened, file) for file in inputs]
    learned = None if encoder is None else Encoder.load(encoder, model)
    features = None
    if extractor is not None:
        features = extractor_features(find(extractor).to(next(model.parameters()).device))
    classes = None if opened.classes is None else parse_classes(opened.classes, model.classes, opened.class_names)
    tries = starts + (0 if learned is None else len(classes or range(model.classes or 1)))
    tiles, lines = [], []
    with ProgressBar(tries * len(images), "searching", unit="starts", delay=1.0) as bar:
        for file, image in zip(inputs, images, strict=True):
            found = search(
                model,
                image,
                starts,
                steps,
                candidates=candidates,
                seed=seed,
                classes=classes,
                encoder=learned,
                features=features,
                feature_weight=feature_weight,
                report=bar.update,
            )
            tiles += [image, *(each.image for each in found)]
            best = found[0]
            origin = "the encoder" if best.start is None else f"seed {best.start}"
            label = "" if best.label is None else f", class {best.label}"
            lines.append(f"{printable(file)}: mean squared error {best.error:.2g} in [-1, 1], from {origin}{label}")
    for line in lines:
        log_info(line)
    names = [Path(file).name for file in inputs]
    opened.write(_grid(torch.stack(tiles), tries + 1), images=names, starts=starts, steps=steps, seed=seed, classes=classes)


def encoder(
    explored: Open, steps: PositiveInt = 2000, batch_size: PositiveInt = 64, lr: LearningRate = 1e-3, seed: Seed = 0
) -> None:
    """Trains a network that recovers the noise of the model's own images, and writes it for `ganzoo explore invert`.

    Args:
        explored: loads the model.
        steps: Steps of the training; each has new images.
        batch_size: Images of a step.
        lr: The highest learning rate.
        seed: Of the network's weights and of the images.
    """
    if batch_size < 2:
        raise InputError("--batch_size 1: batch norm needs at least 2 images")
    opened = explored()

    from ganzoo.inference.encoder import train_encoder
    from ganzoo.utils.log import log_info
    from ganzoo.utils.progress import ProgressBar

    with ProgressBar(steps, "training the encoder", unit="steps", delay=1.0) as bar:
        trained = train_encoder(opened.model, steps, batch_size, lr=lr, seed=seed, report=bar.update)
    try:
        trained.save(opened.out)
    except OSError as error:
        raise InputError(f"cannot write {printable(opened.out)}: {error.strerror}") from error
    log_info(f"the encoder is in {printable(opened.out)}; R^2 of the noise that it recovers: {trained.r_squared:.3f}")


def edit(
    explored: Open,
    strokes: str,
    seed: Seed = 0,
    image: str | None = None,
    closeness: NonNegativeFloat = 0.1,
    realism: NonNegativeFloat = 0.0,
    steps: PositiveInt = 100,
    animation: str | None = None,
    fps: PositiveFloat = 20.0,
) -> None:
    """Changes an image so that it follows strokes of colour: the start, the start with the strokes, the result.

    Args:
        explored: loads the model.
        strokes: the file.
        seed: Seed of the image that is changed.
        image: Change this image file instead: the nearest image of the model is searched first, as `invert` does.
        closeness: Weight of the distance between the noise and that of the start.
        realism: Weight of the discriminator's term. It needs a checkpoint, which has the discriminator.
        steps: Steps of L-BFGS, at most.
        animation: Write the way as an animation too, .gif, .webp or .mp4.
        fps: Frames per second of the animation.
    """
    target = _animation(animation)
    opened = explored()

    import torch

    from ganzoo.inference.generation import noise_of, noise_sampler_of, requests
    from ganzoo.inference.inversion import edit as change
    from ganzoo.inference.inversion import invert as search
    from ganzoo.utils.log import log_info

    model, label = opened.model, opened.label()
    painted = _read_strokes(opened, strokes)
    if image is None:
        wanted = requests(model, [seed], label)[0]
        noise, label = noise_of(noise_sampler_of(model), seed), wanted.label
    else:
        nearest = search(model, _read(opened, image), seed=seed, classes=label)[0]
        noise, label = nearest.noise, nearest.label
        log_info(f"{printable(image)}: the nearest image has a mean squared error of {nearest.error:.2g} in [-1, 1]")
    done = change(model, painted, noise, label, closeness=closeness, realism=realism, steps=steps)
    before, after = done.error
    log_info(f"mean squared error under the strokes, in [-1, 1]: {before:.2g} before, {after:.2g} after")
    over = done.start.float() * (1 - painted.mask) + painted.image.float() * painted.mask
    tiles = torch.stack([done.start, over.round().to(torch.uint8), done.image])
    about: dict[str, Any] = {
        "seed": seed if image is None else None,
        "image": image and Path(image).name,
        "strokes": Path(strokes).name,
    }
    about |= {"closeness": closeness, "realism": realism, "class": label}
    opened.write(_grid(tiles, 3), **about)
    if target is not None:
        opened.animate(target, done.way, fps, **about)


def opinion(explored: Open, inputs: Sequence[str], seeds: str = "0-7") -> None:
    """Draws what the discriminator says, as a map over each image. It needs a checkpoint, which has the discriminator.

    Of a discriminator of patches: red where it takes a patch for generated, green where it takes it for real. Of a
    discriminator of whole images: orange where the pixel changes the output most.

    Args:
        explored: loads the model.
        inputs: image files; generated images if there are none.
        seeds: Seeds of the generated images.
    """
    found = parse_seeds(seeds, "--seeds")
    _refuse_many(2 * len(inputs or found))
    opened = explored()

    import torch

    from ganzoo.inference.discriminator import GREEN, ORANGE, discriminator_opinion, overlay, undecided_output
    from ganzoo.inference.generation import generate, labels_of, requests
    from ganzoo.utils.images import to_float
    from ganzoo.utils.log import log_info

    model = opened.model
    names = [printable(file) for file in inputs] or [f"seed {seed}" for seed in found]
    labels = opened.labels(len(names))
    wanted = requests(model, range(len(names)) if inputs else found, labels)
    if inputs and model.classes is not None and labels is None:
        raise InputError("this discriminator sees the class of an image too: give --class, one for all or one for each file")
    images = torch.stack([_read(opened, file) for file in inputs]) if inputs else generate(model, found, labels)
    said = discriminator_opinion(model, to_float(images), labels_of(wanted))
    maps = []
    for name, image, output, part in zip(names, images, said.output.tolist(), said.map.cpu(), strict=True):
        if not said.patches:  # a few pixels are far above all others
            part = part.clamp(max=float(part.quantile(BRIGHTEST)))
        neutral, colour = (undecided_output(model, said.map), GREEN) if said.patches else (0.0, ORANGE)
        maps.append(overlay(image, part, neutral, colour))
        log_info(f"{name}: D says {output:.3f}")
    rows = torch.cat([images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images, torch.stack(maps)])
    about = {"images": [Path(file).name for file in inputs]} if inputs else {"seeds": seeds}
    opened.write(_grid(rows, len(names)), **about, classes=labels)


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


def _animation(path: str | None) -> Path | None:
    if path is None:
        return None
    from ganzoo.inference.frames import check_format

    check_format(Path(path))
    return Path(path)


def _refuse_many(images: int) -> None:
    if images > LARGEST_SHEET:
        raise InputError(f"{images:,} images are too many for a sheet: at most {LARGEST_SHEET:,}")


def _grid(images: "Tensor", columns: int) -> "Tensor":
    from ganzoo.utils.image_grid import grid
    from ganzoo.utils.images import to_float

    return grid(to_float(images), columns)


def _glyph(sign: Callable[..., "Tensor"], symbol: str, column: "Tensor") -> "Tensor":
    """A sign that stands before a column, at the height of its lowest image."""
    size = column.shape[2]
    return sign(symbol, size, len(column))


def _shape(opened: Explored) -> tuple[int, int, int]:
    from ganzoo.inference.generation import generate

    channels, height, width = generate(opened.model, [0]).shape[1:]
    if channels not in (1, 3):
        raise InputError(f"the model's images have {channels} channels, and files have 1 or 3")
    return channels, height, width


def _read(opened: Explored, file: str) -> "Tensor":
    """An image file in the shape of the model's images; a line says if it was resized."""
    from ganzoo.data.images import centre_crop, read_image, resize, resize_shorter_side
    from ganzoo.utils.log import log_info

    channels, height, width = _shape(opened)
    image = read_image(file, channels)
    if image.shape[1:] == (height, width):
        return image
    there = f"{image.shape[1]} x {image.shape[2]}"
    if height == width:
        log_info(f"{printable(file)} is {there}: its middle square was resized to {height} x {width}")
        return centre_crop(resize_shorter_side(image, height), height).contiguous()
    log_info(f"{printable(file)} is {there}: it was resized to {height} x {width}")
    return resize(image, height, width)


def _read_strokes(opened: Explored, file: str) -> Any:
    """Strokes in the shape of the model's images; a line says if they were resized."""
    from ganzoo.data.images import read_strokes, resize
    from ganzoo.inference.inversion import Strokes
    from ganzoo.utils.log import log_info

    channels, height, width = _shape(opened)
    colours, alpha = read_strokes(file, channels)
    if colours.shape[1:] != (height, width):
        log_info(f"{printable(file)} is {colours.shape[1]} x {colours.shape[2]}: it was resized to {height} x {width}")
        mask = alpha.float() / 255
        # the colours of what is not painted must not flow into the strokes
        weighted = resize((colours.float() * mask).round().byte(), height, width).float()
        alpha = resize(alpha, height, width)
        colours = (weighted / (alpha.float() / 255).clamp_min(1 / 255)).round().clamp(0, 255).byte()
    return Strokes(colours, alpha.float() / 255)


def _training_images(opened: Explored, root: str | None, images: str | None, most: int, shape: Sequence[int]) -> "Tensor":
    """The images to compare samples with, uint8 [M, C, H, W] of the samples' shape."""
    import torch

    from ganzoo.data.images import find_images
    from ganzoo.data.transforms import to_common_format
    from ganzoo.evaluation.sources import DataSource, stub_trainer
    from ganzoo.inference.classify import build_data
    from ganzoo.inference.neighbours import read_images
    from ganzoo.utils.trust import check_trusted

    if images is not None:
        files = find_images(images)
        chosen = files if len(files) <= most else [files[k * len(files) // most] for k in range(most)]
        return torch.stack([_read(opened, str(file)) for file in chosen])
    if opened.data is None:
        raise InputError("the model does not say what it was trained on: give a folder of images, --images FOLDER")
    recipe = dict(opened.data)
    if root is not None:
        recipe["init_args"] = {**(recipe.get("init_args") or {}), "root": root}
    check_trusted(recipe, "the model's config", "give a folder of images, --images FOLDER")
    try:
        module = build_data(recipe)
    except TypeError as error:
        raise InputError(f"{recipe['class_path']} cannot be built: {error}; give --images FOLDER") from error
    source = DataSource(module, recipe["class_path"], recipe.get("init_args") or {}, stub_trainer())
    source.module.setup("fit")
    dataset = getattr(source.module, "train_set", None)
    if dataset is None:
        raise InputError(f"{recipe['class_path']} has no training images by number: give a folder, --images FOLDER")
    found = read_images(dataset, most, "explore neighbours")
    if found.shape[1:] == tuple(shape):
        return found
    return to_common_format(found, int(shape[0]), int(shape[-1]))
