"""Dashboards hold what the run folder holds, and show how each run ended."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch import Trainer
from omegaconf import OmegaConf
from PIL import Image

from commands import SMALL, Cli, command, environment
from toonlab.app import loggers, train
from toonlab.app.sweeps import SWEEP
from toonlab.engine.checkpoint import read
from toonlab.engine.method import ToonMethod
from toonlab.engine.records import Records
from toonlab.errors import UsageError
from wandb_file import Uploaded, uploaded
from wandb_server import sync

TINY = (
    *SMALL[:-3],
    "data.count=4",  # too few to score
    "log_every=1",
    "eval_every=2",
    "save_every=2",
    "iterations=3",
    "callbacks.panels.photos=1",
)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv(SWEEP, raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def wandb_of(run: Path) -> Uploaded:
    (folder,) = (run / "wandb").glob("offline-run-*")
    return uploaded(folder)


def closed_wandb_of(run: Path) -> Uploaded:
    wandb.teardown()  # else this process keeps the file's end until its own
    return wandb_of(run)


def scalars(found: Uploaded) -> list[dict[str, float]]:
    rows = [row for row in found.history if not any(key.startswith("panel") for key in row)]
    return [{key: value for key, value in row.items() if not key.startswith("_")} for row in rows]


def in_order(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return sorted(rows, key=lambda row: (row["iteration"], sorted(row)))


def test_an_offline_wandb_run_is_complete(composed, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(SWEEP, "2026-11-22_nightly")
    train.run(composed(*TINY, "logger=wandb", "data.count=16"))
    found = closed_wandb_of(tmp_path)
    assert any("val/kid_effnetlite0" in row for row in found.history)
    assert found.run.run_id == (tmp_path / "wandb_id").read_text()
    assert (found.run.run_group, found.run.job_type) == ("2026-11-22_nightly", "whitebox")
    assert (found.run.display_name, found.run.project) == (tmp_path.name, "toonlab")
    assert found.exit_code == 0

    kept = OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml"), resolve=True)
    sent = {key: value for key, value in found.config.items() if key in kept}
    assert sent == kept

    assert found.steps == {"iteration": "", "*": "iteration"}  # and not Lightning's own step
    assert all("iteration" in row for row in found.history)
    assert in_order(scalars(found)) == in_order(lines(tmp_path))

    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    panels = [row for row in found.history if "panel._type" in row]
    assert [row["iteration"] for row in panels] == [0, 2, 3]
    for row in panels:
        (sent_file,) = row["panel.filenames"]
        assert sent_file in found.files
        sample = tmp_path / "samples" / f"{row['iteration']:07d}.png"
        assert (folder / "files" / sent_file).read_bytes() == sample.read_bytes()

    got = sync(folder, tmp_path)  # and a server gets all of it from the real `wandb sync`
    assert (got.run["name"], got.run["groupName"]) == (found.run.run_id, "2026-11-22_nightly")
    assert got.run["jobType"] == "whitebox"
    assert {key: value for key, value in got.config.items() if key in kept} == kept
    arrived = [row for row in got.history if "panel" not in row]
    plain = [{key: row[key] for key in row if not key.startswith("_")} for row in arrived]
    assert in_order(plain) == in_order(lines(tmp_path))
    pictures = [got.files[row["panel"]["filenames"][0]] for row in got.history if "panel" in row]
    assert pictures == [path.read_bytes() for path in sorted((tmp_path / "samples").glob("*.png"))]
    assert got.exit_code == 0


def test_jobs_of_one_process_are_runs_of_their_own_and_end_as_they_did(
    composed, tmp_path: Path, monkeypatch
) -> None:
    """One fails, one is interrupted, one finishes; all in the sweep's group."""
    monkeypatch.setenv(SWEEP, "s")
    whole = Records.run

    def job(name: str, at_two: Callable[[], None]) -> Uploaded:
        (tmp_path / name).mkdir()
        cfg = composed(*TINY, "logger=wandb")
        HydraConfig.get().runtime.output_dir = str(tmp_path / name)

        def record_then(self: Records, trainer: Trainer, method: ToonMethod) -> None:
            whole(self, trainer, method)
            if method.iteration == 2:
                at_two()

        monkeypatch.setattr(Records, "run", record_then)
        with suppress(RuntimeError, SystemExit):
            train.run(cfg)
        return closed_wandb_of(tmp_path / name)

    def fail() -> None:
        raise RuntimeError("planted")

    failed = job("0_whitebox", fail)
    interrupted = job("1_whitebox", lambda: os.kill(os.getpid(), signal.SIGINT))
    finished = job("2_whitebox", lambda: None)
    assert [failed.exit_code, interrupted.exit_code, finished.exit_code] == [1, 255, 0]
    assert len({failed.run.run_id, interrupted.run.run_id, finished.run.run_id}) == 3
    assert {job.run.run_group for job in (failed, interrupted, finished)} == {"s"}
    assert [job.run.display_name[0] for job in (failed, interrupted, finished)] == ["0", "1", "2"]
    assert [max(row["iteration"] for row in job.history) for job in (failed, interrupted, finished)] == [
        2,
        2,
        3,
    ]


