"""Draws points in the plane."""

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SIZE = 360  # pixels of a side
TITLE = 24  # pixels above the points
EXTENT = 1.15  # the plane is drawn from -EXTENT to EXTENT
SAMPLES, CENTRES = (32, 96, 178), (235, 130, 20)  # colours that red-green blindness keeps apart
LEAST_RADIUS = 5.0  # pixels of a ring, so that a narrow mode is seen too


def scatter(points: Tensor, centres: Tensor, radius: float, title: str = "") -> Image.Image:
    """Draws samples as blue dots and modes as orange rings, in the square [-1.15, 1.15]^2.

    Args:
        points: samples [N, 2]; those outside of the square are drawn at its edge.
        centres: centres of the modes, [K, 2].
        radius: of the rings, in the units of the points; narrow ones are drawn with a radius of 5 pixels.
        title: the line above the points.
    """
    # drawn twice as large and halved, which smooths the dots
    side = 2 * SIZE
    plot = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(plot)
    draw.rectangle((1, 1, side - 2, side - 2), outline=(190, 190, 190), width=2)
    ring = max(radius / (2 * EXTENT) * side, 2 * LEAST_RADIUS)
    for x, y in _places(centres, side):
        draw.ellipse((x - ring, y - ring, x + ring, y + ring), outline=CENTRES, width=4)
    for x, y in _places(points, side):
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=SAMPLES)
    page = Image.new("RGB", (SIZE, SIZE + TITLE), "white")
    page.paste(plot.resize((SIZE, SIZE), Image.Resampling.LANCZOS), (0, TITLE))
    ImageDraw.Draw(page).text((SIZE / 2, 4), title, "black", ImageFont.load_default(14), anchor="ma")
    return page


def _places(points: Tensor, side: int) -> list[list[float]]:
    inside = points.detach().double().cpu().clamp(-EXTENT, EXTENT) / EXTENT
    inside[:, 1] = -inside[:, 1]  # y is up
    return ((inside + 1) / 2 * (side - 1)).tolist()  # type: ignore[no-any-return]
