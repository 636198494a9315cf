"""Gradio's components, made to read nothing but uploaded files.

As they come they fetch addresses that a visitor names, and decode what they are given before its size is looked
at. Gradio picks a component's code in the browser by the name of its base class (`is_template`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ImageData
from gradio_client.utils import is_http_url_like

from toonlab.app.serving.work import frame_of

class _OnlyUploads:
    async def async_move_resource_to_block_cache(self, url_or_file_path: Any) -> str | None:
        """Refuse addresses; the base class would fetch them."""
        if url_or_file_path is not None and is_http_url_like(str(url_or_file_path)):
            raise gr.Error("upload the file: this page fetches no addresses", print_exception=False)
        moved: str | None = await super().async_move_resource_to_block_cache(url_or_file_path)  # type: ignore[misc]
        return moved

from gradio.events import Dependency

class Photo(gr.Image):
    """A picture, handed on as its file: neither decoded nor converted."""

    is_template = True
    async_move_resource_to_block_cache = _uploaded

    def preprocess(self, payload: ImageData | None) -> Any:  # type: ignore[override]
        """Return the uploaded file's path."""
        return Path(payload.path) if payload is not None and payload.path else None
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

class Camera(gr.Image):
    """A live camera, handed on as a small picture."""

    is_template = True
    async_move_resource_to_block_cache = _uploaded
    max_pixels = 4096 * 2160

    def preprocess(self, payload: ImageData | None) -> Any:  # type: ignore[override]
        """Return the frame."""
        if payload is None or not payload.url:
            return None
        return frame_of(payload.url, max_pixels=self.max_pixels)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

class Film(gr.Video):
    """A film, handed on as its file and handed out as it is: never converted by a program."""

    is_template = True
    async_move_resource_to_block_cache = _uploaded

    def preprocess(self, payload: Any) -> Any:
        """Return the uploaded file's path."""
        return Path(payload.path) if payload is not None else None

    def postprocess(self, value: Any) -> Any:
        """Return the file as it is."""
        return None if value is None else FileData(path=str(value), orig_name=Path(value).name)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component
