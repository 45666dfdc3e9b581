"""Messages: one line, bounded, counted nouns, near misses, tables."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from posemamba.errors import InputError
from posemamba.text import (
    json_text,
    markdown_table,
    one_line,
    parse_json,
    pasted,
    plural,
    printable,
    problem,
    suggestion,
    table,
)


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ("frame",), "0 frames"),
        (1, ("frame",), "1 frame"),
        (2, ("frame",), "2 frames"),
        (151, ("more problem",), "151 more problems"),
        (1, ("process", "processes"), "1 process"),
        (2, ("process", "processes"), "2 processes"),
        (1500, ("clip",), "1,500 clips"),
    ],
)
def test_plural(count: int, words: tuple[str, ...], expected: str) -> None:
    assert plural(count, *words) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (os.fsdecode(b"caf\xe9.onnx"), "caf\ufffd.onnx"),
        ("\ud83d half of a pair", "\ufffd half of a pair"),
        ("\U0001f9cd caf\xe9", "\U0001f9cd caf\xe9"),
        ("\\udce9 spelled out", "\\udce9 spelled out"),
    ],
)
def test_json_is_text(name: str, expected: str) -> None:
    text = json_text({name: [name, 1, None, 0.1]})
    assert text.isascii(), "a terminal may take no more"
    found = json.loads(text)
    assert found == {expected: [expected, 1, None, 0.1]}
    expected.encode()


def test_a_key_that_comes_again_is_told() -> None:
    assert parse_json('{"a": [{"b": 1}, {"b": 2}], "b": null}') == {
        "a": [{"b": 1}, {"b": 2}],
        "b": None,
    }
    for text in ('{"a": 1, "b": 2, "a": 1}', '[{"c": {"a": 1, "a": 2}}]'):
        with pytest.raises(InputError, match="it has 'a' 2 times"):
            parse_json(text)


def test_messages_are_one_printable_line() -> None:
    assert one_line("a\nb\x1b[31m  c") == "a b [31m c"
    assert printable("x" * 100, 10) == "xxxxxxx..."
    assert str(problem("a\nb.npz", "holds\nNaN")) == "a?b.npz: holds NaN"


@pytest.mark.parametrize(
    ("name", "word"),
    [("a/b.onnx", "a/b.onnx"), ("a b.onnx", "'a b.onnx'"), ("-a b.onnx", "'./-a b.onnx'")],
)
def test_names_to_paste(name: str, word: str) -> None:
    assert pasted(name) == pasted(Path(name)) == word


@pytest.mark.parametrize(
    ("value", "expected"),
    [("FP61", ": did you mean 'fp16'? There are fp16, fp32"), ("q", ": use one of fp16, fp32")],
)
def test_suggestion(value: str, expected: str) -> None:
    assert suggestion(value, ("fp16", "fp32")) == expected


def test_tables() -> None:
    header, rows = ("", "mm"), [("a", "1.00"), ("long", "10.00")]
    assert table(header, rows) == "         mm\na      1.00\nlong  10.00"
    assert markdown_table(header, rows).splitlines() == [
        "|  | mm |", "| --- | ---: |", "| a | 1.00 |", "| long | 10.00 |"
    ]  # fmt: skip
