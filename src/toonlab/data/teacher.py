"""Photos drawn by image processing, once each: the pairs of a supervised warm-up."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from toonlab import images as im
from toonlab.data.demo import Draw
from toonlab.data.stream import Source
from toonlab.errors import UsageError

_END = b"IEND\xaeB`\x82"


class Teacher:
    """Draws photos and keeps the drawings, each under a key made of the photo's bytes and all parameters.

    A photo that moved, or has a copy, is not drawn again; one that changed, or other parameters, are.

    Args:
        draw: maps `(1, 3, H, W)` in [-1, 1] to the same; its `repr` must tell its parameters.
        cache_dir: drawings are kept in `drawings/` below it.
        short_side: pixels; photos with a larger shorter side are drawn at this size.
        workers: photos drawn at a time; None is one for each core.

    Raises:
        UsageError: `short_side` or `workers` is no number from 1.
    """

    def __init__(
        self, *, draw: Draw, cache_dir: str | Path, short_side: int, workers: int | None = None
    ) -> None:
        for name, count in {"short_side": short_side, "workers": 1 if workers is None else workers}.items():
            if not isinstance(count, int) or count < 1:
                raise UsageError(f"{name}={count}: a whole number, 1 or more")
        self.draw, self.folder, self.short_side = draw, Path(cache_dir) / "drawings", short_side
        self.workers = workers or os.cpu_count() or 1

    def place(self, photo: Path) -> Path:
        """Return where a photo's drawing is kept, drawn yet or not.

        Raises:
            OSError: the photo cannot be read.
        """
        state = hashlib.blake2b(f"{self.draw!r} {self.short_side}".encode(), digest_size=16)
        state.update(photo.read_bytes())
        name = state.hexdigest()
        return self.folder / name[:2] / f"{name}.png"

    def prepare(self, photos: Sequence[Path]) -> Iterator[tuple[Path, Path | str]]:
        """Draw what is not drawn yet, several at a time, with a progress bar.

        Yields:
            Each photo, in order, with its drawing's path, or with the reason why there is none. Each is
            finished when it is yielded: an interrupted call has lost nothing but the photos at hand.
        """
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                bar = tqdm(pool.map(self._try, photos), total=len(photos), desc="drawing", unit="photo")
                yield from zip(photos, bar, strict=True)
            finally:
                pool.shutdown(cancel_futures=True)

    def drawn(self, photo: Path) -> Image.Image:
        """Return a photo's drawing, of the photo's proportions, made now if `prepare` did not see it.

        Raises:
            BadImageError: the photo cannot be decoded.
        """
        return im.decode(self._kept(photo)).rgb

    def twin(self, source: Source, index: int) -> Image.Image:
        """Return the drawing of a source's picture; of one that is no file, made anew each time."""
        paths: list[Path] | None = getattr(source, "paths", None)
        return self.of(source.picture(index)) if paths is None else self.drawn(paths[index])

    def of(self, picture: Image.Image) -> Image.Image:
        """Draw a picture that is no file, reduced to `short_side`."""
        factor = self.short_side / min(picture.size)
        if factor < 1:
            size = (max(1, round(side * factor)) for side in picture.size)
            picture = picture.resize(tuple(size), Image.Resampling.LANCZOS)  # type: ignore[arg-type]
        return im.to_picture(self.draw(im.to_tensor(picture)[None])[0])

    def _try(self, photo: Path) -> Path | str:
        try:
            return self._kept(photo)
        except (im.BadImageError, OSError) as error:
            return str(error) or type(error).__name__

    def _kept(self, photo: Path) -> Path:
        place = self.place(photo)
        if not _is_whole(place):
            im.save(self.of(im.on_white(im.decode(photo))), place, compress_level=1)
        return place


def _is_whole(png: Path) -> bool:
    """Whether a file is there and ends as a PNG does; a power cut may leave an empty one."""
    try:
        with png.open("rb") as file:
            file.seek(-len(_END), os.SEEK_END)
            return file.read() == _END
    except OSError:
        return False


def check_all(outcomes: Iterator[tuple[Path, Path | str]]) -> None:
    """Exhaust `Teacher.prepare`.

    Raises:
        UsageError: a photo could not be drawn.
    """
    failed = [(photo, result) for photo, result in outcomes if isinstance(result, str)]
    if failed:
        photo, reason = failed[0]
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise UsageError(f"{photo}{more} cannot be drawn: {reason}")
