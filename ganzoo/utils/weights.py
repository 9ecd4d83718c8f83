"""Identifies the weights of a model."""

import hashlib

import torch
from torch import Tensor, nn


def weights_sha256(module: nn.Module) -> str:
    """The SHA-256 of all parameters and buffers: their names, types, shapes and values; the same on every device."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
