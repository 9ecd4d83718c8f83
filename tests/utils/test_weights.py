"""A model's weights have a checksum that changes with every one of them."""

import hashlib

import torch
from torch import nn

from ganzoo.utils.weights import weights_sha256


def test_the_checksum_is_that_of_names_types_shapes_and_values():
    layer = nn.Linear(2, 1)
    text = b""
    for name in ("bias", "weight"):
        tensor = getattr(layer, name).detach()
        text += f"{name} torch.float32 {list(tensor.shape)}\n".encode() + tensor.numpy().tobytes()
    assert weights_sha256(layer) == hashlib.sha256(text).hexdigest()


def test_every_value_buffer_name_and_type_counts():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    seen = {weights_sha256(net)}
    net[1].running_mean[1] += 1
    seen.add(weights_sha256(net))
    with torch.no_grad():
        net[0].weight[1, 0, 2, 2] += 1e-4
    seen.add(weights_sha256(net))
    seen.add(weights_sha256(nn.ModuleDict({"0": net[0], "2": net[1]})))
    seen.add(weights_sha256(net.double()))
    seen.add(weights_sha256(net.to(torch.bfloat16)))
    assert len(seen) == 6
