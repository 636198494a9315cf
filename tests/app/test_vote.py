"""`src/vote.py` from its command line: paints, goes on, refuses to mix, serves, counts."""

import csv
import json
import re
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from commands import command, environment
from shipped import trained_generator
from toonlab.app import vote as task
from toonlab.app.ladder import Row
from toonlab.app.reporting.votes import read_votes
from toonlab.app.voting.arguments import with_words
from toonlab.app.voting.entrants import entrants, settings_of
from toonlab.engine.checkpoint import load_generator
from toonlab.errors import UsageError
from toonlab.images import to_picture, to_tensor
from toonlab.votes.store import Store


def row(method: str, run: Path) -> Row:
    return Row(method, run, 1, {}, supervised=False, about={})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, name in enumerate(("a.png", "b.jpg", "more/c.png")):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x010E] = f"secret{i}"
        coarse.resize((64, 48), Image.Resampling.BICUBIC).save(folder / name, exif=exif)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two trained networks, of different weights."""
    found = []
    for width, name in enumerate(("one", "two"), start=4):
        trained_generator(tmp_path / "runs" / name / "checkpoints" / "last.ckpt", width=width)
        found.append(tmp_path / "runs" / name)
    return found


def begin(composed, tmp_path: Path, *overrides: str) -> Store:
    output = tmp_path / "vote"
    task.run(composed(f"output={output}", "serve=false", "device=cpu", *overrides, config="vote"))
    return Store(output)


def asked(runs: list[Path], photos: Path) -> list[str]:
    return [f"runs=[{runs[0]},{runs[1]},flow,photo]", f"photos={photos}"]


def test_each_photo_is_painted_by_each_run_as_stylize_does(composed, tmp_path, runs, photos) -> None:
    store = begin(composed, tmp_path, *asked(runs, photos))
    manifest, tokens = store.manifest(), store.tokens()
    assert [model.name for model in manifest.models] == ["one", "two", "flow", "photo"]
    assert [photo.name for photo in manifest.photos] == ["a.png", "b.jpg", "more/c.png"]
    files = sorted((store.folder / "pictures").iterdir())
    assert {file.stem for file in files} == set(tokens.values())
    assert len(files) == 3 * 5

    def pixels(photo: int, model: int | None) -> np.ndarray:
        return np.asarray(Image.open(store.folder / "pictures" / f"{tokens[photo, model]}.png"))

    for i, photo in enumerate(manifest.photos):
        original = Image.open(photos / photo.name).convert("RGB")
        assert np.array_equal(pixels(i, None), np.asarray(original))
        assert np.array_equal(pixels(i, 3), np.asarray(original))  # `photo`, left alone
        for number, run in enumerate(runs):
            with torch.inference_mode():
                painted = load_generator(run).generator(to_tensor(original)[None])[0].clamp(-1, 1)
            expected = np.asarray(to_picture(painted)).astype(int)
            assert np.abs(pixels(i, number) - expected).max() <= 1
    raw = b"".join(file.read_bytes() for file in files)
    assert b"secret" not in raw
    assert not re.search(rb"tEXt|iTXt|eXIf|tIME", raw)


def test_only_what_is_missing_is_painted_again(composed, tmp_path, runs, photos) -> None:
    store = begin(composed, tmp_path, *asked(runs, photos))
    files = sorted((store.folder / "pictures").iterdir())
    stamps = [file.stat().st_mtime_ns for file in files]
    content = files[3].read_bytes()
    files[3].unlink()
    begin(composed, tmp_path)  # by the folder alone
    again = [file.stat().st_mtime_ns for file in files]
    assert [one == two for one, two in zip(stamps, again, strict=True)] == [i != 3 for i in range(len(files))]
    assert files[3].read_bytes() == content


def test_ctrl_c_keeps_what_is_painted(composed, tmp_path, runs, photos, monkeypatch, caplog) -> None:
    from toonlab.inference.stylizer import Stylizer

    paint, calls = Stylizer.paint, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return paint(self, *arguments)

    monkeypatch.setattr(Stylizer, "paint", interrupted)
    caplog.set_level("INFO")
    with pytest.raises(SystemExit, match="130"):
        begin(composed, tmp_path, *asked(runs, photos))
    assert "the same command goes on from here" in caplog.text
    kept = len(list((tmp_path / "vote" / "pictures").iterdir()))
    assert kept == 3 + 2
    monkeypatch.undo()
    store = begin(composed, tmp_path, *asked(runs, photos))
    assert len(list((store.folder / "pictures").iterdir())) == 15


def test_another_vote_does_not_mix_with_this_one(composed, tmp_path, runs, photos) -> None:
    begin(composed, tmp_path, *asked(runs, photos))
    begin(composed, tmp_path, *asked(runs, photos))  # the same is gone on with
    with pytest.raises(UsageError, match=r"another vote \(mode=pick there, mode=pairs now\): name a new"):
        begin(composed, tmp_path, *asked(runs, photos), "mode=pairs")
    with pytest.raises(UsageError, match=r"\(models one, two, flow, photo there, one, two now\)"):
        begin(composed, tmp_path, f"runs=[{runs[0]},{runs[1]}]", f"photos={photos}")
    Image.new("RGB", (64, 48), "red").save(photos / "a.png")
    with pytest.raises(UsageError, match=r"another vote \(the photo a.png has changed\)"):
        begin(composed, tmp_path, *asked(runs, photos))
    trained_generator(runs[1] / "checkpoints" / "last.ckpt", width=7)
    with pytest.raises(UsageError, match=r"\(two is not what it was there: other weights or settings\)"):
        begin(composed, tmp_path, *asked(runs, photos))
    with pytest.raises(UsageError, match=r"mode=…: without runs=\[…\] the vote goes on as it was begun"):
        begin(composed, tmp_path, "mode=pairs")
    next((tmp_path / "vote" / "pictures").iterdir())
    token = Store(tmp_path / "vote").tokens()[1, 1]
    (tmp_path / "vote" / "pictures" / f"{token}.png").unlink()
    with pytest.raises(UsageError, match=r"last\.ckpt: two is not there any more as it was"):
        begin(composed, tmp_path)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("[flow]", "a vote needs two or more"),
        ("[flow,flow]", "two are called flow"),
        ("[flow,flwo_ink]", r"flwo_ink: no such run folder or file \(did you mean 'flow_ink'"),
        ("[flow,EMPTY]", "holds no checkpoints/best.ckpt or last.ckpt"),
        ("{a: flow, b: {ckpt: flow, strength: 2}}", "flow has no settings; leave strength out"),
        ("{a: flow, b: {ckpt: x, strenght: 2}}", r"strenght: no such setting \(did you mean 'strength'"),
    ],
)
def test_entries_that_are_none(composed, tmp_path, photos, runs: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    runs = runs.replace("EMPTY", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match=message):
        begin(composed, tmp_path, f"runs={runs}", f"photos={photos}")
    assert not (tmp_path / "vote").exists()  # nothing was begun


def test_entries_by_name_with_settings_and_the_best_checkpoint(tmp_path, runs) -> None:
    trained_generator(runs[0] / "checkpoints" / "best.ckpt", width=9)
    named = entrants(
        {"raw": {"ckpt": str(runs[0]), "strength": 0}, "usual": {"ckpt": str(runs[0]), "strength": 1.0}}
    )
    assert [(model.name, dict(model.settings)) for model in named] == [
        ("raw", {"strength": 0}),
        ("usual", {}),
    ]
    assert {Path(model.source).name for model in named} == {"best.ckpt"}
    file = runs[0] / "checkpoints" / "last.ckpt"
    assert Path(entrants([str(file), "photo"])[0].source) == file


def test_other_files_and_other_processes_are_left_alone(composed, tmp_path, runs, photos) -> None:
    (tmp_path / "vote").mkdir()
    (tmp_path / "vote" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="holds other files and no vote; name a new folder"):
        begin(composed, tmp_path, *asked(runs, photos))
    (tmp_path / "vote" / "thesis.tex").unlink()
    store = begin(composed, tmp_path, "runs=[flow,photo]", f"photos={photos}", "count=2")
    assert len(store.manifest().photos) == 2
    held = task._alone(store)
    with pytest.raises(UsageError, match=r"another src/vote\.py is at work there"):
        begin(composed, tmp_path)
    held.release()
    with pytest.raises(UsageError, match=r"count=4: photos=.* holds 3"):
        task.run(
            composed(
                f"output={tmp_path}/new", "runs=[flow,photo]", f"photos={photos}", "count=4", config="vote"
            )
        )
    with pytest.raises(UsageError, match="output=VOTE_DIR"):
        task.run(composed("runs=[flow,photo]", config="vote"))
    with pytest.raises(UsageError, match="no vote there; begin one"):
        task.run(composed(f"output={tmp_path}/nowhere", config="vote"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["report", "V"], ['report="V"']),
        (["report", "V", "resamples=10"], ['report="V"', "resamples=10"]),
        (["V"], ['output="V"']),
        (["V", "port=0"], ['output="V"', "port=0"]),
        (["runs=[a,b]", "photos=p", "output=V"], ["runs=[a,b]", "photos=p", "output=V"]),
        (["runs=[a,b]", "photos=p", "V"], ['output="V"', "runs=[a,b]", "photos=p"]),
        (["--help"], ["--help"]),
        (["report", "--help"], ["--help"]),
    ],
)
def test_words_of_the_command_line(typed: list[str], meant: list[str]) -> None:
    assert with_words(["vote.py", *typed])[1:] == meant


def test_words_that_are_too_many_or_too_few() -> None:
    with pytest.raises(UsageError, match="of which vote"):
        with_words(["vote.py", "report"])
    with pytest.raises(UsageError, match="one folder of a vote"):
        with_words(["vote.py", "report", "V", "W"])


def cast(store: Store, liked: dict[str, list[int]]) -> None:
    """Let each rater pick by model: the i-th photo's, or pair's, best by their list of weights."""
    for name, order in liked.items():
        rater = store.enter(name)
        for number, trial in enumerate(store.trials(rater)):
            place = min(range(len(trial.shown)), key=lambda at: order.index(trial.shown[at]))
            store.vote(rater, number, place, replaces=0, milliseconds=1000)


def test_the_report_counts_and_finds_the_scores(composed, tmp_path, runs, photos, capsys) -> None:
    store = begin(composed, tmp_path, f"runs=[{runs[0]},{runs[1]},flow,photo]", f"photos={photos}")
    with pytest.raises(UsageError, match="nobody has voted yet"):
        task.run(composed(f"report={store.folder}", config="vote"))
    cast(store, {"Ada": [1, 0, 2, 3], "<Bo>": [1, 0, 2, 3], "Cy|": [0, 1, 2, 3]})
    for number, run in enumerate(runs):
        about = {"checkpoint": str(run), "metrics": {}, "kind": "to_cartoon", "part": "all", "data": {"x": 1}}
        kept_report(run / "eval" / "a" / "report.json", about, kid=0.2 - 0.1 * number)
    flow = {
        "method": settings_of("flow"),
        "metrics": {},
        "kind": "to_cartoon",
        "part": "all",
        "data": {"x": 1},
    }
    kept_report(tmp_path / "scored" / "report.json", flow, kid=0.3)
    other = {"checkpoint": str(runs[0]), "metrics": {}, "kind": "to_cartoon", "part": "val", "data": {"x": 2}}
    kept_report(runs[0] / "eval" / "z" / "report.json", other, kid=99.0)  # of other data: not beside the rest
    task.run(composed(f"report={store.folder}", f"scores=[{tmp_path}/scored]", "resamples=50", config="vote"))
    text = (store.folder / "report.md").read_text()
    assert "| model | Ada | <Bo> | Cy\\| | Final votes |" in text
    assert "| two | 3 | 3 | 0 | 6 |" in text
    assert "| one | 0 | 0 | 3 | 3 |" in text
    assert "| *all* | 3 | 3 | 3 | 9 |" in text
    assert "| kid_net | lower | 0.2 | 0.1 | 0.3 | 0.5 | 4 | 0.95 | 0.91 |" in text
    assert "Rank correlations over 4 models prove nothing" in text
    with (store.folder / "report.csv").open() as file:
        rows = {line["model"]: line for line in csv.DictReader(file)}
    assert [rows[name]["picked"] for name in ("one", "two", "flow", "photo")] == ["3", "6", "0", "0"]
    assert (
        float(rows["two"]["strength"]) > float(rows["one"]["strength"]) > float(rows["flow"]["strength"]) > 0
    )
    page = (store.folder / "report.html").read_text()
    assert "&lt;Bo&gt;" in page
    assert "<Bo>" not in page
    assert page.count("data:image/jpeg") == 3 * 5
    with (store.folder / "votes.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 9
    assert {line["model"] for line in lines} == {"one", "two"}


def kept_report(path: Path, about: dict, *, kid: float) -> None:
    score = {"value": kid, "source_as_is": 0.5, "real_vs_real": 0.0, "better": "lower", "n": 9}
    path.parent.mkdir(parents=True)
    content = {"about": about, "scores": {"kid_net": score}, "protocol": {"images": {"n": 9}}}
    path.write_text(json.dumps(content))


def test_pairs_are_counted_as_wins(composed, tmp_path, runs, photos) -> None:
    store = begin(composed, tmp_path, f"runs=[{runs[0]},{runs[1]},photo]", f"photos={photos}", "mode=pairs")
    cast(store, {"Ada": [1, 0, 2]})
    task.run(composed(f"report={store.folder}", "resamples=20", config="vote"))
    text = (store.folder / "report.md").read_text()
    assert "| two | 6 | 6 |" in text
    assert "| 1 | two | 6 of 6 | 100 %" in text
    assert "| two | 3 |  | 3 |" in text  # over one, over itself, over photo
    assert "One rater" in text


def test_source_004s_table_takes_its_votes_from_there(composed, tmp_path, runs, photos) -> None:
    store = begin(composed, tmp_path, f"runs=[{runs[0]},{runs[1]},photo]", f"photos={photos}")
    cast(store, {"Ada": [1, 0, 2], "Bo": [2, 1, 0]})
    rows = [row("whitebox", runs[1]), row("cartoongan", runs[0])]
    assert read_votes(store.folder, rows, asked=True) == {"Ada": {"whitebox": 3}}  # Bo picked the photo
    alike = [each._replace(method="gan_v1", shares_method=True) for each in rows]
    assert read_votes(store.folder, alike, asked=True) == {"Ada": {str(runs[1]): 3}}
    with pytest.raises(UsageError, match="was about one, two, photo, none of these runs"):
        read_votes(store.folder, [row("x", tmp_path)], asked=True)
    file = tmp_path / "votes.csv"
    file.write_text("rater,model\nAda,gan_v1\n")
    with pytest.raises(UsageError, match=r"line 2: several runs of method 'gan_v1'; name the run's"):
        read_votes(file, alike, asked=True)
    file.write_text("rater,model\nAda,two\n")
    assert read_votes(file, alike, asked=True) == {"Ada": {str(runs[1]): 1}}


def test_the_page_is_served_until_ctrl_c(composed, tmp_path, photos, caplog) -> None:
    store = begin(composed, tmp_path, "runs=[flow,photo]", f"photos={photos}")
    caplog.set_level("INFO")
    seen: list[bytes] = []

    def visit() -> None:
        while not (url := re.search(r"http://127\.0\.0\.1:\d+/", caplog.text)):
            time.sleep(0.02)
        with urllib.request.urlopen(url[0], timeout=60) as answer:
            seen.append(answer.read())
        store.enter("Ada")
        signal.raise_signal(signal.SIGINT)

    visitor = threading.Thread(target=visit)
    visitor.start()
    task.run(composed(f"output={store.folder}", "port=0", config="vote"))
    visitor.join()
    assert b"Which picture is best?" in seen[0]
    assert "Ada: 0 of 3" in caplog.text
    assert f"src/vote.py report {store.folder}" in caplog.text


@pytest.mark.slow  # imports torch in a process of its own
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_cleanly(composed, tmp_path, photos, how: signal.Signals) -> None:
    store = begin(composed, tmp_path, "runs=[flow,photo]", f"photos={photos}")
    with subprocess.Popen(
        command("vote", str(store.folder), "port=0"),
        env=environment(tmp_path),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as served:
        assert served.stderr
        while "Vote at" not in (line := served.stderr.readline()):
            assert line
        Store(store.folder).enter("Ada")
        served.send_signal(how)
        said = served.stderr.read()
        assert served.wait(60) == 0
    assert "Ada: 0 of 3" in said
    assert "Traceback" not in said


def test_the_command_line_answers_at_once_and_in_one_line(cli, tmp_path) -> None:
    helped = cli("vote", "--help")
    assert helped.returncode == 0
    assert "python src/vote.py report VOTE_DIR" in helped.stdout
    wrong = cli("vote", "report", "nowhere")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert "error: " in wrong.stderr
    assert "no vote there; begin one with runs=" in wrong.stderr
