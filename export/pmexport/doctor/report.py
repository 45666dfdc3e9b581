"""A diagnosis for people."""

from __future__ import annotations

from pmexport.doctor.diagnose import Diagnosis
from pmexport.doctor.tensorrt import flavour_lines


def doctor_lines(diagnosis: Diagnosis) -> list[str]:
    """The diagnosis for people; the last line is the verdict."""
    lines = [f"Python {diagnosis.system['python']} on {diagnosis.system['platform']}"]
    lines += [f"  {name:<14} {version or '-'}" for name, version in diagnosis.packages.items()]
    for key, library in diagnosis.native.items():
        if library["usable"]:
            extra = f", ABI {library['abi']}, {library['isa']}" if "abi" in library else ""
            if "providers" in library:
                extra = ", for " + " and ".join(library["providers"])
            lines.append(f"  {key}: {library['path']}{extra}")
        else:
            lines.append(f"  {key}: {library['problem']}")
    gpus = [f"{gpu['name']} (sm {gpu['compute_capability']})" for gpu in diagnosis.gpu["gpus"]]
    lines.append(
        f"  GPU: {', '.join(gpus) or 'none'}; driver {diagnosis.gpu['driver'] or '-'}, "
        f"nvcc {diagnosis.gpu['nvcc'] or '-'}, torch CUDA {diagnosis.gpu['torch_cuda'] or '-'}"
    )
    lines.append(f"  ONNX Runtime providers: {', '.join(diagnosis.providers) or 'none'}")
    lines += flavour_lines(diagnosis.tensorrt)
    for test in diagnosis.self_tests:
        result = "did not run" if test.max_abs is None else f"error {test.max_abs:.1e}"
        verdict = "pass" if test.passed else "FAIL"
        lines.append(f"Self test: {test.name}: {verdict}, {result} ({test.detail})")
    for finding in diagnosis.missing:
        kind = "Missing" if finding.required else "Optional"
        lines.append(f"{kind}: {finding.what}: {finding.why}; fix: {finding.fix}")
    lines += ["Jobs:", *(job.line for job in diagnosis.jobs)]
    broken = [job.command for job in diagnosis.jobs if not job.works]
    if broken:
        lines.append(f"Doctor: does not work here: {', '.join(broken)}")
    verdict = "the main job works" if diagnosis.ok else "the main job does not work yet"
    return [*lines, f"Doctor: {verdict}"]
