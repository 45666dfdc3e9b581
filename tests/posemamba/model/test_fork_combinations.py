"""What public forks add, in combinations that no golden file has: against a float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fork_cases import CASES
from fork_networks import COMBINATIONS, Combination
from fork_oracle import DIRECTIONS, LIMBS, four, lift

from posemamba.checkpoint.read import load_checkpoint
from posemamba.errors import InputError


@pytest.mark.parametrize(
    ("name", "scan"),
    [("official_4dir_2ch_v2_plus_poselimbs_5frames", "v2_plus_poselimbs"),
     ("fused_8dir_2ch_v2_fused_bfs", "v2_fused_bfs"),
     ("bones_4dir_5ch_v2_plus_poselimbs", "v2_plus_poselimbs"),
     ("jointdelta_4dir_2ch_v2_plus_poselimbs", "v2_plus_poselimbs")],
)  # fmt: skip
def test_the_oracle_gives_the_forks_own_outputs(name: str, scan: str) -> None:
    state = load_checkpoint(CASES[name].checkpoint, scan_order=scan).state_dict()
    golden = np.load(CASES[name].outputs)
    bones = name.startswith("bones")
    found = lift(state, torch.from_numpy(golden["keypoints_2d"][:1]), DIRECTIONS[scan], bones=bones)
    # The forks ran in float32, all but the scan.
    assert np.abs(found.numpy() - golden["poses_3d"][:1]).max() < 1e-5


#: Float32's own, of a pose's largest coordinate: up to 1.0e-5 with repeats, 8e-6 elsewhere, and
#: another processor's products round otherwise.
ROUNDING = 2e-5


@pytest.mark.parametrize("name", COMBINATIONS)
def test_every_scan_computes_it(name: str) -> None:
    case = COMBINATIONS[name]
    model = case.network()
    expected, keypoints = case.expected(model), case.keypoints()
    scale = expected.abs().max()
    with torch.inference_mode():
        for scan in ("fused", "generic", "chunked", "reference"):
            found = model.set_scan(scan)(keypoints)
            assert (found - expected).abs().max() < ROUNDING * scale, scan
        wide = model.double().set_scan("chunked")(keypoints.double())
    # The bones' and limbs' constants are float32 numbers.
    assert (wide - expected).abs().max() < 1e-6 * scale


def test_limb_sums_that_cannot_be_undone_are_refused() -> None:
    """Two joints that read each other have one sum, in which a step bias is lost."""
    circle = [*LIMBS]
    circle[1], circle[2] = 2, 1
    with pytest.raises(InputError, match="round a circle of an even number"):
        Combination(four(limbs=True), {"step_bias": True}, circle).network()
    assert Combination(four(), {"step_bias": True}, circle).network().config.step_bias
