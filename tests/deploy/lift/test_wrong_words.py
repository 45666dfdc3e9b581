"""Wrong words on the command line, with a good recording: one line, exit code 2, no file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import keypoint_files as files
import pytest

Refused = Callable[[list[str], str], None]
YOLO = [files.yolo_frame(people) for people in files.film("coco17", 3)]

#: Words on the command line with a good input, and what the line has to say.
WORDS: dict[str, tuple[list[str], str]] = {
    "no command": ([], "COMMAND"),
    "another command": (["lft", "m.onnx", "good.json"], "COMMAND"),
    "no keypoints": (["lift", "m.onnx"], "KEYPOINTS is missing"),
    "no output": (["lift", "m.onnx", "good.json"], "-o is missing"),
    "no model": (["lift", "none.onnx", "good.json", "-o", "o.npz"], "'none.onnx': no such model"),
    "a folder as model": (["lift", ".", "good.json", "-o", "o.npz"], "'.': is a folder"),
    "an empty model": (["lift", "", "good.json", "-o", "o.npz"], "MODEL: the name is empty"),
    "empty keypoints": (["lift", "m.onnx", "", "-o", "o.npz"], "KEYPOINTS: the name is empty"),
    "an empty output": (["lift", "m.onnx", "good.json", "-o", ""], "the name is empty"),
    "a word too many": (
        ["lift", "m.onnx", "good.json", "more.json", "-o", "o.npz"],
        "'more.json' is one word too many: leave it out",
    ),
    "no ending": (["lift", "m.onnx", "good.json", "-o", "o"], "has no ending"),
    "an unknown ending": (["lift", "m.onnx", "good.json", "-o", "o.htm"], "'.html'"),
    "no folder": (["lift", "m.onnx", "good.json", "-o", "no/o.npz"], "does not exist"),
    "a folder as output": (["lift", "m.onnx", "good.json", "-o", "dir.npz"], "is a folder"),
    "output is input": (["lift", "m.onnx", "good.json", "-o", "good.json"], "is the input"),
    "output is the model": (["lift", "m.npz", "good.json", "-o", "m.npz"], "is the model"),
    "output among frames": (["lift", "m.onnx", ".", "-o", "o.json"], "among the frames"),
    "output among frames, in capitals": (
        ["lift", "m.onnx", ".", "-o", "O.JSON"], "among the frames"),
    "output among frames of a folder inside": (
        ["lift", "m.onnx", "take", "-o", "take/json/o.json"], "among the frames"),
    "lengths without a height": (["lift", "m.onnx", "good.json", "-o", "o.bvh"], "--height-m"),
    "units without a height": (
        ["lift", "m.onnx", "good.json", "-o", "o.npz", "--units", "mm"], "needs --height-m"),
    "a root without a height": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--root"],
                                "needs --height-m"),
    "a focal length alone": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--focal", "9"],
                             "--root"),
    "a misspelt option": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--widow", "9"],
                          "did you mean '--window'?"),
    "a misspelt format": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--format", "opnpose"],
                          "did you mean 'openpose'?"),
    "another format": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--format", "openpose"],
                       "looks like YOLO-pose"),
    "a format of archives": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--format", "npz"],
                             "is not an .npz file"),
    "a misspelt layout": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--layout", "coco_1717"],
                          "did you mean 'coco17'?"),
    "a layout of another count": (
        ["lift", "m.onnx", "good.json", "-o", "o.npz", "--layout", "body25"], "leave --layout out"),
    "a misspelt policy": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--policy", "lst"],
                          "did you mean 'last'?"),
    "a misspelt backend": (
        ["lift", "m.onnx", "good.json", "-o", "o.npz", "--backend", "ort"], "onnxruntime-cpu"),
    "a size of one number": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--size", "1080"],
                             "as 1920x1080"),
    "a size of 0": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--size", "0x5"], "no size"),
    "a confidence of 2": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--min-confidence", "2"],
                          "not a confidence"),
    "a confidence of NaN": (
        ["lift", "m.onnx", "good.json", "-o", "o.npz", "--min-confidence", "nan"],
        "not a confidence"),
    "nobody of that id": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--person", "7"],
                          "the ids are 1"),
    "a person of that name": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--person", "larges"],
                              "give all, largest, or an id"),
    "a rate of 0": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--rate", "0"], "not a rate"),
    "a height in centimetres": (
        ["lift", "m.onnx", "good.json", "-o", "o.npz", "--height-m", "175"], "not a height"),
    "a window of 0": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--window", "0"],
                      "not a window"),
    "a hop beyond the window": (
        ["lift", "m.onnx", "good.json", "-o", "o.npz", "--window", "9", "--hop", "9"], "at most 8"),
    "threads of text": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--threads", "all"],
                        "number of threads"),
    "a clip of a JSON file": (["lift", "m.onnx", "good.json", "-o", "o.npz", "--clip", "a"],
                              "leave --clip out"),
    "live from a file": (["lift", "m.onnx", "good.json", "--live"], "not from a file"),
    "live to a file": (["lift", "m.onnx", "-", "--live", "-o", "o.npz"], "leave -o out"),
    "live with a person": (["lift", "m.onnx", "-", "--live", "--person", "largest"],
                           "for recordings"),
    "udp and a file": (["lift", "m.onnx", "good.json", "--udp", "9000"], "leave KEYPOINTS out"),
    "a port of 0": (["lift", "m.onnx", "--udp", "0"], "is no port"),
    "an avatar without a height": (["lift", "m.onnx", "-", "--vmc", "localhost"], "--height-m"),
    "an avatar at port 0": (["lift", "m.onnx", "-", "--vmc", "localhost:0"], "--vmc"),
    "a latency of a recording": (
        ["lift", "m.onnx", "good.json", "-o", "o.npz", "--latency-ms", "50"], "is for --live"),
    "a latency and a window": (
        ["lift", "m.onnx", "-", "--live", "--latency-ms", "50", "--window", "9"], "leave --window"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "says"), WORDS.values(), ids=WORDS.keys())
def test_words(words: list[str], says: str, here: Path, refused: Refused) -> None:
    files.dump(here / "good.json", YOLO)
    for name in ("m.onnx", "m.npz"):
        (here / name).write_bytes(b"model")
    (here / "dir.npz").mkdir()
    files.write_openpose(here / "take" / "json", files.film("body25", 2))
    lives = {"--size", "--live", "--udp", "--vmc"} & set(words)
    asks = [] if lives or len(words) < 3 else ["--size", "1280x720"]
    refused([*words, *asks], says)


def test_standard_input_that_ends(
    here: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    (here / "m.onnx").write_bytes(b"model")
    for content, says in ((b"", "ended without a frame"), (b"\n\n[1,,2]\n", "line 3: is not JSON")):
        stdin = io.TextIOWrapper(io.BytesIO(content))
        monkeypatch.setattr("sys.stdin", stdin)
        refused(["lift", "m.onnx", "-", "-o", "o.npz", "--size", "9x9"], says)
