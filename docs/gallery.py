"""Draws the gallery from trained models: python docs/gallery.py

Makes every image of docs/gallery.md, and the page itself. Each model is loaded by its name with ``ganzoo.load``. Another
trained model can take its place:

    python docs/gallery.py pix2pix_maps=runs/pix2pix_maps/version_0

Models that are not there are left out, and a line says so. A sheet is cut to 250 kB by fewer colours, if it is larger.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import ganzoo
from ganzoo.data import WorldMaps
from ganzoo.errors import InputError
from ganzoo.interfaces import CascadeSampler, CycleTranslator, NoiseSampler, Translator
from ganzoo.utils.image_grid import as_image, grid
from ganzoo.utils.images import to_float

HERE = Path(__file__).resolve().parent
LARGEST = 250_000  # bytes of an image
COLUMNS = 10
HEAD = """# Gallery

    python docs/gallery.py

draws every image of this page from the weights that come with ganzoo, and writes the page. Nothing is chosen by hand:
samples have seed {seed}, and translations are of the first held-out places. More of `gan_mnist`: [Looking into the latent
space](explore.md).
"""
SEED = 0


class Sheet(NamedTuple):
    """An image of the gallery.

    Attributes:
        title: its heading on the page.
        caption: what is to be seen.
        command: what makes such an image on one's own machine.
        draw: from a model to the uint8 image [C, H, W].
    """

    title: str
    caption: str
    command: str
    draw: Callable[[Any], Tensor]


def noise_of(model: NoiseSampler, n: int) -> dict[str, Tensor]:
    """The noise of n images, always the same."""
    return model.draw_noise(n, torch.Generator(model.device).manual_seed(SEED))  # type: ignore[attr-defined]


def repeated(noise: Mapping[str, Tensor], times: int) -> dict[str, Tensor]:
    """The noise of n images several times: [n, ...] -> [times * n, ...]."""
    return {name: values.repeat(times, *[1] * (values.ndim - 1)) for name, values in noise.items()}


def samples(model: NoiseSampler) -> Tensor:
    """Six rows of samples."""
    return grid(model.decode(noise_of(model, 6 * COLUMNS)), COLUMNS)


def class_rows(model: NoiseSampler) -> Tensor:
    """A row to each class; the images of a column have the same noise."""
    assert model.classes is not None
    y = torch.arange(model.classes).repeat_interleave(COLUMNS)
    return grid(model.decode(repeated(noise_of(model, COLUMNS), model.classes), y), COLUMNS)


def cascade(model: CascadeSampler) -> Tensor:
    """A row to each level, from coarse to fine; a column is one image."""
    levels = model.decode_levels(noise_of(model, COLUMNS), classes_in_turn(model, COLUMNS))
    size = levels[-1].shape[-2:]
    return grid(torch.cat([torch.nn.functional.interpolate(images, size, mode="nearest") for images in levels]), COLUMNS)


def walk(model: NoiseSampler) -> Tensor:
    """Rows of images on the way from one noise to another, along a great circle where the noise is normal or uniform."""
    rows, steps = 6, COLUMNS
    ends = noise_of(model, 2 * rows)
    t = torch.linspace(0, 1, steps).repeat(rows)
    start, end = ({name: values[side::2].repeat_interleave(steps, 0) for name, values in ends.items()} for side in range(2))
    between = {name: each.interpolate(start[name], end[name], t) for name, each in model.distributions().items()}
    y = classes_in_turn(model, rows)
    return grid(model.decode(between, None if y is None else y.repeat_interleave(steps)), steps)


def classes_in_turn(model: NoiseSampler, n: int) -> Tensor | None:
    """The classes of n images, each in turn; None for a model without classes."""
    return None if model.classes is None else torch.arange(n) % model.classes


def held_out(size: int, n: int) -> tuple[Tensor, Tensor]:
    """Photographs and true maps of the first n held-out places, each [n, 3, size, size] in [-1, 1]."""
    data = WorldMaps(size=size, batch_size=n)
    data.prepare_data()
    data.setup("test")
    batch = next(iter(data.test_dataloader()))
    return to_float(batch.x), to_float(batch.y)


@torch.no_grad()
def translations(model: Translator) -> Tensor:
    """Columns of places; rows: photograph, translation, true map."""
    x, y = held_out(128, 7)
    fake = torch.cat([seeded(model.translate, each[None]) for each in x])
    return grid(torch.cat([x, fake, y]), len(x))


@torch.no_grad()
def there_and_back(model: CycleTranslator) -> Tensor:
    """Columns of places; rows: x, G(x), F(G(x)), y, F(y), G(F(y))."""
    x, y = held_out(64, 12)

    def G(images: Tensor) -> Tensor:
        return torch.cat([model.translate(each[None]) for each in images])

    def F(images: Tensor) -> Tensor:
        return torch.cat([model.translate_back(each[None]) for each in images])

    return grid(torch.cat([x, G(x), F(G(x)), y, F(y), G(F(y))]), len(x))


def seeded(translate: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """A translation with the same dropout each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return translate(images)


