"""What `-m` becomes before Hydra sees it, and which sweeps are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from toonlab.errors import UsageError
from toonlab.sweeps import command_line
from toonlab.sweeps.command_line import RESUMES, definition_of, how_of, sweep_arguments
from toonlab.sweeps.manifest import Job, Manifest, differences, identity, load
from toonlab.sweeps.words import masked

BEGUN = ["method=whitebox", "method.lr=1,2"]


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(RESUMES, "")  # undone at the end
    monkeypatch.delenv(RESUMES)
    monkeypatch.setenv("TOONLAB_FAKE_DEVICES", "")
    job = Job("x", 0, ["method.lr=1"], ["method.lr=1"], "0_whitebox", 10, 1)
    Manifest(tmp_path, BEGUN, [job], {"x": {"method": {"lr": 1}}}).save()
    return tmp_path


def test_a_single_run_is_left_alone() -> None:
    assert sweep_arguments(["train.py", "method=whitebox"]) == ["train.py", "method=whitebox"]
    assert sweep_arguments(["train.py", "-m", "--help"]) == ["train.py", "-m", "--help"]


@pytest.mark.parametrize(
    ("devices", "given", "added"),
    [
        ([], [], ["hydra/launcher=cpus"]),
        (["GPU-x"], [], ["hydra/launcher=gpus", "trainer=gpu"]),
        (["GPU-x"], ["trainer=ddp"], ["hydra/launcher=gpus"]),
        (["GPU-x"], ["trainer=cpu"], ["hydra/launcher=cpus"]),
        (["GPU-x"], ["hydra/launcher=basic"], []),
    ],
)
def test_the_launcher_is_the_machines(
    monkeypatch: pytest.MonkeyPatch, devices: list[str], given: list[str], added: list[str]
) -> None:
    monkeypatch.setattr(command_line, "visible", lambda: devices)
    words = [*BEGUN, *given]
    wanted = ["train.py", "-m", *words, *added]
    assert sweep_arguments(["train.py", *words, "--multirun"]) == wanted
    assert sweep_arguments(["train.py", words[0], "-m", *words[1:]]) == wanted  # on both sides of it


@pytest.mark.parametrize(
    ("devices", "given", "added"),
    [
        ([], ["hydra/launcher=submitit_slurm"], ["trainer=gpu"]),  # a login node
        ([], ["hydra/launcher=submitit_slurm", "trainer=ddp"], []),
        ([], ["hydra/launcher=submitit_slurm", "trainer=cpu"], []),
        ([], ["hydra/launcher=submitit_slurm", "trainer.accelerator=cpu"], []),
        (["GPU-x"], ["hydra/launcher=submitit_local"], []),
        (["GPU-x"], ["hydra/launcher=ray"], ["trainer=gpu"]),
        (["GPU-x"], ["hydra/launcher=ray", "trainer=cpu"], []),
        ([], ["hydra/launcher=ray"], []),
    ],
)
def test_a_cluster_may_have_gpus_that_this_host_has_not(
    monkeypatch: pytest.MonkeyPatch, devices: list[str], given: list[str], added: list[str]
) -> None:
    monkeypatch.delenv("TOONLAB_FAKE_DEVICES", raising=False)
    monkeypatch.setattr(command_line, "visible", lambda: devices)
    words = [*BEGUN, *given]
    assert sweep_arguments(["train.py", "-m", *words]) == ["train.py", "-m", *words, *added]


def test_a_sweep_goes_on_where_its_jobs_may_still_be(begun: Path) -> None:
    how = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu"]
    kept = load(begun)
    kept.how = how_of(["train.py", "-m", *BEGUN, *how])
    kept.save()
    again = sweep_arguments(["train.py", "-m", f"resume={begun}", "hydra.launcher.qos=high"])
    assert again[2:-1] == [*BEGUN, *how, "hydra.launcher.qos=high"]
    elsewhere = sweep_arguments(["train.py", "-m", f"resume={begun}", "hydra/launcher=cpus"])
    assert not set(how) & set(elsewhere)
    local = ["train.py", "-m", "hydra/launcher=gpus", "hydra.launcher.devices=[0]"]
    assert how_of([*local, "hydra.launcher.jobs_per_device=2"]) == ["hydra.launcher.jobs_per_device=2"]


def test_what_was_begun_on_a_processor_goes_on_there(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "visible", lambda: ["GPU-1"])
    monkeypatch.delenv(command_line.FAKE, raising=False)
    going_on = sweep_arguments(["train.py", "-m", f"resume={begun}"])
    assert "hydra/launcher=cpus" in going_on
    assert "trainer=gpu" not in going_on


def test_a_sweep_goes_on_with_its_own_words(begun: Path) -> None:
    wanted = ["-m", *BEGUN, f"hydra.sweep.dir='{begun}'", "hydra/launcher=cpus"]
    assert sweep_arguments(["train.py", "-m", f"resume={begun}"])[1:] == wanted
    assert sweep_arguments(["train.py", *BEGUN, "-m", f"resume={begun}"])[1:] == wanted
    how = sweep_arguments(["train.py", "-m", f"resume={begun}", "hydra.launcher.on_error=stop"])
    assert "hydra.launcher.on_error=stop" in how  # how it runs may change


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=whitebox", "method.lr=1,3"], r"\+ method.lr=1,3; - method.lr=1,2"),
        (["iterations=5", *BEGUN], r"\+ iterations=5"),
    ],
)
def test_another_sweep_is_refused_and_what_changed_is_said(begun: Path, words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        sweep_arguments(["train.py", "-m", *words, f"resume={begun}"])


def test_what_is_no_sweep_is_said(begun: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give a sweep's folder"):
        sweep_arguments(["train.py", "-m", f"resume={tmp_path / 'nowhere'}"])
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").touch()
    with pytest.raises(UsageError, match="a single run; go on with it without -m"):
        sweep_arguments(["train.py", "-m", f"resume={run}"])
    (begun / "sweep.json").write_text('{"format": 1, "jo')
    with pytest.raises(UsageError, match="damaged"):
        load(begun)
    (begun / "sweep.json").write_text('{"format": 99}')
    with pytest.raises(UsageError, match="newer toonlab"):
        load(begun)


def test_the_definition_is_what_not_how() -> None:
    argv = [
        "t",
        "-m",
        "b=2",
        "a=1,2",
        "hydra/launcher=cpus",
        "hydra.launcher.report=false",
        "hydra.sweep.dir=x",
    ]
    assert definition_of(argv) == ["b=2", "a=1,2"]


def test_a_job_is_known_by_what_it_learns_not_by_where_it_writes() -> None:
    one = {"method": {"lr": 1.0}, "outputs_dir": "/a", "data": {"cache_dir": "/a/.cache", "size": 64}}
    other = {"outputs_dir": "/b", "data": {"size": 64, "cache_dir": "/b/.cache"}, "method": {"lr": 1.0}}
    assert identity(one) == identity(other)
    assert identity(one) != identity({**one, "method": {"lr": 2.0}})
    assert differences(one, {**other, "method": {"lr": 2.0}, "new": 1}) == [
        "method.lr: 1.0 -> 2.0",
        'new: "nothing" -> 1',
    ]


def test_a_search_may_be_given_more_trials_and_its_password_again(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "hydra.sweeper.storage=postgresql://me:secret@host/db"
    words = [*BEGUN, "hydra.sweeper.n_trials=5", url]
    kept = definition_of(["train.py", "-m", *words])
    assert kept == [*words[:-1], "hydra.sweeper.storage=postgresql://me:***@host/db"]
    job = load(begun).jobs[0]
    Manifest(begun, kept, [job], {"x": {"method": {"lr": 1}}}).save()
    assert sweep_arguments(["train.py", "-m", f"resume={begun}"])[2:6] == kept
    more = [f"resume={begun}", "hydra.sweeper.n_trials=9", url]
    assert sweep_arguments(["train.py", "-m", *more])[2:6] == [*BEGUN, "hydra.sweeper.n_trials=9", url]
    assert sweep_arguments(["train.py", *words, "-m", *more])[2:6] == [*BEGUN, *more[1:]]
    with pytest.raises(UsageError, match=r"hydra\.sweeper\.metric=x"):
        sweep_arguments(["train.py", "-m", f"resume={begun}", "hydra.sweeper.metric=x"])


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("postgresql://me:p@ss:w@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://host/db?user=me&password=x&a=b", "postgresql://host/db?user=me&password=***&a=b"),
        ("sqlite:////tmp/a:b@c.db", "sqlite:////tmp/a:b@c.db"),
    ],
)
def test_a_password_is_not_written_down(url: str, kept: str) -> None:
    assert masked(url) == kept
