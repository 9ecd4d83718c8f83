"""Evaluates a convolutional network on a large image in tiles, without a seam and in a fixed amount of memory.

Each tile is computed from the region of the image that it depends on, so it is equal to that part of the whole, to rounding.
A norm by the statistics of the image gets those of the whole image: passes over all tiles collect them, one norm after the
other, in the order of the network. Maps that later passes need are kept in memory, or else on the disk, or else are computed
again, whichever takes the fewest multiplications.
"""

import mmap
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import ceil, prod
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.ops.region_norms import Noise, WholeNorm
from ganzoo.ops.regions import Box, Pixelwise, Size, Source, Step

SMALLEST = 8  # pixels of a tile's side, in any map
DISK_COST = 100  # multiplications that take as long as writing a byte and reading it back
DISK_SHARE = 0.5  # of what is free on the disk


class Piece(NamedTuple):
    """A step's part in computing a tile: the region of its output, and that of its inputs; None where it is only read."""

    step: Step
    box: Box
    needs: Box | None


class Pass(NamedTuple):
    """A pass over all tiles of one step's output.

    Attributes:
        target: the step.
        norms: whose statistics it collects.
        keeps: the target's map is kept for later passes.
        tile: height and width of the tiles.
    """

    target: Step
    norms: Sequence[WholeNorm]
    keeps: bool
    tile: Size


class Plan(NamedTuple):
    """The passes of an evaluation, and what they cost.

    Attributes:
        passes: in order; the last one writes the output.
        tiles: of all passes.
        work: multiplications, as a multiple of those of the whole image at once.
        kept: bytes of the maps that are kept at the same time.
    """

    passes: Sequence[Pass]
    tiles: int
    work: float
    kept: int


