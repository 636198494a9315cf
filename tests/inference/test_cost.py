"""Parameters, multiplications and milliseconds of networks that can be counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from toonlab.inference import cost
from toonlab.inference.cost import gmacs, milliseconds, parameters
from toonlab.inference.stylizer import Stylizer
from toonlab.networks.unet import UNet


def test_a_convolution_is_counted_by_hand() -> None:
    network = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    assert parameters(network) == 3 * 5 * 9
    assert gmacs(network, 16, 32) == 3 * 5 * 9 * 16 * 32 / 1e9
    assert next(network.parameters()).device.type == "cpu"  # counted on a copy


def test_white_box_has_the_parameters_of_its_paper() -> None:
    assert parameters(UNet()) == 1_467_075


class Clock:
    now = 0.0


class Slow(nn.Module):
    """Takes `seconds` of a clock of its own, and three times as long the first time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.calls = seconds, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        Clock.now += self.seconds * (3 if self.calls == 1 else 1)
        return x


def test_the_first_frame_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost.time, "perf_counter", lambda: Clock.now)
    networks = {"a": Slow(0.02), "b": Slow(0.06)}
    painters = {
        name: Stylizer(each, multiple=1, output_filter=None, tile=None) for name, each in networks.items()
    }
    found = milliseconds(painters, torch.zeros(1, 3, 8, 8), rounds=3)
    assert [each.calls for each in networks.values()] == [4, 4]
    assert found == {"a": pytest.approx(20), "b": pytest.approx(60)}
