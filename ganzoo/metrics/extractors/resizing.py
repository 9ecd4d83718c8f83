"""Resizes images to the size that a network takes. Each way gives other features, so it belongs to the protocol."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ganzoo.errors import InputError

FID = 'pip install "lightning-ganzoo[fid]" (or pip install torch-fidelity)'


class Resize(ABC):
    """Images to (H, W).

    Attributes:
        words: what is done.
    """

    words: str

    def __init__(self, height: int, width: int) -> None:
        self.size = (height, width)

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [N, C, h, w] -> float32 [N, C, H, W] in [0, 255]."""


class TensorFlow1(Resize):
    """Bilinear as in TensorFlow 1, where output pixel i lies at input ``i h / H``: the grid is shifted to the upper left,
    and of a larger image most pixels are left out. It is torch-fidelity's own.

    Raises:
        InputError: torch-fidelity is not installed.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width)
        self.words = f"bilinear {height} x {width}, TensorFlow 1's grid, no antialias"
        try:
            from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
        except ImportError as error:
            raise InputError(f"TensorFlow 1's resizing is torch-fidelity's: {FID}") from error
        self._bilinear = interpolate_bilinear_2d_like_tensorflow1x

    def __call__(self, images: Tensor) -> Tensor:
        return self._bilinear(images.float(), size=self.size, align_corners=False)


class Antialiased(Resize):
    """Bicubic with antialias, not rounded, cut to [0, 255]: what clean-fid does (Parmar, Zhang and Zhu 2022).

    In float64, which makes it equal to Pillow's resizing of each channel as floats, to 3e-5 of 255.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width)
        self.words = f"bicubic {height} x {width}, antialias, not rounded"

    def __call__(self, images: Tensor) -> Tensor:
        if images.shape[2:] == self.size:
            return images.float()
        x = functional.interpolate(images.double(), self.size, mode="bicubic", align_corners=False, antialias=True)
        return x.clamp_(0, 255).float()


class Pillow(Resize):
    """Bicubic with antialias in Pillow's 8 bits, which most preprocessing of ImageNet is: by Pillow, image by image."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height, width)
        self.words = f"bicubic {height} x {width}, antialias, Pillow's 8 bits"

    def __call__(self, images: Tensor) -> Tensor:
        height, width = self.size
        resized = [
            np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
            for image in images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        ]
        return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).to(images.device, torch.float32)
