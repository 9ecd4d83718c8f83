"""Domain adaptation metrics while training: domain distance, scores without target labels, and a plot."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ganzoo.callbacks.distributed import gather
from ganzoo.callbacks.evaluating import EvaluatingCallback
from ganzoo.callbacks.loggers import log_image, run_folder
from ganzoo.errors import InputError
from ganzoo.interfaces import Adapted
from ganzoo.metrics.domains import gated, information_maximisation, mean_entropy, proxy_a_distance
from ganzoo.utils.ranges import Checked, ClosedUnitInterval, GridSize, PositiveInt, Seed

FEWEST = 12  # images of a domain that a proxy A-distance can be measured on
PANEL = 420  # pixels
COLOURS = ((31, 90, 200), (214, 39, 40))  # the source's points are blue and the target's red, as in the paper


@dataclass
class _Domain:
    """One domain's outputs in a validation: a random subset of its features, and all of its logits."""

    draw: np.random.Generator
    features: Tensor | None = None
    ranks: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))
    logits: list[Tensor] = field(default_factory=list)
    right: int = 0
    labelled: int = 0

    def add(self, record: Adapted, n: int) -> None:
        logits = record.logits.detach().float().cpu()
        self.logits.append(logits)
        # each image draws a number, and the n smallest stay: any n are as likely, in one pass over any order
        ranks = torch.cat([self.ranks, torch.from_numpy(self.draw.random(len(logits)))])
        kept = ranks.argsort()[:n]
        if len(ranks) <= n or (kept >= len(self.ranks)).any():
            new = record.features.detach().flatten(1).float().cpu()
            together = new if self.features is None else torch.cat([self.features, new])
            self.features, self.ranks = together[kept], ranks[kept]

    def count(self, record: Adapted) -> None:
        y = record.y.cpu()
        self.right += int((record.logits.detach().argmax(1).cpu() == y)[y >= 0].sum())
        self.labelled += int((y >= 0).sum())


