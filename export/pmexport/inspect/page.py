"""What is in a file as one page: no script, nothing loaded, readable on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from pmexport.inspect.found import Block, Inspection, Item, plain

_STYLE = """
:root{--back:#fff;--ink:#1a1a2e;--soft:#5c5c70;--line:#d9d9e3;--card:#f6f6fa;--half:#1f7a4d;
--half-back:#d9f2e4;--full:#3a5ba0;--full-back:#e0e8f8}
@media (prefers-color-scheme:dark){:root{--back:#14141c;--ink:#ececf4;--soft:#a0a0b4;--line:#34344a;
--card:#1d1d29;--half:#7fdcae;--half-back:#16382a;--full:#a8c1f5;--full-back:#1e2a47}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.2rem;background:var(--back);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:0 0 .2rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:1.6rem 0 .5rem}
p{margin:.2rem 0}
.soft{color:var(--soft)}
details{border:1px solid var(--line);border-radius:.5rem;background:var(--card)}
summary{padding:.5rem .8rem;cursor:pointer;overflow-wrap:anywhere}
summary b{margin-right:.6rem}
.arrow{height:.8rem;width:0;margin-left:1.4rem;border-left:2px solid var(--line)}
table{width:100%;border-collapse:collapse;font-size:.85rem}
td{padding:.2rem .8rem;border-top:1px solid var(--line);overflow-wrap:anywhere;vertical-align:top}
td.number{text-align:right;white-space:nowrap}
.tag{padding:0 .4rem;border-radius:.3rem;font-size:.8rem;white-space:nowrap}
.fp16{color:var(--half);background:var(--half-back)}
.fp32{color:var(--full);background:var(--full-back)}
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.1rem 1rem;font-size:.9rem}
dt{color:var(--soft);overflow-wrap:anywhere}
dd{margin:0;overflow-wrap:anywhere}
pre{overflow-x:auto;font-size:.8rem}
@media (max-width:40rem){td.number{white-space:normal}td{padding:.2rem .5rem}dl{display:block}
dd{margin-bottom:.4rem}}
"""


def page_of(found: Inspection, name: str) -> str:
    """The whole page."""
    table = any(line.startswith("  ") or "  " in line for line in found.sentences)
    told = "\n".join(found.sentences)
    prose = f"<pre>{escape(told)}</pre>" if table else "".join(
        f"<p>{escape(sentence)}</p>" for sentence in found.sentences
    )  # fmt: skip
    body = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="soft">{escape(found.kind)}</p>',
        prose,
        _flow(found.blocks),
        "<h2>Everything it says</h2>",
        _facts(found.facts),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(name)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _flow(blocks: tuple[Block, ...]) -> str:
    """One card after the other, an arrow between two."""
    if not blocks:
        return ""
    cards = [_card(block) for block in blocks]
    arrow = '<div class="arrow" aria-hidden="true"></div>'
    return f"<h2>{'From input to output' if len(cards) > 2 else 'What it holds'}</h2>" + (
        arrow.join(cards)
    )


def _card(block: Block) -> str:
    kinds = {item.precision for item in block.items if item.precision}
    tags = "".join(f' <span class="tag {kind}">{kind}</span>' for kind in sorted(kinds))
    rows = "".join(_row(item) for item in block.items)
    return (
        f"<details><summary><b>{escape(block.title)}</b>"
        f'<span class="soft">{escape(block.summary)}</span>{tags}</summary>'
        f"<table>{rows}</table></details>"
    )


def _row(item: Item) -> str:
    tag = ""
    if item.precision:
        tag = f'<span class="tag {escape(item.precision)}">{escape(item.precision)}</span>'
    return (
        f"<tr><td>{escape(item.name)}</td><td>{escape(item.kind)}</td><td>{tag}</td>"
        f'<td class="number">{escape(item.detail)}</td></tr>'
    )


def _facts(values: Mapping[str, object]) -> str:
    """Nested facts, each under its whole name."""
    return "<dl>" + "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(plain(value))}</dd>" for name, value in _flat(values)
    ) + "</dl>"  # fmt: skip


def _flat(values: Mapping[str, object], before: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, value in values.items():
        whole = f"{before}{name}"
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{whole}.")
        else:
            rows.append((whole, value))
    return rows
