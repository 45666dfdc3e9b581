"""The page of a check in headless Chromium: desktop and phone, light and dark, from a plain file.

``POSEMAMBA_SCREENSHOTS`` names a folder that gets the screenshots, to be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Page, chromium
from places import TINY as GOLDEN

from pmexport.check.html import html_report
from pmexport.check.request import CheckRequest
from pmexport.check.run import CheckOutcome, check
from pmexport.exporting.export import export_onnx
from pmexport.format.options import ExportOptions
from posemamba.checkpoint.read import load_checkpoint, read_checkpoint

SCREENS = {
    "desktop": ((1280, 1700), {}),
    "dark": ((1280, 1700), {"dark": True}),
    "phone": ((390, 1700), {"phone": True}),
}
PARTS = "PyTorch and ort-cpu part in STEblocks.1.mlp.fc1</script><b>"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> CheckOutcome:
    """A passing runtime, and one whose poses are off on one joint and broken at one frame."""
    path = tmp_path_factory.mktemp("html") / "tiny <b>&amp;.onnx"
    source = {"checkpoint_sha256": read_checkpoint(GOLDEN).sha256}
    export_onnx(load_checkpoint(GOLDEN), path, ExportOptions(), source=source)
    found = check(CheckRequest(path, GOLDEN, threads=1))
    good = found.lifts["ort-cpu"]

    def off(keypoints_2d: np.ndarray) -> np.ndarray:
        poses = good(keypoints_2d)
        poses[:, :, 13] += np.linspace(0, 0.1, poses.shape[1])[:, None]
        poses[:, 3, 5] = np.nan
        return poses

    found.lifts["off"] = off
    found.report.runtimes["off"] = found.report.runtimes["ort-cpu"]
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.mark.parametrize("name", SCREENS)
def test_the_page(outcome: CheckOutcome, browser: Page, tmp_path: Path, name: str) -> None:
    file = tmp_path / "r.html"
    file.write_text(html_report(outcome, [PARTS]))
    size, screen = SCREENS[name]
    browser.complaints.clear()
    browser.requests.clear()
    browser.screen(*size, **screen)
    browser.open(file)
    browser.settle()
    assert browser.evaluate("document.getElementById('parts').textContent") == PARTS
    assert browser.evaluate("document.querySelectorAll('#table tr').length") == 3
    assert browser.evaluate("document.querySelectorAll('#bars rect').length") == 17
    assert browser.evaluate("document.querySelectorAll('b').length") == 0, "data is no markup"
    browser.evaluate("document.getElementById('choice').children[1].click()")
    browser.evaluate(
        "(s => { s.value = 3; s.dispatchEvent(new Event('input')); })"
        "(document.getElementById('frame'))"
    )
    assert browser.evaluate("document.getElementById('at').textContent") == "frame 3: not finite"
    browser.evaluate(
        "(s => { s.value = s.max; s.dispatchEvent(new Event('input')); })"
        "(document.getElementById('frame'))"
    )
    # 0.1 of 1,000 mm on each of three axes, on one joint of 17.
    told = browser.evaluate("document.getElementById('at').textContent")
    assert float(told.split(": ")[1].split()[0]) == pytest.approx(100 * 3**0.5 / 17, rel=0.01)
    wide = browser.evaluate("document.documentElement.scrollWidth")
    assert wide == size[0], "nothing sticks out of the screen"
    if folder := os.environ.get("POSEMAMBA_SCREENSHOTS"):
        Path(folder, f"check-{name}.png").write_bytes(browser.screenshot())
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("file:")] == []
