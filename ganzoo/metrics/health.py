"""Detects three GAN failures from numbers of the training: vanishing gradients, oscillation, mode collapse.

**Vanishing gradient**: the discriminator wins, and leaves the generator nothing to learn from (Goodfellow et al. 2014,
section 3; Arjovsky and Bottou 2017, section 2). **Oscillation**: the players go round each other and do not settle, as
gradient steps do in ``min_x max_y xy`` (Goodfellow 2016, "NIPS 2016 Tutorial", section 7.2). **Mode collapse**: whatever the
noise, the samples are alike (there, section 5.1.2; Salimans et al. 2016, section 3.2).

Each has a class that is fed what was seen, step by step, and says in words when it has seen enough. What they keep is plain
numbers and lists, so that it fits into a checkpoint.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite, prod
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

WON = 0.95  # the accuracy, on real and on generated samples each, from which on the discriminator wins
SILENT = 0.01  # a slope of the generator's cost, in units of that at an undecided discriminator, that is next to none
FADED = 1e-3  # a generator's gradient in units of its greatest, likewise
NOTHING = 1e-7  # a generator's gradient that is nothing on any scale
ALIKE = 0.2  # diversity in units of the data's, below which samples are alike
DIVERSE = 0.5  # and from which on they are different
TOLD = 0.9  # the accuracy, mean over real and generated samples, from which on the samples are told well
OF_LATE = 5  # looks whose median accuracy counts for that
SWAY = 0.5  # swings of the samples' mean in units of the data's own spread, above which it has not settled
WINDOW, FEWEST = 50, 25  # looks that an oscillation is sought in, and the fewest that tell one
TURNS = 4  # from one side to the other: two periods
SMOOTH = 0.5  # correlation of a swing between two looks; less is noise, or a swing too quick to be followed
PLACES = 4  # an image's mean is kept on a grid of 4 x 4


class Observation(NamedTuple):
    """What one look at a training has shown; None, or nothing, where it does not apply.

    Attributes:
        accuracy_real: of each discriminator, the share of real samples that it tells rightly; by the name of its player
            without the word "discriminator" ("" where there is one, "_0", "_1" for the levels of a pyramid).
        accuracy_fake: the same of generated samples.
        gradient_ratio: how much of the generator's gradient each discriminator leaves (``AdversarialLoss.gradient_ratio``).
        gradient: the norm of each generator's gradient, by the name of its player without the word "generator".
        diversity: of the samples that are always made from the same noise, ``diversity``.
        of_real: the same of real images.
        centre: the samples' mean, ``centre_and_spread``.
        spread: of real images, ``centre_and_spread``.
    """

    accuracy_real: Mapping[str, float] = {}
    accuracy_fake: Mapping[str, float] = {}
    gradient_ratio: Mapping[str, float] = {}
    gradient: Mapping[str, float] = {}
    diversity: float | None = None
    of_real: float | None = None
    centre: Sequence[float] = ()
    spread: float | None = None


class Failure(NamedTuple):
    """A diagnosis: ``vanishing gradient``, ``oscillation`` or ``mode collapse``, and a sentence on what was seen and what to
    try."""

    name: str
    words: str


# -- numbers ----------------------------------------------------------------------------------------------------------


def diversity(images: Tensor, labels: Tensor | None = None) -> Tensor:
    """How different images are from each other: the mean over all pairs of the root mean square difference of values.

    Compared with that of real images this is 0 for a generator with one image, and 1 for one like the data. It sees that
    samples are alike, not that some modes are missing; and it takes noise for diversity.

    Args:
        images: [N, ...], floats.
        labels: int64 [N], of images with classes: only pairs of one class are then compared, so that an image a class is
            no diversity.

    Returns:
        A scalar, in the units of the images; nan where there is no pair.
    """
    flat = images.detach().float().flatten(1)
    distances = torch.cdist(flat, flat) / prod(flat.shape[1:]) ** 0.5
    paired = torch.ones_like(distances, dtype=torch.bool).triu(1)
    if labels is not None:
        paired &= labels[:, None] == labels
    return (distances * paired).sum() / paired.sum()


def centre_and_spread(images: Tensor) -> tuple[Tensor, Tensor]:
    """Where images are and how far they reach, images being averaged to at most 4 x 4 places first.

    Args:
        images: [N, C, H, W], or [N, ...] of another shape, which stays as it is.

    Returns:
        The mean [d], and the root mean square distance from it, a scalar.
    """
    images = images.detach().float()
    if images.ndim == 4:
        height, width = images.shape[2:]
        images = adaptive_avg_pool2d(images, (min(height, PLACES), min(width, PLACES)))
    flat = images.flatten(1)
    centre = flat.mean(0)
    return centre, (flat - centre).square().sum(1).mean().sqrt()


def swing(centres: Sequence[Sequence[float]]) -> tuple[float, int, float]:
    """How a point has gone to and fro, in the direction in which it went most.

    Args:
        centres: its places in the order of time, [T][d].

    Returns:
        How far it swings (the root mean square about its mean, of that half of the time in which it swung less), how often
        it crossed from one side to the other (each time by at least half of the root mean square on both), and the
        correlation of each place with the next.
    """
    places = torch.tensor(centres, dtype=torch.float64)
    places = places - places.mean(0)
    _, _, directions = torch.linalg.svd(places, full_matrices=False)
    along = places @ directions[0]
    power = float(along.square().mean())
    if power == 0:
        return 0.0, 0, 0.0
    least = min(float((half - half.mean()).square().mean()) for half in along.chunk(2))
    sides = [value > 0 for value in along.tolist() if abs(value) > 0.5 * power**0.5]
    turns = sum(before != after for before, after in pairwise(sides))
    return least**0.5, turns, float((along[1:] * along[:-1]).mean()) / power


# -- failures -------------------------------------------------------------------------------------------------------


class Persistence:
    """How long something has been so, without a break.

    Args:
        patience: steps after which that is long enough; at least three looks are needed too.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.since: int | None = None
        self.looks = 0

    def observe(self, step: int, so: bool) -> bool:
        """Whether it has been so for long enough."""
        if not so:
            self.since, self.looks = None, 0
            return False
        self.since = step if self.since is None else self.since
        self.looks += 1
        return self.looks >= 3 and step - self.since >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {"since": self.since, "looks": self.looks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.since, self.looks = state["since"], state["looks"]


class VanishingGradient:
    """The discriminator wins, and next to nothing is left of the generator's gradient.

    It wins where it tells 95 % of the real and of the generated samples. Next to nothing is a slope of the generator's cost
    below a hundredth of that at an undecided discriminator, or a gradient below a thousandth of its own greatest (or 1e-7).
    A discriminator may win and still teach: with the non-saturating cost the slope is then at its greatest.

    Args:
        player: the name of the generator.
        patience: steps that it must last.
    """

    def __init__(self, player: str = "generator", patience: int = 500) -> None:
        self.player = player
        self.lasting = Persistence(patience)
        self.greatest = 0.0

    def observe(
        self, step: int, real: float, fake: float, gradient_ratio: float | None, gradient: float | None
    ) -> tuple[bool, str | None]:
        """Whether there is a sign of it now, and what to say once it has lasted.

        Args:
            step: of the training.
            real: the discriminator's accuracy on real samples.
            fake: on generated ones.
            gradient_ratio: ``AdversarialLoss.gradient_ratio``.
            gradient: norm of the generator's.
        """
        if gradient is not None and isfinite(gradient):
            self.greatest = max(self.greatest, gradient)
        faded = gradient is not None and gradient <= max(FADED * self.greatest, NOTHING)
        silent = gradient_ratio is not None and gradient_ratio < SILENT
        sign = min(real, fake) >= WON and (faded or silent)
        if not self.lasting.observe(step, sign):
            return sign, None
        assert self.lasting.since is not None
        size = "" if gradient is None else f" {gradient:.1e}"
        left = f"the slope of its cost {gradient_ratio:.1e} of that" if silent else f"{self.greatest:.1e} at its greatest"
        left += " at an undecided discriminator" if silent else ""
        return sign, (
            f"the discriminator wins: {self.player} gradient{size}, {left}, with {100 * real:.0f} % of the real and "
            f"{100 * fake:.0f} % of the generated samples told, for {step - self.lasting.since} steps; try another loss "
            "(NonSaturating, LeastSquares), a slower discriminator (its learning rate, fewer steps k), or noise on the data"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"lasting": self.lasting.state_dict(), "greatest": self.greatest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.lasting.load_state_dict(state["lasting"])
        self.greatest = state["greatest"]


class ModeCollapse:
    """Samples of always the same noise are alike, and real images are not.

    A generator that has not begun makes samples that are alike too. So while the discriminator tells them well, this is
    called a collapse only of samples that were different before.

    Args:
        patience: steps that it must last.
    """

    def __init__(self, patience: int = 500) -> None:
        self.lasting = Persistence(patience)
        self.best = 0.0
        self.accuracies: list[float] = []

    def observe(self, step: int, samples: float, real: float, accuracy: float | None) -> tuple[bool, str | None]:
        """Whether there is a sign of it now, and what to say once it has lasted.

        Args:
            step: of the training.
            samples: their ``diversity``.
            real: that of real images.
            accuracy: the discriminator's, mean over real and generated samples.
        """
        if not real > 0:
            return False, None
        self.best = max(self.best, samples / real)
        if accuracy is not None:
            self.accuracies = [*self.accuracies, accuracy][-OF_LATE:]
        # not by the last alone: a collapsed generator hops, and is told well just before it does
        begun = self.best >= DIVERSE or not self.accuracies or median(self.accuracies) < TOLD
        sign = begun and samples < ALIKE * real
        if not self.lasting.observe(step, sign):
            return sign, None
        assert self.lasting.since is not None
        return sign, (
            f"the generator has collapsed: for {step - self.lasting.since} steps its samples of different noise have been "
            f"alike, {samples / real:.2f} of the distance that real images have from each other; try a slower generator "
            "(its learning rate, more steps k of the discriminator), larger batches, or a model that is told the class"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"lasting": self.lasting.state_dict(), "best": self.best, "accuracies": self.accuracies}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.lasting.load_state_dict(state["lasting"])
        self.best, self.accuracies = state["best"], list(state["accuracies"])


class Oscillation:
    """The mean of the samples goes to and fro, by a good part of the data's own spread, and does not come to rest.

    Sought in the last 50 looks, from 25 on: the mean swings by half of the data's spread in both halves of that time,
    crosses its middle four times, and goes smoothly (what jumps about from look to look is noise, or quicker than the
    looks).
    """

    def __init__(self) -> None:
        self.centres: list[list[float]] = []
        self.steps: list[int] = []

    def observe(self, step: int, centre: Sequence[float], spread: float) -> tuple[bool, str | None]:
        """Whether there is a sign of it now, and what to say once there is no doubt.

        Args:
            step: of the training.
            centre: of the samples.
            spread: of real images.
        """
        self.centres = [*self.centres, list(centre)][-WINDOW:]
        self.steps = [*self.steps, step][-WINDOW:]
        if len(self.steps) < FEWEST or not spread > 0:
            return False, None
        far, turns, smooth = swing(self.centres)
        sign = far >= SWAY * spread and turns >= TURNS and smooth >= SMOOTH
        return sign, None if not sign else (
            f"the players go round: in {step - self.steps[0]} steps the mean of the samples has crossed its middle {turns} "
            f"times, by {far / spread:.1f} of the data's own spread, and does not settle; try lower learning rates, less "
            "momentum (beta1 0.5 or 0), alternating turns, or an averaged generator"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"centres": self.centres, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.centres, self.steps = [list(centre) for centre in state["centres"]], list(state["steps"])


class Diagnosis:
    """All three, fed together; each is said once.

    A collapsed generator often runs from mode to mode as well. That is said to be a collapse, and no oscillation.

    Args:
        patience: steps that a vanishing gradient or a collapse must last.
    """

    def __init__(self, patience: int = 500) -> None:
        self.patience = patience
        self.vanishing: dict[str, VanishingGradient] = {}
        self.collapse = ModeCollapse(patience)
        self.oscillation = Oscillation()
        self.said: list[str] = []
        self.signs: list[str] = []

    def observe(self, step: int, seen: Observation) -> list[Failure]:
        """Takes a look, and says what is new.

        Args:
            step: of the training; it rises from call to call.
            seen: at this step.

        Returns:
            The failures that were not said before; ``signs`` names those there is a sign of now.
        """
        found: list[Failure] = []
        self.signs = []

        def take(name: str, key: str, sign: bool, words: str | None) -> None:
            if sign:
                self.signs.append(name)
            if words is not None and key not in self.said:
                self.said.append(key)
                found.append(Failure(name, words))

        for pair, fake in seen.accuracy_fake.items():
            player = f"generator{pair}"
            detector = self.vanishing.setdefault(pair, VanishingGradient(player, self.patience))
            answer = detector.observe(
                step, seen.accuracy_real[pair], fake, seen.gradient_ratio.get(pair), seen.gradient.get(pair)
            )
            take("vanishing gradient", f"vanishing gradient {player}", *answer)
        if seen.diversity is not None and seen.of_real is not None:
            told = [*seen.accuracy_real.values(), *seen.accuracy_fake.values()]
            accuracy = sum(told) / len(told) if told else None
            take("mode collapse", "mode collapse", *self.collapse.observe(step, seen.diversity, seen.of_real, accuracy))
        if seen.centre and seen.spread is not None:
            sign, words = self.oscillation.observe(step, seen.centre, seen.spread)
            alike = seen.diversity is not None and seen.of_real is not None and seen.diversity < ALIKE * seen.of_real
            if not alike:
                take("oscillation", "oscillation", sign, words)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and dictionaries."""
        return {
            "vanishing": {pair: each.state_dict() for pair, each in self.vanishing.items()},
            "collapse": self.collapse.state_dict(),
            "oscillation": self.oscillation.state_dict(),
            "said": list(self.said),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""
        for pair, each in state["vanishing"].items():
            self.vanishing[pair] = VanishingGradient(f"generator{pair}", self.patience)
            self.vanishing[pair].load_state_dict(each)
        self.collapse.load_state_dict(state["collapse"])
        self.oscillation.load_state_dict(state["oscillation"])
        self.said = list(state["said"])
