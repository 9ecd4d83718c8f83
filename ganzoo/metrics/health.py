"""Detects three GAN failures from numbers of the training: vanishing gradients, oscillation, mode collapse.

**Vanishing gradient**: the discriminator wins, and leaves the generator nothing to learn from (Goodfellow et al. 2014,
section 3; Arjovsky and Bottou 2017, section 2). **Oscillation**: the players go round each other and do not settle, as
gradient steps do in ``min_x max_y xy`` (Goodfellow 2016, "NIPS 2016 Tutorial", section 7.2). **Mode collapse**: whatever the
noise, the samples are alike (there, section 5.1.1; Salimans et al. 2016, section 3.2).

Each failure has a class with ``observe``, which takes the numbers of one step and returns a message once the failure has
lasted. Their state is plain numbers and lists, which a checkpoint can hold.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from math import isfinite, prod
from statistics import median
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

WON = 0.95  # accuracy on real and on generated samples, each, at which the discriminator wins
SILENT = 0.01  # gradient_ratio below which the generator learns almost nothing
FADED = 1e-3  # the same for a generator's gradient relative to its largest so far
NOTHING = 1e-7  # the same for a generator's gradient, absolute
ALIKE = 0.2  # diversity relative to the data's, below which samples are alike
DIVERSE = 0.5  # diversity from which samples count as different
TOLD = 0.9  # mean accuracy from which the discriminator detects the samples well
OF_LATE = 5  # last measurements whose median accuracy is compared with it
SWAY = 0.5  # swing of the samples' mean relative to the data's spread, above which it has not settled
WINDOW, FEWEST = 50, 25  # most and fewest measurements in which an oscillation is searched
TURNS = 4  # crossings of the middle: two periods
SMOOTH = 0.5  # correlation between two measurements; less is noise, or too fast to follow
PLACES = 4  # the samples' mean has a grid of 4 x 4 cells


class Observation(NamedTuple):
    """The numbers of one measurement of a training; None or empty where they do not apply.

    Attributes:
        accuracy_real: for each discriminator the share of real samples that it calls real. The key is the player's name
            without "discriminator" ("" if there is one player, "_0", "_1" for the levels of a pyramid).
        accuracy_fake: the same for generated samples that it calls generated.
        gradient_ratio: how much of the generator's gradient each discriminator leaves (``AdversarialLoss.gradient_ratio``).
        gradient: the norm of each generator's gradient; the key is the player's name without "generator".
        diversity: ``diversity`` of samples from noise that is always the same.
        of_real: ``diversity`` of real images.
        centre: the mean of the samples (``centre_and_spread``).
        spread: the spread of real images (``centre_and_spread``).
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
    """A failure: its name (``vanishing gradient``, ``oscillation``, ``mode collapse``) and a message with what to try."""

    name: str
    words: str


# -- numbers ----------------------------------------------------------------------------------------------------------


def diversity(images: Tensor, labels: Tensor | None = None) -> Tensor:
    """Computes how different images are: the mean over all pairs of the root mean square difference of their values.

    Relative to real images it is 0 for a generator with one image, and 1 for samples like the data. It detects samples that
    are alike. It does not detect missing modes, and it takes noise for diversity.

    Args:
        images: float images [N, ...].
        labels: int64 classes [N]. If given, only pairs of one class count, so that one image per class has no diversity.

    Returns:
        A scalar in the units of the images; NaN without a pair.
    """
    flat = images.detach().float().flatten(1)
    distances = torch.cdist(flat, flat) / prod(flat.shape[1:]) ** 0.5
    paired = torch.ones_like(distances, dtype=torch.bool).triu(1)
    if labels is not None:
        paired &= labels[:, None] == labels
    return (distances * paired).sum() / paired.sum()


def centre_and_spread(images: Tensor) -> tuple[Tensor, Tensor]:
    """Computes the mean and the spread of images, averaged to at most 4 x 4 cells first.

    Args:
        images: images [N, C, H, W]; another shape [N, ...] is not averaged.

    Returns:
        The mean [d] and the root mean square distance from it, a scalar.
    """
    images = images.detach().float()
    if images.ndim == 4:
        height, width = images.shape[2:]
        images = adaptive_avg_pool2d(images, (min(height, PLACES), min(width, PLACES)))
    flat = images.flatten(1)
    centre = flat.mean(0)
    return centre, (flat - centre).square().sum(1).mean().sqrt()


def overfitting(accuracies: Sequence[float]) -> float:
    """Computes r_t, the overfitting heuristic ``E sign(D(x))`` of adaptive augmentation (Karras et al. 2020, eq. 1).

    ADA raises its augmentation where the mean of r_t over four batches is above 0.6.

    Args:
        accuracies: the share of real samples that each discriminator calls real; a logit at the threshold counts half.

    Returns:
        In [-1, 1], with the sign taken at the loss's threshold: 0 for an undecided discriminator, 1 where it is sure of
        every real sample, -1 where it takes all of them for generated.
    """
    return 2 * sum(accuracies) / len(accuracies) - 1


