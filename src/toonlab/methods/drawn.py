"""Losses towards the photo as flow-based abstraction draws it: the view `drawn`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn import functional as F

from toonlab.engine.method import Images
from toonlab.engine.terms import Terms
from toonlab.losses.perceptual import feature_distance
from toonlab.schedules import Schedule, as_schedule, is_off

FLOW_TERMS = ("flow_pixel", "flow_content")


def wants_drawn(*weights: Mapping[str, float | Schedule]) -> bool:
    """Whether one of these tables gives a loss of `flow_terms` weight, so that its view is needed."""
    return any(
        name in table and not is_off(as_schedule(table[name])) for table in weights for name in FLOW_TERMS
    )


def flow_terms(
    cartoon: Tensor,
    batch: Images,
    features: Callable[[Tensor], Mapping[str, Tensor]],
    target: Callable[[Tensor], Mapping[str, Tensor]],
) -> Terms:
    """Return `flow_pixel`, the L1 distance from the drawing, and `flow_content`, that of features.

    Args:
        cartoon: `(B, 3, H, W)` in [-1, 1], with its graph.
        batch: has the view `drawn`, of the same shape, by the time that a term is called.
        features: of the cartoon.
        target: of the drawing, without a graph.
    """
    return {
        "flow_pixel": lambda: F.l1_loss(cartoon, batch["drawn"]),
        "flow_content": lambda: feature_distance(features(cartoon), target(batch["drawn"])),
    }
