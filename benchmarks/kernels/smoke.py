"""Small launches of every CUDA scan kernel, for a sanitizer: few steps, every phase and tail."""

from __future__ import annotations

from dataclasses import replace

import kernel_cases
import kernel_v2
import op_gradients
import oracle
import test_version_2 as second
import torch
from pmcuda import Op, Tuning, library

from posemamba import PoseMamba, PoseMambaConfig
from posemamba.model.inference import PoseMambaInference
from posemamba.native import packing


def main() -> None:
    lib = library()
    for dtype in (torch.float16, torch.float32):
        for config, n in ((1, 16), (2, 16), (2, 9), (3, 40), (4, 16), (5, 16)):
            for chunks, rank in ((1, 4), (3, 8), (3, 16), (2, 5)):
                tuning = Tuning(0, chunks, config)
                cross = oracle.make_cross(
                    frames=7, d_inner=72, n=n, rank=rank, dtype=dtype, batch=2
                )
                Op(lib, cross, torch.empty_like(cross.x), tuning)()
                scan = oracle.make_scan(groups=2, channels=40, length=117, n=n, dtype=dtype)
                Op(lib, scan, torch.empty_like(scan.u), tuning)()
    one_pass = [(6, torch.float16, 4), (6, torch.float32, 8), (7, torch.float16, 8)]
    one_pass += [(8, torch.float16, 8), (9, torch.float16, 16), (10, torch.float16, 8)]
    one_pass += [(11, torch.float16, 4), (12, torch.float16, 8)]
    for config, dtype, rank in one_pass:  # more than a ring of tiles, and a part of one
        cross = oracle.make_cross(frames=31, d_inner=72, rank=rank, dtype=dtype)
        Op(lib, cross, torch.empty_like(cross.x), Tuning(0, 0, config))()
    for config, rank in ((9, 16), (10, 8)):
        cross = replace(oracle.make_cross(frames=31, d_inner=72, rank=rank), half_sums=1)
        Op(lib, cross, torch.empty_like(cross.x), Tuning(0, 0, config))()
    for half_sums in (0, 1):  # long segments of warps that take turns
        cross = replace(oracle.make_cross(frames=121, d_inner=24, rank=8), half_sums=half_sums)
        Op(lib, cross, torch.empty_like(cross.x), Tuning(0, 0, 10))()
    for name in ("float16", "float32"):  # version 2: every group of lanes, repeats, resets
        for states in (5, 20, 40, 100, 200):
            for d_inner in (21, 72):
                second.run_cross(
                    kernel_v2.indexed_case(
                        d_state=states, d_inner=d_inner, dtype=name, reset=(5, 0)
                    )
                )
            second.run_scan(
                kernel_cases.scan_case(d_state=states, channels=21, length=37, dtype=name)
            )
    for name in ("float16", "float32"):  # gradients: every shape of warps, a part of a chunk
        for states in (9, 20, 40):
            cross_case = kernel_cases.cross_scan_case(
                d_state=states, d_inner=72, frames=3, dtype=name
            )
            dy = torch.ones(cross_case.x.shape, dtype=getattr(torch, name))
            op_gradients.cross_gradients(cross_case, dy, states == 20, "cuda")
            for gate in (True, False):
                case = kernel_cases.scan_case(
                    d_state=states, channels=72, length=51, dtype=name, with_z=gate
                )
                dy = torch.ones(case.u.shape, dtype=getattr(torch, name))
                op_gradients.scan_gradients(case, dy, "cuda")
    # The fused path: 40 clips give an SM several thread blocks; from 128 steps on the convolution
    # writes what the scan reads.
    for width in packing.WIDTHS:
        for batch, frames in ((1, 5), (1, 9), (2, 13), (40, 9)):
            sizes = PoseMambaConfig(d_model=width, depth=1, frames=frames)
            lift = PoseMambaInference(PoseMamba(sizes).cuda(), torch.float16)
            lift(torch.rand(batch, frames, 17, 2, device="cuda"))
    torch.cuda.synchronize()


if __name__ == "__main__":
    main()