class DomainAdaptation(Checked, EvaluatingCallback):
    """Computes domain adaptation metrics at each validation, and plots both domains' features before and now.

    It reads the ``Adapted`` records that ``validation_step`` and ``test_step`` return; data loader 0 is the source, 1
    the target. Other records are ignored. The target's labels are never read. It logs, also as a checkpoint's monitor:

    ===========================  ========================================================================================
    val/proxy_a_distance         0 if a linear classifier cannot separate the domains by features, 2 if it always can
    val/target_entropy           mean entropy of the target's predictions, in nats; low is good
    val/target_information       H(mean p) - mean H(p) of them, from 0 to log K; high is good
    val/select_entropy           the entropy if the source is classified well enough, else log K; choose the ``min``
    val/select_information       the information if the source is classified well enough, else 0; choose the ``max``
    ===========================  ========================================================================================

    (``test/...`` too, without the last two.) The image ``images/embedding_step_000400.png`` in the run's folder, and
    ``embedding.png``, always the newest, show both domains' features, source blue and target red, projected to two
    dimensions, each panel by itself: now on the right, the run's first validation on the left. The first is the
    untrained model if Lightning's sanity check runs (``num_sanity_val_steps`` batches of each domain: give it some
    hundred images); otherwise the panel names the step. The left panel is kept on resume.

    The training is not changed: no network is run, and no global random state is used.

    Args:
        n: number of images of each domain, chosen at random over all processes, for the distance and the plot.
        points: number of points of each domain in the plot, at most `n`.
        least_source_accuracy: source accuracy in [0, 1] below which the two ``select`` scores are the worst possible.
        tsne: project with t-SNE as in the paper (some seconds for 500 + 500 points), instead of two principal components.
        seed: seed of the subset, of the halves for the distance, and of t-SNE.
        folder: folder of the PNG files. Default: ``images`` in the run's folder.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(
        self,
        n: PositiveInt = 2000,
        points: GridSize = 500,
        least_source_accuracy: ClosedUnitInterval = 0.9,
        tsne: bool = False,
        seed: Seed = 0,
        folder: str | Path | None = None,
    ) -> None:
        if n < FEWEST:
            raise InputError(f"DomainAdaptation needs n of at least {FEWEST}, not {n}")
        self.n = n
        self.points = points
        self.least_source_accuracy = least_source_accuracy
        self.tsne = tsne
        self.seed = seed
        self.folder = folder
        self._seen: dict[int, _Domain] = {}
        self._before: tuple[int, list[Tensor]] | None = None  # step, and the points of source and target
        self._now: list[Tensor] | None = None  # features of source and target, until they are drawn
        self._home = Path()

    # -- when ---------------------------------------------------------------------------------------------------------

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Determines the folder; every process must ask, because the answer is broadcast."""
        home = run_folder(trainer)
        self._home = Path(self.folder) if self.folder is not None else home / "images"
        if stage == "fit":
            self._before = None  # of an earlier fit; a resumed one finds its own in the checkpoint

    def state_dict(self) -> dict[str, Any]:
        """Returns the left panel, for the checkpoint."""
        return {} if self._before is None else {"step": self._before[0], "points": self._before[1]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads the left panel from the checkpoint."""
        self._before = (state_dict["step"], state_dict["points"]) if state_dict else None

    def begin(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Forgets the last validation or test."""
        self._seen = {}

    def take(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, number: int, loader: int) -> None:
        """Keeps what is needed of one batch."""
        if isinstance(outputs, Adapted):
            # the same draws for both domains, so that the same images are chosen where both are one
            domain = self._seen.setdefault(loader, _Domain(np.random.default_rng(self.seed)))
            domain.add(outputs, math.ceil(self.n / trainer.world_size))
            if loader == 0:
                domain.count(outputs)

    # -- what ---------------------------------------------------------------------------------------------------------

    def finish(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Computes and logs."""
        self._now = None
        if not {0, 1} <= set(self._seen):
            return
        mine = [(d.features, torch.cat(d.logits), d.right, d.labelled) for d in (self._seen[0], self._seen[1])]
        self._seen = {}
        of_source, of_target = _of_all_processes(trainer, mine)
        source, target = (torch.cat(domain[0])[: self.n] for domain in (of_source, of_target))
        logits = torch.cat(of_target[1])
        finite = bool(source.isfinite().all() and target.isfinite().all())
        if finite:
            self._now = [source, target]
        if trainer.sanity_checking:
            return
        entropy, information = mean_entropy(logits), information_maximisation(logits)
        values = {"target_entropy": entropy, "target_information": information}
        if min(len(source), len(target)) >= FEWEST:
            values["proxy_a_distance"] = proxy_a_distance(source, target, self.seed) if finite else math.nan
        if stage == "val":
            right, labelled = sum(of_source[2]), sum(of_source[3])
            accuracy = right / labelled if labelled else math.nan
            gate = {"source_accuracy": accuracy, "least": self.least_source_accuracy}
            values["select_entropy"] = gated(entropy, math.log(logits.shape[1]), **gate)
            values["select_information"] = gated(information, 0.0, **gate)
        # every rank has the same numbers; synced all the same, as Lightning wants of what a checkpoint monitors
        module.log_dict({f"{stage}/{name}": value for name, value in values.items()}, sync_dist=True)

    def close(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Draws; of the sanity check it only keeps the points."""
        if self._now is None or trainer.fast_dev_run:  # type: ignore[attr-defined]  # set behind the checker's back
            return
        features, self._now = self._now, None
        if not trainer.is_global_zero:
            return
        step, fn = trainer.global_step, trainer.state.fn
        fitting = fn is None or fn == "fit"
        now = projected([each[: self.points] for each in features], self.tsne, self.seed)
        first = self._before
        if first is None and fitting:
            self._before = step, now
        if trainer.sanity_checking:
            return
        panels = (
            [] if first is None else [(f"{'before' if first[0] == 0 else 'first validation'} (step {first[0]})", first[1])]
        )
        panels.append((f"after step {step}" if fitting else "this checkpoint", now))
        drawn = side_by_side(panels)
        self._home.mkdir(parents=True, exist_ok=True)
        name = f"step_{step:06d}" if fn is None or fitting else fn.value
        drawn.save(self._home / f"embedding_{name}.png")
        drawn.save(self._home / "embedding.png")
        for logger in trainer.loggers:
            log_image(logger, "embedding", drawn, step)


def _of_all_processes(trainer: L.Trainer, mine: list[tuple[Any, ...]]) -> list[tuple[tuple[Any, ...], ...]]:
    """Gathers each domain's values from all ranks: [(f, l), (f', l')] -> [((f, ...), (l, ...)), (..., ...)]."""
    return [tuple(zip(*domain, strict=True)) for domain in zip(*gather(trainer, mine), strict=True)]


def projected(domains: list[Tensor], tsne: bool, seed: int) -> list[Tensor]:
    """Projects the features of both domains to two dimensions.

    Args:
        domains: features of each domain, [N, F].
        tsne: whether to use t-SNE of the first 50 principal components, started at the first two; else the first two.
        seed: seed of t-SNE.

    Returns:
        Points of each domain, [N, 2].
    """
    x = torch.cat(domains).double()
    u, s, _ = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    components = u * s
    # a singular vector's sign is the library's choice
    components = components * components.gather(0, components.abs().argmax(0, keepdim=True)).sign()
    if components.shape[1] < 2:
        components = torch.nn.functional.pad(components, (0, 2 - components.shape[1]))
    plane = components[:, :2]
    if tsne and len(x) > 3:
        # slow to import, and only this image needs it
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(x) - 1) / 3)
        found = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(components[:, :50].numpy())
        plane = torch.from_numpy(found)
    return list(plane.float().split([len(each) for each in domains]))


def side_by_side(panels: list[tuple[str, list[Tensor]]]) -> Image.Image:
    """Draws scatter plots side by side: each has a title, the points [N, 2] of source and target, and its own scale."""
    page = Image.new("RGB", (PANEL * len(panels), PANEL + 44), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for number, (title, (source, target)) in enumerate(panels):
        left = number * PANEL
        page.paste(_scatter(source, target), (left, 24))
        draw.text((left + PANEL / 2, 4), title, "black", font, anchor="ma")
    for x, name, colour in ((10, "source", COLOURS[0]), (80, "target", COLOURS[1])):
        draw.ellipse((x, PANEL + 30, x + 8, PANEL + 38), colour)
        draw.text((x + 14, PANEL + 24), name, "black", font)
    return page


def _scatter(source: Tensor, target: Tensor) -> Image.Image:
    # drawn twice as large and halved, which smooths the dots
    size, margin, radius = 2 * PANEL, 24, 5
    plot = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(plot)
    draw.rectangle((8, 8, size - 8, size - 8), outline=(190, 190, 190), width=2)
    points = torch.cat([source, target])
    low, high = points.amin(0), points.amax(0)
    scale = (size - 2 * margin) / float((high - low).amax().clamp_min(1e-12))
    placed = ((points - (low + high) / 2) * scale + size / 2).tolist()
    marked = [(point, COLOURS[i >= len(source)]) for i, point in enumerate(placed)]
    # in a mixed order, or the later domain would hide the earlier
    for i in np.random.default_rng(0).permutation(len(marked)):
        (x, y), colour = marked[i]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
    return plot.reduce(2)
