"""Leases of devices: file locks that end with whoever holds them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from toonlab.sweeps.devices import environment_for, parse, visible
from toonlab.sweeps.leases import lease, lock

LISTING = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)
  MIG 1g.10gb     Device  0: (UUID: MIG-22222222-aaaa-bbbb-cccc-000000000000)
  MIG 1g.10gb     Device  1: (UUID: MIG-33333333-aaaa-bbbb-cccc-000000000000)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-44444444-aaaa-bbbb-cccc-000000000000)
"""


def test_gpus_and_mig_instances_are_read_from_nvidia_smi() -> None:
    assert parse(LISTING) == [
        ["MIG-22222222-aaaa-bbbb-cccc-000000000000", "MIG-33333333-aaaa-bbbb-cccc-000000000000"],
        ["GPU-44444444-aaaa-bbbb-cccc-000000000000"],
    ]
    assert parse("No devices found.\n") == []


def smi(folder: Path, monkeypatch) -> None:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTING}END\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_cuda_visible_devices_is_honoured(tmp_path: Path, monkeypatch) -> None:
    smi(tmp_path, monkeypatch)
    assert [name[:4] for name in visible({})] == ["MIG-", "MIG-", "GPU-"]
    assert visible({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert visible({"CUDA_VISIBLE_DEVICES": "1"}) == ["GPU-44444444-aaaa-bbbb-cccc-000000000000"]
    assert visible({"CUDA_VISIBLE_DEVICES": "1,-1,0"}) == ["GPU-44444444-aaaa-bbbb-cccc-000000000000"]
    assert visible({"CUDA_VISIBLE_DEVICES": "7,0"}) == []  # CUDA, too, stops at what it does not have
    assert visible({"CUDA_VISIBLE_DEVICES": "MIG-x"}) == ["MIG-x"]
    assert visible({"TOONLAB_FAKE_DEVICES": "a, b", "CUDA_VISIBLE_DEVICES": "1"}) == ["a", "b"]


def test_a_job_sees_its_device_alone() -> None:
    assert environment_for(["GPU-x"], {}) == {"TOONLAB_DEVICE": "GPU-x", "CUDA_VISIBLE_DEVICES": "GPU-x"}
    assert environment_for(["a"], {"TOONLAB_FAKE_DEVICES": "a"}) == {"TOONLAB_DEVICE": "a"}


def test_a_device_is_leased_once_until_it_is_given_back(tmp_path: Path) -> None:
    first = lease(["a", "b"], count=1, slots=1, folder=tmp_path)
    second = lease(["a", "b"], count=1, slots=1, folder=tmp_path)
    assert first
    assert second
    assert (first.devices, second.devices) == (["a"], ["b"])
    assert lease(["a", "b"], count=1, slots=1, folder=tmp_path) is None
    first.release()
    assert lease(["a", "b"], count=2, slots=1, folder=tmp_path) is None  # and takes neither meanwhile
    third = lease(["a", "b"], count=1, slots=1, folder=tmp_path)
    assert third
    assert third.devices == ["a"]


def test_a_shared_device_is_full_at_some_time_and_never_shared_with_one_who_wants_it_whole(
    tmp_path: Path,
) -> None:
    one, two = (lease(["a"], count=1, slots=2, folder=tmp_path) for _ in range(2))
    assert one
    assert two
    assert lease(["a"], count=1, slots=2, folder=tmp_path) is None
    one.release()
    assert lease(["a"], count=1, slots=1, folder=tmp_path) is None
    two.release()
    whole = lease(["a"], count=1, slots=1, folder=tmp_path)
    assert whole
    assert lease(["a"], count=1, slots=4, folder=tmp_path) is None


def test_a_lease_lasts_as_long_as_the_process_that_was_handed_it(tmp_path: Path) -> None:
    held = lease(["a"], count=1, slots=1, folder=tmp_path)
    assert held
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=held.descriptors
    )
    held.release()  # its parent has died
    assert lease(["a"], count=1, slots=1, folder=tmp_path) is None
    child.kill()
    child.wait()
    assert lease(["a"], count=1, slots=1, folder=tmp_path) is not None


def test_a_link_in_the_folder_of_locks_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    try:
        lock(tmp_path / "lock")
    except OSError:
        assert (tmp_path / "victim").read_text() == "mine"
    else:
        raise AssertionError("followed")
