"""The systems of ``ganzoo bench`` made small, and orders without another process."""

from ganzoo.benchmark.systems import System
from ganzoo.benchmark.worker import Final, Order, Orders, Round
from ganzoo.models import SNGAN

SMALL_SYSTEMS = {
    "pix2pix": System("small", 16, 2, "Pix2PixSetup", {"depth": 4, "width": 4, "patch": 16}, "one/repository"),
    "cyclegan": System("small", 16, 2, "CycleGANSetup", {"blocks": 1, "width": 4, "patch": 16, "pool": 3}, "one/repository"),
    "dcgan": System("small", 8, 2, "DCGANSetup", {"width": 4, "latent": 4}, "one/repository"),
    "gan": System("small", 8, 2, "GANSetup", {"hidden": 16, "latent": 4}),
    "sngan": System("small", 8, 2, "SNGANSetup", {k: v for k, v in SNGAN.small.items() if k != "shape"}),
    "wgan_gp": System("small", 8, 2, "WGANGPSetup", {"latent": 4}),
    "lapgan": System("small", 16, 2, "LAPGANSetup", {"width": 2, "hidden_G": 8, "hidden_D": 8, "latent": 4}),
}


class ListedOrders(Orders):
    """Orders of a list, and the answers."""

    def __init__(self, *orders: Order) -> None:
        self.waiting, self.answers = list(orders), []

    def wait(self) -> Order | None:
        return self.waiting.pop(0) if self.waiting else None

    def answer(self, result: Round | Final) -> None:
        self.answers.append(result)
