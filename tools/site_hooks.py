"""What mkdocs does beside rendering ``docs/``, see ``mkdocs.yml``.

- A page may link to any file of the repository, as on a code host. What lies outside of ``docs/``
  (reports, the device guides) joins the site with the pages that name it; a link to a folder of
  the sources becomes plain text.
- ``<!-- README: Heading -->`` is that section of README.md, so that a table stands once.
- ``<!-- C: path -->`` is a C header as reference: a heading for each block of declarations.
- ``<!-- help: command -->`` is what that command, and each command of a group, says of itself.
- ``<!-- not run here: reason -->`` above a block, which the tests heed, is shown to the reader.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WIDTH = 88  # columns of a help text

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_DIRECTIVE = re.compile(r"^<!-- (README|C|help|not run here): (.+?) -->$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside of ``docs/`` that pages and navigation name, and what those name."""
    named = [ROOT / uri for uri in _pages(config.nav) if not (DOCS / uri).exists()]
    waiting = [*named, *(Path(file.abs_src_path) for file in files.documentation_pages())]
    waiting.append(ROOT / "README.md")  # for what its sections link to; no page itself
    for path in named:
        files.append(_file(config, path))
    while waiting:
        for target in _targets(waiting.pop()):
            if target.is_file() and files.get_file_from_path(_uri(target)) is None:
                files.append(_file(config, target))
                if target.suffix == ".md":
                    waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page's text with its directives carried out and its links as the site has them."""
    uri = page.file.src_uri
    makers = {
        "README": lambda heading: _relinked(_readme_section(heading), ROOT / "README.md", uri),
        "C": lambda path: c_reference((ROOT / path).read_text(encoding="utf-8")),
        "help": _help,
        "not run here": lambda reason: (
            f'<p class="not-run">Our tests do not run this: {reason}.</p>\n'
        ),
    }
    text = _relinked(markdown, Path(page.file.abs_src_path), uri)
    return _DIRECTIVE.sub(lambda found: makers[found[1]](found[2]), text)


def _pages(nav: object) -> Iterator[str]:
    """Every page that the navigation names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for value in nav.values():
            yield from _pages(value)
    else:
        for entry in nav if isinstance(nav, list) else ():
            yield from _pages(entry)


def _file(config: MkDocsConfig, path: Path) -> File:
    return File.generated(config, _uri(path), abs_src_path=str(path))


def _uri(path: Path) -> str:
    """Where a file of the repository lies in the site's sources."""
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()


def _targets(page: Path) -> Iterator[Path]:
    for _, target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
        path = Path(os.path.normpath(page.parent / target))
        if path.is_relative_to(ROOT) and path != ROOT / "README.md":
            yield path


def _relinked(text: str, source: Path, uri: str) -> str:
    """Links of ``source``'s text, from where the page ``uri`` stands."""

    def link(found: re.Match[str]) -> str:
        label, target, anchor = found[1], found[2], found[3] or ""
        path = Path(os.path.normpath(source.parent / target))
        if path.is_dir() and path.is_relative_to(ROOT):
            return label
        if not path.is_file() or not path.is_relative_to(ROOT):
            return found[0]  # code that looks like a link, or one that the strict build refuses
        there = os.path.relpath(_uri(path), Path(uri).parent)
        return f"[{label}]({there}{anchor})"

    return _LINK.sub(link, text)


def _readme_section(heading: str) -> str:
    sections = dict(_SECTION.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    return sections[heading].strip() + "\n"


def _help(command: str) -> str:
    """What a command says of itself; of a group, also what each of its commands says."""
    tool, *_ = command.split()
    if tool not in ("pmexport", "posemamba"):
        return _block(f"python -m {command}", _printed(command))
    group = import_module(f"{tool}.cli.main").cli
    return "\n".join(_block(name, text) for name, text in _said(group, tool, None))


def _said(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, str]]:
    context = click.Context(command, parent, name.split()[-1], **command.context_settings)
    context.terminal_width = context.max_content_width = WIDTH
    # `pmexport lift` hands its arguments on: only running it tells what it takes.
    yield name, _printed(name) if name == "pmexport lift" else command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from _said(found, f"{name} {each}", context)


def _printed(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "--help"],
        capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": str(WIDTH)},
    )  # fmt: skip
    return done.stdout


def _block(name: str, text: str) -> str:
    return f"## {name}\n\n```text\n{text.rstrip()}\n```\n"


# --- a C header as reference --------------------------------------------------------------------

_COMMENT = re.compile(r"\A/\*(.*?)\*/\n?", re.DOTALL)
_NAME = re.compile(r"\b(pm_\w+)(?=\()|^\} (pm_\w+);", re.MULTILINE)


def c_reference(header: str) -> str:
    """Every block of declarations: its names as heading, its comment as text, its code."""
    body = header.split("#define PM_JOINTS", 1)[1].split("#ifdef __cplusplus", 1)[0]
    parts = []
    for block in re.split(r"\n\n(?=/\*|typedef|PM_RUNTIME_API)", body):
        code = block.strip()
        names = [one or other for one, other in _NAME.findall(_without_comments(code))]
        if not names:
            continue
        said = _COMMENT.match(code)
        code = _COMMENT.sub("", code).replace("PM_RUNTIME_API ", "")
        parts.append(f"### {', '.join(f'`{name}`' for name in names)}\n")
        if said:
            parts.append(_prose(said[1]) + "\n")
        parts.append(f"```c\n{code.strip()}\n```\n")
    return "\n".join(parts)


def _without_comments(code: str) -> str:
    return re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)


def _prose(comment: str) -> str:
    lines = [re.sub(r"^ \* ?", "", line) for line in comment.splitlines()]
    return (
        html.escape("\n".join(lines).strip(), quote=False).replace("*", r"\*").replace("[", r"\[")
    )
