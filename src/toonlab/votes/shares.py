"""Counts of votes: their shares, how sure these are, and whether they differ at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2


class EqualShares(NamedTuple):
    """Pearson's χ² against equal shares."""

    statistic: float
    freedom: int
    p: float


def equal_shares(counts: Sequence[float]) -> EqualShares | None:
    """Test counts of several classes against equal ones; None without votes or with one class only."""
    return no_preference(counts, {frozenset(range(len(counts))): int(sum(counts))}) if sum(counts) else None


def no_preference(wins: Sequence[float], shown: Mapping[frozenset[int], int]) -> EqualShares | None:
    """Test wins against what picking blindly gives: each of the shown ones as often.

    With all models in every question this is Pearson's χ² against equal shares; for pairs it is Durbin's
    test: the squared distance of wins from their mean, by the covariance that blind picks have.

    Args:
        wins: of each model.
        shown: how often each set of models was a question.
    """
    models = len(wins)
    mean, covariance = np.zeros(models), np.zeros((models, models))
    for members, times in shown.items():
        part = np.zeros(models)
        part[list(members)] = 1 / len(members)
        mean += times * part
        covariance += times * (np.diag(part) - np.outer(part, part))
    freedom = int(np.linalg.matrix_rank(covariance))
    if freedom == 0:
        return None
    apart = np.asarray(wins, dtype=float) - mean
    statistic = float(apart @ np.linalg.pinv(covariance, hermitian=True) @ apart)
    return EqualShares(statistic, freedom, float(chi2.sf(statistic, freedom)))
