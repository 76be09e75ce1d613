"""What is told before any data is read, by a run whose data cannot be read."""

import pytest

from flags.parse import parse
from tests.training import mirrored
from tf_simclr.config import ConfigError
from tf_simclr.train.execute import train_stage


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--train_batch_size=16", "--microbatch_size=3"], "--microbatch_size=3 must divide the batch of 16"),
        (["--train_batch_size=16", "--memory_size=50"], "--memory_size=50 must be a multiple of .* = 32"),
        (["--train_batch_size=15"], "--train_batch_size=15 cannot be divided among 2 devices. .* as 14"),
        (["--jit_compile"], "--jit_compile works on one CPU device or on GPUs, .* 2 CPU replicas"),
        ([], "--dataset=folder:/nowhere names a folder that does not exist"),
    ],
)
def test_what_does_not_fit_the_devices_is_told_before_the_data_is_opened(flags, error, tmp_path):
    config = parse([*flags, "--dataset=folder:/nowhere", f"--model_dir={tmp_path}"])
    with pytest.raises(ConfigError, match=error):
        train_stage(config, None, strategy=mirrored(2))
    assert not list(tmp_path.iterdir())
