"""The zoo's image models made small, and a few steps of training on random images."""

from typing import Any

import torch
from lightning.pytorch import Trainer

from ganzoo.adversarial import AdversarialModule
from ganzoo.models import DCGAN, GAN, ConvolutionalGAN, Pix2Pix
from support.training import Labelled, fit, loader

TINY = {"shape": (1, 8, 8), "latent": 5}


def small(cls: type[AdversarialModule], **options: Any) -> AdversarialModule:
    """A model of this class on 8 x 8 images, or as small as its networks allow."""
    if cls is Pix2Pix:
        return Pix2Pix(**{"depth": 3, "width": 4, "patch": 16, **options})
    if cls is ConvolutionalGAN:
        return ConvolutionalGAN(**{"shape": (1, 32, 32), "hidden": 2, **options})
    return cls(**{**TINY, **({"hidden": 8} if issubclass(cls, GAN) and cls is not DCGAN else {}), **options})


def played(model: AdversarialModule, n: int = 6, epochs: int = 1, batch_size: int = 2, **options: Any) -> Trainer:
    """The trainer after `epochs` epochs of `n` batches."""
    x = torch.rand(n * batch_size, *model.hparams["shape"], generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = torch.arange(len(x)) % 3
    return fit(model, loader(x, y, batch_size=batch_size, kind=Labelled), "/tmp", max_epochs=epochs, **options)