def swing(centres: Sequence[Sequence[float]]) -> tuple[float, int, float]:
    """Measures how a point oscillates along the direction of its largest movement.

    Args:
        centres: its positions in order of time, [T][d].

    Returns:
        The amplitude (root mean square about the mean, of the half of the time with the smaller one), the number of
        crossings of the middle (each by at least half of the root mean square on both sides), and the correlation of each
        position with the next.
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


class Stateful:
    """A detector whose state a checkpoint holds as plain values: the attributes that ``state`` names."""

    state: ClassVar[tuple[str, ...]]

    def state_dict(self) -> dict[str, Any]:
        """Returns the state; it does not change with the detector."""
        parts = {name: getattr(self, name) for name in self.state}
        return {name: part.state_dict() if isinstance(part, Stateful) else deepcopy(part) for name, part in parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state."""
        for name in self.state:
            part = getattr(self, name)
            if isinstance(part, Stateful):
                part.load_state_dict(state[name])
            else:
                setattr(self, name, deepcopy(state[name]))


class Persistence(Stateful):
    """Counts how long a sign has lasted without a break.

    Args:
        patience: steps that it must last; at least three measurements are needed too.
    """

    state = ("since", "looks")

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.since: int | None = None
        self.looks = 0

    def observe(self, step: int, so: bool) -> bool:
        """Returns whether the sign has lasted long enough."""
        if not so:
            self.since, self.looks = None, 0
            return False
        self.since = step if self.since is None else self.since
        self.looks += 1
        return self.looks >= 3 and step - self.since >= self.patience


class VanishingGradient(Stateful):
    """Detects a vanishing gradient: the discriminator wins, and the generator has almost no gradient.

    The discriminator wins if it detects 95 % of the real and of the generated samples. Almost no gradient means a
    ``gradient_ratio`` below 0.01, or a norm below a thousandth of its largest so far (or 1e-7). A winning discriminator
    alone is no
    failure: with the non-saturating cost the gradient ratio is then at its largest.

    Args:
        player: the name of the generator.
        patience: steps that it must last.
    """

    state = ("lasting", "greatest")

    def __init__(self, player: str = "generator", patience: int = 500) -> None:
        self.player = player
        self.lasting = Persistence(patience)
        self.greatest = 0.0

    def observe(
        self, step: int, real: float, fake: float, gradient_ratio: float | None, gradient: float | None
    ) -> tuple[bool, str | None]:
        """Returns whether there is a sign now, and a message once it has lasted.

        Args:
            step: the step of the training.
            real: the discriminator's accuracy on real samples.
            fake: the discriminator's accuracy on generated samples.
            gradient_ratio: ``AdversarialLoss.gradient_ratio``.
            gradient: the norm of the generator's gradient.
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


class ModeCollapse(Stateful):
    """Detects mode collapse: samples of different noise are alike, and real images are not.

    The samples of an untrained generator are alike too. So while the discriminator detects them well, only samples that were
    different before count as collapsed.

    Args:
        patience: steps that it must last.
    """

    state = ("lasting", "best", "accuracies")

    def __init__(self, patience: int = 500) -> None:
        self.lasting = Persistence(patience)
        self.best = 0.0
        self.accuracies: list[float] = []

    def observe(self, step: int, samples: float, real: float, accuracy: float | None) -> tuple[bool, str | None]:
        """Returns whether there is a sign now, and a message once it has lasted.

        Args:
            step: the step of the training.
            samples: ``diversity`` of the samples.
            real: ``diversity`` of real images.
            accuracy: the discriminator's mean accuracy on real and generated samples.
        """
        if not real > 0:
            return False, None
        self.best = max(self.best, samples / real)
        if accuracy is not None:
            self.accuracies = [*self.accuracies, accuracy][-OF_LATE:]
        # the median and not the last one: a collapsed generator jumps, and is detected well just before
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


class Oscillation(Stateful):
    """Detects oscillation: the mean of the samples moves back and forth and does not settle.

    In the last 50 measurements, from the 25th on, the mean swings by half of the data's spread in both halves of the window,
    crosses its middle four times, and moves smoothly. Jumps from one measurement to the next are noise, or too fast to
    follow.
    """

    state = ("centres", "steps")

    def __init__(self) -> None:
        self.centres: list[list[float]] = []
        self.steps: list[int] = []

    def observe(self, step: int, centre: Sequence[float], spread: float) -> tuple[bool, str | None]:
        """Returns whether there is a sign now, and a message if so.

        Args:
            step: the step of the training.
            centre: the mean of the samples.
            spread: the spread of real images.
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


class Diagnosis:
    """Detects all three failures and reports each once.

    A collapsed generator often moves from mode to mode. That is reported as a collapse, not as an oscillation.

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
        """Takes the numbers of one step.

        Args:
            step: the step of the training; it rises from call to call.
            seen: the numbers at this step.

        Returns:
            The failures that are new. ``signs`` has the names of those with a sign now.
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
        """Returns plain numbers, lists and dictionaries."""
        return {
            "vanishing": {pair: each.state_dict() for pair, each in self.vanishing.items()},
            "collapse": self.collapse.state_dict(),
            "oscillation": self.oscillation.state_dict(),
            "said": list(self.said),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state."""
        for pair, each in state["vanishing"].items():
            self.vanishing[pair] = VanishingGradient(f"generator{pair}", self.patience)
            self.vanishing[pair].load_state_dict(each)
        self.collapse.load_state_dict(state["collapse"])
        self.oscillation.load_state_dict(state["oscillation"])
        self.said = list(state["said"])
