"""Colours that change in the training step are those that the host would have made."""

import pytest

from tests.training import Training


@pytest.mark.parametrize("kind", ["simclr", "yiq"])
def test_training_loses_the_same_on_either_device(kind):
    losses = {}
    for device in ("host", "accelerator"):
        training = Training(
            f"--augment_device={device}", f"--color_jitter={kind}", "--image_size=20", "--use_blur"
        )
        batches = training.batches()
        losses[device] = [float(training.step(next(batches))["contrastive_loss"]) for _ in range(2)]
    assert losses["accelerator"] == pytest.approx(losses["host"], rel=1e-3)
