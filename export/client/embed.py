"""``--mode=embed``: features of image files."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from export.client.answers import answers, find_images
from export.client.connect import connect
from tf_simclr.config import ConfigError, RunConfig
from tf_simclr.files.whole import write_bytes, write_text
from tf_simclr.model.start import StartingPoint

SIGNATURE = "embed"
DEFAULT_OUTPUT = "features.npy"
NAMES_SUFFIX = ".files.txt"  # beside the array: a file name a line, in the order of its rows


def embed(config: RunConfig, start: StartingPoint | None) -> dict[str, Any]:
    """Writes the features of each image of ``--images``; returns what was written and what was skipped.

    To ``X.npy``: float32 [n, d], and the names of the n files to ``X.files.txt``. To
    ``X.csv``: a line an image, its name and d numbers. Images that cannot be read are
    in neither.

    Raises:
        ConfigError: there is no image, or ``--output`` has another ending.
        ServerError: the server does not answer, or refuses.
        StorageError: the output cannot be written.
    """
    output = config.client.output or DEFAULT_OUTPUT
    if not output.endswith((".npy", ".csv")):
        raise ConfigError(f"--output={output} must end in .npy or .csv in --mode=embed.")
    files = find_images(config.client.images)
    ask = connect(config, start, SIGNATURE)
    found = {
        file: answer["features"]
        for file, answer in answers(ask, SIGNATURE, files, config.client.request_batch_size)
        if not isinstance(answer, str)
    }
    features = np.array(list(found.values()), np.float32)
    if output.endswith(".csv"):
        write_text(output, _csv_text(list(found), features))
    else:
        write_bytes(output, _npy_bytes(features))
        write_text(output.removesuffix(".npy") + NAMES_SUFFIX, "".join(f"{file}\n" for file in found))
    shape = list(features.shape)
    return {"mode": "embed", "features": shape, "skipped": len(files) - len(found), "output": output}


def _npy_bytes(features: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, features)
    return stream.getvalue()


def _csv_text(files: list[str], features: np.ndarray) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream)
    width = features.shape[1] if len(features) else 0
    writer.writerow(["image", *(f"feature_{i}" for i in range(width))])
    for file, row in zip(files, features, strict=True):
        writer.writerow([file, *row.tolist()])
    return stream.getvalue()
