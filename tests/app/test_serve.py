"""The served page over plain HTTP: it paints, or says why not, and gives away nothing but its own."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from browsed import browsed, drop, shown
from films import film
from marked import scene
from served import Served, bomb, checkpoints, served
from toonlab.app import serve
from toonlab.app.cli import CONF
from toonlab.app.serving.port import hosts_of, listen, warn_if_open
from toonlab.errors import UsageError

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[serve]")

CHOSEN = ["whitebox", "texture 1", "its own", "no other", 0.5, 1.0, False, "full", "auto"]


def encoded(picture: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


PHOTO = encoded(Image.fromarray(scene(0, width=90, height=60)))


def one(folder: Path) -> AbstractContextManager[Served]:
    limits = ("max_upload=2", "max_pixels=100000", "max_disk=30", "keep=2")
    return served(folder, checkpoints(folder), *limits, OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A page that tests share, in any order: each leaves it as it found it."""
    with one(tmp_path_factory.mktemp("served")) as started:
        yield started


@pytest.fixture
def own_page(tmp_path: Path) -> Iterator[Served]:
    """A page for a test that fills or ends it."""
    with one(tmp_path) as started:
        yield started


def chosen(**other: object) -> list[object]:
    names = ("model", "emphasis", "style", "second", "share", "strength", "color", "quality", "kind")
    return [other.get(name, value) for name, value in zip(names, CHOSEN, strict=True)]


def test_a_picture_is_painted_at_full_size_under_its_own_name(page: Served) -> None:
    full, (before, after), line = page.paint(page.upload(PHOTO, "my dog.png"), *chosen())
    assert Path(full["path"]).name == "my dog-cartoon.png"
    cartoon = Image.open(io.BytesIO(page.file(full)))
    assert (cartoon.size, cartoon.format) == ((90, 60), "PNG")
    assert not np.array_equal(np.asarray(cartoon), scene(0, width=90, height=60))
    assert Image.open(io.BytesIO(page.file(before))).size == (90, 60)
    assert Image.open(io.BytesIO(page.file(after))).format == "JPEG"
    assert line.startswith("90 by 60 pixels in ")


def test_a_visitor_paints_compares_chooses_errs_reloads_and_goes_on(page: Served) -> None:
    with browsed(page) as (tab, trouble):
        assert tab.title() == "toonlab"
        drop(tab, "my dog.png", PHOTO)
        tab.click("#paint")
        tab.wait_for_selector("#result img")
        tab.wait_for_function("document.querySelector('#line').innerText.includes('90 by 60')")
        first = shown(tab)
        sizes = tab.eval_on_selector_all("#result img", "all => all.map(i => i.naturalWidth)")
        assert sizes == [90, 90]
        with tab.expect_download() as waiting:
            tab.click("#download")
        assert waiting.value.suggested_filename == "my dog-cartoon.png"
        assert Image.open(waiting.value.path()).size == (90, 60)

        def covered() -> float:
            look = (
                "all => Math.min(...all.map(i => parseFloat((getComputedStyle(i).clipPath.match(/[0-9.]+%/g) "
            )
            look += "|| ['100%']).sort().at(-1))))"
            return float(tab.eval_on_selector_all("#result img", look))

        before, box = covered(), tab.locator("#result img").first.bounding_box()
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tab.mouse.move(*middle)
        tab.mouse.down()
        tab.mouse.move(middle[0] + box["width"] / 4, middle[1], steps=4)
        tab.mouse.up()
        assert covered() != before

        assert not tab.is_visible("#style")
        tab.click("#model input")
        tab.get_by_role("option", name="adapted_cartoongan").click()
        tab.wait_for_selector("#style")
        assert not tab.is_visible("#strength")
        assert not tab.is_visible("#emphasis")
        tab.click("#paint")
        tab.wait_for_function(
            f"!{json.dumps(first)}.includes(document.querySelectorAll('#result img')[1]?.src)"
        )
        assert trouble == []

        tab.click("#photo button[aria-label*=lear], #photo button[aria-label*=emove]")
        drop(tab, "broken.png", PHOTO[:200])
        tab.click("#paint")
        tab.wait_for_selector("text=truncated")
        assert trouble == []

        tab.reload()
        drop(tab, "again.png", PHOTO)
        tab.click("#paint")
        tab.wait_for_selector("#result img")
        assert trouble == []


