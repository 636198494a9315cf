"""The `cli` fixture."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from commands import Cli, command, environment


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run a script from a strange working directory; its outputs go to the test's folder."""

    def run(script: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(script, *arguments),
            cwd=tmp_path,
            env=environment(tmp_path, **more),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
