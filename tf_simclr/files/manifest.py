"""``manifest.json`` in a directory: size and SHA-256 of every file, written last."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tf_simclr.config import ConfigError

MANIFEST_FILE = "manifest.json"
MANIFEST_FORMAT = 1
CHUNK_BYTES = 1 << 20


class DamagedError(ConfigError):
    """A file is missing, of another size or of other content than when it was written."""


def seal(directory: str) -> None:
    """Writes the manifest of all files in and below ``directory``, in place of one that is there."""
    files = {}
    for folder, _, names in tf.io.gfile.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, directory) if "://" not in path else path[len(directory) + 1 :]
            if relative != MANIFEST_FILE:
                files[relative] = {"bytes": tf.io.gfile.stat(path).length, "sha256": _digest(path)}
    values = {"format": MANIFEST_FORMAT, "files": dict(sorted(files.items()))}
    with tf.io.gfile.GFile(os.path.join(directory, MANIFEST_FILE), "w") as file:
        file.write(json.dumps(values, indent=1) + "\n")


def is_complete(directory: str) -> bool:
    """Whether the manifest and all files in it are there, by their sizes; reads no content."""
    try:
        files = _read(directory)
        _check_sizes(directory, files, files)
    except DamagedError:
        return False
    return True


def verify(directory: str, names: Iterable[str] | None = None) -> None:
    """Compares files with the manifest: all of them, or those in ``names``.

    Raises:
        DamagedError: the manifest is missing or damaged, or a file differs; it is named.
    """
    files = _read(directory)
    chosen = list(files if names is None else names)
    _check_sizes(directory, files, chosen)
    for name in chosen:
        if _digest(os.path.join(directory, name)) != files[name]["sha256"]:
            raise DamagedError(f"{os.path.join(directory, name)} is damaged: its content has changed.")


def _check_sizes(directory: str, files: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        path = os.path.join(directory, name)
        if name not in files:
            raise DamagedError(f"{path} is not in {MANIFEST_FILE}.")
        if not tf.io.gfile.exists(path):
            raise DamagedError(f"{path} is missing.")
        found, wanted = tf.io.gfile.stat(path).length, files[name]["bytes"]
        if found != wanted:
            raise DamagedError(f"{path} is damaged: it has {found} bytes instead of {wanted}.")


def _read(directory: str) -> dict[str, Any]:
    """Returns size and digest by file name."""
    path = os.path.join(directory, MANIFEST_FILE)
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            values = json.loads(file.read().decode("utf-8"))
        if values["format"] != MANIFEST_FORMAT:
            raise ValueError(f"format {values['format']!r} instead of {MANIFEST_FORMAT}")
        return {
            str(name): {"bytes": int(entry["bytes"]), "sha256": str(entry["sha256"])}
            for name, entry in values["files"].items()
        }
    except tf.errors.NotFoundError as error:
        raise DamagedError(f"{path} is missing.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: {error}.") from error


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
