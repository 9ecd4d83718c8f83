"""Training steps without Lightning: in plain PyTorch, and in the order of the published codes.

All use ganzoo's networks and have ganzoo's mathematics: with the same weights, batches and random numbers they give the same
losses (``tests/benchmark/test_loops.py``). They differ in what they cost.

A ``Plain...`` loop is what a careful person writes: the opponent is frozen, nothing is read from the device, optimizers are
fused. A ``Published...`` loop works in the order of the named repository, in our own code: see each class.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, l1_loss, mse_loss, relu, softplus
from torch.optim import SGD, Adam, Optimizer

from ganzoo.models import DCGAN, GAN, LAPGAN, SNGAN, WGANGP, CycleGAN, Pix2Pix
from ganzoo.ops.image_pool import ImagePool
from ganzoo.penalties import gradient_penalty

Losses = dict[str, Tensor]


def freeze(networks: Iterable[nn.Module], frozen: bool = True) -> None:
    """Sets whether the parameters of the networks are without gradients."""
    for network in networks:
        for parameter in network.parameters():
            parameter.requires_grad_(not frozen)


def update(optimizer: Optimizer, loss: Tensor) -> None:
    """Takes one optimizer step on the gradient of a scalar loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class Loop(ABC):
    """The training step of a model.

    Args:
        model: a model of ganzoo, whose networks and hyperparameters are used.
        lower: the dtype in which networks compute (autocast); None for that of their weights.

    Attributes:
        cudnn_benchmark: whether the code lets cuDNN try its algorithms (``torch.backends.cudnn.benchmark``).
    """

    cudnn_benchmark: ClassVar[bool] = False

    def __init__(self, model: Any, lower: torch.dtype | None = None) -> None:
        self.lower = lower
        self.device = next(model.parameters()).device
        self.configure(model)

    @abstractmethod
    def configure(self, model: Any) -> None:
        """Takes the model's networks and builds the optimizers."""

    @abstractmethod
    def step(self, batch: Any) -> Losses:
        """Trains on one batch.

        Args:
            batch: fields as the model takes them, images in [-1, 1], on the device.

        Returns:
            The loss terms, scalars on the device, under the names that ganzoo logs.
        """

    def autocast(self) -> torch.autocast:
        """The context in which networks compute."""
        return torch.autocast(self.device.type, self.lower, enabled=self.lower is not None)


# -- pix2pix ------------------------------------------------------------------------------------------------------------


