"""Computes what the demo page shows: samples, walks, translations, probabilities, the discriminator's output.

Every function takes a loaded model and plain values, and returns an :class:`Answer`. None of them reads or writes a file
of the user's: an upload is bytes.
"""

import tempfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as L
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ganzoo.errors import InputError, one_line, printable
from ganzoo.hub.loading import load_trained
from ganzoo.hub.sources import find_model
from ganzoo.inference.classify import TrainingImages, class_names, classify_files, training_images
from ganzoo.inference.discriminator import discriminator_output, overlay, undecided_output
from ganzoo.inference.generation import generate, noise_of, requests
from ganzoo.inference.translate import Translation
from ganzoo.interfaces import CascadeSampler, Classifier, CycleTranslator, NoiseSampler, Sampler, Translator, eval_mode
from ganzoo.utils.image_grid import as_image, grid
from ganzoo.utils.images import to_float, to_uint8
from ganzoo.utils.log import log_info

MOST_BYTES = 20 * 2**20
MOST_PIXELS = 2**24  # of an upload; a small file can hold a very large image
SHEET = 16
# Pillow's other decoders are rarely used, and that of EPS starts a program
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MOST_CLASSES = 5  # that a classification shows


class Model(NamedTuple):
    """A model that the page offers.

    Attributes:
        module: the model, in evaluation mode.
        data: the images of its training, as far as they are known.
    """

    module: L.LightningModule
    data: TrainingImages = TrainingImages()


class Answer(NamedTuple):
    """What the page shows.

    Attributes:
        images: titles and uint8 images [C, H, W].
        line: one line about them.
        bars: names and shares in [0, 1].
    """

    images: Sequence[tuple[str, Tensor]] = ()
    line: str = ""
    bars: Sequence[tuple[str, float]] = ()

    def as_json(self) -> dict[str, Any]:
        """The answer as plain values; images are PNG in data URLs."""
        images = [{"title": title, "src": _data_url(image)} for title, image in self.images]
        return {"images": images, "line": self.line, "bars": [list(bar) for bar in self.bars]}


class Upload(BytesIO):
    """The bytes of an uploaded file, which error messages call by its name.

    Args:
        content: the bytes.
        name: the file's name, without a folder.

    Raises:
        InputError: it is no image of a usual kind, or a very large one. No pixel has been decoded then.
    """

    def __init__(self, content: bytes, name: str = "") -> None:
        super().__init__(content)
        self.file_name = name.replace("\\", "/").rpartition("/")[2] or "image"
        if len(content) > MOST_BYTES:
            raise InputError(f"{self} has more than {MOST_BYTES >> 20} MB: give a smaller file")
        Image.init()
        formats = [name for name in FORMATS if name in Image.OPEN]  # AVIF is not in every build of Pillow
        try:
            with Image.open(self, formats=formats) as image:
                width, height = image.size
        except UnidentifiedImageError as error:
            raise InputError(f"{self} is no image that this page reads: give {', '.join(formats)}") from error
        except Exception as error:  # Pillow's decoders raise errors of nearly any type on a damaged file
            raise InputError(f"cannot read the image {self}: {one_line(error)[:200]}") from error
        if width * height > MOST_PIXELS:
            raise InputError(
                f"{self} has {width} x {height} pixels, and this page takes {MOST_PIXELS:,}: give a smaller image"
            )
        self.seek(0)

    def __str__(self) -> str:
        return printable(self.file_name)[:80]


def load_models(sources: Sequence[str], device: torch.device, raw: bool = False) -> dict[str, Model]:
    """Loads the models of the page, by the names that the user gave them.

    Args:
        sources: as for ``ganzoo.load``.
        device: where they work.
        raw: use the weights of the last step, also where there are averaged ones.

    Raises:
        InputError: there is no such model, or it does nothing that the page shows.
    """
    models = {}
    for source in sources:
        path, why = find_model(source)
        if why:
            log_info(why)
        trained = load_trained(path, raw=raw)
        if not isinstance(trained.module, Sampler | Translator | Classifier):
            raise InputError(f"{source}: {type(trained.module).__name__} generates, translates and classifies nothing")
        models[source] = Model(trained.module.to(device), training_images(trained.data))
    return models


def describe(model: Model) -> dict[str, Any]:
    """What the page offers for a model, as plain values."""
    module: Any = model.module
    count = module.classes if isinstance(module, Sampler | Classifier) else None
    names = class_names(model.data, count) or [str(n) for n in range(count or 0)]
    return {
        "class": type(module).__name__,
        "sampler": isinstance(module, Sampler),
        "walk": isinstance(module, NoiseSampler),
        "classes": names,
        "translator": isinstance(module, Translator),
        "classifier": isinstance(module, Classifier),
        "directions": directions(module) if isinstance(module, Translator) else [],
    }


def directions(module: Any) -> list[str]:
    """The directions in which a translator can be asked: its own first."""
    own = getattr(module, "direction", None) or "AtoB"
    both = isinstance(module, CycleTranslator)
    return [own, "BtoA" if own == "AtoB" else "AtoB"] if both else [own]


