"""What a run may be told by name. No torch: the command line reads it."""

from __future__ import annotations

AMP_TYPES = ("none", "fp16", "bf16")
SCHEDULES = ("exponential", "cosine")
