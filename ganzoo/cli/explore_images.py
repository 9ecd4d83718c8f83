"""Images in the latent space, for ``ganzoo explore``: inversion, an encoder, edits, and what the discriminator says."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli.explored import Explored, Open, animation_file, board, refuse_many
from ganzoo.cli.generate import parse_classes, parse_seeds
from ganzoo.errors import InputError, printable
from ganzoo.utils.ranges import LearningRate, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Seed

if TYPE_CHECKING:  # torch is imported when the work begins, so that --help is quick
    pass

BRIGHTEST = 0.98  # quantile of a map that gets the full colour


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
    images = [opened.read(file) for file in inputs]
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
    opened.write(board(torch.stack(tiles), tries + 1), images=names, starts=starts, steps=steps, seed=seed, classes=classes)


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
    target = animation_file(animation)
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
        nearest = search(model, opened.read(image), seed=seed, classes=label)[0]
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
    opened.write(board(tiles, 3), **about)
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
    refuse_many(2 * len(inputs or found))
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
    images = torch.stack([opened.read(file) for file in inputs]) if inputs else generate(model, found, labels)
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
    opened.write(board(rows, len(names)), **about, classes=labels)


def _read_strokes(opened: Explored, file: str) -> Any:
    """Strokes in the shape of the model's images; a line says if they were resized."""
    from ganzoo.data.images import read_strokes
    from ganzoo.data.resizing import resize
    from ganzoo.inference.inversion import Strokes
    from ganzoo.utils.log import log_info

    channels, height, width = opened.image_shape()
    colours, alpha = read_strokes(file, channels)
    if colours.shape[1:] != (height, width):
        log_info(f"{printable(file)} is {colours.shape[1]} x {colours.shape[2]}: it was resized to {height} x {width}")
        mask = alpha.float() / 255
        # the colours of what is not painted must not flow into the strokes
        weighted = resize((colours.float() * mask).round().byte(), height, width).float()
        alpha = resize(alpha, height, width)
        colours = (weighted / (alpha.float() / 255).clamp_min(1 / 255)).round().clamp(0, 255).byte()
    return Strokes(colours, alpha.float() / 255)
