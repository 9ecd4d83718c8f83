"""Initial weights that several papers share."""

from torch import nn


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