def sheets_of(name: str, model: Any) -> list[Sheet]:
    """The sheets that a model of this kind has."""
    generate, translate = f"ganzoo generate {name}", f"ganzoo translate {name} photos"
    if isinstance(model, Translator):
        place = "Each column is a place that no training image shows"
        if isinstance(model, CycleTranslator):
            caption = (
                f"{place}: photograph, its map, and back; map, its photograph, and back. Each is translated by itself. "
            )
            caption += "The norm saw batches of 4 in training: with one image it adds clouds and hills to even land."
            return [Sheet("there and back", caption, translate, there_and_back)]
        return [Sheet("translations", f"{place}: photograph, generated map, true map.", translate, translations)]
    found = []
    if isinstance(model, CascadeSampler):
        caption = "Each column is one image, from the coarsest level to the finest."
        found.append(Sheet("cascade", caption, f"{generate} --levels --grid cascade.png", cascade))
    if model.classes is None:
        found.append(Sheet("samples", "Samples, unchosen.", f"{generate} -n 60", samples))
    else:
        caption = "A row to each class. The images of a column have the same noise."
        found.append(Sheet("classes", caption, f"{generate} --classes all", class_rows))
    return [
        *found,
        Sheet("walk", "Each row goes from one noise to another.", f"{generate} --walk 0,1,2 --out walk.gif", walk),
    ]


def save(image: Tensor, path: Path) -> None:
    """Writes a PNG of at most 250 kB; a larger one gets a palette."""
    picture = as_image(image)
    for colours in (None, 256, 128, 64):
        file = BytesIO()
        (picture if colours is None else picture.quantize(colours)).save(file, "PNG", optimize=True)
        if file.tell() <= LARGEST:
            path.write_bytes(file.getvalue())
            return
    raise SystemExit(f"{path.name} has {file.tell()} bytes with 64 colours: draw fewer images")


def draw(models: Mapping[str, str], folder: Path) -> str:
    """Draws all sheets of the models that are there, and returns the page.

    Args:
        models: what ``ganzoo.load`` takes, by the model's name on the page.
        folder: where the images go, in ``images``.
    """
    page = HEAD.format(seed=SEED)
    for name, source in models.items():
        try:
            model = ganzoo.load(source)
        except InputError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        page += f"\n## {name}\n\n{PAGES[name]}\n" if name in PAGES else f"\n## {name}\n"
        for sheet in sheets_of(name, model):
            file = f"gallery_{name}_{sheet.title.replace(' ', '_')}.png"
            save(sheet.draw(model), folder / "images" / file)
            page += f"\n{sheet.caption}\n\n    {sheet.command}\n\n![{name}: {sheet.title}](images/{file})\n"
    return page


# what each model is, and where it is described
PAGES = {
    "gan_mnist": "The GAN of 2014, two multilayer perceptrons, on MNIST: [GAN](models/gan.md).",
    "cgan_digits": "Small digits of the class that you ask for: [conditional GAN](models/cgan.md).",
    "lapgan_fashion": "Clothes from 7 to 14 to 28 pixels: [LAPGAN](models/lapgan.md).",
    "pix2pix_maps": "Satellite photographs to relief maps, learned from pairs: [pix2pix](models/pix2pix.md).",
    "cyclegan_maps": "The same without pairs, in both directions: [CycleGAN](models/cyclegan.md).",
}


def main() -> None:
    """Draws the gallery of the models that come with ganzoo, or of those that are given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "models", nargs="*", metavar="NAME=MODEL", help="a trained model in the place of the one of this name"
    )
    given = dict(each.split("=", 1) for each in parser.parse_args().models)
    page = draw({name: given.get(name, name) for name in [*PAGES, *(given.keys() - PAGES.keys())]}, HERE)
    (HERE / "gallery.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
