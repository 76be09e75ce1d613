"""Tells a user whose projections all become the same."""

from __future__ import annotations

from collections.abc import Mapping

CHANCE_FACTOR = 2.0  # accuracy up to so many times 1/batch counts as chance
MIN_PROJECTION_STD = 0.05  # Of projections spread over the whole sphere it is 1.


def collapse_warning(metrics: Mapping[str, float], batch_size: int) -> str | None:
    """Returns the warning that pretraining metrics call for, or None.

    ``metrics``: means that hold ``contrastive_accuracy`` (0 to 1) and ``projection_std``
    (0 = all projections are one point) if they come from pretraining.
    """
    if "projection_std" not in metrics:
        return None
    accuracy, spread = metrics["contrastive_accuracy"], metrics["projection_std"]
    if not (accuracy <= CHANCE_FACTOR / batch_size and spread <= MIN_PROJECTION_STD):
        return None
    return (
        f"The projections have collapsed to one point: contrastive accuracy {accuracy:.4f} is at chance and "
        f"their spread is {spread:.3f} (1 = over the whole sphere). Such features are of no use. Try a lower "
        "--learning_rate, more --warmup_epochs, a larger --train_batch_size or --temperature, or stronger "
        "augmentation (--color_jitter_strength, a smaller --min_crop_area)."
    )
