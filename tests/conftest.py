"""Fixtures: tiny methods, one batch of 32-pixel pictures, one thread."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from tiny import TINY
from toonlab.engine.method import Images, ToonMethod

# Whoever starts the tests in the background hands down "ignore Ctrl-C", which some of them press.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in a fixed order, and no fight for the two cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=sorted(TINY))
def tiny(request: pytest.FixtureRequest) -> Callable[..., ToonMethod]:
    """Each method in turn, as a function of changes to its arguments."""
    return TINY[request.param]


@pytest.fixture
def batch() -> Images:
    """Four smooth random pictures of each kind, 32 pixels."""
    rng = torch.Generator().manual_seed(1)
    names = ("photo", "cartoon", "blurred", "drawn")
    small = {name: torch.rand(4, 3, 8, 8, generator=rng) * 2 - 1 for name in names}
    return {name: nn.functional.interpolate(value, size=32, mode="bilinear") for name, value in small.items()}
