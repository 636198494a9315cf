"""The page: a picture, a film or the camera on the left, what to make of it on the right."""

from __future__ import annotations

import functools
import html
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr
from omegaconf import DictConfig

from toonlab.app.serving import parts
from toonlab.app.serving.settings import Settings
from toonlab.app.serving.work import Studio
from toonlab.errors import UsageError
from toonlab.images import BadImageError

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def page(cfg: DictConfig, studio: Studio) -> gr.Blocks:
    """Build the page. Its calls are `/paint` and `/film`, for other programs as well (docs/serve.md)."""
    blocks = gr.Blocks(title="toonlab", analytics_enabled=False)
    with blocks:
        gr.Markdown("# toonlab\nTurns photographs into cartoons, on this computer.", elem_id="head")
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=320), gr.Tabs():
                with gr.Tab("Picture", id="picture") as first:
                    picture = _PictureTab()
                with gr.Tab("Film", id="film") as second:
                    film = _FilmTab()
                with gr.Tab("Camera", id="camera") as third:
                    camera = _CameraTab()
            with gr.Column(scale=3, min_width=280):
                settings = Settings(cfg, studio.shelf)
        settings.wire(blocks)
        picture.wire(settings, studio)
        film.wire(blocks, settings, studio)
        camera.wire(cfg, settings, studio)
        for tab in (first, second, third):  # the kind of a picture's file means nothing to the others
            tab.select(
                functools.partial(gr.update, visible=tab is first),
                None,
                settings.kind,
                api_visibility="private",
                queue=False,
                show_progress="hidden",
            )
    parts.in_one_line(blocks)
    # One job at a time on the device; more wait, and more than that are told so.
    blocks.queue(max_size=cfg.queue, default_concurrency_limit=1, api_open=False)
    return blocks


def told(function: Callable[P, R]) -> Callable[P, R]:
    """Turn what went wrong into one line on the page; what nobody expected goes to the log as well."""

    @functools.wraps(function)
    def telling(*arguments: P.args, **more: P.kwargs) -> R:
        try:
            return function(*arguments, **more)
        except gr.Error:
            raise
        except (UsageError, BadImageError) as error:
            line = str(error)
        except MemoryError:
            line = "not enough memory on this computer: try a smaller one"
        except Exception as error:
            log.exception("a job of the page failed")
            out = "out of memory" in str(error).lower()
            line = (
                "not enough memory on the device: try a smaller one"
                if out
                else (f"this failed ({type(error).__name__}); whoever runs this page finds more in its log")
            )
        # The page shows messages as HTML, and a file's name may be in it.
        raise gr.Error(html.escape(line), title="Not painted", duration=20, print_exception=False)

    return telling


class _PictureTab:
    def __init__(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                self.photo = parts.photo(label="Photo", height=430, elem_id="photo")
                self.button = gr.Button("Paint it", variant="primary", elem_id="paint")
            with gr.Column(min_width=300):
                self.slider = gr.ImageSlider(
                    label="Before and after",
                    interactive=False,
                    type="filepath",
                    format="jpeg",
                    elem_id="result",
                    max_height=430,
                    height=430,
                    buttons=["fullscreen"],
                )
                self.download = gr.DownloadButton("Download full size", interactive=False, elem_id="download")
                self.line = gr.Markdown("", elem_id="line")

    def wire(self, settings: Settings, studio: Studio) -> None:
        @told
        def paint(
            photo: Path | None,
            model: str,
            emphasis: str | None,
            style: str | None,
            second_style: str | None,
            share: float,
            strength: float,
            keep_color: Any,
            quality: Any,
            file: str,
            progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio looks for it)
        ) -> tuple[str, tuple[str, str], str]:
            """Paint a picture: returns the full-size file, (before, after) made small, and a line."""
            if photo is None:
                raise UsageError("there is no photo yet: drop one on the page first")
            wish = settings.wish(model, emphasis, style, second_style, share, strength, keep_color, quality)
            done = studio.picture(photo, wish, file, _telling(progress, "painting", "tile"))
            return str(done.full), (str(done.before), str(done.after)), done.line

        done = self.button.click(
            paint,
            [self.photo, *settings.inputs, settings.kind],
            [self.download, self.slider, self.line],
            api_name="paint",
            concurrency_id="device",
            show_progress_on=self.slider,
        )
        done.success(
            lambda: gr.update(interactive=True),
            None,
            self.download,
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )


