"""Image pool (replay buffer) of CycleGAN: shows past generated images to the discriminator again.

Shrivastava et al. 2017, section 2.3 (arXiv 1612.07828), in the form that CycleGAN's code has (Zhu et al. 2017, section 4).
"""

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError


class ImagePool(nn.Module):
    """Swaps some of the images that pass through for older ones. [N, C, H, W] -> the same shape, without a graph.

    The first ``size`` images are kept and returned as they are. From then on each image, with probability one half,
    takes the place of a random one of those kept, which is returned in its stead; otherwise it is returned and not kept.
    Random numbers come from torch's generator on the CPU, so nothing waits for a GPU.

    What is kept goes into the checkpoint as one tensor [count, C, H, W], and follows the images to their device. It is no
    buffer: several processes are given the first one's buffers at each step, and each has a pool of its own
    (``ResumableModule`` saves them all). Images of another size than those kept start it anew.

    Args:
        size: most images kept; 0 returns every image as it is. The paper has 50.

    Raises:
        InputError: a size below 0.
    """

    kept: Tensor

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        if size < 0:
            raise InputError(f"a history keeps at least 0 images, not {size}")
        self.size = size
        self.kept = torch.empty(0)

    def __len__(self) -> int:
        """Images kept now."""
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
        """What is kept, [count, C, H, W], for the checkpoint."""
        return self.kept.clone()

    def set_extra_state(self, state: Tensor) -> None:
        """Takes what another history kept; of more than ``size`` the last."""
        self.kept = state[max(0, len(state) - self.size) :].clone()

    def extra_repr(self) -> str:
        """For printing."""
        return f"size={self.size}"
