"""Lightning callbacks for any module: metrics, image grids, checkpoints, health, progress, signals.

They use a model only through ``ganzoo.interfaces``.
"""

from ganzoo.callbacks.channels_last import ChannelsLast
from ganzoo.callbacks.checkpoints import Checkpoints
from ganzoo.callbacks.compile import Compile
from ganzoo.callbacks.dashboard import Dashboard
from ganzoo.callbacks.domains import DomainAdaptation
from ganzoo.callbacks.health import Health
from ganzoo.callbacks.modes import ModeCoverage
from ganzoo.callbacks.neighbours import NearestNeighbours
from ganzoo.callbacks.pairs import PairedQuality
from ganzoo.callbacks.parzen import ParzenLikelihood
from ganzoo.callbacks.predictions import PredictionWriter
from ganzoo.callbacks.progress import Progress
from ganzoo.callbacks.quality import FID, KID, InceptionScore, PrecisionRecall, Quality
from ganzoo.callbacks.samples import SampleGrid
from ganzoo.callbacks.stopping import StopOnSignal
from ganzoo.callbacks.summary import Summary

__all__ = [
    "FID",
    "KID",
    "ChannelsLast",
    "Checkpoints",
    "Compile",
    "Dashboard",
    "DomainAdaptation",
    "Health",
    "InceptionScore",
    "ModeCoverage",
    "NearestNeighbours",
    "PairedQuality",
    "ParzenLikelihood",
    "PrecisionRecall",
    "PredictionWriter",
    "Progress",
    "Quality",
    "SampleGrid",
    "StopOnSignal",
    "Summary",
]