@pytest.mark.slow
def test_killed_and_resumed_dashboards_hold_every_iteration_once(cli: Cli, tmp_path: Path) -> None:
    """kill -9; W&B's file then has no end, and the resumed run's one file has it all."""
    arguments = [
        "logger=[wandb,tensorboard]",
        "tensorboard.flush_secs=1",
        "eval_every=2",
        "callbacks.panels.photos=1",
    ]
    process = subprocess.Popen(
        command("train", *SMALL[:-2], "save_every=2", *arguments, "iterations=100000"),
        cwd=tmp_path,
        env=environment(tmp_path),
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while not any(written(run) > 6 for run in runs(tmp_path)):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)
    process.kill()
    process.wait()
    (run,) = runs(tmp_path)
    killed, reached = wandb_of(run), read(run)["toonlab"]["iteration"]
    assert killed.exit_code is None
    (folder,) = (run / "wandb").glob("offline-run-*")
    assert sync(folder, tmp_path).exit_code not in (0, None)

    result = cli("train", f"resume={run}", f"iterations={reached + 3}")
    assert result.returncode == 0, result.stderr
    assert [folder.name for folder in (run / "wandb" / "superseded").iterdir()]
    found = wandb_of(run)  # the only one that `wandb sync RUN_DIR/wandb/offline-run-*` takes
    assert found.run.run_id == killed.run.run_id
    assert found.run.display_name == killed.run.display_name == run.name
    assert found.exit_code == 0
    assert in_order(scalars(found)) == in_order(lines(run))
    assert {row["iteration"] for row in found.history if "panel._type" in row} == {
        int(path.stem) for path in (run / "samples").glob("*.png")
    }
    told = [event.step for event in tensorboard_of(run).Scalars("generator/total")]
    assert told == list(range(1, reached + 4))


def written(run: Path) -> int:
    saved = (run / "checkpoints" / "last.ckpt").exists()
    return len(wandb_of(run).history) if saved else 0


def runs(tmp_path: Path) -> list[Path]:
    return [folder.parent.parent for folder in tmp_path.glob("outputs/whitebox/*/wandb/offline-run-*")]


def tensorboard_of(run: Path) -> Any:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


