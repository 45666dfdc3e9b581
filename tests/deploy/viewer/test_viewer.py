"""The viewer in headless Chromium: desktop and phone, mouse, touch and keys, from a plain file.

``POSEMAMBA_SCREENSHOTS`` names a folder that gets the screenshots, to be looked at.
"""

from __future__ import annotations

import dataclasses
import io
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Page, chromium
from motions import RATE, motion, track, upright
from PIL import Image

from posemamba_runtime.body.scene import scene_of
from posemamba_runtime.motion import Motion, Picture
from posemamba_runtime.outputs import write
from posemamba_runtime.viewer import page as html_of

STATE = "window.viewer.state()"
DESKTOP, PHONE = (1280, 800), (390, 844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture
def opened(browser: Page, tmp_path: Path) -> Iterator[Any]:
    """Opens a motion at a screen's size; afterwards nothing was complained of or asked for."""
    browser.complaints.clear()
    browser.requests.clear()

    def open_motion(given: Motion, size: tuple[int, int] = DESKTOP, **screen: bool) -> Page:
        file = write(tmp_path / "walk.html", given)[0]
        browser.screen(*size, **screen)
        browser.open(file)
        browser.settle()
        return browser

    yield open_motion
    browser.settle()
    assert browser.complaints == []
    assert {url for url in browser.requests if not url.startswith("file:")} == set()
    assert len(browser.requests) == 1, "the page itself, and nothing else"


def scrub(page: Page, index: int) -> None:
    page.evaluate(
        f"(s => {{ s.value = {index}; s.dispatchEvent(new Event('input')); }})"
        "(document.getElementById('scrub'))"
    )


def picture(page: Page, name: str) -> np.ndarray:
    png = page.screenshot()
    if folder := os.environ.get("POSEMAMBA_SCREENSHOTS"):
        Path(folder, f"{name}.png").write_bytes(png)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def colours(page: Page, canvas: str) -> int:
    """How many different colours a canvas holds: 1 where nothing was drawn."""
    return int(page.evaluate(
        f"(c => new Set(new Uint32Array(c.getContext('2d')"
        f".getImageData(0, 0, c.width, c.height).data.buffer)).size)"
        f"(document.getElementById('{canvas}'))"))  # fmt: skip


SCREENS = {
    "desktop, light": (DESKTOP, {}),
    "desktop, dark": (DESKTOP, {"dark": True}),
    "phone, light": (PHONE, {"phone": True}),
    "phone, dark": (PHONE, {"phone": True, "dark": True}),
    "phone on its side": ((844, 390), {"phone": True}),
}


@pytest.mark.parametrize("name", SCREENS)
def test_scrubbing_changes_the_pose(name: str, opened: Any) -> None:
    size, screen = SCREENS[name]
    page = opened(motion(people=2, root=True), size, **screen)
    before, first = picture(page, f"{name}, first"), page.evaluate(STATE)
    scrub(page, 20)
    after, second = picture(page, f"{name}, scrubbed"), page.evaluate(STATE)
    assert (first["frame"], second["frame"]) == (0, 20)
    assert second["time"] == pytest.approx(20 / RATE, abs=1e-5)
    assert first["people"][0]["pose"]["scene"] != second["people"][0]["pose"]["scene"]
    assert (before != after).any()
    assert min(colours(page, "flat"), colours(page, "deep")) > 10
    dark = screen.get("dark", False)
    assert bool(after[3, 3].mean() < 80) is dark, "the page follows the system's colours"
    fits = page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert fits, "nothing sticks out at the side"


def test_what_is_shown_is_the_motion(opened: Any) -> None:
    """Joints in the scene to half a millimetre, keypoints to a tenth of a pixel, gaps as gaps."""
    given = motion(people=2, root=True, gap=True)
    page = opened(given)
    scene = scene_of(given)
    one, points = given.tracks[0], scene.points[0]
    for frame in (0, 11, 13, 16, 39):
        scrub(page, frame)
        pose = page.evaluate(STATE)["people"][0]["pose"]
        if frame not in one.frames:
            assert pose is None
            continue
        row = int(np.flatnonzero(one.frames == frame)[0])
        np.testing.assert_allclose(pose["scene"], points[row], atol=5e-4)
        pixels = np.array([p or (np.nan, np.nan) for p in pose["image"]], float)
        np.testing.assert_allclose(pixels, one.keypoints_2d[row], atol=0.1)
        assert pose["filled"] == one.filled[row].tolist()
    lifted = upright(one.poses_3d + one.root[:, None])
    moved = points - lifted
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0, 0], moved.shape), atol=1e-5)