def test_every_choice_changes_the_picture(page: Served) -> None:
    photo = page.upload(PHOTO, "a.png")
    wishes = [
        {},
        {"emphasis": "texture 3"},
        {"strength": 0.0},
        {"model": "adapted_cartoongan", "style": "anna"},
        {"model": "adapted_cartoongan", "style": "bert"},
        {"model": "adapted_cartoongan", "style": "anna", "second": "bert", "share": 0.5},
    ]
    found = {page.file(page.paint(photo, *chosen(**wish))[0]) for wish in wishes}
    assert len(found) == len(wishes)


def test_jpeg_stays_jpeg_unless_asked_otherwise_and_alpha_is_kept(page: Served) -> None:
    photo = Image.fromarray(scene(1, width=40, height=30))
    jpeg = page.upload(encoded(photo, "JPEG"), "b.JPG")
    assert Image.open(io.BytesIO(page.file(page.paint(jpeg, *chosen())[0]))).format == "JPEG"
    assert Image.open(io.BytesIO(page.file(page.paint(jpeg, *chosen(kind="PNG"))[0]))).format == "PNG"
    photo.putalpha(Image.linear_gradient("L").resize((40, 30)))
    glass = page.upload(encoded(photo), "glass.png")
    assert Image.open(io.BytesIO(page.file(page.paint(glass, *chosen())[0]))).mode == "RGBA"
    told = page.paint(glass, *chosen(kind="JPEG"))
    assert "glass.png has alpha" in told
    assert "/" not in told.replace("glass-cartoon.jpg", "")  # no folder of the server is told


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.png", b"", "empty"),
        ("text.png", b"hello, I am text", "not a picture"),
        ("page.html", b"<script>alert(1)</script>", "not a picture"),
        ("draw.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "not a picture"),
        ("cut.png", PHOTO[: len(PHOTO) // 2], "truncated"),
        ("bomb.png", bomb(20_000), "too large"),
        ("wide.png", encoded(Image.new("L", (400, 300))), "too large: 400x300"),
        ("<b>x</b>.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
)
def test_what_cannot_be_painted_is_told_in_one_line(
    page: Served, name: str, content: bytes, words: str
) -> None:
    told = page.paint(page.upload(content, name), *chosen())
    assert isinstance(told, str)
    assert words in told
    assert "<" not in told
    assert "/tmp" not in told
    assert isinstance(page.paint(page.upload(PHOTO, "after.png"), *chosen()), list)


@pytest.mark.parametrize(
    "wish",
    [
        {"model": "nobody"},
        {"emphasis": "nobody"},
        {"strength": 7},
        {"kind": "EXE"},
        {"share": "x"},
        {"share": None},
    ],
)
def test_choices_that_are_none_are_refused(page: Served, wish: dict[str, object]) -> None:
    already = len(page.said)
    told = page.paint(page.upload(PHOTO, "a.png"), *chosen(**wish))
    assert isinstance(told, str)
    assert "\n" not in told
    assert "Traceback" not in "".join(page.said[already:])


def test_a_film_that_is_none(page: Served) -> None:
    told = page.paint(page.upload(b"no film", "a.mp4"), *CHOSEN[:-1], "none", name="film")
    assert "not a film" in told


def test_files_over_the_limit_are_refused_before_and_while_they_are_sent(page: Served) -> None:
    status, answer = page.send(b"\0" * 2_200_000, "large.png")
    assert (status, json.loads(answer)["detail"]) == (413, "larger than the 2 MB that this page takes")
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Transfer-Encoding": "chunked",
        "Content-Length": "",
    }
    del headers["Content-Length"]
    piece = b"10000\r\n" + b"\0" * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", page.port), 30) as line:
        head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        line.sendall(head.encode() + f"{len(part):x}\r\n".encode() + part + b"\r\n")
        line.sendall(piece * 64)
        line.sendall(b"0\r\n\r\n")
        assert line.recv(1000).split()[1] == b"413"
    # A small file beside it is none the worse for it.
    page.upload(PHOTO, "small.png")


def test_only_its_own_files_are_served(page: Served, tmp_path: Path) -> None:
    own = page.upload(PHOTO, "own.png")
    folder = Path(own).parents[1]
    secret = tmp_path / "secret.png"
    secret.write_bytes(PHOTO)
    (folder / "link.png").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    wanted = [
        "/etc/passwd",
        str(secret),
        str(Path(__file__)),
        f"{folder}/../../etc/passwd",
        f"{folder}/..%2f..%2fetc%2fpasswd",
        quote("/etc/passwd", safe=""),
        quote(quote("/etc/passwd", safe=""), safe=""),
        f"{folder}/%2e%2e/%2e%2e/etc/passwd",
        "....//....//etc/passwd",
        "..\\..\\etc\\passwd",
        "%5c%5cetc%5cpasswd",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x.png",
        "/proc/self/environ",
        "/dev/zero",
        "~/.ssh/id_rsa",
        "etc/passwd%00.png",
        f"{folder}/link.png",
        f"{folder}/linked/secret.png",
        str(folder),
        f"{folder}/.lock",
    ]
    for prefix in (
        "/gradio_api/file=",
        "/file=",
        "/gradio_api/file/",
        "/gradio_api/proxy=",
        "/static/",
        "/assets/",
    ):
        for name in wanted:
            status, answer, _ = page.ask(f"{prefix}{name}")
            assert status in (400, 403, 404), (prefix, name)
            assert b"root:" not in answer
            assert PHOTO not in answer
    assert page.ask(f"/gradio_api/file={own}")[0] == 200


def test_a_call_names_no_file_but_uploads(page: Served, tmp_path: Path) -> None:
    """Gradio itself would fetch an address, and take any file while it thinks the page is being written."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(PHOTO)
    for path in (
        str(secret),
        "/etc/passwd",
        "http://127.0.0.1:1/x.png",
        "https://example.com/x.png",
        "x.png",
        "",
    ):
        told = page.paint(path, *chosen())
        assert told.startswith("403: a file has to be uploaded first"), told
    hidden = {"path": "http://127.0.0.1:1/x", "meta": {"_type": "gradio.FileData"}}
    assert "403" in page.paint(page.upload(PHOTO, "a.png"), *chosen(share={"a": [hidden]}))


@pytest.mark.parametrize(
    "path",
    [
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/runs",
        "/gradio_api/vibe-code",
        "/gradio_api/dev/reload",
        "/gradio_api/custom_component/x/server/component/index.js",
        "/gradio_api/deep_link",
        "/docs",
        "/openapi.json",
        "//etc/passwd",
    ],
)
def test_gradios_other_doors_are_shut(page: Served, path: str) -> None:
    assert page.ask(path)[0] in (403, 404)


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/component_server", "/gradio_api/process_recording", "/gradio_api/vibe-edit", "/upload"],
)
def test_nothing_else_is_written_to(page: Served, path: str) -> None:
    assert page.call(path, {})[0] == 403


def test_no_job_gets_past_the_queue(page: Served) -> None:
    status, answer = page.call("/gradio_api/run/predict", {"data": [], "fn_index": 3})
    assert status in (404, 422, 500), answer
    assert page.call("/gradio_api/api/paint", {"data": []})[0] == 403


def test_other_sites_and_other_names_are_kept_out(page: Served) -> None:
    own = f"127.0.0.1:{page.port}"
    assert page.ask("/", headers={"Host": own})[0] == 200
    assert page.ask("/", headers={"Host": f"localhost:{page.port}"})[0] == 200
    assert page.ask("/", headers={"Host": f"evil.example:{page.port}"})[0] == 403
    call = {"Content-Type": "application/json", "Host": own}
    assert (
        page.ask("/gradio_api/queue/join", body=b"{}", headers={**call, "Origin": "http://evil.example"})[0]
        == 403
    )
    assert (
        page.ask("/gradio_api/queue/join", body=b"{}", headers={**call, "Origin": f"http://{own}"})[0] != 403
    )


def test_uploads_never_become_pages(page: Served) -> None:
    for name in ("x.html", "x.svg", "x.js", "x.xml"):
        _, _, headers = page.ask(f"/gradio_api/file={page.upload(b'<script>alert(1)</script>', name)}")
        assert headers["content-disposition"].startswith("attachment"), name
        assert headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in headers["content-security-policy"]


def test_nonsense_is_answered(page: Served) -> None:
    for body in (b"", b"{", b"null", b"[]", b'{"data": 3}', b"[" * 100_000):
        headers = {"Content-Type": "application/json"}
        status, _, _ = page.ask("/gradio_api/call/paint", body=body, headers=headers)
        assert 400 <= status <= 500, body[:20]
    assert (
        page.ask(
            "/gradio_api/call/paint", body=b"\0" * (9 << 20), headers={"Content-Type": "application/json"}
        )[0]
        == 413
    )
    assert page.ask("/", headers={"Host": "127.0.0.1:[x"})[0] == 400
    assert page.ask("/")[0] == 200


def test_uploads_are_bounded_together(own_page: Served) -> None:
    """Of 40 files of a megabyte, a room of 30 takes some and tells the rest that it is busy."""
    answers = [own_page.send(bytes([i]) * 1_000_000, f"{i}.png")[0] for i in range(40)]
    assert set(answers) == {200, 503}
    assert answers.index(503) > 15


def test_ctrl_c_ends_it_with_130_and_deletes_its_folder(own_page: Served, tmp_path: Path) -> None:
    """In one line, though a film is being painted into that folder."""
    fds = Path("/proc", str(own_page.process.pid), "fd")
    held = [p for p in fds.iterdir() if p.resolve().name == ".lock"]
    room = held[0].resolve().parent
    assert room.is_dir()
    long = film(tmp_path / "long.mp4", 1200, (256, 192))
    about = {"path": own_page.upload(long.read_bytes(), "long.mp4"), "meta": {"_type": "gradio.FileData"}}
    assert own_page.call("/gradio_api/call/film", {"data": [about, *CHOSEN[:-1], "none"]})[0] == 200
    until = time.monotonic() + 60
    while not [*room.glob("result-*/*.part/*")] and time.monotonic() < until:
        time.sleep(0.05)
    assert [*room.glob("result-*/*.part/*")], "no film is being painted"
    already = len(own_page.said)
    assert own_page.interrupt() == 130
    assert not room.exists()
    assert "".join(own_page.said[already:]).split() == ["interrupted"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ckpt=nowhere"], ["ckpt=nowhere", "no such file"]),
        (["ckpt=[]"], ["ckpt=[]", "RUN_DIR"]),
        (["ckpt=x", "method=flow"], ["ckpt=…", "method=…", "not both"]),
        (["ckpt=x", "port=99999"], ["port=99999"]),
        (["ckpt=x", "port=any"], ["port=any", "auto"]),
        (["ckpt=x", "host=203.0.113.9"], ["host=203.0.113.9", "not an address of this machine"]),
        (["ckpt=x", "auth=anna"], ["auth", "USER:PASSWORD"]),
        (["ckpt=x", "queue=0"], ["queue=0"]),
        (["ckpt=x", "max_disk=10"], ["max_disk=10", "max_upload=100"]),
        (["ckpt=x", "strength=2"], ["strength=2"]),
    ],
)
def test_mistakes_are_one_line(
    composed: Callable[..., DictConfig], arguments: list[str], words: list[str]
) -> None:
    free = [] if any("port" in each for each in arguments) else ["port=auto"]
    with pytest.raises(UsageError) as told:
        serve.run(composed(*free, *arguments, config="serve"))
    for word in words:
        assert word in str(told.value)
    assert "\n" not in str(told.value)


def test_a_taken_port_is_one_line(composed: Callable[..., DictConfig]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError) as told:
            serve.run(composed("ckpt=nowhere", f"port={port}", config="serve"))
    assert str(told.value) == f"port={port}: is taken by another program; name another, or port=auto"


def test_without_gradio_one_line_says_what_to_install(
    composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[serve\]'"):
        serve.run(composed("ckpt=x", config="serve"))


def test_nobody_else_is_let_in_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    assert OmegaConf.load(CONF / "serve.yaml").host == "127.0.0.1"
    with listen("127.0.0.1", "auto") as socket_of_this_machine:
        assert socket_of_this_machine.getsockname()[0] == "127.0.0.1"
    assert hosts_of("127.0.0.1", ["proxy.example"]) == {"127.0.0.1", "localhost", "::1", "proxy.example"}
    assert hosts_of("0.0.0.0", []) is None
    warn_if_open(OmegaConf.create({"host": "127.0.0.1", "auth": None}))
    assert caplog.text == ""
    warn_if_open(OmegaConf.create({"host": "0.0.0.0", "auth": None}))
    assert "everybody who can reach this machine" in caplog.text
    warn_if_open(OmegaConf.create({"host": "0.0.0.0", "auth": "a:b"}))
    assert "who knows the password" in caplog.text


@pytest.mark.slow
def test_with_a_password_nothing_is_given_without_it(tmp_path: Path) -> None:
    with served(tmp_path, "method=flow", "auth=anna:secret") as page:
        for path in ("/config", "/gradio_api/info", "/gradio_api/queue/data?session_hash=x"):
            assert page.ask(path)[0] == 401, path
        assert page.send(PHOTO, "a.png")[0] == 401
        assert page.call("/gradio_api/call/paint", {"data": []})[0] == 401
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert page.ask("/login", body=b"username=anna&password=wrong", headers=form)[0] == 400
        status, _, headers = page.ask("/login", body=b"username=anna&password=secret", headers=form)
        assert status == 200
        assert page.ask("/config", headers={"Cookie": headers["set-cookie"].partition(";")[0]})[0] == 200


@pytest.mark.slow
def test_sigterm_ends_it_with_143_and_what_a_killed_one_left_is_deleted(tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path)}
    with served(tmp_path, "method=flow", **environment) as first:
        first.upload(PHOTO, "a.png")
        assert first.interrupt(signal.SIGKILL) == -signal.SIGKILL
        (left,) = tmp_path.glob("toonlab-serve-*")
        with served(tmp_path, "method=flow", **environment) as second:
            (own,) = tmp_path.glob("toonlab-serve-*")
            assert own != left
            assert second.interrupt(signal.SIGTERM) == 143
        assert not list(tmp_path.glob("toonlab-serve-*"))


@pytest.mark.slow
def test_the_examples_of_the_docs_work(tmp_path: Path) -> None:
    """Both ways to call the page from another program, as docs/serve.md has them."""
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    text = (CONF.parent / "docs" / "serve.md").read_text()
    calls = text.partition("## From another program")[2]
    python, shell = re.findall(r"```(?:python|bash)\n(.*?)```", calls, re.DOTALL)
    Image.fromarray(scene(0, width=60, height=40)).save(tmp_path / "photo.jpg")
    with served(tmp_path, "method=flow") as page:
        begun = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 300}
        code = python.replace("7860", str(page.port)) + "\nprint(file, line, sep='|')"
        said = subprocess.run([sys.executable, "-c", code], **begun)
        assert said.returncode == 0, said.stderr
        file, line = said.stdout.strip().splitlines()[-1].split("|")
        assert Path(file).name == "photo-cartoon.jpg"
        assert Image.open(file).size == (60, 40)
        assert line.startswith("60 by 40 pixels in ")
        said = subprocess.run(["bash", "-c", shell.replace("7860", str(page.port))], **begun)
        assert "event: complete" in said.stdout, said.stdout + said.stderr
        full, _, _ = json.loads(said.stdout.rpartition("data: ")[2])
        assert Image.open(io.BytesIO(page.file(full))).size == (60, 40)
