"""Files and directories that appear whole, or not at all.

Everything is built beside its place under a hidden name, and renamed when complete. A
process that dies leaves only hidden names, which :func:`clear_leftovers` removes. All of
it goes through ``tf.io.gfile``, so a path may be local or ``gs://...``. One process
writes to a directory at a time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from tf_simclr.files.manifest import MANIFEST_FILE, seal
from tf_simclr.files.storing import storing

# None is an integer, so neither TF Serving nor a search for the newest version looks at them.
WRITING_PREFIX = ".writing-"
REPLACED_PREFIX = ".replaced-"
REMOVED_PREFIX = ".removed-"


def write_bytes(path: str, data: bytes) -> None:
    """Writes the file ``path``, in place of one that is there.

    Raises:
        StorageError: the disk is full or refuses; what was there before is there still.
    """
    temporary = _beside(path, WRITING_PREFIX)
    with storing(path), _removed_on_error(temporary):
        tf.io.gfile.makedirs(os.path.dirname(path) or ".")
        with tf.io.gfile.GFile(temporary, "wb") as file:
            file.write(data)
        flush_to_disk(temporary)
        tf.io.gfile.rename(temporary, path, overwrite=True)


def write_text(path: str, text: str) -> None:
    """Writes ``text`` as UTF-8; else as :func:`write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


@contextlib.contextmanager
def whole_directory(path: str) -> Iterator[str]:
    """Yields the temporary directory to fill; then seals it with a manifest and renames it to ``path``.

    A directory that is there already is replaced. After an exception ``path`` is as it was.

    Raises:
        StorageError: the disk is full or refuses.
    """
    temporary = _beside(path, WRITING_PREFIX)
    with storing(path), _removed_on_error(temporary):
        _remove_tree(temporary)
        tf.io.gfile.makedirs(temporary)
        yield temporary
        seal(temporary)
        for folder, _, names in tf.io.gfile.walk(temporary):
            for name in names:
                flush_to_disk(os.path.join(folder, name))
        _move_into_place(temporary, path)


def remove_directory(path: str) -> None:
    """Removes a directory; to a reader it is whole until it is gone."""
    hidden = _beside(path, REMOVED_PREFIX)
    with storing(path):
        _remove_tree(hidden)
        rename_directory(path, hidden)
        tf.io.gfile.rmtree(hidden)


def append_line(path: str, line: str) -> None:
    """Adds one line to a text file; if the disk is full, the file ends where it ended before.

    Raises:
        StorageError: the disk is full or refuses.
    """
    with storing(path):
        before = tf.io.gfile.stat(path).length if tf.io.gfile.exists(path) else 0
        try:
            with tf.io.gfile.GFile(path, "a") as file:
                file.write(line + "\n")
        except tf.errors.OpError:
            if is_local(path) and os.path.exists(path):
                os.truncate(path, before)
            raise


def clear_leftovers(directory: str) -> None:
    """Removes what an interrupted write left in ``directory``, after putting back what it had set aside.

    Raises:
        StorageError: the disk refuses.
    """
    with storing(directory):
        for name in listed(directory):
            path = os.path.join(directory, name)
            place = os.path.join(directory, name.removeprefix(REPLACED_PREFIX))
            if name.startswith(REPLACED_PREFIX) and not tf.io.gfile.exists(place):
                rename_directory(path, place)  # It was caught between two renames.
            elif name.startswith((WRITING_PREFIX, REPLACED_PREFIX, REMOVED_PREFIX)):
                _remove_tree(path)


def listed(directory: str) -> list[str]:
    """Returns the names in ``directory``, sorted; none if it isn't there."""
    if not tf.io.gfile.isdir(directory):
        return []
    return sorted(name.rstrip("/") for name in tf.io.gfile.listdir(directory))  # object stores list "12/"


def numbered(directory: str) -> list[str]:
    """Returns the integer names in ``directory``, smallest number first."""
    names = (name for name in listed(directory) if name.isascii() and name.isdigit())
    return sorted(names, key=int)


def is_local(path: str) -> bool:
    """Whether ``path`` lies in a file system of this machine."""
    return "://" not in path


def flush_to_disk(path: str) -> None:
    """Waits until a local file would survive a power cut: a rename may else come before the content."""
    if not is_local(path):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_directory(source: str, target: str) -> None:
    """Renames at once where directories are real; in an object store file by file, the manifest last."""
    if is_local(source):
        tf.io.gfile.rename(source, target)
        return
    for name in sorted(_files_in(source), key=lambda name: (name == f"/{MANIFEST_FILE}", name)):
        tf.io.gfile.makedirs(os.path.dirname(target + name))
        tf.io.gfile.rename(source + name, target + name, overwrite=True)
    tf.io.gfile.rmtree(source)


def copy_directory(source: str, target: str) -> None:
    """Copies the files of ``source`` into ``target``, which need not be there; either may be remote."""
    for name in _files_in(source):
        tf.io.gfile.makedirs(os.path.dirname(target + name))
        tf.io.gfile.copy(source + name, target + name, overwrite=True)


def _files_in(directory: str) -> list[str]:
    """Returns the paths of the files below ``directory``, each from its slash on."""
    length = len(directory)
    return [f"{folder[length:]}/{name}" for folder, _, names in tf.io.gfile.walk(directory) for name in names]


@contextlib.contextmanager
def _removed_on_error(temporary: str) -> Iterator[None]:
    """Gives the space of a failed write back: the disk may be full."""
    try:
        yield
    except Exception:
        with contextlib.suppress(tf.errors.OpError, OSError):
            _remove_tree(temporary)
        raise


def _beside(path: str, prefix: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, prefix + name)


def _remove_tree(path: str) -> None:
    if tf.io.gfile.isdir(path):
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)


def _move_into_place(temporary: str, path: str) -> None:
    if not tf.io.gfile.exists(path):
        rename_directory(temporary, path)
        return
    replaced = _beside(path, REPLACED_PREFIX)
    _remove_tree(replaced)
    rename_directory(path, replaced)
    try:
        rename_directory(temporary, path)
    except BaseException:
        rename_directory(replaced, path)
        raise
    tf.io.gfile.rmtree(replaced)
