"""One optimizer step: forward, loss, backward, AdamW. With a CUDA graph it is one launch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from posemamba.training.config import TrainConfig

_HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}
_WARM_UP = 3
Batch = tuple[Tensor, Tensor]


class Stepper:
    """Holds optimizer, scaler and average of a network; steps it on batches.

    Args:
        network: what is called; a DistributedDataParallel wrapper or the model itself.
        model: whose parameters learn.
    """

    def __init__(self, network: nn.Module, model: nn.Module, config: TrainConfig) -> None:
        self.network, self.model, self.config = network, model, config
        self.device = next(model.parameters()).device
        graph = config.cuda_graph
        # The graph reads the rate from memory, so it can change between replays.
        self.rate = torch.tensor(config.learning_rate, device=self.device)
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=self.rate if graph else config.learning_rate,
            weight_decay=config.weight_decay,
            capturable=graph,
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.amp == "fp16")
        self.average: list[Tensor] | None = None
        if config.ema is not None:
            self.average = [p.detach().clone() for p in model.parameters()]
        self.loss = config.loss()
        self._replay: Callable[[Sequence[Batch]], Tensor] | None = None

    def load_optimizer(self, state: dict[str, Any]) -> None:
        """Take over the moments of an earlier run, with or without a CUDA graph."""
        graph = self.config.cuda_graph
        for group in state["param_groups"]:
            group["capturable"] = graph  # decides where the step counters go
        self.optimizer.load_state_dict(state)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate if graph else float(group["lr"])

    def step(self, batches: Sequence[Batch], learning_rate: float) -> Tensor:
        """One step on accumulated batches; returns their mean loss, on the device."""
        self.rate.fill_(learning_rate)
        if not self.config.cuda_graph:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            return self._step(batches)
        if self._replay is None:
            self._replay = self._capture(batches)
        return self._replay(batches)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, the model has the averaged weights, if any; afterwards its own again."""
        if self.average is None:
            yield
            return
        own = [parameter.detach().clone() for parameter in self.model.parameters()]
        self._put(self.average)
        try:
            yield
        finally:
            self._put(own)

    def _put(self, values: Sequence[Tensor]) -> None:
        """Copied in place: a recorded step reads the parameters where they are."""
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), values, strict=True):
                parameter.copy_(value)

    def _step(self, batches: Sequence[Batch]) -> Tensor:
        self.optimizer.zero_grad(set_to_none=not self.config.cuda_graph)
        total = torch.zeros((), device=self.device)
        for index, (keypoints_2d, poses_3d) in enumerate(batches):
            with self._no_sync(index + 1 < len(batches)):
                with self._autocast():
                    predicted = self.network(keypoints_2d)
                loss = self.loss(predicted.float(), poses_3d) / len(batches)
                torch.autograd.backward(self.scaler.scale(loss))
            total = total + loss.detach()
        if self.config.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None and self.config.ema is not None:
            weights = [parameter.detach() for parameter in self.model.parameters()]
            torch._foreach_lerp_(self.average, weights, 1.0 - self.config.ema)
        return total

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.config.amp == "none":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=_HALF[self.config.amp])

    def _no_sync(self, more: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients of several processes are averaged once per step, after the last pass."""
        if more and isinstance(self.network, nn.parallel.DistributedDataParallel):
            return self.network.no_sync()
        return contextlib.nullcontext()

    def _capture(self, batches: Sequence[Batch]) -> Callable[[Sequence[Batch]], Tensor]:
        """Record the step. Warming up trains, so everything is put back afterwards."""
        static = [(keypoints.clone(), poses.clone()) for keypoints, poses in batches]
        kept = [p.detach().clone() for p in self.model.parameters()]
        moments = self.optimizer.state_dict()["state"]  # empty, or what a resumed run loaded
        moments = {k: {n: v.clone() for n, v in s.items()} for k, s in moments.items()}
        kept_average = None if self.average is None else [a.clone() for a in self.average]
        side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._step(static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self._step(static)
        self._put(kept)
        with torch.no_grad():
            for index, state in self.optimizer.state_dict()["state"].items():
                for name, value in state.items():
                    before = moments.get(index, {}).get(name)
                    value.zero_() if before is None else value.copy_(before)
            for average, value in zip(self.average or [], kept_average or [], strict=True):
                average.copy_(value)
        # Stochastic depth of this step as without a graph: the warm-up has drawn from it.
        torch.cuda.manual_seed(torch.cuda.initial_seed())

        def replay(fresh: Sequence[Batch]) -> Tensor:
            for (keypoints, poses), (new_keypoints, new_poses) in zip(static, fresh, strict=True):
                keypoints.copy_(new_keypoints)
                poses.copy_(new_poses)
            graph.replay()
            return loss

        return replay
