"""The archive for an issue report: everything needed in it, and nothing that names or opens."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pmexport.cli.main import cli
from pmexport.doctor import diagnose as doctor
from pmexport.doctor.bundle import write_bundle
from pmexport.doctor.scrub import Scrubber

#: What must not leave, planted where a bundle could pick it up.
PLANTED = {
    "HF_TOKEN": "hf_QwErTyUiOp1234567890",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
    "MY_API_KEY": "0123456789abcdef",
    "DATABASE_PASSWORD": "correct horse battery",
    "SESSION": "c2Vzc2lvbi1jb29raWU=",
}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Texts of a bundle made by the command of somebody called ``marie.curie`` on ``curie-lab``."""
    home = tmp_path / "home" / "marie.curie"
    home.mkdir(parents=True)
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "marie.curie")
    monkeypatch.setenv("HOSTNAME", "curie-lab.example.org")
    monkeypatch.setenv("POSEMAMBA_ORT_LIB", f"{home}/lib/{PLANTED['MY_API_KEY']}.so")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/home/pierre/lib:/opt/curie-lab/lib:/usr/lib")
    monkeypatch.setenv("POSEMAMBA_NOTE", f"https://marie:{PLANTED['HF_TOKEN']}@10.1.2.3/simple")
    result = CliRunner().invoke(cli, ["doctor", "--bundle", str(tmp_path / "d.zip")])
    assert result.exit_code == 1, "that library is not there"
    assert "look into it before you send it" in result.stderr
    with zipfile.ZipFile(tmp_path / "d.zip") as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_names_and_secrets_stay_home(bundle: dict[str, str]) -> None:
    whole = "\n".join(bundle.values())
    for gone in (*PLANTED.values(), "marie", "curie", "pierre", "10.1.2.3", "example.org"):
        assert gone not in whole, gone
    assert "POSEMAMBA_ORT_LIB=~/lib/<secret>.so" in bundle["environment.txt"]
    assert "LD_LIBRARY_PATH=~/lib:/opt/<host>/lib:/usr/lib" in bundle["environment.txt"]
    for name in PLANTED:
        assert f"{name}=" not in whole


def test_what_an_issue_needs_is_in_it(bundle: dict[str, str]) -> None:
    assert set(bundle) == {
        "about.txt", "doctor.txt", "doctor.json", "packages.txt", "environment.txt"}  # fmt: skip
    found = json.loads(bundle["doctor.json"])
    assert found["ok"] is False
    assert found["packages"]["numpy"]
    assert "numpy " in bundle["packages.txt"]
    assert "Doctor: the main job does not work yet" in bundle["doctor.txt"]
    assert "~/lib/<secret>.so" in bundle["doctor.txt"]


CLEAN = Scrubber({"X_TOKEN": "tiny"}, ["ada", "root"], ["engine-1"], ["/srv/ada"])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("token ghp_abcdefghijklmnop0123", "token <secret>"),
        ("github_pat_11ABCDEFG_hijklmnop", "<secret>"),
        ("key sk-proj-abcdefghijkl", "key <secret>"),
        ("AKIAIOSFODNN7EXAMPLE", "<secret>"),
        ("Authorization: Bearer abc.def-123", "Authorization: <secret> <secret>"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM", "<secret>"),
        ("https://me:pw@host.example/x", "https://<secret>@host.example/x"),
        ("password=hunter22, next", "password=<secret>, next"),
        ("api_key: 'abcd1234'", "api_key: '<secret>'"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", "<secret>"),
        ("/home/bob/models/S.onnx", "~/models/S.onnx"),
        ("/Users/bob/x and /home/eve", "~/x and ~"),
        (r"C:\Users\bob\x", r"~\x"),
        ("/srv/ada/x, ADA's", "~/x, <user>'s"),
        ("canada, adafactor", "canada, adafactor"),
        ("engine-1: error; engine-12", "<host>: error; engine-12"),
        ("write to a.b@example.com", "write to <address>"),
        ("at 192.168.1.17, mac 0a:1b:2c:3d:4e:5f", "at <address>, mac <address>"),
        ("CUDA 13.0, TensorRT 10.16.1.11", "CUDA 13.0, TensorRT 10.16.1.11"),
        ("http://10.1.2.3:8080, 10.1.2.3:22", "http://<address>:8080, <address>:22"),
        ("tiny", "tiny"),
    ],
)  # fmt: skip
def test_each_kind_of_thing(text: str, clean: str) -> None:
    assert CLEAN.text(text) == clean


def test_a_bundle_that_cannot_be_written(refused: Callable[..., None], here: Path) -> None:
    refused(("doctor", "--bundle", "d.txt"), "d.txt", ".zip")
    refused(("doctor", "--bundle", "no/d.zip"), "no", "mkdir")
    (here / "folder.zip").mkdir()
    refused(("doctor", "--bundle", "folder.zip"), "folder.zip", "directory")


def test_it_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diagnosis = doctor.diagnose()

    def fail(_: object) -> str:
        raise RuntimeError

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises((RuntimeError, TypeError)):
        write_bundle(tmp_path / "d.zip", diagnosis)
    assert list(tmp_path.iterdir()) == []
