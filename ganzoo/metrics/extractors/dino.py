"""DINOv2's vision transformers (Oquab et al. 2023), trained without labels; Stein et al. 2023 measure with the large one.

The layers are timm's. The embeddings of places, trained on 37 x 37 patches, are brought to the 16 x 16 of an image of 224
pixels as the authors' own code does it, without antialias and with an offset; timm's loader does it otherwise, which gives
other features.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ganzoo.errors import InputError
from ganzoo.metrics.extractors.base import Extractor, Features, digest
from ganzoo.metrics.extractors.resizing import Pillow
from ganzoo.metrics.extractors.weights import fill, published

URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_{0}/dinov2_{0}_pretrain.pth"
PATCHES = 16
OFFSET = 0.1  # of the authors' code, against rounding; it shifts the places a little, so it has to be the same


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's images


class DINOv2(Extractor):
    """A DINOv2 network of patches of 14 pixels: the class token after the last norm.

    Images are resized and scaled as by the code of Stein et al. (dgm-eval) without its ``clean_resize``.

    Args:
        weights: file of its weights, as published; None for the one in torch hub's folder of checkpoints, which is fetched
            if it is not there.

    Attributes:
        size: as the authors name it: ``vits14``.
        layers: timm's name of the network.
        sha256: of the published file, as many who have it say.

    Raises:
        InputError: timm is not installed; the weights cannot be fetched or read.
    """

    preprocessing = f"(x / 255 - {MEAN}) / {DEVIATION}"
    size: str
    layers: str
    sha256: str

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise InputError('DINOv2 needs timm: pip install "lightning-ganzoo[dino]" (or pip install timm)') from error
        self.name = f"dinov2-{self.size}"
        found = published(weights, URL.format(self.size), self.sha256)
        self.weights, self.known = digest(found.state), found.known
        with torch.device("meta"):  # initial values would take longer than all else here
            self.network = timm.create_model(self.layers, pretrained=False, img_size=14 * PATCHES, num_classes=0)
        fill(self.network, found._replace(state=_for_224(found.state)))
        self.resized = Pillow(14 * PATCHES, 14 * PATCHES)
        self.resize = self.resized.words

    @property
    def label(self) -> str:
        return super().label + ("" if self.known else f"_unverified_{self.weights[:8]}")

    def features(self, images: Tensor) -> Features:
        mean, deviation = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (MEAN, DEVIATION))
        return Features(self.network((self.resized(images) / 255 - mean) / deviation), None)


class DINOv2S(DINOv2):
    """ViT-S/14, 384 features, 22 million weights."""

    size, layers, dimension = "vits14", "vit_small_patch14_dinov2", 384
    sha256 = "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"


class DINOv2B(DINOv2):
    """ViT-B/14, 768 features, 86 million weights."""

    size, layers, dimension = "vitb14", "vit_base_patch14_dinov2", 768
    sha256 = "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"


class DINOv2L(DINOv2):
    """ViT-L/14, 1024 features, 303 million weights (1.2 GB): the one of Stein et al."""

    size, layers, dimension = "vitl14", "vit_large_patch14_dinov2", 1024
    sha256 = "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"


def _for_224(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's weights for images of 224 pixels: places resampled, and without the token that only its training used."""
    state = {name: state[name] for name in state if name != "mask_token"}
    places = state.get("pos_embed")
    if places is None:
        return state
    side = round((places.shape[1] - 1) ** 0.5)
    if side == PATCHES:
        return state
    grid = places[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    scale = (PATCHES + OFFSET) / side
    grid = functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic", align_corners=False)
    state["pos_embed"] = torch.cat([places[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)
    return state
