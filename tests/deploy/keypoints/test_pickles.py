"""A pickle takes no more memory than it holds; what else it may hold is tried with the formats."""

from __future__ import annotations

import io
import pickle
import resource

import pytest

from posemamba_runtime.plain_pickle import load_plain

CLAIMS = {
    "a place of the memo": b"]r\xff\xff\xff\x7f.",
    "the same as text": b"]p2000000000\n.",
    "bytes": b"\x96" + (10**10).to_bytes(8, "little") + b"a.",
}
KILOBYTES = 50_000  # more than anything else here takes, less than the least claim by twenty times


@pytest.mark.parametrize("name", CLAIMS)
def test_what_is_claimed_must_be_there(name: str) -> None:
    """Found by tools/fuzz.py: a kilobyte that took ten gigabytes and half a minute."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"memo|expected"):
        load_plain(io.BytesIO(b"\x80\x05" + CLAIMS[name]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KILOBYTES


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(protocol: int) -> None:
    """With more places of a memo than one byte counts, and the same list twice."""
    names = [f"name {number}" for number in range(400)]
    value = {"names": names, "again": names, "sizes": [1, 2.5, None]}
    assert load_plain(io.BytesIO(pickle.dumps(value, protocol))) == value