def test_tensorboard_holds_scalars_pictures_and_config(composed, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train.run(composed(*TINY, "logger=tensorboard"))
    events = tensorboard_of(tmp_path)
    expected: dict[str, list[tuple[int, float]]] = {}
    for line in lines(tmp_path):
        for key, value in line.items():
            expected.setdefault(key, []).append((int(line["iteration"]), value))
    del expected["iteration"]
    for key, points in expected.items():
        told = [(event.step, event.value) for event in events.Scalars(key)]
        assert [step for step, _ in told] == [step for step, _ in points], key
        assert [v for _, v in told] == pytest.approx([v for _, v in points], rel=1e-6), key
    pictures = {event.step: event.encoded_image_string for event in events.Images("panel")}
    assert sorted(pictures) == [0, 2, 3]
    shown = np.asarray(Image.open(io.BytesIO(pictures[2])))
    sample = np.asarray(Image.open(tmp_path / "samples" / "0000002.png").convert("RGB"))
    assert (shown == sample).all()
    assert b"SpectralPatch" in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    assert set(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.plugin_name) == set(
        "hparams"
    )
    assert OmegaConf.load(tmp_path / "tensorboard" / "hparams.yaml").method.weights.texture == 1.0


def test_mlflow_holds_scalars_pictures_config_and_the_end(composed, tmp_path: Path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv(SWEEP, "s")
    train.run(composed(*TINY, "logger=mlflow"))
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("toonlab").experiment_id])
    assert run.info.run_id == (tmp_path / "mlflow_id").read_text()
    assert (run.info.status, run.info.run_name) == ("FINISHED", tmp_path.name)
    assert (run.data.tags["sweep"], run.data.tags["method"]) == ("s", "whitebox")
    assert run.data.tags["folder"] == str(tmp_path)
    expected = [
        (line["iteration"], line["generator/total"]) for line in lines(tmp_path) if "lr/generator" in line
    ]
    told = client.get_metric_history(run.info.run_id, "generator/total")
    assert sorted((point.step, point.value) for point in told) == expected
    assert run.data.params["method/weights/texture"] == "1.0"
    pictures = [Path(item.path).name for item in client.list_artifacts(run.info.run_id, "panel")]
    assert pictures == ["0000000.png", "0000002.png", "0000003.png"]
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/config.yaml")
    assert OmegaConf.create(text) == OmegaConf.create(
        OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml"), resolve=True)
    )

    # The same folder again, for longer: the same run, which goes on and is then cut short.
    cfg = composed(*TINY, "logger=mlflow", "iterations=9")
    loggers.settle(cfg, tmp_path)
    again = loggers.start(cfg, tmp_path, done=3)
    assert client.get_run(run.info.run_id).info.status == "RUNNING"
    again[0].log_metrics({"generator/total": 0.5}, step=4)
    loggers.finish(again, "interrupted")
    assert len(client.search_runs([run.info.experiment_id])) == 1
    assert client.get_run(run.info.run_id).info.status == "KILLED"
    assert len(client.get_metric_history(run.info.run_id, "generator/total")) == 4  # nothing told twice

    # Another store knows nothing of the run: it is told what the folder holds.
    cfg = composed(*TINY, "logger=mlflow", f"mlflow.uri=sqlite:///{tmp_path}/other/m.db")
    loggers.settle(cfg, tmp_path)
    loggers.finish(loggers.start(cfg, tmp_path, done=2), "failed")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/other/m.db")
    (run,) = client.search_runs([client.get_experiment_by_name("toonlab").experiment_id])
    told = client.get_metric_history(run.info.run_id, "generator/total")
    assert sorted((point.step, point.value) for point in told) == expected[:2]
    assert run.info.status == "FAILED"


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_one_line_that_says_which_extra(
    composed, tmp_path, monkeypatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=rf"logger={name}: not installed; pip install -e '\.\[{name}\]'"):
        train.run(composed(*TINY, f"logger={name}"))
    assert not (tmp_path / "config.yaml").exists()


def test_an_unknown_wandb_mode_names_the_nearest(composed) -> None:
    with pytest.raises(UsageError, match=r"wandb\.mode=of?line: use one of .*did you mean 'offline'"):
        train.run(composed(*TINY, "logger=wandb", "wandb.mode=ofline"))


def test_a_store_that_is_none_is_one_line_and_closes_what_is_open(composed, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    (tmp_path / "broken.db").write_text("this is no database" * 100)
    with pytest.raises(
        UsageError, match=r"mlflow\.uri=sqlite.*broken\.db.*give sqlite:///FILE\.db or a server"
    ):
        train.run(composed(*TINY, "logger=[wandb,mlflow]", f"mlflow.uri=sqlite:///{tmp_path}/broken.db"))
    assert closed_wandb_of(tmp_path).exit_code == 1


def test_a_run_of_a_plain_multirun_is_grouped_by_its_folder(composed, tmp_path: Path) -> None:
    composed(*TINY)
    assert loggers.sweep_name() is None
    OmegaConf.update(HydraConfig.instance().cfg, "hydra.mode", RunMode.MULTIRUN, force_add=True)
    OmegaConf.update(
        HydraConfig.instance().cfg, "hydra.sweep.dir", "/x/multirun/2026-11-22_a1", force_add=True
    )
    assert loggers.sweep_name() == "2026-11-22_a1"
