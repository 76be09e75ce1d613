"""How TF Serving joins requests: ``batching_params.pbtxt`` of a version."""

from __future__ import annotations

from tf_simclr.config import ServableConfig

BATCHING_FILE = (
    "batching_params.pbtxt"  # beside saved_model.pb, where --enable_per_model_batching_parameters looks
)

_TEXT = """\
# Read with --enable_batching --enable_per_model_batching_parameters.
max_batch_size {{ value: {largest} }}
# A batch starts at once with what is waiting; raise it (1000 to 10000) for throughput on a GPU.
batch_timeout_micros {{ value: 0 }}
max_enqueued_batches {{ value: 100 }}
# The number of cores of the serving machine is a good value on CPUs.
num_batch_threads {{ value: 4 }}
{allowed}
"""


def batching_text(config: ServableConfig) -> str:
    """Returns the text of ``batching_params.pbtxt``, a BatchingParameters message of TF Serving."""
    allowed = "\n".join(f"allowed_batch_sizes: {size}" for size in config.allowed_batch_sizes)
    return _TEXT.format(largest=config.max_batch_size, allowed=allowed)
