"""Settings of the memory of negatives."""

from __future__ import annotations

import dataclasses

from tf_simclr.config.checks import require, require_not_negative


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """Momentum network and queue of negatives (SimCLRv2, sections 2 and 3.1)."""

    memory_size: int = 0  # keys in the queue; 0: no memory
    memory_momentum: float = 0.999  # share that a value of the momentum network keeps in a step
    export_ema: bool = False  # the SavedModel holds the momentum network

    def __post_init__(self) -> None:
        require_not_negative("memory_size", self.memory_size)
        require(
            0 <= self.memory_momentum < 1,
            f"--memory_momentum must be in [0, 1). Received {self.memory_momentum}. The paper uses 0.999.",
        )
