"""Films: frames, times and sound survive; whatever stops the painting, it goes on to the same film."""

from __future__ import annotations

import itertools
import signal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from torch import nn

from films import decoded, film, packets, picture, times
from toonlab.errors import UsageError
from toonlab.inference.film import BadFilmError, Encoding, paint_film
from toonlab.inference.film.formats import parts_of
from toonlab.inference.film.joining import decoding_times
from toonlab.inference.film.parts import Segment
from toonlab.inference.film.reading import _declared
from toonlab.inference.stylizer import Stylizer

MS = Fraction(1, 1000)
EXACT = Encoding(codec="ffv1", pixels="yuv444p", segment=0.5)


class Painter(nn.Module):
    """Paints the negative; after `until` frames it is killed, so to speak."""

    def __init__(self, until: int | None = None, gain: float = -1.0) -> None:
        super().__init__()
        self._until, self._seen = until, 0
        self.gain = nn.Parameter(torch.tensor(gain), requires_grad=False)

    def forward(self, photos):
        self._seen += len(photos)
        if self._until is not None and self._seen > self._until:
            raise KeyError("killed")
        return self.gain * photos


def stylizer(until: int | None = None, gain: float = -1.0) -> Stylizer:
    return Stylizer(Painter(until, gain), multiple=1, output_filter=None, tile=None)