def test_the_video_lies_behind_the_keypoints(opened: Any) -> None:
    """Red before frame 10, green from there on; the page asks nobody for it."""
    pictures = []
    for frame, colour in ((0, (220, 0, 0)), (10, (0, 200, 0))):
        jpeg = io.BytesIO()
        Image.new("RGB", (32, 18), colour).save(jpeg, "JPEG")
        pictures.append(Picture(frame, jpeg.getvalue()))
    page = opened(dataclasses.replace(motion(), pictures=tuple(pictures)))
    _wait_for_colour(page, 0, 1)
    scrub(page, 20)
    _wait_for_colour(page, 1, 0)


def _wait_for_colour(page: Page, strong: int, weak: int) -> None:
    """Pictures are decoded in the background: a tenth of the screen shows much of one colour."""
    end = time.monotonic() + 20
    while True:
        shown = picture(page, "video").astype(int)
        if (shown[..., strong] - shown[..., weak] > 100).mean() > 0.1:
            return
        assert time.monotonic() < end, "the video is not shown"
        page.settle()


def test_play_pause_and_speed(opened: Any) -> None:
    page = opened(motion(120))
    page.evaluate("document.getElementById('play').click()")
    page.wait_for(f"{STATE}.frame > 3")
    assert page.evaluate("document.getElementById('play').ariaLabel") == "Pause"
    page.evaluate("document.getElementById('play').click()")
    assert not page.evaluate(STATE)["playing"]
    # How much of the recording passes in a second that the page itself measures.
    passed = """(async speed => {
      const scrub = document.getElementById("scrub"), play = document.getElementById("play");
      document.getElementById("speed").value = speed;
      scrub.value = 0;
      scrub.dispatchEvent(new Event("input"));
      const start = performance.now();
      play.click();
      await new Promise(done => setTimeout(done, 1000));
      play.click();
      return window.viewer.state().time / (performance.now() - start) * 1000;
    })"""
    slow, fast = (page.evaluate(f"{passed}('{speed}')") for speed in ("0.5", "2"))
    assert slow == pytest.approx(0.5, abs=0.2)
    assert fast == pytest.approx(2.0, abs=0.6)


def test_keys(opened: Any) -> None:
    page = opened(motion(40))
    for key, frame in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 39),
                       ("ArrowRight", 39), ("Home", 0), ("ArrowLeft", 0)):  # fmt: skip
        page.key(key)
        assert page.evaluate(STATE)["frame"] == frame
    page.key(" ")
    assert page.evaluate(STATE)["playing"]
    page.key(" ")
    assert not page.evaluate(STATE)["playing"]
    page.key(">")
    assert page.evaluate("document.getElementById('speed').value") == "2"
    yaw = page.evaluate(STATE)["eye"]["yaw"]
    page.evaluate("document.getElementById('deep').focus()")
    page.key("ArrowLeft")
    state = page.evaluate(STATE)
    assert state["eye"]["yaw"] > yaw, "arrows turn the view that has the focus"
    page.key("t")
    page.wait_for(f"{STATE}.eye.yaw > {state['eye']['yaw']} + 0.02")
    page.key("r")
    assert page.evaluate(STATE)["eye"]["yaw"] == yaw
    assert not page.evaluate(STATE)["turning"]


def middle(page: Page) -> tuple[float, float]:
    box = page.evaluate("(r => [r.x + r.width / 2, r.y + r.height / 2])"
                        "(document.getElementById('deep').getBoundingClientRect())")  # fmt: skip
    return box[0], box[1]