class PlainPix2Pix(Loop):
    """pix2pix in plain PyTorch."""

    def configure(self, model: Pix2Pix) -> None:
        self.G, self.D, self.weight = model.G, model.D, model.lambda_L1
        options: dict[str, Any] = {"lr": model.lr, "betas": (model.beta1, 0.999), "fused": True}
        self.of_G, self.of_D = Adam(self.G.parameters(), **options), Adam(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x, y = batch.x, batch.y
        with self.autocast():
            fake = self.G(x)
            real_patches, fake_patches = self.D(torch.cat([x, y], 1)), self.D(torch.cat([x, fake.detach()], 1))
            of_D = 0.5 * (softplus(-real_patches.float()).mean() + softplus(fake_patches.float()).mean())
        update(self.of_D, of_D)
        freeze([self.D])
        with self.autocast():
            gan = softplus(-self.D(torch.cat([x, fake], 1)).float()).mean()
            l1 = self.weight * l1_loss(fake.float(), y)
        update(self.of_G, gan + l1)
        freeze([self.D], False)
        return {"discriminator/gan": of_D.detach(), "generator/gan": gan.detach(), "generator/l1": l1.detach()}


class PublishedPix2Pix(Loop):
    """pix2pix in the order of pytorch-CycleGAN-and-pix2pix (``models/pix2pix_model.py``).

    One pass of G for both players; D before G, first generated and then real images; D frozen in G's turn; cross-entropies
    against tensors of labels; Adam without ``fused``; losses are read every 100 images, so not in the steps that are timed.
    """

    cudnn_benchmark = True

    def configure(self, model: Pix2Pix) -> None:
        self.G, self.D, self.weight = model.G, model.D, model.lambda_L1
        self.of_G = Adam(self.G.parameters(), lr=model.lr, betas=(model.beta1, 0.999))
        self.of_D = Adam(self.D.parameters(), lr=model.lr, betas=(model.beta1, 0.999))
        self.labels = torch.tensor(0.0, device=self.device), torch.tensor(1.0, device=self.device)

    def cross_entropy(self, patches: Tensor, real: bool) -> Tensor:
        return binary_cross_entropy_with_logits(patches, self.labels[real].to(patches).expand_as(patches))

    def step(self, batch: Any) -> Losses:
        x, y = batch.x, batch.y
        fake = self.G(x)
        freeze([self.D], False)
        self.of_D.zero_grad()
        fake_cost = self.cross_entropy(self.D(torch.cat([x, fake], 1).detach()), False)
        real_cost = self.cross_entropy(self.D(torch.cat([x, y], 1)), True)
        of_D = (fake_cost + real_cost) * 0.5
        of_D.backward()
        self.of_D.step()
        freeze([self.D])
        self.of_G.zero_grad()
        gan = self.cross_entropy(self.D(torch.cat([x, fake], 1)), True)
        l1 = l1_loss(fake, y) * self.weight
        (gan + l1).backward()
        self.of_G.step()
        return {"discriminator/gan": of_D.detach(), "generator/gan": gan.detach(), "generator/l1": l1.detach()}


# -- CycleGAN -----------------------------------------------------------------------------------------------------------


class CycleGANLoop(Loop):
    """What both loops of CycleGAN have: the networks, the pools, Adam."""

    fused: ClassVar[bool | None]

    def configure(self, model: CycleGAN) -> None:
        self.G, self.F, self.D_X, self.D_Y, self.weight = model.G, model.F, model.D_X, model.D_Y, model.lambda_cycle
        self.past_x, self.past_y = ImagePool(model.past_x.size), ImagePool(model.past_y.size)
        options: dict[str, Any] = {"lr": model.lr, "betas": (model.beta1, 0.999), "fused": self.fused}
        self.of_G = Adam([*self.G.parameters(), *self.F.parameters()], **options)
        self.of_D = Adam([*self.D_X.parameters(), *self.D_Y.parameters()], **options)


class PlainCycleGAN(CycleGANLoop):
    """CycleGAN in plain PyTorch."""

    fused = True

    def step(self, batch: Any) -> Losses:
        (x, y), judges = (batch.x, batch.y), (self.D_X, self.D_Y)
        freeze(judges)
        with self.autocast():
            fake_x, fake_y = self.F(y), self.G(x)
            terms = {
                "generator/gan_x": (self.D_X(fake_x).float() - 1).square().mean(),
                "generator/gan_y": (self.D_Y(fake_y).float() - 1).square().mean(),
                "generator/cycle_x": self.weight * l1_loss(self.F(fake_y).float(), x),
                "generator/cycle_y": self.weight * l1_loss(self.G(fake_x).float(), y),
            }
            first, *rest = terms.values()
            of_G = sum(rest, first)
        update(self.of_G, of_G)
        freeze(judges, False)
        with self.autocast():
            past_x, past_y = self.past_x(fake_x), self.past_y(fake_y)
            costs = {
                name: 0.5 * ((D(real).float() - 1).square().mean() + D(fake).float().square().mean())
                for name, D, real, fake in (
                    ("discriminator/gan_x", self.D_X, x, past_x),
                    ("discriminator/gan_y", self.D_Y, y, past_y),
                )
            }
            of_x, of_y = costs.values()
        update(self.of_D, of_x + of_y)
        return {name: value.detach() for name, value in {**terms, **costs}.items()}


class PublishedCycleGAN(CycleGANLoop):
    """CycleGAN in the order of pytorch-CycleGAN-and-pix2pix (``models/cycle_gan_model.py``), without identity terms.

    All four passes of the generators first; discriminators frozen in their turn; then each discriminator goes backward by
    itself; squared distances to tensors of labels; Adam without ``fused``; losses are read every 100 images.
    """

    fused = None
    cudnn_benchmark = True

    def configure(self, model: CycleGAN) -> None:
        super().configure(model)
        self.labels = torch.tensor(0.0, device=self.device), torch.tensor(1.0, device=self.device)

    def distance(self, patches: Tensor, real: bool) -> Tensor:
        return mse_loss(patches, self.labels[real].to(patches).expand_as(patches))

    def discriminator(self, D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        of_real = self.distance(D(real), True)
        loss = (of_real + self.distance(D(fake.detach()), False)) * 0.5
        loss.backward()
        return loss.detach()

    def step(self, batch: Any) -> Losses:
        x, y = batch.x, batch.y
        fake_y = self.G(x)
        back_x = self.F(fake_y)
        fake_x = self.F(y)
        back_y = self.G(fake_x)
        freeze([self.D_X, self.D_Y])
        self.of_G.zero_grad()
        terms = {
            "generator/gan_y": self.distance(self.D_Y(fake_y), True),
            "generator/gan_x": self.distance(self.D_X(fake_x), True),
            "generator/cycle_x": l1_loss(back_x, x) * self.weight,
            "generator/cycle_y": l1_loss(back_y, y) * self.weight,
        }
        first, *rest = terms.values()
        sum(rest, first).backward()  # type: ignore[union-attr]
        self.of_G.step()
        freeze([self.D_X, self.D_Y], False)
        self.of_D.zero_grad()
        costs = {
            "discriminator/gan_x": self.discriminator(self.D_X, x, self.past_x(fake_x)),
            "discriminator/gan_y": self.discriminator(self.D_Y, y, self.past_y(fake_y)),
        }
        self.of_D.step()
        return {**{name: value.detach() for name, value in terms.items()}, **costs}


# -- DCGAN --------------------------------------------------------------------------------------------------------------


class PlainDCGAN(Loop):
    """DCGAN in plain PyTorch."""

    def configure(self, model: DCGAN) -> None:
        self.G, self.D, self.latent = model.G, model.D, model.latent
        options: dict[str, Any] = {"lr": model.lr, "betas": (model.beta1, 0.999), "fused": True}
        self.of_G, self.of_D = Adam(self.G.parameters(), **options), Adam(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x = batch.x
        with self.autocast():
            fake = self.G(torch.randn(len(x), self.latent, dtype=x.dtype, device=self.device))
            real_logits, fake_logits = self.D(x), self.D(fake.detach())
            of_D = softplus(-real_logits.float()).mean() + softplus(fake_logits.float()).mean()
        update(self.of_D, of_D)
        freeze([self.D])
        with self.autocast():
            of_G = softplus(-self.D(fake).float()).mean()
        update(self.of_G, of_G)
        freeze([self.D], False)
        return {"discriminator/gan": of_D.detach(), "generator/gan": of_G.detach()}


class PublishedDCGAN(Loop):
    """DCGAN in the order of pytorch/examples (``dcgan/main.py``).

    Real and generated images go backward apart; D is not frozen in G's turn, so its unused weight gradients are computed; D
    ends in a sigmoid; Adam without ``fused``; five numbers are read from the device in each step, which that code prints.
    """

    cudnn_benchmark = True

    def configure(self, model: DCGAN) -> None:
        self.G, self.D, self.latent = model.G, model.D, model.latent
        self.of_G = Adam(self.G.parameters(), lr=model.lr, betas=(model.beta1, 0.999))
        self.of_D = Adam(self.D.parameters(), lr=model.lr, betas=(model.beta1, 0.999))

    def step(self, batch: Any) -> Losses:
        x = batch.x
        self.D.zero_grad()
        label = torch.full((len(x),), 1.0, dtype=x.dtype, device=self.device)
        output = self.D(x).sigmoid().view(-1)
        of_real = binary_cross_entropy(output, label)
        of_real.backward()
        shown = [output.mean().item()]
        fake = self.G(torch.randn(len(x), self.latent, dtype=x.dtype, device=self.device))
        label.fill_(0.0)
        output = self.D(fake.detach()).sigmoid().view(-1)
        of_fake = binary_cross_entropy(output, label)
        of_fake.backward()
        shown += [output.mean().item()]
        of_D = of_real + of_fake
        self.of_D.step()
        self.G.zero_grad()
        label.fill_(1.0)
        output = self.D(fake).sigmoid().view(-1)
        of_G = binary_cross_entropy(output, label)
        of_G.backward()
        shown += [output.mean().item()]
        self.of_G.step()
        shown += [of_D.item(), of_G.item()]
        return {"discriminator/gan": of_D.detach(), "generator/gan": of_G.detach()}


# -- without a published loop -------------------------------------------------------------------------------------------


class PlainGAN(Loop):
    """The GAN of 2014 in plain PyTorch, with fresh noise for each player, at its first learning rate and momentum."""

    def configure(self, model: GAN) -> None:
        self.G, self.D, self.z = model.G, model.D, model.z
        options: dict[str, Any] = {"lr": model.lr, "momentum": model.momentum, "fused": True}
        self.of_G, self.of_D = SGD(self.G.parameters(), **options), SGD(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x = batch.x
        freeze([self.G])
        with self.autocast():
            real, fake = self.D(x), self.D(self.G(self.z(len(x))))
            of_D = 0.5 * (softplus(-real.float()).mean() + softplus(fake.float()).mean())
        update(self.of_D, of_D)
        freeze([self.G], False)
        freeze([self.D])
        with self.autocast():
            of_G = softplus(-self.D(self.G(self.z(len(x)))).float()).mean()
        update(self.of_G, of_G)
        freeze([self.D], False)
        return {"discriminator/gan": of_D.detach(), "generator/gan": of_G.detach()}


class PlainSNGAN(Loop):
    """SNGAN in plain PyTorch at its first learning rate: a generator step after every ``n_critic`` steps of D."""

    def configure(self, model: SNGAN) -> None:
        self.G, self.D, self.z, self.n_critic, self.steps = model.G, model.D, model.z, model.n_critic, 0
        self.generator_batch = model.generator_batch
        options: dict[str, Any] = {"lr": model.lr, "betas": (0.0, 0.9), "fused": True}
        self.of_G, self.of_D = Adam(self.G.parameters(), **options), Adam(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x = batch.x
        self.steps += 1
        with self.autocast():
            with torch.no_grad():
                fake = self.G(self.z(len(x)))
            of_D = relu(1 - self.D(x).float()).mean() + relu(1 + self.D(fake).float()).mean()
        update(self.of_D, of_D)
        losses = {"discriminator/gan": of_D.detach()}
        if self.steps % self.n_critic == 0:
            freeze([self.D])
            with self.autocast():
                of_G = -self.D(self.G(self.z(self.generator_batch * len(x)))).float().mean()
            update(self.of_G, of_G)
            freeze([self.D], False)
            losses["generator/gan"] = of_G.detach()
        return losses


class PlainWGANGP(Loop):
    """WGAN-GP in plain PyTorch: a critic step, and a generator step after every ``n_critic`` of them."""

    def configure(self, model: WGANGP) -> None:
        self.G, self.D, self.latent, self.n_critic, self.steps = model.G, model.D, model.latent, model.n_critic, 0
        self.weight = next(part.weight for part in model.regularizers)  # type: ignore[attr-defined]
        options: dict[str, Any] = {"lr": model.lr, "betas": (model.beta1, model.beta2), "fused": True}
        self.of_G, self.of_D = Adam(self.G.parameters(), **options), Adam(self.D.parameters(), **options)

    def step(self, batch: Any) -> Losses:
        x = batch.x
        self.steps += 1
        with self.autocast():
            with torch.no_grad():
                fake = self.G(torch.randn(len(x), self.latent, dtype=x.dtype, device=self.device))
            gan = self.D(fake).float().mean() - self.D(x).float().mean()
            penalty = self.weight * gradient_penalty(self.D, x, fake)
        update(self.of_D, gan + penalty)
        losses = {"discriminator/gan": gan.detach(), "discriminator/gradient_penalty": penalty.detach()}
        if self.steps % self.n_critic == 0:
            freeze([self.D])
            with self.autocast():
                of_G = -self.D(self.G(torch.randn(len(x), self.latent, dtype=x.dtype, device=self.device))).float().mean()
            update(self.of_G, of_G)
            freeze([self.D], False)
            losses["generator/gan"] = of_G.detach()
        return losses


class PlainLAPGAN(Loop):
    """LAPGAN in plain PyTorch, at the learning rate of the first epoch."""

    def configure(self, model: LAPGAN) -> None:
        self.G, self.D, self.low_pass, self.z = list(model.G), list(model.D), model.low_pass, model.z
        options: dict[str, Any] = {"lr": model.lr, "momentum": model.momentum, "fused": True}
        self.of_G = [SGD(network.parameters(), **options) for network in self.G]
        self.of_D = [SGD(network.parameters(), **options) for network in self.D]

    def step(self, batch: Any) -> Losses:
        images, lows = self.low_pass(batch.x)
        y, losses = batch.x.new_zeros(len(batch.x), 0), Losses()
        for k, (G, D) in enumerate(zip(self.G, self.D, strict=True)):
            low, n = lows[k], len(batch.x)
            freeze([G])
            with self.autocast():
                real, fake = D(images[k] - low, low, y), D(G(self.z(k, n), low, y), low, y)
                of_D = 0.5 * (softplus(-real.float()).mean() + softplus(fake.float()).mean())
            update(self.of_D[k], of_D)
            freeze([G], False)
            freeze([D])
            with self.autocast():
                of_G = softplus(-D(G(self.z(k, n), low, y), low, y).float()).mean()
            update(self.of_G[k], of_G)
            freeze([D], False)
            losses |= {f"discriminator_{k}/gan": of_D.detach(), f"generator_{k}/gan": of_G.detach()}
        return losses
