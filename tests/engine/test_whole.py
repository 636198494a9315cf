"""A kill or a full disk in the middle of a small file that a run cannot go on without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from toonlab.app import train
from toonlab.engine import records
from toonlab.engine.whole import write_whole

CONFIG = {"iterations": 2, "resume": None, "seed": 7}


@pytest.fixture(params=["killed", "full"])
def ended(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BaseException]:
    """Nothing is written to its end any more; returned is what that raises."""
    kinds: dict[str, type[BaseException]] = {"killed": KeyboardInterrupt, "full": OSError}
    write = Path.write_text

    def broken(self: Path, text: str, *more: object, **named: object) -> int:
        write(self, text[: len(text) // 2])
        raise kinds[request.param]

    monkeypatch.setattr(Path, "write_text", broken)
    return kinds[request.param]


def kept_by(path: Path, before: str, change: Callable[[], object], ended: type[BaseException]) -> None:
    with pytest.raises(ended):
        change()
    assert path.read_text() == before


def test_a_text_is_there_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", "one\n")
    write_whole(tmp_path / "a.txt", "two ä\n")
    assert (tmp_path / "a.txt").read_bytes() == "two ä\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_records_of_a_run_are_not_lost_while_it_takes_back_what_came_after_its_last_save(
    tmp_path: Path, ended: type[BaseException]
) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = "".join(json.dumps({"iteration": i, "loss": 0.5}) + "\n" for i in range(1, 5))
    with path.open("w") as file:
        file.write(lines)
    kept_by(path, lines, lambda: records._forget_after(path, 2), ended)


def test_the_config_of_a_run_is_not_lost_while_it_goes_on(
    tmp_path: Path, ended: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = OmegaConf.to_yaml(OmegaConf.create(CONFIG))
    with (tmp_path / "config.yaml").open("w") as file:
        file.write(before)
    longer = OmegaConf.create(CONFIG | {"iterations": 5, "resume": str(tmp_path)})
    monkeypatch.setattr(train, "read", lambda path: {"toonlab": {"iteration": 2}})
    monkeypatch.setattr(train, "check_rate", lambda cfg, done: None)
    kept_by(tmp_path / "config.yaml", before, lambda: train._prepare(tmp_path, longer), ended)
