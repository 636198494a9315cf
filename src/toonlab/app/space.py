"""From Hydra's words for a search, `lr=tag(log,interval(1e-5,1e-3))`, to distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from toonlab.errors import UsageError
from toonlab.search.space import Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FORMS = "interval(a,b), tag(log,interval(a,b)), int(interval(a,b)), range(a,b,step), or a,b,c"


def space_of(params: Mapping[str, Any], words: Sequence[str], loader: ConfigLoader) -> Space:
    """Sort overrides into those that vary and those that stand.

    Args:
        params: values by key, from `hydra.sweeper.params`.
        words: of the command line; they have the last word.
        loader: knows the options that a glob chooses from.

    Raises:
        UsageError: nothing varies, or a range without values in it.
    """
    for key, value in params.items():
        if not isinstance(value, str | int | float):
            raise UsageError(f"hydra.sweeper.params.{key}: write {FORMS}")
    given = [*(f"{key}={value}" for key, value in params.items()), *words]
    by_key = {_name(each): each for each in OverridesParser.create(loader).parse_overrides(given)}
    swept = {key: each for key, each in by_key.items() if each.is_sweep_override()}
    if not swept:
        raise UsageError(f"hydra/sweeper=optuna: nothing to search for; vary a value: KEY={FORMS}")
    return Space(
        fixed=[str(each.input_line) for key, each in by_key.items() if key not in swept],
        heads={key: each.get_key_element() for key, each in swept.items()},
        distributions={key: _distribution(each) for key, each in swept.items()},
    )


def _name(override: Override) -> str:
    return override.get_key_element().lstrip("+~")


def _distribution(override: Override) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value, line = override.value(), override.input_line
    try:
        if isinstance(value, IntervalSweep):
            low, high, log = value.start, value.end, "log" in value.tags
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=log)
            return FloatDistribution(float(low or 0), float(high or 0), log=log)
        if isinstance(value, RangeSweep):
            if "log" in value.tags:
                raise UsageError(f"{line}: a range has equal steps; for a logarithm tag(log,interval(a,b))")
            steps = [float(each) for each in value.range()]
            if all(isinstance(each, int) for each in (value.start, value.stop, value.step)):
                return IntDistribution(int(steps[0]), int(steps[-1]), step=int(value.step))
            return FloatDistribution(steps[0], steps[-1], step=float(value.step))
        choices = list(dict.fromkeys(override.sweep_string_iterator()))
        return CategoricalDistribution(choices)
    except (ValueError, IndexError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{line}: no values to choose from ({error})") from error
