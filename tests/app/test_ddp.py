"""Two processes on the processor: one run folder, one record, one network."""

import json
from pathlib import Path

from commands import SMALL, Cli, only_run
from toonlab.engine.checkpoint import read

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true")


def test_two_processes_share_a_run_and_resume_it(cli: Cli, tmp_path: Path) -> None:
    result = cli("train", *SMALL, *TWO, "iterations=4", "eval_every=2", "method.warmup_iterations=1")
    assert result.returncode == 0, result.stderr
    run = only_run(tmp_path)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [r["iteration"] for r in records if "lr/generator" in r] == [1, 2, 3, 4]  # the first process alone
    assert sorted(path.name for path in (run / "samples").iterdir()) == [f"{i:07d}.png" for i in (0, 2, 4)]
    assert read(run)["toonlab"]["iteration"] == 4

    result = cli("train", f"resume={run}", "iterations=6")
    assert result.returncode == 0, result.stderr
    assert read(run)["toonlab"]["iteration"] == 6
    assert only_run(tmp_path) == run
