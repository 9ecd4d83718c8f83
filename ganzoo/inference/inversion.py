"""Finds noise by gradient descent: that of the image nearest to a given one (inversion), or of one with strokes (edits)."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.inference.discriminator import discriminator_logits
from ganzoo.inference.generation import join, labels_of, noise_of, requests, sampler_of
from ganzoo.inference.latent_space import LatentSpace, Noises
from ganzoo.interfaces import DifferentiableSampler, eval_mode
from ganzoo.metrics.extractors.base import Extractor
from ganzoo.models.base import GANModel
from ganzoo.utils.images import LUMA, to_float, to_uint8

HISTORY = 20  # steps that L-BFGS remembers
AT_A_TIME = 16  # candidates
Objective = Callable[[Tensor, Mapping[str, Tensor]], Tensor]


class Inverted(NamedTuple):
    """The image of a generator that a search found for a given one.

    Attributes:
        noise: its noise, [1, ...] by name.
        label: its class; None for a model without classes.
        image: uint8 [C, H, W] on the CPU.
        error: mean squared difference of the pixels, in [-1, 1].
        start: seed of the noise where the search began; None for the encoder's.
    """

    noise: dict[str, Tensor]
    label: int | None
    image: Tensor
    error: float
    start: int | None


def invert(
    model: nn.Module,
    image: Tensor,
    starts: int = 4,
    steps: int = 200,
    *,
    candidates: int = 64,
    seed: int = 0,
    classes: int | Sequence[int] | None = None,
    encoder: Callable[[Tensor], Tensor] | None = None,
    features: Callable[[Tensor], Tensor] | None = None,
    feature_weight: float = 0.0,
    report: Callable[[], object] | None = None,
) -> list[Inverted]:
    """Searches the noise whose image is nearest to a given one: ``min_z mean((G(z) - x)^2)``, by L-BFGS.

    The search runs in the normal coordinates of the noise (:class:`ganzoo.inference.latent_space.LatentSpace`), so bounded
    noise keeps its bounds. It ends in a local minimum, therefore it begins at several points: those whose images are nearest
    among ``candidates`` samples. Noise without coordinates, such as dropout masks, stays that of the sample. The released
    code of Zhu et al. 2016 (``iGAN_predict.py``) has this objective, 200 steps at most, and 0.002 as the weight of AlexNet's
    features; its bounds come from tanh.

    Args:
        model: a ``DifferentiableSampler``: every generator of the zoo.
        image: uint8 [C, H, W] of the model's shape.
        starts: number of starts beside the encoder's; at least 1, or 0 with an encoder.
        steps: L-BFGS steps from each start.
        candidates: samples among which the starts are chosen, with the seeds from ``seed`` on.
        seed: of the first candidate.
        classes: the classes that candidates may have, for a model with classes; None for all. Each seed is tried with each.
        encoder: gives noise coordinates [1, size] for an image [1, C, H, W] in [-1, 1]; the search begins there too, with
            each class (:class:`ganzoo.inference.encoder.Encoder`).
        features: differentiable features [N, ...] of images [N, C, H, W] in [-1, 1].
        feature_weight: weight of their mean squared difference, which is added.
        report: called after each start.

    Returns:
        What each start led to, the nearest first.

    Raises:
        InputError: the image has another shape, the model has no gradient or no such class, or there is no start.
    """
    sampler, space = differentiable(model), LatentSpace(model)
    if starts < 0 or (starts == 0 and encoder is None):
        raise InputError("an inversion needs at least 1 start")
    target = to_float(image)[None].to(next(model.parameters()))
    labels = _labels(model, sampler.classes, classes)
    begins: list[tuple[int | None, int | None, dict[str, Tensor]]] = []
    if starts:
        begins += nearest_samples(model, target, starts, max(candidates, starts), seed, labels)
    if encoder is not None:
        others = noise_of(sampler, seed)
        with torch.no_grad():
            begins += [(None, label, space.noise(encoder(target).double(), others)) for label in labels]
    wanted = None if features is None else features(target).detach()

    def objective(images: Tensor, _: Mapping[str, Tensor]) -> Tensor:
        loss = (images - target).double().square().mean()
        if features is not None and wanted is not None:
            loss = loss + feature_weight * (features(images) - wanted).double().square().mean()
        return loss

    found = []
    for start, label, noise in begins:
        y = None if label is None else torch.tensor([label])
        noise = descend(model, noise, y, objective, steps)
        with eval_mode(model):
            made = sampler.decode(noise, y)
        error = float((made - target).double().square().mean())
        found.append(Inverted(noise, label, to_uint8(made).cpu()[0], error, start))
        if report is not None:
            report()
    return sorted(found, key=lambda each: each.error)


def nearest_samples(
    model: nn.Module, target: Tensor, n: int, candidates: int, seed: int, labels: Sequence[int | None]
) -> list[tuple[int, int | None, dict[str, Tensor]]]:
    """The samples nearest to an image, by the squares of the pixels' differences.

    Args:
        model: a ``NoiseSampler``.
        target: image [1, C, H, W] in [-1, 1].
        n: samples that are wanted.
        candidates: seeds that are tried, from ``seed`` on, each with each label.
        seed: the first.
        labels: the classes; [None] for a model without classes.

    Returns:
        Seed, class and noise [1, ...] of each, the nearest first.

    Raises:
        InputError: the image has another shape than the samples.
    """
    sampler = differentiable(model)
    tried = [each for label in labels for each in requests(model, range(seed, seed + candidates), label)]
    distances = []
    with eval_mode(model):
        for first in range(0, len(tried), AT_A_TIME):
            batch = tried[first : first + AT_A_TIME]
            images = sampler.decode(join([noise_of(sampler, each.seed) for each in batch]), labels_of(batch))
            if images.shape[1:] != target.shape[1:]:
                there, needed = ("x".join(map(str, each.shape[1:])) for each in (target, images))
                raise InputError(f"the image is {there} (channels, height, width), and the model's are {needed}: resize it")
            distances.append((images - target).double().square().flatten(1).mean(1))
    order = torch.cat(distances).argsort(stable=True)[:n].tolist()
    return [(tried[k].seed, tried[k].label, noise_of(sampler, tried[k].seed)) for k in order]


class Strokes(NamedTuple):
    """Colours that some pixels of an image should have.

    Attributes:
        image: uint8 [C, H, W].
        mask: floats [1, H, W] in [0, 1]: how much a pixel counts; 0 where nothing was painted.
    """

    image: Tensor
    mask: Tensor


class Edited(NamedTuple):
    """An image before and after an edit.

    Attributes:
        start: uint8 [C, H, W] on the CPU.
        image: uint8 [C, H, W] on the CPU, after the edit.
        noise: its noise, [1, ...] by name.
        way: uint8 [n, C, H, W], the images on the way: each is better than all before.
        error: mean squared difference to the strokes' colours under the mask, in [-1, 1]: of the start, and of the image.
    """

    start: Tensor
    image: Tensor
    noise: dict[str, Tensor]
    way: Tensor
    error: tuple[float, float]


def edit(
    model: nn.Module,
    strokes: Strokes,
    noise: Noises,
    label: int | None = None,
    *,
    closeness: float = 0.1,
    realism: float = 0.0,
    steps: int = 100,
) -> Edited:
    """Changes a generated image so that it follows strokes of colour, and stays an image of the generator.

    ``min_z mean_M((G(z) - v)^2) + closeness * mean((z - z_0)^2) + realism * L_G(D(G(z)))``, after Zhu et al. 2016
    ("Generative Visual Manipulation on the Natural Image Manifold", section 4), with colours alone as constraints: v are the
    strokes and M their mask, z_0 is the noise of the start, and L_G is the generator's own loss, -log D for most models. The
    released code (``constrained_opt_theano.py``) normalizes the first two terms in this way too; it has closeness 10 for z
    in [-1, 1], realism 0, and Adam in the place of L-BFGS.

    Args:
        model: a ``DifferentiableSampler``: every generator of the zoo.
        strokes: of the model's shape.
        noise: noise [1, ...] of the start; ``Inverted.noise`` of an image, or ``model.draw_noise(1)``.
        label: the class; None for a model without classes.
        closeness: weight of the distance to the start's noise, in the noise's own numbers; at least 0.
        realism: weight of the discriminator's term; it needs a checkpoint with the discriminator.
        steps: L-BFGS steps at most.

    Raises:
        InputError: the strokes have another shape or no pixel, or the model has no gradient, such class, or discriminator.
    """
    sampler, space = differentiable(model), LatentSpace(model)
    (wanted,) = requests(model, [0], label)
    y = labels_of([wanted])
    with eval_mode(model):
        before = sampler.decode(noise, y)
    target, mask = to_float(strokes.image)[None].to(before), strokes.mask[None].to(before).double()
    if before.shape[1:] != target.shape[1:]:
        there, needed = ("x".join(map(str, each.shape[1:])) for each in (target, before))
        raise InputError(f"the strokes are {there} (channels, height, width), and the model's are {needed}: resize them")
    if not bool(mask.sum() > 0):
        raise InputError("the strokes are empty: paint at least one pixel that is not transparent")
    origin = {name: noise[name].double() for name in space.distributions}

    def follows(images: Tensor) -> Tensor:
        return ((images - target).double().square() * mask).sum() / (mask.sum() * images.shape[1])

    def objective(images: Tensor, now: Mapping[str, Tensor]) -> Tensor:
        moved = torch.cat([(now[name].double() - each).flatten() for name, each in origin.items()])
        loss = follows(images) + closeness * moved.square().mean()
        return loss + realism * _generator_loss(model, images, y) if realism else loss

    way: list[Tensor] = []
    after = descend(model, noise, y, objective, steps, keep=lambda images: way.append(to_uint8(images).cpu()))
    with eval_mode(model):
        made = sampler.decode(after, y)
    start, image = to_uint8(before).cpu()[0], to_uint8(made).cpu()[0]
    return Edited(start, image, after, torch.cat(way), (follows(before).item(), follows(made).item()))


def _generator_loss(model: nn.Module, images: Tensor, y: Tensor | None) -> Tensor:
    if not isinstance(model, GANModel):
        raise InputError(f"{type(model).__name__} has no discriminator: leave realism out")
    return model.loss.generator(discriminator_logits(model, images, y, None)).double()


def descend(
    model: nn.Module,
    noise: Noises,
    y: Tensor | None,
    objective: Objective,
    steps: int,
    keep: Callable[[Tensor], object] | None = None,
) -> dict[str, Tensor]:
    """Descends an objective of one image in the normal coordinates of its noise, by L-BFGS with a line search.

    Args:
        model: a ``DifferentiableSampler``.
        noise: where it begins, [1, ...] by name.
        y: class [1], or weights of the classes [1, classes].
        objective: function of the image [1, C, H, W] and of its noise; a scalar.
        steps: at most so many.
        keep: called with the image of each value that is lower than all before, the first included.

    Returns:
        The noise of the lowest value that was met.
    """
    sampler, space = differentiable(model), LatentSpace(model)
    point = space.coordinates(noise).detach().clone().requires_grad_(True)
    best, least = point.detach().clone(), float("inf")
    optimizer = torch.optim.LBFGS(
        [point],
        max_iter=steps,
        max_eval=25 * steps,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )

    def closure() -> float:
        nonlocal best, least
        found = space.noise(point, noise)
        images = sampler.decode_with_graph(found, y)
        loss = objective(images, found)
        (point.grad,) = torch.autograd.grad(loss, point)
        value = loss.item()
        if value < least:
            best, least = point.detach().clone(), value
            if keep is not None:
                keep(images.detach())
        return value

    with torch.inference_mode(False), torch.enable_grad(), eval_mode(model):
        optimizer.step(closure)
    # where nothing is better than the start, the start itself and not what it is after there and back
    return dict(noise) if torch.equal(best, space.coordinates(noise)) else space.noise(best, noise)


def extractor_features(extractor: Extractor) -> Callable[[Tensor], Tensor]:
    """The features of an extractor as a differentiable function of images [N, 1 or 3, H, W] in [-1, 1].

    Raises:
        InputError: when it is called, the extractor's resizing has no gradient.
    """

    def features(images: Tensor) -> Tensor:
        pixels = (images.float() + 1) * 127.5
        if pixels.shape[1] != extractor.channels:
            weights = pixels.new_tensor(LUMA if pixels.shape[1] == 3 else [2**16]).div(2**16).view(-1, 1, 1)
            pixels = (pixels * weights).sum(1, keepdim=True).expand(-1, extractor.channels, -1, -1)
        found = extractor.features(pixels).pool
        if images.requires_grad and not found.requires_grad:
            raise InputError(f"the resizing of {extractor.name} has no gradient: give a classifier of `ganzoo classifier`")
        return found

    return features


def differentiable(model: nn.Module) -> DifferentiableSampler:
    """The model as a sampler with a gradient.

    Raises:
        InputError: it generates no images, or its images have no gradient.
    """
    sampler = sampler_of(model)
    if not isinstance(sampler, DifferentiableSampler):
        raise InputError(
            f"{type(model).__name__} has no gradient with respect to its noise: give it decode_with_graph "
            "(ganzoo.interfaces.DifferentiableSampler)"
        )
    return sampler


def _labels(model: nn.Module, count: int | None, classes: int | Sequence[int] | None) -> list[int | None]:
    """The classes to try, checked; [None] for a model without classes."""
    if count is None or classes is not None:
        tried = [classes] if classes is None or isinstance(classes, int) else list(classes)
        return [requests(model, [0], label)[0].label for label in tried]
    return list(range(count))
