"""How far one formula computed twice in float64 may differ, and why."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: An operation rounds by at most 2^-53 of its result. `n` one after another, on both sides, are
#: within n 2^-52 of the largest number among them; 1,024 is above the depth of any formula here.
#: Most seen: 35 2^-52, a pose out of its rotations, down the chains of bones.
ROUNDING = 1024 * 2.0**-52


def check(got: npt.ArrayLike, want: npt.ArrayLike, largest: float = 1.0) -> None:
    """Equal but for rounding; NaN where NaN is wanted.

    `largest`: of the numbers that go in, in the unit of `want`: what cancels leaves its rounding.
    NumPy's own default, 1e-7 of the value whatever `atol` says, is that of float32.
    """
    left, right = np.asarray(got), np.asarray(want)
    np.testing.assert_allclose(left, right, rtol=ROUNDING, atol=ROUNDING * largest)