def test_mouse_turns_and_wheel_zooms(opened: Any) -> None:
    page = opened(motion())
    x, y = middle(page)
    eye = page.evaluate(STATE)["eye"]
    page.mouse("mousePressed", x, y)
    page.mouse("mouseMoved", x + 60, y + 30)
    page.mouse("mouseReleased", x + 60, y + 30)
    turned = page.evaluate(STATE)["eye"]
    assert turned["yaw"] == pytest.approx(eye["yaw"] - 0.6)
    assert turned["pitch"] == pytest.approx(eye["pitch"] + 0.3)
    page.mouse("mouseMoved", x, y)
    assert page.evaluate(STATE)["eye"] == turned, "a mouse that is let go turns nothing"
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
    page.wait_for(f"{STATE}.eye.zoom > 1.3")


def test_fingers_turn_and_pinch(opened: Any) -> None:
    page = opened(motion(), PHONE, phone=True)
    x, y = middle(page)
    eye = page.evaluate(STATE)["eye"]
    page.touch("touchStart", (x, y))
    page.touch("touchMove", (x + 50, y))
    page.touch("touchEnd")
    page.wait_for(f"{STATE}.eye.yaw < {eye['yaw']} - 0.3")
    page.touch("touchStart", (x - 20, y), (x + 20, y))
    page.touch("touchMove", (x - 60, y), (x + 60, y))
    page.touch("touchEnd")
    page.wait_for(f"{STATE}.eye.zoom > 1.8")
    assert page.evaluate("document.documentElement.scrollTop") == 0


def test_persons_can_be_hidden(opened: Any) -> None:
    page = opened(motion(people=3))
    scrub(page, 20)
    assert page.evaluate("document.querySelectorAll('#people input').length") == 3
    page.evaluate("document.querySelectorAll('#people input')[1].click()")
    poses = [person["pose"] is not None for person in page.evaluate(STATE)["people"]]
    assert poses == [True, False, True]


ODD: dict[str, Motion] = {
    "one frame": motion(1),
    "network": motion(units="network", people=2),
    "millimetres": motion(units="mm", root=True),
    "no size, nothing found": dataclasses.replace(
        motion(),
        size=None,
        tracks=(dataclasses.replace(track(4), keypoints_2d=np.full((4, 17, 2), np.nan)),),
    ),
    "a pose without size": dataclasses.replace(
        motion(), tracks=(dataclasses.replace(track(3), poses_3d=np.zeros((3, 17, 3))),)
    ),
    "frames far apart": dataclasses.replace(
        motion(), tracks=(dataclasses.replace(track(3), frames=np.array([7, 90, 10**12])),)
    ),
    "eight persons": motion(people=8),
    "a text that ends scripts": dataclasses.replace(
        motion(),
        source="folder/<img src=x onerror=throw>&{{data}}",
        model="</script><script>throw 1</script>{{data}}",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_motions_are_shown(name: str, opened: Any) -> None:
    page = opened(ODD[name], PHONE, phone=True)
    picture(page, name)
    page.key("End")
    page.evaluate("document.getElementById('play').click()")
    page.settle()
    state = page.evaluate(STATE)
    assert any(person["pose"] for person in state["people"])
    assert state["frame"] in {int(n) for one in ODD[name].tracks for n in one.frames}
    shown = page.evaluate("document.getElementById('source').textContent")
    assert shown == ODD[name].source.removeprefix("folder/")
    assert ODD[name].model in page.evaluate("document.getElementById('facts').textContent")


def test_names_for_screen_readers(opened: Any) -> None:
    page = opened(motion(people=2))
    scrub(page, 12)
    assert page.evaluate("document.getElementById('scrub').getAttribute('aria-valuetext')") == (
        "frame 12 · 0.40 s"
    )
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, canvas')].filter(e =>"
        "!(e.ariaLabel || e.textContent.trim() || (e.labels && e.labels.length))).length"
    )
    assert nameless == 0


def test_a_minute_of_two_persons_is_small() -> None:
    """60 s at 60 frames a second, the issue's limit being 5 MB."""
    given = dataclasses.replace(motion(3600, people=2, root=True), rate=60.0)
    assert len(html_of(given).encode()) < 2_000_000


def test_nothing_from_outside() -> None:
    text = html_of(motion())
    assert not re.search(r"https?://|//cdn|@import|\bsrc=", text)
    assert "default-src 'none'" in text
