"""The images of a split that are left out because they cannot be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from tf_simclr.config import ConfigError
from tf_simclr.data.check import Finding

_NAMED = 10  # bad files in an error


@dataclasses.dataclass(frozen=True)
class SplitCheck:
    """Result of reading all files of a split once.

    listing: hash of their names, sizes and times; with another one the check is out of date. images: how many
    there are. decoded_bytes: memory that the usable ones take as uint8 RGB. skipped: id -> reason.
    """

    listing: str
    images: int
    decoded_bytes: int
    skipped: dict[str, str]

    @classmethod
    def of(cls, listing: str, pairs: Iterable[tuple[str, Finding]]) -> SplitCheck:
        """Sums up ids and what was found."""
        found = dict(pairs)
        skipped = {name: finding.reason for name, finding in found.items() if finding.reason}
        usable = (finding for name, finding in found.items() if name not in skipped)
        return cls(listing, len(found), sum(finding.decoded_bytes for finding in usable), skipped)

    def require_few_skipped(self, dataset: str, split: str, max_fraction: float) -> None:
        """Raises ConfigError if more than ``max_fraction`` of the images cannot be used."""
        if len(self.skipped) <= max_fraction * self.images:
            return
        named = "; ".join(f"{name}: {reason}" for name, reason in list(self.skipped.items())[:_NAMED])
        more = len(self.skipped) - _NAMED
        raise ConfigError(
            f"{len(self.skipped)} of the {self.images} images of split {split} of --dataset={dataset} cannot "
            f"be used, more than --max_bad_fraction={max_fraction:g}: {named}"
            f"{f'; and {more} more' if more > 0 else ''}. Repair or remove them (--mode=check_data "
            "lists all), or raise --max_bad_fraction to go on without them."
        )
