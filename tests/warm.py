"""Commands in processes of their own that need not import torch anew, which is most of what they take.

    Warm().run(["…/src/train.py", "method=…"], cwd=…, env=…, timeout=…)

One process has imported what the scripts import, and done nothing; each command is a fork of it that gets its
own arguments, environment, folder and files for what it says, and then is the script. What a variable of the
environment changes at import needs a process that begins from nothing, `subprocess.run`, and so does what
nobody may have imported.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

SRC = str(Path(__file__).resolve().parents[1] / "src")
AT_IMPORT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
IMPORTED = ("hydra", "lightning.pytorch", "toonlab.app.train", "toonlab.app.evaluate", "toonlab.app.stylize")


class Warm:
    """The process that commands are forks of; `close` ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=os.environ | AT_IMPORT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, command: list[str], *, cwd: Path, env: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a script with its arguments, as `subprocess.run(…, capture_output=True, text=True)`."""
        with tempfile.TemporaryDirectory() as folder:
            said = [Path(folder, name) for name in ("out", "err")]
            request = {"command": command, "cwd": str(cwd), "env": env, "said": [str(p) for p in said]}
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps(request | {"timeout": timeout}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, "the warm process is gone"
            code = int(answer)
            out, err = (path.read_text() for path in said)
        if code == -signal.SIGALRM:
            raise subprocess.TimeoutExpired(command, timeout, out, err)
        return subprocess.CompletedProcess(command, code, out, err)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def serve() -> dict[str, Any]:
    """Return what to be, in a fork for each request; the process that was asked ends with its last reader."""
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        pipe.write(f"{code}\n")
        pipe.flush()
    os._exit(0)


def become(request: dict[str, Any]) -> None:
    """Be a command."""
    for descriptor, path in enumerate([os.devnull, *request["said"]]):
        file = os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    signal.alarm(int(request["timeout"]))
    sys.argv = request["command"]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    sys.path[0] = SRC  # this checkout's, whichever is installed
    for name in IMPORTED:
        import_module(name)
    become(serve())
