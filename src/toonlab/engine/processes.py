"""The processes of a run on several devices: started together, watched, and ended together."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch.distributed
from lightning.fabric.plugins import ClusterEnvironment
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from toonlab.errors import UsageError

log = logging.getLogger(__name__)

PARENT = "TOONLAB_PARENT"
"""Environment variable of the processes that rank 0 starts: its process number."""

_CLEAN = (0, 128 + 2, 128 + 15)  # finished, or stopped by Ctrl-C or SIGTERM
_POLL = 0.25  # seconds
_PATIENCE = 3.0  # seconds that a failing process waits, so that of a failure of all rank 0 alone tells
_GRACE = 10.0  # seconds that rank 0 gets to see for itself that another one is gone
_FAREWELL = 120.0  # seconds that the others get to exit after rank 0 has trained
_ADDRESS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")


class Processes(_SubprocessScriptLauncher):
    """Starts a process for each device but the first of this machine, unless somebody else has started them.

    Lightning's own starts the words of the command line again, which in a multirun is the whole sweep, and
    kills rank 0 with the rest if one fails: no message, no `result.json`, no exit code that says anything.
    Here rank 0 ends with an error that names the process; it ends the others when it fails itself; and
    they end themselves when it is gone.

    Args:
        cluster_environment: see Lightning.
        num_processes: of this machine.
        num_nodes: machines.
        command: what each process runs; None repeats this process's own command line.
    """

    def __init__(
        self,
        cluster_environment: ClusterEnvironment,
        num_processes: int,
        num_nodes: int,
        *,
        command: Sequence[str] | None = None,
    ) -> None:
        super().__init__(cluster_environment, num_processes, num_nodes)
        self.command = list(command or [sys.executable, *sys.argv])
        self._over = threading.Event()

    def launch(
        self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any
    ) -> Any:
        """Start the others, and do `function(*args, **kwargs)` with them.

        Raises:
            UsageError: another process has failed.
        """
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        parent = os.environ.get(PARENT)
        known = set(os.environ)
        if parent:
            threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
        elif not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
            threading.Thread(target=self._watch, args=(trainer,), daemon=True).start()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            if parent:
                time.sleep(_PATIENCE)
                self._tell(error)
            self._fail(error)
            raise
        finally:
            self._over.set()
            for name in set(_ADDRESS) - known:  # or the next run of this process would wait for others
                os.environ.pop(name, None)
        if (self.procs or parent) and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        self._part()
        return result

    def _call_children_scripts(self) -> None:
        self._check_can_spawn_children()
        environment = self.cluster_environment
        address = {
            PARENT: os.getpid(),
            "MASTER_ADDR": environment.main_address,
            "MASTER_PORT": environment.main_port,
            "NODE_RANK": environment.node_rank(),
            "WORLD_SIZE": self.num_processes * self.num_nodes,
        }
        common = os.environ | {name: str(value) for name, value in address.items()}
        for rank in range(1, self.num_processes):
            own = common | {"LOCAL_RANK": str(rank)}
            # A sweep's locks on the run and its devices are open files of this process, and as long as one
            # rank lives they must hold: others get a copy. Python's own files are not handed down.
            process = subprocess.Popen(self.command, env=own, close_fds=False)  # noqa: S603
            self.procs.append(process)

    def _watch(self, trainer: Trainer | None) -> None:
        """End everything if another process has failed while rank 0 waits for it, deaf to exceptions."""
        while not self._over.wait(_POLL):
            stopping = trainer is not None and trainer.should_stop
            failed = self._failed(_CLEAN if stopping else (0,))
            if failed and not self._over.wait(_GRACE):
                sys.stderr.write(f"\nerror: {self._describe(*failed)}\n")
                sys.stderr.flush()
                self._kill()
                # What a shell and a sweep make of a stop by Ctrl-C or SIGTERM before training began.
                stopped = {130: 130, -2: 130, 143: 143, -15: 143}
                os._exit(stopped.get(failed[1], 2))

    def _failed(self, clean: Sequence[int] = (0,)) -> tuple[int, int] | None:
        """Return number and exit code of a process that ended with none of the codes in `clean`."""
        for rank, process in enumerate(self.procs, start=1):
            code = process.poll()
            if code is not None and code not in clean:
                return rank, code
        return None

    def _fail(self, error: BaseException) -> None:
        """After an error in rank 0: find out whether it comes from another process, and end them all."""
        if not self.procs:
            return
        failed = None
        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
            # What a collective raises; the exit code comes after the connection has gone.
            end = time.monotonic() + _GRACE / 2
            while failed is None and time.monotonic() < end:
                failed = self._failed()
                time.sleep(_POLL / 5)
        self._kill()
        why = self._describe(*failed) if failed else None
        with suppress(Exception):  # NCCL would wait for the dead at exit
            torch.distributed.distributed_c10d._abort_process_group()
        if why:
            raise UsageError(why) from error

    def _tell(self, error: BaseException) -> None:
        """Leave rank 0 the words of a mistake of the user's, and end: it is rank 0 that says them."""
        if isinstance(error, UsageError):
            with suppress(Exception):  # before the processes have met, this one speaks for itself
                _store().set(_words_of(self.cluster_environment.local_rank()), str(error))
                os._exit(2)

    def _describe(self, rank: int, code: int) -> str:
        with suppress(Exception):
            if _store().check([_words_of(rank)]):
                return f"process {rank} of {self.num_processes}: {_store().get(_words_of(rank)).decode()}"
        how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        return (
            f"process {rank} of {self.num_processes} {how}, and so all end (what it said is above); the last "
            "good state is checkpoints/last.ckpt"
        )

    def _kill(self) -> None:
        for process in self.procs:
            if process.poll() is None:
                process.kill()
        for process in self.procs:
            process.wait()

    def _part(self) -> None:
        """Wait for the others, so that none outlives the run."""
        for rank, process in enumerate(self.procs, start=1):
            try:
                code = process.wait(_FAREWELL)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if code not in _CLEAN:
                log.warning("The run is whole, but afterwards process %d ended with code %d", rank, code)


def _store() -> Any:
    return torch.distributed.distributed_c10d._get_default_store()


def _words_of(rank: int) -> str:
    return f"toonlab/words/{rank}"


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: nobody is left to train with, or to tell."""
    while os.getppid() == parent:
        time.sleep(_POLL)
    os._exit(1)
