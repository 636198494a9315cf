"""`stylize.py` and `eval.py` on films, as commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import Cli, command, environment
from films import decoded, film, packets, picture, times

DRAWN = "method=flow"


def test_a_mixed_folder_is_painted_and_a_damaged_film_is_told_of(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    film(folder / "good.avi", 3, codec="mpeg4", sound=())
    whole = film(tmp_path / "whole.mp4", 60, options={"movflags": "+faststart"})
    (folder / "cut.mp4").write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.55)])
    (folder / "none.mkv").write_bytes(b"no film at all")
    Image.fromarray(picture(0, 32, 24)).save(folder / "photo.png")
    done = cli("stylize", DRAWN, f"input={folder}", f"output={tmp_path / 'out'}")
    assert done.returncode == 1, done.stderr
    assert "2 painted, 2 failed" in done.stderr
    assert "none.mkv: not a film that can be read" in done.stderr
    assert "cut.mp4: damaged: the last" in done.stderr
    assert "good.avi: written as" in done.stderr
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["cut.mp4", "good.mp4", "photo.png"]
    assert len(decoded(tmp_path / "out" / "good.mp4")) == 3
    assert 5 < len(decoded(tmp_path / "out" / "cut.mp4")) < 55


def test_mistakes_are_one_line(cli: Cli, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", 3)
    for words, line in [
        (["output=x.avi"], "output=x.avi: a film becomes a film"),
        (["output=x.mp4", "temporal=steady"], "temporal=steady: use one of none, flow"),
        (["output=x.mp4", "codec=divx"], "codec=divx: use one of"),
    ]:
        done = cli("stylize", DRAWN, f"input={source}", *words)
        assert done.returncode == 2, done.stderr
        assert line in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "outputs") == ["in.mp4"]


def test_flicker_of_two_files(cli: Cli, tmp_path: Path) -> None:
    still = [picture(0, 48, 40)] * 6
    bright = [frame // 2 + np.uint8(20 * (i % 2)) for i, frame in enumerate(still)]
    how = {"codec": "ffv1", "pixels": "yuv444p", "sound": (), "size": (48, 40)}
    source = film(tmp_path / "in.mkv", pictures=still, **how)
    painted = film(tmp_path / "out.mkv", pictures=bright, **how)
    done = cli("eval", f"film={source}", f"painted={painted}", f"output={tmp_path / 'scores'}")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores" / "report.json").read_text())["scores"]
    assert scores["warp_error"]["value"] == pytest.approx(20 / 255, abs=0.01)
    assert scores["warp_error"]["source_as_is"] < 0.005
    assert scores["warp_error"]["n"] == 5
    again = cli("eval", f"film={source}", f"painted={painted}", f"output={tmp_path / 'scores'}")
    assert again.returncode == 2
    assert "holds a report already" in again.stderr


def test_flicker_of_a_painter(cli: Cli, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", 4, (48, 40))
    done = cli("eval", DRAWN, f"film={source}", "temporal=flow", f"output={tmp_path / 'scores'}")
    assert done.returncode == 0, done.stderr
    assert "by temporal=flow" in done.stderr
    scores = json.loads((tmp_path / "scores" / "report.json").read_text())["scores"]
    assert {"warp_error", "warp_error_unsteadied"} <= set(scores)


@pytest.mark.slow
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
def test_a_command_that_was_stopped_goes_on(cli: Cli, tmp_path: Path, way: signal.Signals) -> None:
    source = film(tmp_path / "in.mp4", 40, (96, 80))
    words = [DRAWN, f"input={source}", f"output={tmp_path / 'out.mp4'}", "temporal=flow", "segment=0.5"]
    begun = subprocess.Popen(
        command("stylize", *words), env=environment(tmp_path), cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    third = tmp_path / "out.mp4.part" / "00002.json"
    until = time.monotonic() + 280
    while not third.exists() and begun.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(begun.pid, way)
    assert begun.wait(200) == (-9 if way == signal.SIGKILL else 130)
    if way == signal.SIGINT:
        part = decoded(tmp_path / "out.mp4")
        assert 15 <= len(part) < 40
        assert abs(float(packets(tmp_path / "out.mp4", "audio")[-1][0]) - len(part) / 10) < 0.2
    else:
        assert not (tmp_path / "out.mp4").exists()
    gone_on = cli("stylize", *words)
    assert gone_on.returncode == 0, gone_on.stderr
    assert "frames were painted already" in gone_on.stderr
    whole = cli("stylize", *words[:2], f"output={tmp_path / 'whole.mp4'}", *words[3:])
    assert whole.returncode == 0, whole.stderr
    ours, theirs = decoded(tmp_path / "out.mp4"), decoded(tmp_path / "whole.mp4")
    assert len(ours) == 40
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert times(tmp_path / "out.mp4") == times(source)
    assert packets(tmp_path / "out.mp4", "audio") == packets(source, "audio")
    assert not (tmp_path / "out.mp4.part").exists()
