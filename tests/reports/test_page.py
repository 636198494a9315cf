"""The page: whole, alone, small, and safe from what runs are called."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from reported import grid_of, noise, run_folder, summary_of, sweep_of
from toonlab.reports.jpeg import BUDGET, embedded
from toonlab.reports.page import page
from toonlab.reports.record import read_run

VOID = {"meta", "link", "img", "input", "br", "wbr"}


class Checked(HTMLParser):
    """Knows every address that the page could ask for, and that all elements are closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses, self.ids, self.open = list[str](), list[str](), list[str]()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "action", "data")]
        self.ids += [value or "" for key, value in attrs if key == "id"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass  # SVG's own

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_everything_is_in_the_page(tmp_path: Path) -> None:
    runs = [*sweep_of(tmp_path, [0.1, 0.2]), read_run(run_folder(tmp_path, "9_lost", status="interrupted"))]
    text = page(summary_of(runs, [0.1, 0.5, None]), [grid_of(2, 3)], made="today")
    found = Checked(text)
    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    assert "@import" not in text
    assert "url(" not in text
    assert {a[1:] for a in found.addresses if a.startswith("#")} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert sum(address.startswith("data:image/jpeg") for address in found.addresses) == 9
    for words in (
        "1 interrupted",
        "9_lost",
        "rank 1 of 2",
        "0.05 to 0.15",
        "photos as they are",
        "4 min 37 s",
    ):
        assert words in re.sub(r"\s+", " ", text), words


def test_names_are_not_markup(tmp_path: Path) -> None:
    run = read_run(run_folder(tmp_path, "0_<script>alert(1)<", "a=<b>"))
    other = read_run(run_folder(tmp_path, "1", "a='<i>\"'"), {"state": "failed", "reason": "<img src=x>"})
    text = page(summary_of([run, other], [0.1, 0.2]), [grid_of(2, 1)], made="<u>")
    for words in ("<script>alert", "<b>", "<i>", "<img src=x", "<u>"):
        assert words not in text


@pytest.mark.parametrize("kids", [[], [None], [0.1]])
def test_pages_of_little_are_pages(tmp_path: Path, kids: list[float | None]) -> None:
    runs = sweep_of(tmp_path, [1.0] * len(kids))
    Checked(page(summary_of(runs, kids), [], made="today"))


def test_16_runs_of_noise_stay_below_5_mb(tmp_path: Path) -> None:
    """Noise is the worst that JPEG can meet."""
    runs = sweep_of(tmp_path, list(range(16)))
    text = page(summary_of(runs, [0.01 * i for i in range(16)]), [grid_of(16, 6, side=256)], made="today")
    assert len(text.encode()) < 5_000_000


def opened(uri: str) -> Image.Image:
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_pictures_are_as_large_as_the_budget_lets_them_be() -> None:
    rows = [[noise(0, 600), noise(1, 100)]]
    free = embedded(rows)
    assert [opened(uri).size for uri in free[0]] == [(512, 512), (100, 100)]
    tight = embedded(rows, budget=40_000)
    assert sum(map(len, tight[0])) <= 40_000
    assert max(opened(tight[0][0]).size) < 512
    assert [opened(uri).size for uri in embedded(rows, budget=1)[0]] == [(64, 64), (64, 64)]
    assert BUDGET < 5_000_000