class _FilmTab:
    def __init__(self) -> None:
        self.stops: dict[str | None, threading.Event] = {}
        """Of the films that are being painted, by their visitors' sessions."""
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                self.film = parts.film(label="Film", height=430, elem_id="film")
                self.temporal = gr.Radio(
                    [("as painted", "none"), ("less flicker", "flow")],
                    value="none",
                    label="From frame to frame",
                    elem_id="temporal",
                )
                self.button = gr.Button("Paint it", variant="primary", elem_id="paint-film")
                self.stop = gr.Button("Stop", size="sm", elem_id="stop-film")
            with gr.Column(min_width=300):
                self.view = parts.film(
                    label="Painted",
                    interactive=False,
                    height=430,
                    elem_id="film-result",
                    buttons=["download"],
                )
                self.line = gr.Markdown("", elem_id="film-line")

    def wire(self, blocks: gr.Blocks, settings: Settings, studio: Studio) -> None:
        @told
        def film(
            film: Path | None,
            model: str,
            emphasis: str | None,
            style: str | None,
            second_style: str | None,
            share: float,
            strength: float,
            keep_color: Any,
            quality: Any,
            temporal: str,
            request: gr.Request,
            progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio looks for it)
        ) -> tuple[Any, str]:
            """Paint a film: returns the painted film and a line about it."""
            if film is None:
                raise UsageError("there is no film yet: drop one on the page first")
            wish = settings.wish(model, emphasis, style, second_style, share, strength, keep_color, quality)
            on_frame, stopped = _telling(progress, "painting", "frame"), threading.Event()
            self.stops[request.session_hash] = stopped
            try:
                target, line = studio.film(film, wish, temporal, on_frame, stopped.is_set)
            finally:
                if self.stops.get(request.session_hash) is stopped:  # not that of the visitor's next film
                    del self.stops[request.session_hash]
            return str(target), line

        def leave(request: gr.Request) -> None:
            if found := self.stops.get(request.session_hash):
                found.set()

        def stop(request: gr.Request) -> str:
            leave(request)
            return "Stopped; nothing was kept."

        started = self.button.click(
            film,
            [self.film, *settings.inputs, self.temporal],
            [self.view, self.line],
            api_name="film",
            concurrency_id="film",
            concurrency_limit=1,
            show_progress_on=self.view,
        )
        self.stop.click(
            stop,
            None,
            self.line,
            cancels=[started],  # those that wait
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
        blocks.unload(leave)  # nobody is left to see it


class _CameraTab:
    def __init__(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                self.camera = parts.camera(label="Camera", height=430, elem_id="camera")
            with gr.Column(min_width=300):
                self.view = gr.Image(
                    label="Painted live",
                    interactive=False,
                    streaming=True,
                    format="jpeg",
                    height=430,
                    elem_id="camera-result",
                    buttons=["fullscreen"],
                )
                self.line = gr.Markdown("The camera's button begins and ends it.", elem_id="camera-line")

    def wire(self, cfg: DictConfig, settings: Settings, studio: Studio) -> None:
        @told
        def live(frame: Any, *chosen: Any) -> Any:
            return None if frame is None else studio.frame(frame, settings.wish(*chosen))

        self.camera.stream(
            live,
            [self.camera, *settings.inputs],
            [self.view],
            api_visibility="private",
            concurrency_id="camera",
            concurrency_limit=cfg.cameras,
            time_limit=cfg.camera_seconds,
            stream_every=0.1,
            show_progress="hidden",
        )


def _telling(progress: gr.Progress, what: str, part: str) -> Callable[[int, int | None], None]:
    def on_part(done: int, parts: int | None) -> None:
        if parts:
            progress((done, parts), desc=f"{what}, {part}", unit=f"{part}s")
        else:
            progress(None, desc=f"{what}{f', {part} {done}' if done else ''}")

    return on_part
