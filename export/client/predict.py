"""``--mode=predict``: classes of image files."""

from __future__ import annotations

from typing import Any

from export.client.answers import answers, find_images
from export.client.connect import connect
from export.client.rows import prediction_writer
from export.reusable import is_classifier
from tf_simclr.config import ConfigError, RunConfig
from tf_simclr.errors import ServerError
from tf_simclr.model.start import StartingPoint

SIGNATURE = "serving_default"
NO_CLASSIFIER = (
    "is no classifier. Use --mode=embed for its features, or give a fine-tuned or distilled model."
)


def predict(config: RunConfig, start: StartingPoint | None) -> dict[str, Any] | None:
    """Writes a line for each image of ``--images``; returns the numbers of images and of skipped ones.

    Without ``--output`` the lines go to stdout, and nothing is returned to be printed after them.

    Raises:
        ConfigError: there is no image, or the model is no classifier.
        ServerError: the server does not answer, or refuses.
        StorageError: the output cannot be written.
    """
    client = config.client
    files = find_images(client.images)
    if start is not None and not is_classifier(start.architecture):
        raise ConfigError(f"--checkpoint={start.path} {NO_CLASSIFIER}")
    ask = connect(config, start, SIGNATURE)
    skipped = 0
    with prediction_writer(client.output) as write:
        for file, answer in answers(ask, SIGNATURE, files, client.request_batch_size):
            if not isinstance(answer, str) and "class_indices" not in answer:
                raise ServerError(f"The model at --server={client.server} {NO_CLASSIFIER}")
            skipped += isinstance(answer, str)
            write(file, answer)
    if client.output is None:
        return None
    return {"mode": "predict", "images": len(files), "skipped": skipped, "output": client.output}
