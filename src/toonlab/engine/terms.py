"""Weighted sums of named, lazily evaluated loss terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from toonlab.errors import UsageError, did_you_mean
from toonlab.schedules import Schedule

Terms = Mapping[str, Callable[[], Tensor]]


def check_names(terms: Terms, weights: Mapping[str, Schedule], key: str) -> None:
    """Refuse a weight that would train nothing and a term that nobody weighs.

    Args:
        terms: what the method computes.
        weights: what the config at `key` weighs.
        key: the config key that the message names.

    Raises:
        UsageError: the names differ.
    """
    if stray := sorted(weights.keys() - terms.keys()):
        hint = did_you_mean(stray[0], terms)
        raise UsageError(f"{key}.{stray[0]}: no such loss term{hint}; the method has {sorted(terms)}")
    if unweighed := sorted(terms.keys() - weights.keys()):
        raise UsageError(f"{key}: no weight for {unweighed}; give each a number, 0 to switch it off")


def weighted_sum(
    terms: Terms, weights: Mapping[str, Schedule], iteration: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add up `weight * term`; a term whose weight is zero now is never evaluated.

    `terms` may hold more than `weights` names: those stay unevaluated too.

    Returns:
        The scalar total, and the unweighted value of each evaluated term.

    Raises:
        UsageError: no term has a weight at this iteration, or one has a weight below 0.
    """
    now = {name: weight(iteration) for name, weight in weights.items()}
    if below := [name for name, weight in now.items() if weight < 0]:
        raise UsageError(
            f"the weight of {below[0]} is {now[below[0]]:g} at iteration {iteration}: it would reward "
            "what it should punish; use 0 or more"
        )
    values = {name: terms[name]() for name, weight in now.items() if weight != 0}
    if not values:
        raise UsageError(f"every weight of {sorted(weights)} is zero at iteration {iteration}: raise one")
    total = torch.stack([now[name] * value for name, value in values.items()]).sum()
    return total, values
