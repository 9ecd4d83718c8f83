"""Sheets of ``ganzoo explore``: interpolations, trajectories, a plane of the latent space, sums, nearest neighbours."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from ganzoo.cli.explored import Explored, Open, animation_file, board, refuse_many
from ganzoo.cli.generate import parse_seeds
from ganzoo.errors import InputError
from ganzoo.utils.ranges import GridSize, NonNegativeFloat, PositiveFloat, PositiveInt, Seed

if TYPE_CHECKING:  # torch is imported when the work begins, so that --help is quick
    from torch import Tensor


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
    refuse_many(len(found) // 2 * steps * len(ways))
    opened = explored()

    import torch

    from ganzoo.inference.walks import walk
    from ganzoo.utils.progress import tracked

    labels = opened.labels(len(found))
    rows = []
    for place in tracked(range(0, len(found), 2), "interpolating", unit="pairs", delay=1.0):
        label = labels[place : place + 2] if isinstance(labels, list) else labels
        rows += [walk(opened.model, found[place : place + 2], steps - 1, way, classes=label) for way in ways]
    opened.write(board(torch.cat(rows), steps), seeds=seeds, interpolation=interpolation, classes=labels)


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
    refuse_many((len(found) - 1) * steps)
    target = animation_file(animation)
    opened = explored()

    import torch

    from ganzoo.inference.walks import frame_count, walk, walk_frames
    from ganzoo.utils.progress import tracked

    labels = opened.labels(len(found))
    count = frame_count(found, frames, loop=False)
    made = walk(opened.model, found, steps - 1, interpolation, classes=labels)
    rows = [made[first : first + steps] for first in range(0, len(made) - 1, steps - 1)]
    about = {"seeds": seeds, "interpolation": interpolation, "classes": labels}
    opened.write(board(torch.cat(rows), steps), **about)
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
    refuse_many(size * size)
    opened = explored()

    from ganzoo.inference.latent_space import manifold

    label = opened.label()
    opened.write(board(manifold(opened.model, size, chosen, seed, label), size), axes=axes, seed=seed, **{"class": label})


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
    refuse_many(sum(map(len, seeds)))
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
        column = board(torch.cat([generate(model, seeds[k], own), mean]), 1)
        boards += [_glyph(sign, "" if k == 0 and symbol == "+" else symbol, column), column]
    result = around(model, combine(model, concepts, [1 if s == "+" else -1 for s, _ in terms]), 8, noise, noise_seed)
    images = list(decode_each(sampler, result.noise, result.code))
    centred = torch.stack([*images[1:5], images[0], *images[5:]])
    boards += [_glyph(sign, "=", boards[-1]), board(centred, 3)]
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
    refuse_many(len(found) * (k + 1))
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
        board(torch.flatten(rows, 0, 1), rows.shape[1]),
        seeds=seeds,
        compared_with=compared_with,
        extractor=extractor,
        classes=labels,
    )


def _glyph(sign: Callable[..., "Tensor"], symbol: str, column: "Tensor") -> "Tensor":
    """A sign that stands before a column, at the height of its lowest image."""
    size = column.shape[2]
    return sign(symbol, size, len(column))


def _training_images(opened: Explored, root: str | None, images: str | None, most: int, shape: Sequence[int]) -> "Tensor":
    """The images to compare samples with, uint8 [M, C, H, W] of the samples' shape."""
    import torch

    from ganzoo.data.image_files import find_images
    from ganzoo.data.transforms import to_common_format
    from ganzoo.evaluation.sources import DataSource, stub_trainer
    from ganzoo.inference.classify import build_data
    from ganzoo.inference.neighbours import read_images
    from ganzoo.utils.trust import check_trusted

    if images is not None:
        files = find_images(images)
        chosen = files if len(files) <= most else [files[k * len(files) // most] for k in range(most)]
        return torch.stack([opened.read(str(file)) for file in chosen])
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