def test_frames_times_and_sound_are_the_sources(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", 25, sound=("aac", "aac"))
    outcome = paint_film(stylizer(gain=1.0), source, tmp_path / "out.mp4", encoding=Encoding(segment=1.0))
    assert (outcome.frames, outcome.total, outcome.missing, outcome.notes) == (25, 25, None, ())
    assert times(outcome.target) == times(source) == [Fraction(i, 10) for i in range(25)]
    for number in (0, 1):  # packet by packet, not encoded anew
        assert packets(outcome.target, "audio", number) == packets(source, "audio", number)
    for ours, theirs in zip(decoded(outcome.target), decoded(source), strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 6  # two lossy codings of thin colours
    assert not parts_of(outcome.target).exists()


def test_films_put_one_behind_another_are_one_film(tmp_path: Path) -> None:
    """As `cat a.ts b.ts` makes them: clock and size begin anew, picture and sound go on."""
    parts = [film(tmp_path / f"{n}.ts", 12, size, rate=12) for n, size in enumerate([(32, 24), (48, 24)])]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert times(both) != sorted(times(both))
    outcome = paint_film(stylizer(), both, tmp_path / "out.mp4", encoding=Encoding(segment=0.5))
    assert outcome.frames == 24
    shown = times(outcome.target)
    steps = [float(b - a) for a, b in itertools.pairwise(shown)]
    assert steps == pytest.approx([1 / 12] * 23, abs=1e-3)
    heard = packets(outcome.target, "audio")
    assert len(heard) == len(packets(both, "audio"))
    assert [time for time, _ in heard] == sorted(time for time, _ in heard)
    assert heard[-1][0] == pytest.approx(2, abs=0.15)


def test_what_cannot_be_joined_keeps_what_is_painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise av.error.ArgumentError(22, "Invalid argument")

    source = film(tmp_path / "in.mp4", 12)
    monkeypatch.setattr("toonlab.inference.film.painting.join", refuse)
    with pytest.raises(UsageError, match=r"cannot be joined .*what is painted is kept in .*out\.mp4\.part"):
        paint_film(stylizer(), source, tmp_path / "out.mp4", encoding=Encoding(segment=0.5))
    monkeypatch.undo()
    again = paint_film(stylizer(until=0), source, tmp_path / "out.mp4", encoding=Encoding(segment=0.5))
    assert (again.frames, again.resumed) == (12, 12)  # nothing was painted twice


def test_a_matroska_pictures_own_length_is_in_its_tag() -> None:
    """FFmpeg's figure may be the whole film's, whose sound is longer."""
    stream = SimpleNamespace(duration=31023, time_base=MS, metadata={"DURATION": "00:00:30.033000000\0"})
    container = SimpleNamespace(duration=31_023_000)
    assert _declared(container, stream) == (Fraction("30.033"), Fraction("31.023"))
    stream.metadata = {}
    assert _declared(container, stream)[0] == Fraction("31.023")


def test_the_painting_is_what_is_written(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", 4, codec="ffv1", pixels="yuv444p", sound=())
    out = paint_film(stylizer(), source, tmp_path / "out.mkv", encoding=EXACT).target
    for number, frame in enumerate(decoded(out)):
        assert np.abs(frame.astype(int) - (255 - picture(number, 32, 24))).max() <= 4


def test_a_variable_rate_stays_variable(tmp_path: Path) -> None:
    moments = [i * 100 + i % 3 * 30 + (500 if i > 9 else 0) for i in range(20)]
    source = film(tmp_path / "in.mp4", 20, pts=moments, base=Fraction(1, 1000))
    out = paint_film(stylizer(), source, tmp_path / "out.mp4", encoding=Encoding(segment=0.5)).target
    assert times(out) == [Fraction(moment, 1000) for moment in moments]


def test_frames_to_expect_of_a_variable_rate_that_does_not_say(tmp_path: Path) -> None:
    moments = [i * 33 + (4000 if i > 9 else 0) for i in range(20)]
    source = film(tmp_path / "in.mkv", 20, pts=moments, base=Fraction(1, 1000), sound=())
    totals = []
    paint_film(stylizer(), source, tmp_path / "out.mkv", on_frame=lambda _, total: totals.append(total))
    assert set(totals) == {20}


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(50)])
def test_broadcast_rates_do_not_drift(tmp_path: Path, rate: Fraction) -> None:
    source = film(tmp_path / "in.mp4", 40, rate=rate, sound=())
    out = paint_film(stylizer(), source, tmp_path / "out.mp4", encoding=Encoding(segment=0.3)).target
    assert times(out) == times(source)


@pytest.mark.parametrize(
    "turn", [(0, True, False), (90, False, False), (180, False, False), (270, False, False)]
)
def test_a_turned_film_becomes_upright(tmp_path: Path, turn: tuple[float, bool, bool]) -> None:
    source = film(tmp_path / "in.mp4", 3, turn=turn, sound=(), codec="libx264")
    out = paint_film(stylizer(gain=1.0), source, tmp_path / "out.mp4").target
    stored = decoded(source)[0]
    shown = np.fliplr(stored) if turn[1] else np.rot90(stored, round(turn[0] / 90))
    frame = decoded(out)[0]
    assert frame.shape == shown.shape
    assert np.abs(frame.astype(int) - shown).mean() < 8
    assert np.abs(frame.astype(int) - np.rot90(shown, 2)).mean() > 40  # the picture tells its sides apart


def test_odd_sides(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", 3, (33, 25), codec="ffv1", pixels="yuv444p", sound=())
    even = paint_film(stylizer(gain=1.0), source, tmp_path / "even.mp4")
    frame = decoded(even.target)[1]
    assert frame.shape == (26, 34, 3)
    assert "33x25 became 34x26" in even.notes[0]
    assert np.abs(frame[25].astype(int) - frame[24]).max() < 40  # the edge once more
    odd = paint_film(stylizer(), source, tmp_path / "odd.mp4", encoding=Encoding(pixels="yuv444p"))
    assert decoded(odd.target)[0].shape == (25, 33, 3)
    assert odd.notes == ()


def test_sound_that_the_container_cannot_hold_is_encoded_anew(tmp_path: Path) -> None:
    source = film(tmp_path / "in.webm", 20, codec="libvpx-vp9", sound=("libopus",))
    copied = paint_film(stylizer(), source, tmp_path / "out.mkv")
    assert packets(copied.target, "audio") == packets(source, "audio")
    pcm = film(tmp_path / "in.mkv", 20, sound=("pcm_s16le",))
    anew = paint_film(stylizer(), pcm, tmp_path / "out.webm", encoding=Encoding(codec="vp8"))
    assert "pcm_s16le sound encoded anew as libopus" in anew.notes[0]
    heard = packets(anew.target, "audio")
    assert abs(float(heard[-1][0]) - 2.0) < 0.1


def finished(source: Path, folder: Path, **how: object) -> list[np.ndarray]:
    return decoded(paint_film(stylizer(), source, folder / "whole.mkv", **how).target)


@pytest.mark.parametrize("temporal", ["none", "flow"])
@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_a_killed_run_goes_on_to_the_same_film(tmp_path: Path, temporal: str, codec: str) -> None:
    source = film(tmp_path / "in.mp4", 23, (96, 80))
    how = {"temporal": temporal, "encoding": Encoding(codec=codec, segment=0.5)}
    with pytest.raises(KeyError):
        paint_film(stylizer(until=12), source, tmp_path / "out.mkv", **how)
    assert not (tmp_path / "out.mkv").exists()
    with pytest.raises(KeyError):  # once more, in the first segment of the second try
        paint_film(stylizer(until=6), source, tmp_path / "out.mkv", **how)
    seen: list[int] = []
    outcome = paint_film(
        stylizer(), source, tmp_path / "out.mkv", **how, on_frame=lambda done, _: seen.append(done)
    )
    assert outcome.resumed == 15
    assert seen[0] == 15
    whole = finished(source, tmp_path, **how)
    assert len(whole) == 23
    assert all(np.array_equal(a, b) for a, b in zip(decoded(outcome.target), whole, strict=True))
    assert packets(outcome.target, "audio") == packets(tmp_path / "whole.mkv", "audio")


def test_ctrl_c_leaves_a_film_that_plays_and_the_same_call_goes_on(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", 23, (96, 80))
    how = {"temporal": "flow", "encoding": Encoding(segment=0.5)}

    def press(done: int, _: int | None) -> None:
        if done == 13:
            signal.raise_signal(signal.SIGINT)

    stopped = paint_film(stylizer(), source, tmp_path / "out.mkv", **how, on_frame=press)
    assert (stopped.interrupted, stopped.frames) == (True, 13)
    assert len(decoded(stopped.target)) == 13
    assert 1.2 < packets(stopped.target, "audio")[-1][0] < 1.3  # sound ends with the picture
    gone_on = paint_film(stylizer(), source, tmp_path / "out.mkv", **how)
    assert (gone_on.interrupted, gone_on.frames, gone_on.resumed) == (False, 23, 10)
    whole = finished(source, tmp_path, **how)
    assert all(np.array_equal(a, b) for a, b in zip(decoded(gone_on.target), whole, strict=True))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_network_setting_or_source_does_not_go_on(tmp_path: Path) -> None:
    source, target = film(tmp_path / "in.mp4", 23), tmp_path / "out.mp4"
    how = Encoding(segment=0.5)
    with pytest.raises(KeyError):
        paint_film(stylizer(until=12), source, target, encoding=how)
    with pytest.raises(UsageError, match=r"different weights: .* overwrite=true"):
        paint_film(stylizer(gain=-0.5), source, target, encoding=how)
    with pytest.raises(UsageError, match="different crf"):
        paint_film(stylizer(), source, target, encoding=Encoding(segment=0.5, crf=30))
    with pytest.raises(UsageError, match="different temporal"):
        paint_film(stylizer(), source, target, encoding=how, temporal="flow")
    other = film(tmp_path / "other.mp4", 22)
    with pytest.raises(UsageError, match="different source"):
        paint_film(stylizer(), other, target, encoding=how)
    anew = paint_film(stylizer(gain=-0.5), source, target, encoding=how, overwrite=True)
    assert (anew.resumed, anew.frames) == (0, 23)


def test_a_finished_film_is_left_alone(tmp_path: Path) -> None:
    source, target = film(tmp_path / "in.mp4", 5), tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    with pytest.raises(UsageError, match="is there already"):
        paint_film(stylizer(), source, target)
    assert target.read_bytes() == b"precious"
    with pytest.raises(UsageError, match="is the film itself"):
        paint_film(stylizer(), source, source, overwrite=True)


def test_a_truncated_film_is_painted_as_far_as_it_goes(tmp_path: Path) -> None:
    source = film(tmp_path / "whole.mp4", 60, options={"movflags": "+faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(source.read_bytes()[: int(source.stat().st_size * 0.6)])
    outcome = paint_film(stylizer(), cut, tmp_path / "out.mp4")
    assert 5 < outcome.frames < 55
    assert outcome.missing is not None
    assert f"of 6.0 s are missing ({outcome.frames} of 60 frames found)" in outcome.missing
    assert len(decoded(outcome.target)) == outcome.frames


def test_what_is_no_film(tmp_path: Path) -> None:
    for name, content, why in [("a.mp4", b"", "empty file"), ("b.mp4", b"hello" * 99, "not a film")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadFilmError, match=why):
            paint_film(stylizer(), tmp_path / name, tmp_path / "out.mp4")
    with pytest.raises(UsageError, match=r"films are written as \.m4v"):
        paint_film(stylizer(), tmp_path / "a.mp4", tmp_path / "out.avi")
    assert not parts_of(tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({"codec": "h265"}, "codec=h265: use one of"),
        ({"crf": 90}, "crf=90 is not in"),
        ({"pixels": "rgb"}, "pixels=rgb: use one of"),
        ({"segment": 0}, "segment=0"),
    ],
)
def test_wrong_words(how: dict[str, object], line: str) -> None:
    with pytest.raises(UsageError, match=line):
        Encoding(**how)


def test_decoding_times_never_turn_back_and_never_follow_the_showing() -> None:
    parts = [
        Segment(Path(), pts=[0, 10, 30, 31, 50], order=[0, 4, 2, 1, 3], duration=5),
        Segment(Path(), pts=[90, 91, 92], order=[0, 2, 1], duration=5),
    ]
    given = decoding_times(parts)
    line = [time for each in given for time in each]
    assert line == sorted(set(line))
    for segment, dts in zip(parts, given, strict=True):
        assert all(segment.pts[n] >= time for n, time in zip(segment.order, dts, strict=True))


def test_subtitles_chapters_and_tags_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    lines = [(200, b"first"), (900, b"second")]
    with av.open(str(source), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height = 32, 24
        text = out.add_mux_stream("subrip")
        text.metadata["language"] = "fra"
        out.metadata["title"] = "A film"
        out.set_chapters([{"id": 1, "start": 0, "end": 700, "time_base": MS, "metadata": {"title": "One"}}])
        for number in range(15):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, 32, 24), "rgb24")))
        out.mux(stream.encode(None))
        for moment, said in lines:
            line = av.Packet(said)
            line.stream, line.time_base = text, MS
            line.pts = line.dts = moment
            line.duration = 400
            out.mux(line)
    kept = paint_film(stylizer(), source, tmp_path / "out.mkv")
    assert kept.notes == ()
    assert packets(kept.target, "subtitles") == [(Fraction(m, 1000), said) for m, said in lines]
    with av.open(str(kept.target)) as film_:
        assert film_.streams.subtitles[0].metadata["language"] == "fra"
        assert film_.metadata["title"] == "A film"
        assert [chapter["metadata"]["title"] for chapter in film_.chapters()] == ["One"]
    lost = paint_film(stylizer(), source, tmp_path / "out.mp4")
    assert lost.notes == ("srt subtitles left out, which the container cannot hold",)


def test_two_processes_do_not_paint_one_film(tmp_path: Path) -> None:
    source, refusals = film(tmp_path / "in.mp4", 4), list[str]()

    def again(done: int, _: int | None) -> None:
        if done == 2:
            with pytest.raises(UsageError) as refusal:
                paint_film(stylizer(), source, tmp_path / "out.mp4")
            refusals.append(str(refusal.value))

    assert paint_film(stylizer(), source, tmp_path / "out.mp4", on_frame=again).frames == 4
    assert "being painted by another process" in refusals[0]


@pytest.mark.parametrize("name", ["out.m4v", "out.mov", "out.MP4"])
def test_each_container_holds_picture_and_sound(tmp_path: Path, name: str) -> None:
    source = film(tmp_path / "in.mp4", 4)
    out = paint_film(stylizer(), source, tmp_path / name)
    assert out.notes == ()
    assert times(out.target) == times(source)
    assert packets(out.target, "audio") == packets(source, "audio")
    with av.open(str(out.target)) as container:
        assert "mp4" in container.format.name
