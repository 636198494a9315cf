"""Numbers that change with training: a schedule maps the iteration to a value."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

Schedule = Callable[[int], float]


class Hold:
    """The same value always; a bare number in a config means this."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, iteration: int) -> float:
        return self.value


class Linear:
    """From `start` to `end` over `steps` iterations, after `delay` iterations at `start`; then `end`."""

    def __init__(self, start: float, end: float, steps: int, delay: int = 0) -> None:
        if steps < 1:
            raise ValueError(f"Linear needs steps >= 1, got {steps}")
        self.start, self.end, self.steps, self.delay = start, end, steps, delay

    def __call__(self, iteration: int) -> float:
        share = min(max(iteration - self.delay, 0) / self.steps, 1.0)
        return self.start + (self.end - self.start) * share


class Steps:
    """`values[0]` before iteration `at[0]`, `values[1]` from there to `at[1]`, and so on."""

    def __init__(self, values: Sequence[float], at: Sequence[int]) -> None:
        if len(values) != len(at) + 1 or list(at) != sorted(at):
            raise ValueError(
                f"Steps needs rising borders and one more value than borders: {list(values)}, {list(at)}"
            )
        self.values, self.at = list(values), list(at)

    def __call__(self, iteration: int) -> float:
        return self.values[bisect.bisect_right(self.at, iteration)]


class Product:
    """Two schedules multiplied."""

    def __init__(self, one: Schedule, other: Schedule) -> None:
        self.one, self.other = one, other

    def __call__(self, iteration: int) -> float:
        return self.one(iteration) * self.other(iteration)


def times(one: Schedule, other: Schedule) -> Schedule:
    """Multiply; what is constant or 0 stays so."""
    held = [schedule.value for schedule in (one, other) if isinstance(schedule, Hold)]
    if len(held) == 2:
        return Hold(held[0] * held[1])
    if 0 in held:
        return Hold(0.0)
    return Product(one, other)


def is_off(schedule: Schedule) -> bool:
    """Whether it is the number 0, at every iteration."""
    return isinstance(schedule, Hold) and schedule.value == 0


def as_schedule(value: float | Schedule) -> Schedule:
    """Turn a number into a constant schedule; leave a schedule alone.

    Raises:
        TypeError: `value` is neither.
    """
    if callable(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a weight is a number or a schedule, not {value!r}")
    return Hold(float(value))
