"""Settings of a servable: what TF Serving answers with."""

from __future__ import annotations

import dataclasses
import re

from tf_simclr.config.checks import require, require_not_negative, require_positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServableConfig:
    """What is decided when a servable is made, and holds wherever it is served."""

    export_name: str = "simclr"  # of the model, in requests and as a folder
    keep_versions: int = 3  # newest versions that stay, the new one included; 0: all
    top_k: int = 5  # classes in an answer; at most as many as there are
    max_image_pixels: int = 2**25  # of an encoded image; one that claims more is not valid
    max_batch_size: int = 32  # images that run together

    def __post_init__(self) -> None:
        for name in ("top_k", "max_image_pixels", "max_batch_size"):
            require_positive(name, getattr(self, name))
        require_not_negative("keep_versions", self.keep_versions)
        require(
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.export_name) is not None,
            f"--export_name={self.export_name} cannot be part of a URL and of a path. Use letters, digits, "
            "_ and -, such as --export_name=flowers.",
        )
        require(
            self.max_batch_size & (self.max_batch_size - 1) == 0,
            f"--max_batch_size must be a power of two, such as 32. Received {self.max_batch_size}.",
        )

    @property
    def allowed_batch_sizes(self) -> tuple[int, ...]:
        """The powers of two up to the largest batch; TF Serving fills a batch up to the next of them."""
        return tuple(2**i for i in range(self.max_batch_size.bit_length()))
