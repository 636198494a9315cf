"""What an offline W&B run would upload: the records of its `.wandb` file, a LevelDB log of protobufs."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

from wandb.proto import wandb_internal_pb2 as pb

_BLOCK, _HEADER = 32768, 7


class Uploaded(NamedTuple):
    """An offline run as `wandb sync` would send it; `exit_code` is None for a run that was killed."""

    run: Any
    config: dict[str, Any]
    history: list[dict[str, Any]]
    steps: dict[str, str]
    files: set[str]
    exit_code: int | None


def uploaded(folder: Path) -> Uploaded:
    (path,) = folder.glob("run-*.wandb")
    run, config, history, steps, files, exit_code = None, dict[str, Any](), [], {}, set(), None
    for data in _records(path.read_bytes()):
        record = pb.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
        if kind in ("run", "config"):
            updates = record.run.config.update if kind == "run" else record.config.update
            for item in updates:
                config[_key(item)] = json.loads(item.value_json)
        elif kind == "history":
            history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "metric":
            steps[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "files":
            files |= {file.path for file in record.files.files}
        elif kind == "exit":
            exit_code = record.exit.exit_code
    return Uploaded(run, config, history, steps, files, exit_code)


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def _records(data: bytes) -> list[bytes]:
    """Join the fragments of each record; a record that a kill cut off ends the file."""
    found, parts, place = [], [], _HEADER  # the file's own header is as long as a fragment's
    assert data[:4] == b":W&B"
    while place + _HEADER <= len(data):
        if _BLOCK - place % _BLOCK < _HEADER:  # padding
            place += _BLOCK - place % _BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        if kind == 0 or place + _HEADER + size > len(data):
            break
        parts.append(data[place + _HEADER : place + _HEADER + size])
        place += _HEADER + size
        if kind in (1, 4):  # full, last
            found.append(b"".join(parts))
            parts = []
    return found
