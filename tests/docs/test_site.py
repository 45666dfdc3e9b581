"""The documentation site: it builds strictly, its links lead somewhere, it opens without complaint.

The built pages are read as a reader gets them, so what is generated from code is checked as well.
Addresses of other sites are checked as text alone: nothing is fetched.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import prose
import pytest
import yaml
from chromium import Page, chromium
from places import ROOT

START = ("README.md", "docs/index.md", "docs/start/workstation.md", "docs/start/device.md")
LONGEST_SENTENCE = 30
#: Words that a page may have, by its folder: a start page is read whole, a reference is looked at.
MOST_WORDS = {"start": 500, "concepts": 700, "design": 4500}
MOST_WORDS_ELSEWHERE = 3000
DESKTOP, PHONE = (1280, 800), (390, 844)


@dataclass
class Html(HTMLParser):
    """Where a built page can be jumped to, and where it leads."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := given.get(name))}
        self.links += [value for name in ("href", "src") if (value := given.get(name))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_links_lead_somewhere(site: Path) -> None:
    pages = {path: Html(path) for path in site.rglob("*.html") if path.name != "404.html"}
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                fine = bool(parts.netloc) and " " not in link and "." in parts.netloc
            elif parts.scheme:
                fine = parts.scheme in ("mailto", "data")
            else:
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                target = target / "index.html" if target.is_dir() else target
                fine = target.is_file()
                if fine and parts.fragment and target in pages:
                    there = unquote(parts.fragment)
                    fine = there in pages[target].anchors or there.startswith("__")
            if not fine:
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert not wrong, "\n".join(wrong)
    assert len(pages) > 30


def test_every_page_is_in_the_navigation() -> None:
    def pages(nav: object) -> set[str]:
        if isinstance(nav, str):
            return {nav}
        parts = nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ()
        return set().union(*(pages(part) for part in parts))

    named = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    docs = ROOT / "docs"
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    assert not there - named, f"add to nav in mkdocs.yml: {sorted(there - named)}"


def test_reference_is_made_from_code(site: Path) -> None:
    """One witness of each generator, in the page that it fills."""
    for page, witness in {
        "commands": ("--mpjpe-mm", "--min-confidence", "scan-maps"),
        "python": ("runtime_library", "load_checkpoint", "custom_op_library"),
        "c": ("pm_stream_push", "allow_fallback"),
    }.items():
        text = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
        for word in witness:
            assert word in text, f"{page}: {word}"


def test_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


@pytest.mark.parametrize("page", START)
def test_sentences_are_short(page: str) -> None:
    found = prose.sentences((ROOT / page).read_text(encoding="utf-8"))
    longest = max(found, key=prose.words)
    assert prose.words(longest) < LONGEST_SENTENCE, longest


def test_pages_are_not_too_long() -> None:
    docs = ROOT / "docs"
    counts = {
        path.relative_to(docs): prose.words(path.read_text(encoding="utf-8"))
        for path in sorted(docs.rglob("*.md"))
    }
    sys.stdout.write("\n".join(f"{count:6,}  {path}" for path, count in counts.items()) + "\n")
    for path, count in counts.items():
        most = MOST_WORDS.get(path.parts[0], MOST_WORDS_ELSEWHERE)
        assert count <= most, f"{path}: {count} words, at most {most}: split it"


def test_words_and_sentences_are_counted_as_a_reader_does() -> None:
    text = (
        "# A title\n\nOne two. Three [four five](x.md)!\n\n```\nnot counted\n```\n\n| a b | c |\n"
    )
    assert prose.words(text) == 10
    assert prose.sentences(text) == ["A title", "One two.", "Three four five!", "a b", "c"]


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site from a server of plain files, as a reader would serve a folder."""
    handler = partial(_Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.mark.parametrize(
    ("size", "dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop, light", "phone, dark"]
)
def test_pages_open_without_complaint(
    address: str, browser: Page, size: tuple[int, int], dark: bool, tmp_path: Path
) -> None:
    browser.screen(*size, phone=size == PHONE, dark=dark)
    for name in ("index", "start/workstation", "concepts/orders", "reference/commands",
                 "reference/c", "deploy/index", "performance"):  # fmt: skip
        browser.complaints.clear()
        browser.requests.clear()
        browser.send("Page.navigate", url=f"{address}/{name}.html")
        browser.wait_for("document.readyState === 'complete'")
        browser.evaluate("localStorage.clear()")  # the theme remembers the scheme of the last visit
        browser.send("Page.reload")
        browser.wait_for("document.readyState === 'complete'")
        picture = tmp_path / f"{name.replace('/', '-')}.png"
        picture.write_bytes(browser.screenshot())
        assert not browser.complaints, f"{name}: {browser.complaints}"
        strangers = [url for url in browser.requests if not url.startswith((address, "data:"))]
        assert not strangers, strangers
        wide = browser.evaluate("document.documentElement.scrollWidth")
        assert wide <= size[0], f"{name}: {wide} pixels wide on a screen of {size[0]}"
        scheme = browser.evaluate("document.body.dataset.mdColorScheme")
        assert scheme == ("slate" if dark else "default"), name
