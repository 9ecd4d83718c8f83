"""Callbacks. They work with any module, and know the zoo's models only by ``ganzoo.generative``."""

from ganzoo.callbacks.checkpoints import Checkpoints
from ganzoo.callbacks.domains import DomainAdaptation
from ganzoo.callbacks.predictions import PredictionWriter
from ganzoo.callbacks.progress import Progress
from ganzoo.callbacks.samples import SampleGrid

__all__ = ["Checkpoints", "DomainAdaptation", "PredictionWriter", "Progress", "SampleGrid"]
