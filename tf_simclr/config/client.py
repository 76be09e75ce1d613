"""Settings of ``--mode=predict`` and ``--mode=embed``."""

from __future__ import annotations

import dataclasses
import re

from tf_simclr.config.checks import require, require_not_negative, require_positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """Which images are answered for, by whom, and where the answers go."""

    images: str | None = None  # a folder, a file or a glob pattern
    server: str | None = None  # grpc://host:port, http://host:port; None: the network of --checkpoint
    output: str | None = None  # None: stdout (predict), features.npy (embed)
    request_batch_size: int = 16  # images a request
    request_timeout: float = 60.0  # seconds, each try
    request_retries: int = 5

    def __post_init__(self) -> None:
        require_positive("request_batch_size", self.request_batch_size)
        require_positive("request_timeout", self.request_timeout)
        require_not_negative("request_retries", self.request_retries)
        require(
            self.server is None or re.fullmatch(r"(grpc|https?)://[^/:]+:\d+/?", self.server) is not None,
            f"--server={self.server} is no address of a server. Use grpc://HOST:PORT or http://HOST:PORT, "
            "such as grpc://localhost:8500.",
        )
