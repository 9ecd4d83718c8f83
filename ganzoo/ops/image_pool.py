"""Image pool (replay buffer) of CycleGAN: shows past generated images to the discriminator again.

Shrivastava et al. 2017, section 2.3 (arXiv 1612.07828), in the form of CycleGAN's code (Zhu et al. 2017, section 4).
"""

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError


class ImagePool(nn.Module):
    """Replaces some generated images by older ones. [N, C, H, W] -> the same shape, without gradients.

    The first ``size`` images are stored and returned. After that, with probability one half, an image replaces a random
    stored one, and the stored one is returned; otherwise the image is returned and not stored. Random numbers come from
    torch's generator on the CPU, so nothing waits for a GPU.

    The stored images are saved in the checkpoint as one tensor [count, C, H, W], and move to the device of new images. They
    are not a buffer: DDP gives every rank the buffers of rank 0 at each step, but each rank has its own pool
    (``ResumableModule`` saves them all). An image of another size empties the pool.

    Args:
        size: number of images to store; 0 returns every image unchanged. The paper has 50.

    Raises:
        InputError: ``size`` is below 0.
    """

    kept: Tensor

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        if size < 0:
            raise InputError(f"an image pool keeps at least 0 images, not {size}")
        self.size = size
        self.kept = torch.empty(0)

    def __len__(self) -> int:
        """Number of stored images."""
        return len(self.kept)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        if self.size == 0:
            return images.detach()
        kept = self.kept.to(images) if self.kept.shape[1:] == images.shape[1:] else images[:0]
        room = self.size - len(kept)
        self.kept = torch.cat([kept, images[:room]]) if room else kept
        mixed = images.clone()
        swap, places = torch.rand(len(images)) < 0.5, torch.randint(self.size, (len(images),))
        # one after the other, as two images of a batch may draw the same place
        for i, (swapped, place) in enumerate(zip(swap.tolist(), places.tolist(), strict=True)):
            if i >= room and swapped:
                mixed[i] = self.kept[place]
                self.kept[place] = images[i]
        return mixed

    def get_extra_state(self) -> Tensor:
        """Returns the stored images, [count, C, H, W], for the checkpoint."""
        return self.kept.clone()

    def set_extra_state(self, state: Tensor) -> None:
        """Loads stored images from a checkpoint: the last ``size`` of them."""
        self.kept = state[max(0, len(state) - self.size) :].clone()

    def extra_repr(self) -> str:
        """Returns the arguments, for printing."""
        return f"size={self.size}"
