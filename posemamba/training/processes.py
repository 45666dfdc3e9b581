"""Several processes of one run, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Processes:
    """This process's place among those of the run; alone by default."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this one writes files."""
        return self.rank == 0

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """``model`` with gradients averaged over the processes."""
        if self.count == 1:
            return model
        ids = [device.index] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=ids)

    def agree(self, seconds: float) -> float:
        """The leader's clock: all must stop at the same step."""
        if self.count == 1:
            return seconds
        shared = [seconds]
        distributed.broadcast_object_list(shared)
        return shared[0]

    def mean(self, value: Tensor) -> Tensor:
        """The mean of every process's ``value``; all must ask at the same step."""
        if self.count == 1:
            return value
        total = value.clone()
        distributed.all_reduce(total)
        return total / self.count

    def leave(self) -> None:
        """Leave the group together, so that its resources are freed before the interpreter ends.

        A process that ends while another still talks to it now and then aborts in gloo's threads.
        """
        if self.count > 1:
            distributed.barrier()
            distributed.destroy_process_group()


def join_processes(device: torch.device) -> Processes:
    """Join the group that ``torchrun`` describes in the environment, if it does."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes()
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Processes(distributed.get_rank(), count)
