"""What a network costs: parameters, multiplications, milliseconds a frame."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from toonlab.inference.stylizer import Stylizer


def parameters(network: nn.Module) -> int:
    """Count the trained numbers of a network."""
    return sum(p.numel() for p in network.parameters())


def gmacs(network: nn.Module, height: int, width: int) -> float:
    """Count the multiplications of a frame, in thousand millions; nothing is computed.

    Args:
        network: takes `(1, 3, H, W)`.
        height: of the frame, pixels; divisible by what the network wants.
        width: see there.
    """
    blank = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        blank(torch.empty(1, 3, height, width, device="meta"))
    return float(counter.get_total_flops()) / 2e9


def milliseconds(painters: Mapping[str, Stylizer], frame: Tensor, *, rounds: int) -> dict[str, float]:
    """Return the median time in which each paints a frame; they take turns, so that machines are equal.

    Args:
        painters: by name.
        frame: `(1, 3, H, W)` in [-1, 1].
        rounds: frames of each, behind one that warms up.
    """
    times: dict[str, list[float]] = {name: [] for name in painters}
    for done in range(rounds + 1):
        for name, painter in painters.items():
            begun = time.perf_counter()
            painter.paint(frame.to(painter.device))
            if painter.device.type == "cuda":
                torch.cuda.synchronize()
            if done:
                times[name].append(1000 * (time.perf_counter() - begun))
    return {name: statistics.median(found) for name, found in times.items()}
