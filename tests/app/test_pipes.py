"""Behind `| head`: a command whose output nobody reads ends with 141 and says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from commands import PROJECT, command, environment
from toonlab.app.cli import CONF, register_resolvers

Run = Callable[..., subprocess.CompletedProcess[str]]

BEGIN = """
import os, sys
from toonlab.app.pipes import end_if_unread, ending_quietly
with ending_quietly():
"""


@pytest.fixture
def unread(tmp_path: Path) -> Run:
    """Run a command whose stdout, and stderr with `also_errors`, has lost its reader."""

    def run(*words: str, also_errors: bool = False) -> subprocess.CompletedProcess[str]:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            return subprocess.run(
                words,
                cwd=tmp_path,
                env=environment(tmp_path, PYTHONPATH=str(PROJECT / "src")),
                stdout=writer,
                stderr=writer if also_errors else subprocess.PIPE,
                text=True,
                timeout=120,
            )
        finally:
            os.close(writer)

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--help"),
        ("inpaint", "--help"),
        ("prepare", "--help"),
        ("prepare", "split", "--help"),
        ("train", "--cfg", "job"),
    ],
    ids=" ".join,
)
def test_answers_without_a_reader_end_quietly(unread: Run, words: tuple[str, ...]) -> None:
    done = unread(*command(*words))
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "body",
    [
        "print('x')",
        "print('x' * 10**6)",
        "print('x'); sys.exit(1)",
        "sys.stdout.write('x'); sys.stdout.flush()",
    ],
)
def test_any_way_of_printing_ends_quietly(unread: Run, body: str) -> None:
    done = unread(sys.executable, "-c", f"{BEGIN}    {body}")
    assert (done.returncode, done.stderr) == (141, "")


def test_an_error_that_nobody_reads_ends_the_command(unread: Run) -> None:
    body = "    try:\n        os.write(2, b'x')\n    except OSError as error:\n        end_if_unread(error)"
    assert unread(sys.executable, "-c", BEGIN + body, also_errors=True).returncode == 141


@pytest.mark.parametrize("caught", [False, True])
def test_a_broken_pipe_elsewhere_is_no_reason_to_die_quietly(tmp_path: Path, caught: bool) -> None:
    inside = "reader, writer = os.pipe(); os.close(reader); os.write(writer, b'x')"
    body = f"    {inside}"
    if caught:
        body = f"    try:\n        {inside}\n    except OSError as error:\n        end_if_unread(error)"
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + body],
        env=environment(tmp_path, PYTHONPATH=str(PROJECT / "src")),
        capture_output=True,
        text=True,
    )
    assert done.returncode == (0 if caught else 1)
    assert ("BrokenPipeError" in done.stderr) is not caught


def test_what_is_read_arrives_whole_with_its_status(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{BEGIN}    print('x' * 10**6); sys.exit(3)"],
        env=environment(tmp_path, PYTHONPATH=str(PROJECT / "src")),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "x" * 10**6 + "\n", "")


def test_what_hydra_says_of_a_sweep_is_no_answer() -> None:
    """On stdout it would print a traceback of logging's for each job, once nobody reads."""
    register_resolvers()
    for path in CONF.glob("*.yaml"):
        if "job_logging" not in path.read_text():  # a part of others
            continue
        with initialize_config_dir(str(CONF), version_base="1.3"):
            said = compose(path.stem, return_hydra_config=True).hydra.hydra_logging
        assert said.handlers.console["class"].endswith("ConsoleHandler"), path
