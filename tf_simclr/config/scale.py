"""Settings of the machines that a run uses, and of how it fits on them."""

from __future__ import annotations

import dataclasses
import re

from tf_simclr.config.checks import require, require_choice, require_positive

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
PRECISIONS = ("auto", "off", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleConfig:
    """On which devices a run trains, in which portions and in which number format."""

    strategy: str = "auto"
    tpu_name: str | None = None  # name or grpc:// address; None: the TPU of this machine
    tpu_zone: str | None = None
    gcp_project: str | None = None
    microbatch_size: int | None = None  # images that go through the network at once; None: the batch
    rematerialize: bool = False  # recompute block groups in the backward pass
    mixed_precision: str = "auto"  # bfloat16 or float16 for activations; off: float32
    jit_compile: bool = False
    data_service: str | None = None  # grpc://host:port of a tf.data service dispatcher

    def __post_init__(self) -> None:
        require_choice("strategy", self.strategy, STRATEGIES)
        require_choice("mixed_precision", self.mixed_precision, PRECISIONS)
        if self.microbatch_size is not None:
            require_positive("microbatch_size", self.microbatch_size)
        require(
            self.data_service is None or re.fullmatch(r"grpc://[^\s/]+:\d+", self.data_service) is not None,
            f"--data_service={self.data_service} is no address. Write grpc://HOST:PORT, the dispatcher's.",
        )
        for name in ("tpu_name", "tpu_zone", "gcp_project"):
            require(
                getattr(self, name) is None or self.strategy in ("auto", "tpu"),
                f"--{name} names a TPU, and --strategy={self.strategy} uses none. "
                f"Leave --{name} out, or give --strategy=tpu.",
            )
