"""More of the served page in a real browser: the camera, a phone, the queue, films, the dark."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from browsed import browsed, drop, shown
from marked import scene
from served import Served, checkpoints, served

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[serve]")
pytestmark = pytest.mark.slow

FAKE_FILM = """
import shutil, sys, time, types
film = types.ModuleType("toonlab.inference.film")
def paint_film(stylizer, source, target, *, temporal="none", overwrite=False, on_frame=None):
    long = source.name.startswith("long")
    for n in range(600 if long else 20):
        on_frame(n + 1, 600 if long else 20)
        time.sleep(0.1)
    shutil.copy(source, target)
    return types.SimpleNamespace(missing=None)
film.paint_film = paint_film
sys.modules["toonlab.inference.film"] = film
"""
"""Stands in for the painter of films, whose own tests are elsewhere."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("browsed")
    (folder / "fake").mkdir()
    (folder / "fake" / "sitecustomize.py").write_text(FAKE_FILM)
    more = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder / "fake")}
    with served(folder, checkpoints(folder), "max_upload=3", "queue=2", **more) as started:
        yield started


def photo(n: int = 0, width: int = 90, height: int = 60) -> bytes:
    out = io.BytesIO()
    Image.fromarray(scene(n, width=width, height=height)).save(out, "PNG")
    return out.getvalue()


def film(folder: Path) -> bytes:
    path = folder / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(n, width=64, height=48), "rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def test_the_camera_is_painted_live(page: Served) -> None:
    with browsed(page) as (tab, trouble):
        tab.get_by_role("tab", name="Camera").click()
        tab.click("#camera button:has-text('Webcam')")
        tab.click(
            "#camera button[aria-label*=ecord], #camera button[aria-label*=tart], #camera .button-wrap button"
        )
        tab.wait_for_selector("#camera-result img", timeout=60_000)
        source = "document.querySelector('#camera-result img').src"
        first = tab.evaluate(source)
        tab.wait_for_function(f"{source} !== {first!r}", timeout=60_000)  # Chromium's test picture moves
        assert trouble == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_the_window(page: Served, width: int) -> None:
    with browsed(page, width=width, height=800) as (tab, trouble):
        drop(tab, "a.png", photo())
        tab.click("#paint")
        tab.wait_for_selector("#result img")
        for name in ("Picture", "Film", "Camera"):
            tab.get_by_role("tab", name=name).click()
            tab.wait_for_selector("#kind", state="visible" if name == "Picture" else "hidden")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.get_by_role("tab", name="Picture").click()
        tab.wait_for_selector("#kind", state="visible")
        tab.click("#paint")
        tab.wait_for_function("document.querySelector('#line').innerText.includes('90 by 60')")
        assert trouble == []


def test_a_film_shows_its_progress_and_can_be_kept(page: Served, tmp_path: Path) -> None:
    with browsed(page) as (tab, trouble):
        tab.get_by_role("tab", name="Film").click()
        drop(tab, "my film.mp4", film(tmp_path), where="#film", kind="video/mp4")
        tab.click("#paint-film")
        tab.wait_for_selector("text=painting, frame")
        tab.wait_for_selector("#film-result video")
        tab.wait_for_selector("text=painted in")
        source = tab.evaluate("document.querySelector('#film-result video').src")
        assert source.endswith("my%20film-cartoon.mp4")
        assert trouble == []


@pytest.mark.parametrize("how", ["button", "leaving"])
def test_a_film_ends_when_its_visitor_stops_it_or_leaves(page: Served, tmp_path: Path, how: str) -> None:
    """The second one could not begin for a minute otherwise: one film at a time."""
    with browsed(page) as (tab, trouble):
        tab.get_by_role("tab", name="Film").click()
        drop(tab, "long.mp4", film(tmp_path), where="#film", kind="video/mp4")
        tab.click("#paint-film")
        tab.wait_for_selector("text=painting, frame")
        if how == "button":
            tab.click("#stop-film")
            tab.wait_for_selector("text=Stopped; nothing was kept.")
            tab.click("#paint-film")  # at once, while the first one may still be at its last frame
            tab.wait_for_selector("text=painting, frame")
            tab.click("#stop-film")
        assert trouble == []
    with browsed(page) as (tab, trouble):
        tab.get_by_role("tab", name="Film").click()
        drop(tab, "short.mp4", film(tmp_path), where="#film", kind="video/mp4")
        tab.click("#paint-film")
        tab.wait_for_selector("text=painted in", timeout=25_000)
        assert trouble == []


def test_a_file_over_the_limit_is_told_in_the_page(page: Served) -> None:
    with browsed(page) as (tab, _):
        tab.set_input_files(
            "#photo input[type=file]", {"name": "l.png", "mimeType": "image/png", "buffer": bytes(4_000_000)}
        )
        tab.wait_for_selector("text=/[Mm]aximum|larger/")
        drop(tab, "a.png", photo())
        tab.click("#paint")
        tab.wait_for_selector("#result img")


def test_nothing_is_painted_without_a_photo(page: Served) -> None:
    with browsed(page) as (tab, trouble):
        tab.click("#paint")
        tab.wait_for_selector("text=there is no photo yet")
        assert trouble == []


def test_mixing_shows_its_share_and_changes_the_picture(page: Served) -> None:
    with browsed(page) as (tab, trouble):
        drop(tab, "a.png", photo())
        choose(tab, "#model", "adapted_cartoongan")
        tab.wait_for_selector("#second")
        tab.click("#paint")
        tab.wait_for_selector("#result img")
        first = shown(tab)[1]
        assert not tab.is_visible("#share")
        choose(tab, "#second", "bert")
        tab.wait_for_selector("#share")
        tab.click("#paint")
        tab.wait_for_function(f"document.querySelectorAll('#result img')[1].src !== {first!r}")
        pictures = [tab.request.get(address).body() for address in (first, shown(tab)[1])]
        arrays = [np.asarray(Image.open(io.BytesIO(each))) for each in pictures]
        assert not np.array_equal(*arrays)
        assert trouble == []


def choose(tab: Any, where: str, name: str) -> None:
    tab.click(f"{where} input")
    tab.get_by_role("option", name=name).click()


def test_a_full_queue_tells_that_the_page_is_busy(page: Served, tmp_path: Path) -> None:
    with browsed(page) as (tab, _):
        drop(tab, "a.png", photo())
        path = page.upload(film(tmp_path), "x.mp4")
        data = [{"path": path, "meta": {"_type": "gradio.FileData"}}]
        data += ["whitebox", "texture 1", "its own", "no other", 0.5, 1.0, False, "full", "none"]
        # One is at work and two wait, two seconds each.
        answers = [page.call("/gradio_api/call/film", {"data": data}) for _ in range(6)]
        assert [status for status, _ in answers].count(503) >= 2
        assert "Queue is full" in answers[-1][1]["detail"]
        tab.click("#paint")
        tab.wait_for_selector("text=/busy|Queue is full/")
        tab.wait_for_timeout(8000)
        tab.click("#paint")
        tab.wait_for_selector("#result img")


def test_dark_is_dark(page: Served) -> None:
    with browsed(page, color_scheme="dark") as (tab, trouble):
        assert tab.evaluate("document.body.classList.contains('dark')")
        assert trouble == []
