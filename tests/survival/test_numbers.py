"""What is no number stops a run at its step, or is left out, and never reaches a file."""

import json

import numpy as np
import pytest

from tests.survival.children import Zygote, tensors
from tf_simclr.errors import NonFiniteError
from tf_simclr.files.whole import numbered

TRAINING = [
    "--mode=pretrain",
    "--image_size=8",
    "--width_multiplier=0.125",
    "--memory_size=32",
    "--train_batch_size=8",
    "--train_steps=6",
    "--log_steps=3",
    "--checkpoint_steps=2",
    "--model_dir=run",
]


@pytest.mark.slow
def test_a_step_that_is_no_number_stops_the_run_and_can_be_skipped(tmp_path):
    with Zygote(tmp_path) as zygote:
        assert zygote.run(*TRAINING, poison=[4]) == NonFiniteError.exit_code, zygote.said()
        said = zygote.said()
        assert "error: Training became non-finite at step 4: contrastive_loss " in said
        # The first layer's ReLU makes zeros of NaN: the losses are numbers, the gradient there is not.
        assert "gradient_norm nan; largest gradient: encoder/stem/conv (nan, as in 1 other layer)" in said
        assert "--on_nonfinite=skip" in said
        assert "Traceback" not in said
        assert numbered(str(tmp_path / "run/checkpoints")) == ["2"]
        assert not (tmp_path / "run/saved_model").exists()
        assert "Training became non-finite at step 4" in (tmp_path / "run/log.txt").read_text()

        skip = ["--on_nonfinite=skip", "--max_nonfinite_steps=1"]
        assert zygote.run(*TRAINING, *skip, poison=[4]) == 0, zygote.said()
        assert "Resuming from step 2" in zygote.said() and "The step is left out." in zygote.said()
        for prefix in ("checkpoints/4/state", "checkpoints/6/state", "saved_model/6/variables/variables"):
            values = tensors(tmp_path / "run" / prefix)
            values.pop("_CHECKPOINTABLE_OBJECT_GRAPH")
            assert all(np.all(np.isfinite(value)) for value in values.values())
        skipped = tensors(tmp_path / "run/checkpoints/4/state")
        assert skipped["optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"] == 4
        assert skipped["queue/count/.ATTRIBUTES/VARIABLE_VALUE"] == 3 * 16  # The fourth batch left no keys.
        lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
        counts = [line["train/skipped_steps"] for line in lines if "train/skipped_steps" in line]
        assert counts == [0, 1] or counts == [1]

        too_many = [*TRAINING[:-1], "--model_dir=other", *skip]
        assert zygote.run(*too_many, poison=[3, 4]) == NonFiniteError.exit_code
        assert "in a row, and --max_nonfinite_steps=1" in zygote.said()
