"""CycleGAN's published recipe as a plain PyTorch loop, for `training.py` to measure the suite against.

Written from the paper (Zhu et al. 2017, sections 3, 4 and 7) and the order of the authors' code; shares
nothing with toonlab. LSGAN, identity L1 times 5, cycle L1 times 10, batch 1, pools of 50, half the
discriminators' loss, Adam at 2e-4 with betas 0.5 and 0.999.
"""

from __future__ import annotations

import itertools
import random

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
            nn.ReLU(True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def generator(width: int, blocks: int = 9) -> nn.Sequential:
    def norm_relu(channels: int) -> list[nn.Module]:
        return [nn.InstanceNorm2d(channels), nn.ReLU(True)]

    return nn.Sequential(
        nn.ReflectionPad2d(3),
        nn.Conv2d(3, width, 7),
        *norm_relu(width),
        nn.Conv2d(width, 2 * width, 3, 2, 1),
        *norm_relu(2 * width),
        nn.Conv2d(2 * width, 4 * width, 3, 2, 1),
        *norm_relu(4 * width),
        *(Block(4 * width) for _ in range(blocks)),
        nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, 1),
        *norm_relu(2 * width),
        nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1),
        *norm_relu(width),
        nn.ReflectionPad2d(3),
        nn.Conv2d(width, 3, 7),
        nn.Tanh(),
    )


def discriminator(width: int) -> nn.Sequential:
    def block(inputs: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, 2 * inputs, 4, stride, 1)
        return [convolution, nn.InstanceNorm2d(2 * inputs), nn.LeakyReLU(0.2, True)]

    return nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1),
        nn.LeakyReLU(0.2, True),
        *block(width, 2),
        *block(2 * width, 2),
        *block(4 * width, 1),
        nn.Conv2d(8 * width, 1, 4, 1, 1),
    )


class Pool:
    def __init__(self, size: int = 50) -> None:
        self.size, self.images = size, []

    def query(self, images: Tensor) -> Tensor:
        answer = []
        for image in images.split(1):
            if len(self.images) < self.size:
                self.images.append(image)
                answer.append(image)
            elif random.random() < 0.5:
                place = random.randrange(self.size)
                answer.append(self.images[place])
                self.images[place] = image
            else:
                answer.append(image)
        return torch.cat(answer)


class PlainCycleGAN:
    """`step` is one iteration: both generators, then both discriminators."""

    def __init__(self, *, width: int, device: str) -> None:
        self.g, self.f = generator(width).to(device), generator(width).to(device)
        self.d_x, self.d_y = discriminator(width).to(device), discriminator(width).to(device)
        adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
        self.g_optimizer = torch.optim.Adam(itertools.chain(self.g.parameters(), self.f.parameters()), **adam)
        self.d_optimizer = torch.optim.Adam(
            itertools.chain(self.d_x.parameters(), self.d_y.parameters()), **adam
        )
        self.pool_x, self.pool_y = Pool(), Pool()

    def start_from(self, g: nn.Module, f: nn.Module, d_x: nn.Module, d_y: nn.Module) -> None:
        """Copy the parameters of networks of the same structure."""
        with torch.no_grad():
            for ours, theirs in ((self.g, g), (self.f, f), (self.d_x, d_x), (self.d_y, d_y)):
                for parameter, value in zip(ours.parameters(), theirs.parameters(), strict=True):
                    if parameter.shape != value.shape:
                        raise ValueError(f"another network: {parameter.shape} and {value.shape}")
                    parameter.copy_(value)

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        self._train_discriminators(False)
        fake_y, fake_x = self.g(x), self.f(y)
        back_x, back_y = self.f(fake_y), self.g(fake_x)
        identity = F.l1_loss(self.g(y), y) + F.l1_loss(self.f(x), x)
        fooled = like(self.d_y(fake_y), 1.0) + like(self.d_x(fake_x), 1.0)
        cycle = F.l1_loss(back_x, x) + F.l1_loss(back_y, y)
        total = fooled + 10 * cycle + 5 * identity
        self.g_optimizer.zero_grad()
        total.backward()
        self.g_optimizer.step()

        self._train_discriminators(True)
        self.d_optimizer.zero_grad()
        judged_x = self._judge(self.d_x, x, self.pool_x.query(fake_x.detach()))
        judged_y = self._judge(self.d_y, y, self.pool_y.query(fake_y.detach()))
        self.d_optimizer.step()
        return {
            "generator/adversarial": fooled.detach(),
            "generator/cycle_pixel": cycle.detach(),
            "generator/identity": identity.detach(),
            "generator/total": total.detach(),
            "discriminator/source": judged_x,
            "discriminator/target": judged_y,
        }

    def _judge(self, judge: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        loss = like(judge(real), 1.0) + like(judge(fake), 0.0)
        (0.5 * loss).backward()
        return loss.detach()

    def _train_discriminators(self, on: bool) -> None:
        for parameter in itertools.chain(self.d_x.parameters(), self.d_y.parameters()):
            parameter.requires_grad_(on)


def like(scores: Tensor, label: float) -> Tensor:
    return F.mse_loss(scores, torch.full_like(scores, label))