class Tiling:
    """The evaluation of a network on an image of one size.

    Args:
        steps: from :func:`ganzoo.ops.recording.record`.
        size: height and width of the image.
        tile: the memory is about twice what the network needs for an image of this height and width.
        scratch: folder on whose disk maps may be kept; None for none.
        multiple: the network takes heights and widths that are multiples of this number.
    """

    def __init__(self, steps: Sequence[Step], size: Size, tile: int, scratch: Path | None = None, multiple: int = 1) -> None:
        self.steps, self.size, self.scratch = steps, size, scratch
        self.sizes = _sizes(steps, size)
        tile = -(-tile // multiple) * multiple
        side = min(tile, size[0]), min(tile, size[1])
        self.memory = _peak(steps, _route(steps, _sizes(steps, side), steps[-1], Box.whole(side), ()))
        self.plan = self._cheapest()

    def _cheapest(self) -> Plan:
        disk = 0 if self.scratch is None else int(shutil.disk_usage(self.scratch).free * DISK_SHARE)
        kept = {self._bytes(step) for step in self._candidates()}
        plans = [self._plan(limit) for limit in sorted({0, *kept})]
        possible = [plan for plan in plans if plan.kept <= self.memory + disk]
        return min(possible, key=self._cost)

    def _cost(self, plan: Plan) -> float:
        written = sum(self._bytes(each.target) for each in plan.passes if each.keeps) if plan.kept > self.memory else 0
        whole = _work(_route(self.steps, self.sizes, self.steps[-1], Box.whole(self.size), ()))
        return plan.work * whole + DISK_COST * written

    def _bytes(self, step: Step) -> int:
        return step.pixel_bytes * prod(self.sizes[step])

    def _candidates(self) -> list[Step]:
        """The steps whose maps could be kept: the inputs of norms, and those from which several others go on."""
        users = dict.fromkeys(self.steps, 0)
        for step in self.steps:
            for given in step.inputs:
                users[given] += 1
        found = {step.inputs[0] for step in self.steps if isinstance(step, WholeNorm)}
        for step in self.steps:
            if users[step] > 1:
                # what only changes a kept map pixel by pixel is as good as kept
                while isinstance(step, Pixelwise | WholeNorm | Noise) and len(step.inputs) == 1 and step not in found:
                    (step,) = step.inputs
                found.add(step)
        return [step for step in self.steps if step in found and not isinstance(step, Source)]

    def _plan(self, limit: int) -> Plan:
        """The plan that keeps every map of at most so many bytes."""
        passes, kept, most, work, tiles = list[Pass](), set[Step](), 0, 0.0, 0
        candidates = self._candidates()
        for number, target in enumerate([*candidates, self.steps[-1]]):
            last = number == len(candidates)
            norms = [step for step in self.steps if isinstance(step, WholeNorm) and step.inputs[0] is target]
            keeps = not last and self._bytes(target) <= limit
            if not (norms or keeps or last):
                continue
            tile = self._tile(target, kept)
            count = ceil(self.sizes[target][0] / tile[0]) * ceil(self.sizes[target][1] / tile[1])
            work += count * _work(self._route(target, _middle(self.sizes[target], tile), kept))
            tiles += count
            passes.append(Pass(target, norms, keeps, tile))
            if keeps:
                kept.add(target)
                most = max(most, sum(map(self._bytes, kept)))
                kept &= self._needed(candidates[number + 1 :], kept)
        whole = _work(_route(self.steps, self.sizes, self.steps[-1], Box.whole(self.size), ()))
        return Plan(passes, tiles, work / whole, most)

    def _needed(self, later: Sequence[Step], kept: Collection[Step]) -> set[Step]:
        """The kept maps that later passes read."""
        found, seen, waiting = set[Step](), set[Step](), [*later, self.steps[-1]]
        while waiting:
            step = waiting.pop()
            if step in kept:
                found.add(step)
            elif step not in seen:
                seen.add(step)
                waiting += step.inputs
        return found

    def _route(self, target: Step, box: Box, kept: Collection[Step]) -> list[Piece]:
        return _route(self.steps, self.sizes, target, box, kept)

    def _tile(self, target: Step, kept: Collection[Step]) -> Size:
        """The largest tiles of a step's output that fit the memory, about square."""
        height, width = self.sizes[target]
        whole = height, width
        while max(height, width) > SMALLEST:
            if _peak(self.steps, self._route(target, _middle(whole, (height, width)), kept)) <= self.memory:
                break
            height, width = (ceil(height / 2), width) if height >= width else (height, ceil(width / 2))
        return ceil(whole[0] / ceil(whole[0] / height)), ceil(whole[1] / ceil(whole[1] / width))

    @torch.no_grad()
    def run(
        self,
        read: Callable[[Box], Tensor],
        write: Callable[[Box, Tensor], None],
        wanted: Box,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """Evaluates the network. Dropout that is on draws from torch's own generator, as on the whole image.

        Args:
            read: gives a region of the image, [1, C, h, w].
            write: gets a region of the output, [1, C', h, w]; each pixel once.
            wanted: the region of the output that is written.
            done: is called after each tile.
        """
        example = read(Box(0, 1, 0, 1))
        kept: dict[Step, _Map] = {}
        with ExitStack() as stack:
            for step in self.steps:
                if isinstance(step, Noise):
                    step.draw(self.sizes[step], example.device)
                    stack.callback(vars(step).pop, "mask")
            for number, (target, norms, keeps, tile) in enumerate(self.plan.passes):
                last = number == len(self.plan.passes) - 1
                for norm in norms:
                    norm.begin()
                new = self._new_map(target, kept, example.device) if keeps else None
                for box in _tiles(wanted if last else Box.whole(self.sizes[target]), tile):
                    made = self._compute(self._route(target, box, kept), read, kept)
                    for norm in norms:
                        norm.add(made)
                    if new is not None:
                        new.write(box, made)
                    if last:
                        write(box, made)
                    done()
                for norm in norms:
                    norm.finish(example)
                if new is not None:
                    kept[target] = new
                    stays = self._needed([each.target for each in self.plan.passes[number + 1 :]], kept)
                    kept = {step: held for step, held in kept.items() if step in stays}

    def _compute(self, route: Sequence[Piece], read: Callable[[Box], Tensor], kept: Mapping[Step, "_Map"]) -> Tensor:
        boxes = {piece.step: piece.box for piece in route}
        frees = _frees(route)
        pieces: dict[Step, Tensor] = {}
        for number, (step, box, needs) in enumerate(route):
            if needs is None:
                pieces[step] = kept[step].read(box) if step in kept else read(box)
            else:
                given = [needs.of(pieces[each], boxes[each]) for each in step.inputs]
                pieces[step] = step.compute(box, given, self.sizes[step.inputs[0]])
            for each in frees[number]:
                del pieces[each]
        return pieces[route[-1].step]

    def _new_map(self, step: Step, kept: Mapping[Step, "_Map"], device: torch.device) -> "_Map":
        shape = (1, step.channels, *self.sizes[step])
        held = sum(self._bytes(each) for each, its in kept.items() if its.file is None)
        if self.scratch is None or held + self._bytes(step) <= self.memory:
            return _Map(torch.empty(shape, dtype=step.dtype, device=device), device)
        return _Map.on_disk(shape, step.dtype, self.scratch, device)


class _Map:
    """A map that is kept for later passes, in memory or in a file that is gone when the map is."""

    def __init__(self, values: Tensor, device: torch.device, file: mmap.mmap | None = None) -> None:
        self.values, self.device, self.file = values, device, file

    @classmethod
    def on_disk(cls, shape: Sequence[int], dtype: torch.dtype, folder: Path, device: torch.device) -> "_Map":
        with tempfile.TemporaryFile(dir=folder) as opened:
            opened.truncate(prod(shape) * dtype.itemsize)
            file = mmap.mmap(opened.fileno(), 0)
        return cls(torch.frombuffer(file, dtype=dtype).view(*shape), device, file)

    def read(self, box: Box) -> Tensor:
        place = Box.whole((self.values.shape[2], self.values.shape[3]))
        piece = box.of(self.values, place)
        piece = piece.clone() if self.file is not None and self.device.type == "cpu" else piece.to(self.device)
        self._release()
        return piece

    def write(self, box: Box, piece: Tensor) -> None:
        place = Box.whole((self.values.shape[2], self.values.shape[3]))
        box.of(self.values, place).copy_(piece)
        self._release()

    def _release(self) -> None:
        """Gives the file's pages back, which count as this process's memory otherwise."""
        if self.file is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.file.madvise(mmap.MADV_DONTNEED)


def _sizes(steps: Sequence[Step], size: Size) -> dict[Step, Size]:
    sizes: dict[Step, Size] = {}
    for step in steps:
        sizes[step] = step.size(sizes[step.inputs[0]]) if step.inputs else size
    return sizes


def _route(steps: Sequence[Step], sizes: Mapping[Step, Size], target: Step, box: Box, kept: Collection[Step]) -> list[Piece]:
    """What is computed, in order, for a region of a step's output."""
    boxes, route = {target: box}, list[Piece]()
    for step in reversed(steps[: steps.index(target) + 1]):
        if step not in boxes:
            continue
        if not step.inputs or step in kept:
            route.append(Piece(step, boxes[step], None))
            continue
        needs = step.needs(boxes[step], sizes[step.inputs[0]])
        route.append(Piece(step, boxes[step], needs))
        for each in step.inputs:
            boxes[each] = boxes[each].union(needs) if each in boxes else needs
    return route[::-1]


def _frees(route: Sequence[Piece]) -> list[list[Step]]:
    """For each part of a route the steps whose pieces nothing needs after it."""
    last: dict[Step, int] = {}
    for number, piece in enumerate(route):
        last.update(dict.fromkeys(piece.step.inputs if piece.needs is not None else (), number))
    frees: list[list[Step]] = [[] for _ in route]
    for step, number in last.items():
        frees[number].append(step)
    return frees


def _peak(steps: Sequence[Step], route: Sequence[Piece]) -> int:
    """The most bytes that the pieces of a route take at the same time."""
    boxes = {piece.step: piece.box for piece in route}
    live = most = 0
    for piece, freed in zip(route, _frees(route), strict=True):
        live += piece.step.pixel_bytes * piece.box.pixels
        most = max(most, live)
        live -= sum(each.pixel_bytes * boxes[each].pixels for each in freed)
    return most


def _work(route: Sequence[Piece]) -> float:
    return sum(piece.step.multiplications(piece.box) for piece in route if piece.needs is not None)


def _middle(size: Size, tile: Size) -> Box:
    top, left = (size[0] - tile[0]) // 2, (size[1] - tile[1]) // 2
    return Box(top, top + tile[0], left, left + tile[1])


def _tiles(box: Box, tile: Size) -> Iterator[Box]:
    for top in range(box.top, box.bottom, tile[0]):
        for left in range(box.left, box.right, tile[1]):
            yield Box(top, min(top + tile[0], box.bottom), left, min(left + tile[1], box.right))
