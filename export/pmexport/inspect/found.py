"""What was found in a file: facts for programs, sentences and blocks for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class Item:
    """One row of a block: a node, a tensor, a run.

    Attributes:
        kind: its type or shape.
        precision: ``fp32``, ``fp16`` or empty; it colours the row.
        detail: whatever else is worth a look.
    """

    name: str
    kind: str
    precision: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Block:
    """Rows that belong together, such as a block of the network; ``note`` sums them up."""

    title: str
    items: tuple[Item, ...]
    note: str = ""

    @property
    def summary(self) -> str:
        """The note, else the kinds in it, the most frequent first."""
        if self.note:
            return self.note
        kinds: dict[str, int] = {}
        for item in self.items:
            kinds[item.kind] = kinds.get(item.kind, 0) + 1
        usual = sorted(kinds.items(), key=lambda kind: -kind[1])[:4]
        return ", ".join(f"{name} x{count}" if count > 1 else name for name, count in usual)


@dataclass(frozen=True)
class Inspection:
    """Everything found.

    Attributes:
        kind: ``ONNX model``, ``checkpoint``, ...
        facts: what ``--json`` prints beside ``schema`` and ``kind``.
        sentences: prose, the most important first.
        blocks: in the order the file holds them.
        details: of the facts, what the sentences leave out; all where it is None.
    """

    kind: str
    facts: Mapping[str, Any]
    sentences: tuple[str, ...]
    blocks: tuple[Block, ...] = ()
    details: Mapping[str, Any] | None = field(default=None)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``; a sidecar is printed as it is, with the version of its own schema."""
        if "schema_version" in self.facts:
            return dict(self.facts)
        return {"schema": SCHEMA, "kind": self.kind, **self.facts}


def text_of(found: Inspection) -> str:
    """Prose, and below it every fact by its name in the JSON."""
    details = found.facts if found.details is None else found.details
    head = {"kind": found.kind, "schema": SCHEMA} if details else {}
    return "\n".join([*found.sentences, *(["", *listed({**head, **details})] if details else [])])


def listed(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """Nested facts as indented ``name: value`` lines, small ones on one line."""
    lines = []
    for name, value in values.items():
        if not isinstance(value, Mapping):
            lines.append(f"{indent}{name}: {plain(value)}")
            continue
        short = ", ".join(f"{key} {plain(inner)}" for key, inner in value.items())
        if any(isinstance(inner, Mapping) for inner in value.values()) or len(short) > 80:
            lines += [f"{indent}{name}:", *listed(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {short or '-'}")
    return lines


def plain(value: object) -> str:
    """A value as a person writes it, not as Python or JSON does."""
    if value is None or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        inner = ", ".join(plain(each) for each in value)
        return f"({inner})" if any(isinstance(each, int | float) for each in value) else inner
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(inner)}" for key, inner in value.items())
    return str(value)
