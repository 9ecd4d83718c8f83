"""pix2pix without its adversary: the baseline of the paper's section 4.2.

ganzoo fit --config pix2pix_maps --model l1_alone.L1Alone
"""

from torch import Tensor

from ganzoo import Pix2Pix


class L1Alone(Pix2Pix):
    """The same network, descending the L1 term only. The discriminator still plays, and nobody listens to it."""

    def generator_losses(self, fake_patches: Tensor, fake: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"l1": super().generator_losses(fake_patches, fake, y)["l1"]}
