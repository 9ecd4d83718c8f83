"""A dataset as the engine of evaluation takes it, and its parts put together again."""

import torch
from torch.utils.data import DataLoader, Dataset

from ganzoo.evaluation.batches import EvalSplit
from support.known_metrics import ImagesOf, OneImage, noise

N = 23


def split(images: Dataset | None = None, name: str = "val", prepare=None, **options) -> EvalSplit:
    images = images or ImagesOf(OneImage, noise(N, 0))
    return EvalSplit(DataLoader(images, 4, **options), name, prepare)


def together(parts) -> tuple[torch.Tensor, torch.Tensor]:
    """Places and images, in the order of the places."""
    found = list(parts)
    indices = torch.cat([part.indices for part in found])
    order = indices.argsort()
    return indices[order], torch.cat([part.images for part in found])[order]
