"""``tools/make_vectors.py``: the committed vectors are what the oracle gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import make_vectors
import numpy as np
from click.testing import CliRunner


def arrays(case: dict[str, Any]) -> dict[str, np.ndarray]:
    return {
        key: np.array(value["values"]) for key, value in {**case["inputs"], "y": case["y"]}.items()
    }


def test_the_script_remakes_them(tmp_path: Path) -> None:
    result = CliRunner().invoke(make_vectors.main, ["--to", str(tmp_path)])
    assert result.exit_code == 0, result.output
    files = sorted(path.name for path in make_vectors.TARGET.glob("*.json"))
    assert files == sorted(path.name for path in tmp_path.iterdir())
    for name in files:
        new, old = (json.loads((folder / name).read_text())["cases"]
                    for folder in (tmp_path, make_vectors.TARGET))  # fmt: skip
        for one, other in zip(new, old, strict=True):
            assert (one["name"], one["attributes"]) == (other["name"], other["attributes"])
            for key, value in arrays(one).items():
                # float32's exp in NumPy may differ by an ulp from processor to processor
                np.testing.assert_allclose(value, arrays(other)[key], rtol=1e-5, atol=1e-6)
