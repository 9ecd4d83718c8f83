"""``ganzoo classifier``: trains the small classifier that is an extractor of ``ganzoo evaluate --extractor mnist.pt``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ganzoo.cli.options import config_section, make_parser, peek_options, read, read_data, refuse_unwritable
from ganzoo.errors import InputError
from ganzoo.evaluation.batches import EvalSplit
from ganzoo.metrics.extractors.classifier import train_and_save
from ganzoo.utils.ranges import Seed, Size

BATCH = 500  # images read at a time


def run(args: Sequence[str]) -> int:
    """Runs the command: ``run(["--data", "MNIST", "--out", "mnist.pt"])``.

    Returns:
        0.

    Raises:
        InputError: no data, data without labels, or a file that already exists.
    """
    parser = make_parser(
        "classifier",
        "Trains a small classifier of labelled images, on the processor. It is a feature extractor: `ganzoo evaluate ... "
        "--extractor FILE`.",
        args,
    )
    parser.add_argument("--out", type=str, required=True, help="The file to write; it must be new.")
    parser.add_argument("--epochs", type=Size, default=5, help="Epochs of the training.")
    parser.add_argument("--seed", type=Seed, default=0, help="Seed of the training.")
    configs = peek_options(args, "--config", "-c")
    given = read(parser, args, config_section("data", *configs) if configs else None)
    if given.data is None:
        raise InputError("--data says what is classified: --data MNIST --data.root data")
    out = Path(given.out)
    refuse_unwritable(out, "--out")
    if out.exists():
        raise InputError(f"--out {out} already exists: give the name of a new file")
    data = read_data(parser, given)
    classes = getattr(data.module, "classes", 0)
    if not classes:
        raise InputError(f"{data.short} has no classes, and a classifier needs labelled images")
    train, test = (EvalSplit(data.loader(name), name) for name in ("train", "test"))
    seed, epochs = int(given.seed), int(given.epochs)  # plain numbers, which a file of weights can hold
    found = train_and_save(_labelled(train, data.short), _labelled(test, data.short), classes, out, data.short, seed, epochs)
    about: dict[str, Any] = found.about
    print(f"{found.name}: {about['accuracy']:.2%} of {about['test_images']} test images are classified correctly")
    print(f"trained on {about['train_images']}, seed {about['seed']}, epochs {about['epochs']}; written to {out}")
    return 0


def _labelled(split: EvalSplit, name: str) -> Iterator[tuple[Tensor, Tensor]]:
    for part in split.real_batches("x", BATCH):
        if part.labels is None:
            raise InputError(f"the {split.name} images of {name} have no labels, and a classifier needs them")
        yield part.images, part.labels
