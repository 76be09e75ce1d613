"""Unpacks a ``.tar.gz``, the form in which TF Hub hands out SavedModels."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator

from export.audit import UnsafeSavedModelError, leads_outside
from tf_simclr.config import ConfigError

ENDINGS = (".tar.gz", ".tgz", ".tar")


@contextlib.contextmanager
def unpacked(path: str) -> Iterator[str]:
    """Yields ``path``, or, of an archive, a directory with its content, which is removed in the end.

    Raises:
        UnsafeSavedModelError: a member is a link, a device, or has a path that is absolute or leads out.
        ConfigError: the archive is damaged or cut short.
    """
    if not path.endswith(ENDINGS) or not os.path.isfile(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tf_simclr_") as directory:
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    _extract(archive, member, directory, path)
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"{path} cannot be unpacked ({error}). Copy or download it again.") from error
        yield directory


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, directory: str, path: str) -> None:
    """Writes one member: nothing of it counts but its path and its content."""
    if leads_outside(member.name) or not (member.isfile() or member.isdir()):
        kind = "has a path that leads out of it" if leads_outside(member.name) else "is no plain file"
        raise UnsafeSavedModelError(
            f"{path} is not unpacked: {member.name!r} {kind}. A SavedModel's archive holds only plain files, "
            "each with a path below it."
        )
    target = os.path.join(directory, member.name)
    os.makedirs(target if member.isdir() else os.path.dirname(target), exist_ok=True)
    content = archive.extractfile(member)
    if content is not None:
        with content, open(target, "wb") as file:
            shutil.copyfileobj(content, file)
