"""Settings of ``--mode=serve``."""

from __future__ import annotations

import dataclasses

from tf_simclr.config.checks import require, require_not_negative, require_positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where the local server answers, and what it refuses."""

    host: str = "127.0.0.1"  # 0.0.0.0 opens it to the network: it knows no passwords
    grpc_port: int = 8500  # 0: any free one
    rest_port: int = 8501  # 0: any free one
    max_request_mb: int = 64  # of a request's bytes, and of a tensor that it describes
    max_queue: int = 256  # requests that wait for a turn
    poll_seconds: float = 1.0  # between two looks for a new version
    drain_seconds: float = 30.0  # for requests in flight when the server is stopped

    def __post_init__(self) -> None:
        require(bool(self.host), "--host is empty. Use 127.0.0.1 for this machine alone.")
        for name in ("grpc_port", "rest_port"):
            value = getattr(self, name)
            require(0 <= value <= 65535, f"--{name} must be in 0..65535. Received {value}.")
        require_positive("max_request_mb", self.max_request_mb)
        require_positive("poll_seconds", self.poll_seconds)
        require_not_negative("max_queue", self.max_queue)
        require_not_negative("drain_seconds", self.drain_seconds)
