"""Norms that look at what is known: a hole's content no longer moves the features of the whole picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@contextmanager
def known_statistics(network: nn.Module, known: Tensor) -> Iterator[None]:
    """Let every InstanceNorm2d of `network` take mean and variance over known places only.

    Everything is normalised by them, the hole too. On a feature map a place counts by its known share (the
    mask, area-pooled). A picture that is all known, or not at all, is normalised as ever, bit by bit.
    Gradients flow; may be nested (the inner mask holds) and leaves no trace after an exception.

    Args:
        network: norms with running statistics are left alone in eval mode.
        known: `(B, 1, H, W)`, 1 = known, 0 = missing, of the batches that will pass; or one for all.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.InstanceNorm2d)]
    before = [norm.__dict__.get("forward") for norm in norms]
    for norm in norms:
        norm.__dict__["forward"] = _Known(norm, known)  # found before the class's own
    try:
        yield
    finally:
        for norm, forward in zip(norms, before, strict=True):
            if forward is None:
                norm.__dict__.pop("forward", None)
            else:
                norm.__dict__["forward"] = forward


class _Known:
    """A norm's forward pass with statistics of the known places."""

    def __init__(self, norm: nn.InstanceNorm2d, known: Tensor) -> None:
        self.norm, self.known = norm, known

    def __call__(self, x: Tensor) -> Tensor:
        norm = self.norm
        plain: Tensor = type(norm).forward(norm, x)
        if norm.track_running_stats and not norm.training:
            return plain
        shares = F.interpolate(self.known.to(x.device, torch.float32), size=x.shape[-2:], mode="area")
        if len(shares) not in (1, len(x)):
            raise ValueError(f"known_statistics: {len(shares)} masks for a batch of {len(x)}")
        total = shares.sum(dim=(2, 3), keepdim=True)
        as_ever = (total == 0) | (shares == 1).all(dim=3, keepdim=True).all(dim=2, keepdim=True)
        if as_ever.all():
            return plain
        shares = torch.where(as_ever, torch.ones_like(shares), shares)
        total = shares.sum(dim=(2, 3), keepdim=True)
        values = x.float()  # sums of squares in half precision would overflow
        mean = (values * shares).sum(dim=(2, 3), keepdim=True) / total
        centred = values - mean
        variance = (centred.square() * shares).sum(dim=(2, 3), keepdim=True) / total
        normed = centred * (variance + norm.eps).rsqrt()
        if norm.affine:
            normed = normed * norm.weight[:, None, None] + norm.bias[:, None, None]
        return torch.where(as_ever, plain, normed.to(plain.dtype))
