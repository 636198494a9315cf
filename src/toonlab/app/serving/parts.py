"""Gradio's components, made to read nothing but uploaded files.

As they come they fetch addresses that a visitor names, decode what they are given before its size is looked
at, and start ffmpeg. They are changed one by one: Gradio writes a stub file beside every subclass.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.blocks import Block
from gradio.data_classes import FileData

from toonlab.app.serving.work import frame_of

log = logging.getLogger(__name__)
Part = TypeVar("Part", gr.Image, gr.Video)

CAMERA_PIXELS = 4096 * 2160


def photo(**about: Any) -> gr.Image:
    """Return a place for a picture, which is handed on as its file: neither decoded nor converted."""
    return _plain(gr.Image(sources=["upload", "clipboard"], **about))


def film(**about: Any) -> gr.Video:
    """Return a place for a film, handed on, and handed out, as the file that it is."""
    part = _plain(gr.Video(sources=["upload"], **about))
    part.postprocess = _as_it_is
    return part


def camera(**about: Any) -> gr.Image:
    """Return a live camera, whose frames are handed on as pictures."""
    part = _plain(gr.Image(sources=["webcam"], streaming=True, **about))

    def frame(payload: Any) -> Any:
        return None if payload is None or not payload.url else frame_of(payload.url, max_pixels=CAMERA_PIXELS)

    part.preprocess = frame  # type: ignore[method-assign]
    return part


def in_one_line(blocks: gr.Blocks) -> None:
    """Let a call whose values are of a wrong type hear so in one line, and the log nothing."""
    preprocess = blocks.preprocess_data

    async def preprocessed(*arguments: Any, **more: Any) -> Any:
        try:
            return await preprocess(*arguments, **more)
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:
            log.debug("a call's values", exc_info=error)
            line = "these are not values that the page takes: /gradio_api/info lists them"
            raise gr.Error(line, print_exception=False) from error

    blocks.preprocess_data = preprocessed  # type: ignore[method-assign]


def _plain(part: Part) -> Part:
    async def only_uploads(path: Any) -> str | None:
        if "://" in str(path or ""):
            raise gr.Error("upload the file: this page fetches no addresses", print_exception=False)
        return await Block.async_move_resource_to_block_cache(part, path)

    part.async_move_resource_to_block_cache = only_uploads  # type: ignore[method-assign, assignment]
    part.preprocess = _path  # type: ignore[method-assign, assignment]
    return part


def _path(payload: Any) -> Path | None:
    return Path(payload.path) if payload is not None and payload.path else None


def _as_it_is(value: Any) -> FileData | None:
    return None if value is None else FileData(path=str(value), orig_name=Path(value).name)
