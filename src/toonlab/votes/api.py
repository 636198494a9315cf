"""What the page is told: a question with the names of its pictures, and never who painted them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from toonlab.votes.raters import named
from toonlab.votes.store import ChangedError, Rater, Store

_LONGEST = 24 * 3600 * 1000  # ms; a page left open over night is not a day's thought


class RefusedError(Exception):
    """A request that cannot be answered, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Answers for one vote. Any thread may ask."""

    def __init__(self, store: Store) -> None:
        self.store, self.manifest, self.tokens = store, store.manifest(), store.tokens()
        self.pictures = frozenset(self.tokens.values())
        digest = hashlib.sha256(self.manifest.to_json().encode()).hexdigest()
        self.cookie = f"vote_{digest[:8]}"
        """Of this vote alone: browsers send one host's cookies to all its ports."""

    def enter(self, body: Mapping[str, Any]) -> Rater:
        """Let a rater in by name."""
        try:
            return self.store.enter(named(body.get("name")))
        except ValueError as error:
            raise RefusedError(400, str(error)) from error

    def known(self, token: str) -> Rater | None:
        """Return whose cookie that is, if anybody's."""
        return self.store.rater_of(token) if token else None

    def rater(self, token: str) -> Rater:
        """Return whose cookie that is; refuse nobody's."""
        rater = self.known(token)
        if rater is None:
            raise RefusedError(401, "Please give your name first.")
        return rater

    def question(self, rater: Rater, number: int | None = None) -> dict[str, Any]:
        """Return a question, by default the first without an answer; past the last, the end.

        Args:
            rater: who asks.
            number: of the question, from 0; none beyond the first without an answer is shown.
        """
        trials, answers = self.store.trials(rater), self.store.answers(rater)
        reached = next((i for i in range(len(trials)) if i not in answers), len(trials))
        number = reached if number is None else max(0, min(number, reached))
        told: dict[str, Any] = {
            "rater": rater.name,
            "asked": self.manifest.question,
            "done": len(answers),
            "total": len(trials),
            "number": number,
            "finished": number == len(trials),
        }
        if not told["finished"]:
            replaces, place = answers.get(number, (0, None))
            shown = [self._names(trial.photo, trial.shown) for trial in trials[number : number + 2]]
            told |= {"pictures": shown[0], "upcoming": shown[1:], "replaces": replaces, "place": place}
        return told

    def vote(self, rater: Rater, body: Mapping[str, Any]) -> dict[str, Any]:
        """Count a vote; return the first question without one, or the same one if another vote came first."""
        number, place, replaces = (_whole(body, key) for key in ("number", "place", "replaces"))
        spent = body.get("milliseconds")
        is_time = isinstance(spent, int) and not isinstance(spent, bool) and 0 <= spent < _LONGEST
        if number > self.question(rater)["number"]:
            raise RefusedError(400, "That question is not up yet.")
        try:
            self.store.vote(rater, number, place, replaces=replaces, milliseconds=spent if is_time else None)
        except ChangedError:
            return self.question(rater, number) | {"changed": True}
        except IndexError as error:
            raise RefusedError(400, "There is no such question or picture.") from error
        return self.question(rater)

    def _names(self, photo: int, models: tuple[int, ...]) -> list[str]:
        """Return pictures' names: the photo's, then one for each place."""
        return [self.tokens[photo, None], *(self.tokens[photo, model] for model in models)]


def _whole(body: Mapping[str, Any], key: str) -> int:
    value = body.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise RefusedError(400, f"{key} is missing or no whole number.")
    return value