def walk(
    model: Model, seed_a: int, seed_b: int, share: float, label: int | None = None, interpolation: str = "slerp"
) -> Answer:
    """Generates the images of two seeds, and the image at a share of the way between.

    Args:
        model: a ``NoiseSampler``; a cascade also shows its levels.
        seed_a: the first seed. The image at share 0 is that of ``ganzoo generate`` for this seed and class, to the bit.
        seed_b: the second seed, likewise at share 1.
        share: of the way, in [0, 1].
        label: the class; None for a model without classes.
        interpolation: "slerp" along great circles, "lerp" along straight lines.

    Raises:
        InputError: a seed, a class or a share that there is not.
    """
    module: Any = model.module
    if not isinstance(module, NoiseSampler):
        raise InputError(f"{type(module).__name__} has noise that cannot be chosen, so there is no way between two seeds")
    if not 0 <= share <= 1:
        raise InputError(f"the share of the way is from 0 to 1, not {share}")
    if interpolation not in ("slerp", "lerp"):
        raise InputError("the way is slerp or lerp")
    wanted = requests(model.module, [seed_a, seed_b], label)
    a, b = (noise_of(module, each.seed) for each in wanted)
    t = torch.tensor([share], dtype=torch.float64)
    between = {
        name: noise.interpolate(a[name], b[name], t, interpolation == "slerp")
        for name, noise in module.distributions().items()
    }
    y = None if label is None and module.classes is None else torch.tensor([wanted[0].label])
    with eval_mode(model.module):
        ends = [to_uint8(module.decode(noise, y)).cpu()[0] for noise in (a, b)]
        levels = module.decode_levels(between, y) if isinstance(module, CascadeSampler) else [module.decode(between, y)]
    pixels = [to_uint8(level).cpu()[0] for level in levels]
    images = [(f"seed {seed_a}", ends[0]), ("between", pixels[-1]), (f"seed {seed_b}", ends[1])]
    if len(pixels) > 1:
        images += [(f"level {k}: {level.shape[-1]} pixels", level) for k, level in enumerate(pixels)]
    return Answer(images, _opinion_of(module, pixels[-1], y))


def sheet(model: Model, seed: int, label: int | None = None) -> Answer:
    """Generates the images of 16 seeds, as one image.

    Args:
        model: a ``Sampler``.
        seed: the first seed.
        label: the class of all; None for each class in turn.

    Raises:
        InputError: a seed or a class that there is not.
    """
    images = generate(model.module, range(seed, seed + SHEET), label)
    return Answer([(f"seeds {seed} to {seed + SHEET - 1}", grid(to_float(images), 4))])


def translate(model: Model, upload: Upload, direction: str | None = None, size: int | None = None) -> Answer:
    """Translates an image as ``ganzoo translate`` does; of a ``CycleTranslator`` also back again.

    Args:
        model: a ``Translator``.
        upload: the image. The noise is that of its file name.
        direction: "AtoB" or "BtoA"; None for that of the training.
        size: pixels of the shorter side to which it is resized first; None for its own size.

    Raises:
        InputError: it cannot be read, or the model does not go that way.
    """
    module: Any = model.module
    there = Translation(module, direction, size)
    pixels = there.read(upload)
    made = there.run(pixels, upload.file_name)
    images = [("input", pixels), ("translation", made)]
    if isinstance(module, CycleTranslator):
        ways = directions(module)
        back = ways[1] if direction in (None, ways[0]) else ways[0]
        images.append(("there and back", Translation(model.module, back).run(made, upload.file_name)))
    line = ""
    try:
        found = discriminator_output(module, to_float(made)[None], to_float(pixels)[None], direction)[0].cpu()
    except (InputError, RuntimeError) as error:  # torch's, where the image is smaller than a patch
        line = f"the discriminator says nothing of this image: {one_line(error)[:160]}"
    else:
        seen = overlay(made, found, undecided_output(module, found))
        images.append(("what D says: red for generated, green for real", seen))
        line = f"D of the translation: {_range(found)}; {_meaning(module)}"
    return Answer(images, line)


def classify(model: Model, upload: Upload) -> Answer:
    """Classifies an image as ``ganzoo classify`` does: the most probable classes.

    Raises:
        InputError: it cannot be read, or the model classifies no images of files.
    """
    module: Any = model.module
    names = class_names(model.data, module.classes) or [f"class {n}" for n in range(module.classes)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(upload.getvalue())
        ((_, label),) = classify_files(module, [path], top_k=MOST_CLASSES, data=model.data)
    if label.error:
        raise InputError(label.error.replace(str(path), str(upload)))
    found = list(zip([names[n] for n in label.classes], label.probabilities, strict=True))
    return Answer(line=f"{found[0][0]}, with probability {found[0][1]:.2f}", bars=found)


def _opinion_of(module: Any, pixels: Tensor, y: Tensor | None) -> str:
    try:
        found = discriminator_output(module, to_float(pixels)[None], y)
    except InputError as error:
        return one_line(error)
    return f"D of the image between: {_range(found)}; {_meaning(module)}"


def _range(output: Tensor) -> str:
    low, high = float(output.min()), float(output.max())
    return f"{low:.2f}" if output.numel() == 1 else f"{low:.2f} to {high:.2f}, {float(output.mean()):.2f} in the mean"


def _meaning(module: Any) -> str:
    threshold = module.loss.threshold
    if threshold is None:
        return "higher is more real"
    neutral = float(module.loss.activation(torch.tensor(float(threshold))))
    return f"above {neutral:.3g} it takes an image for real"


def _data_url(image: Tensor) -> str:
    file = BytesIO()
    as_image(image).save(file, "PNG")
    return "data:image/png;base64," + b64encode(file.getvalue()).decode()


def whole_number(values: Mapping[str, str], name: str) -> int:
    """A whole number that the page sent.

    Raises:
        InputError: it is none.
    """
    text = values.get(name, "").strip()
    if not (text.isascii() and text.isdecimal()) or len(text) > 19:
        raise InputError(f"{name.replace('_', ' ')} is a whole number from 0 on, not {text!r:.40}")
    return int(text)
