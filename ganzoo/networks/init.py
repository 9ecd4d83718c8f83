"""Initial weights that several papers share."""

from math import prod, sqrt
from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def normal_002(network: nn.Module) -> nn.Module:
    """N(0, 0.02) for convolutions, N(1, 0.02) for batch norm's scale, zero for every bias; in place, and returned.

    Radford et al. 2016, section 4, and Isola et al. 2017, section 6.2, for the convolutions; batch norm's scale is so in
    their released code.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
    return network


def he_uniform(layer: nn.Linear) -> nn.Linear:
    """Uniform weights of variance 2 / inputs, zero bias; in place, and returned (He et al. 2015, eq. 10)."""
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


def glorot_uniform(layer: Layer, gain: float = 1.0) -> Layer:
    """Uniform weights of variance ``gain^2 * 2 / (inputs + outputs)``, zero bias; in place, and returned.

    Glorot and Bengio 2010, eq. 16. A convolution's inputs are the values that reach one value of its output; its outputs
    are the values that one value of its input reaches, fewer where it strides. With ``gain=sqrt(2)`` these are the weights
    that the released code of Gulrajani et al. 2017 has before a ReLU.

    Args:
        layer: a fully connected layer, a convolution or a transposed convolution.
        gain: factor of the standard deviation.
    """
    inputs, outputs = (float(fan) for fan in nn.init._calculate_fan_in_and_fan_out(layer.weight))
    strides = prod(getattr(layer, "stride", (1,)))
    if isinstance(layer, nn.ConvTranspose2d):  # torch keeps its inputs and outputs the other way round
        inputs, outputs = outputs / strides, inputs
    else:
        inputs, outputs = inputs, outputs / strides
    bound = gain * sqrt(6 / (inputs + outputs))
    nn.init.uniform_(layer.weight, -bound, bound)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
