"""Predictions as text, a line an image: JSON lines or CSV."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

import numpy as np
import tensorflow as tf

from tf_simclr.files.storing import storing
from tf_simclr.files.whole import is_local

Answer = Mapping[str, np.ndarray] | str  # outputs of one image, or what is wrong with it
WriteRow = Callable[[str, Answer], None]
CSV_COLUMNS = ("image", "class_index", "class_name", "probability", "error")


@contextlib.contextmanager
def prediction_writer(path: str | None) -> Iterator[WriteRow]:
    """Yields a function that writes the line of one file: CSV to ``*.csv``, else JSON lines; None: to stdout.

    JSON: ``{"image": file, "classes": [{"index", "name", "probability"}, ...]}``, likeliest
    first, or ``{"image": file, "error": text}``. CSV has the likeliest class alone.

    Raises:
        StorageError: the file cannot be written.
    """
    if path is None:
        yield _json_rows(sys.stdout)
        return
    with storing(path):
        stream = tf.io.gfile.GFile(path, "w")
        stream.write("")  # It is opened by the first write, and what refuses it is to be known now.
        rows = _csv_rows(stream) if path.endswith(".csv") else _json_rows(stream)

    def write(file: str, answer: Answer) -> None:
        with storing(path):
            rows(file, answer)
            if is_local(path):  # An object store would write the whole file again for each line.
                stream.flush()

    try:
        yield write
    finally:
        with storing(path):
            stream.close()


def _classes(answer: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    columns = zip(answer["class_indices"], answer["class_names"], answer["probabilities"], strict=True)
    return [
        {"index": int(index), "name": _text(name), "probability": float(probability)}
        for index, name, probability in columns
    ]


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _json_rows(stream: TextIO) -> WriteRow:
    def write(file: str, answer: Answer) -> None:
        value: dict[str, Any] = (
            {"error": answer} if isinstance(answer, str) else {"classes": _classes(answer)}
        )
        stream.write(json.dumps({"image": file, **value}) + "\n")

    return write


def _csv_rows(stream: TextIO) -> WriteRow:
    writer = csv.writer(stream)
    writer.writerow(CSV_COLUMNS)

    def write(file: str, answer: Answer) -> None:
        cells = ["", "", "", answer] if isinstance(answer, str) else [*_classes(answer)[0].values(), ""]
        writer.writerow([file, *cells])

    return write
