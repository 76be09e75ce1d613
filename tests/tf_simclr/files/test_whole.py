"""Files and directories that are whole or absent, on a local and on a remote kind of file system."""

import os
import signal
import uuid

import pytest
import tensorflow as tf

from tf_simclr.errors import StorageError
from tf_simclr.files import whole
from tf_simclr.files.manifest import MANIFEST_FILE, DamagedError, is_complete, seal, verify

gfile = tf.io.gfile


@pytest.fixture(params=["local", "remote"])
def folder(request, tmp_path):
    """A directory; "remote" is TensorFlow's file system in memory, which only ``tf.io.gfile`` reaches."""
    if request.param == "local":
        return str(tmp_path)
    path = f"ram://{uuid.uuid4().hex}"
    gfile.makedirs(path)
    return path


def read(path):
    with gfile.GFile(path, "rb") as file:
        return file.read()


def make(path, **files):
    with whole.whole_directory(path) as writing:
        for name, content in files.items():
            whole.write_text(f"{writing}/{name}", content)


def test_a_file_is_written_and_replaced(folder):
    path = f"{folder}/results.json"
    whole.write_text(path, "first")
    whole.write_text(path, "zweite Größe")
    assert read(path).decode() == "zweite Größe"
    assert whole.listed(folder) == ["results.json"]


def test_lines_are_appended(folder):
    for line in ("a", "b"):
        whole.append_line(f"{folder}/metrics.jsonl", line)
    assert read(f"{folder}/metrics.jsonl") == b"a\nb\n"


def test_a_directory_appears_sealed_and_replaces_the_one_before(folder):
    make(f"{folder}/7", x="old", only_old="1")
    make(f"{folder}/7", x="new")
    verify(f"{folder}/7")
    assert read(f"{folder}/7/x") == b"new"
    assert whole.listed(f"{folder}/7") == [MANIFEST_FILE, "x"] and whole.listed(folder) == ["7"]


def test_a_directory_whose_writing_fails_leaves_the_one_before(folder):
    make(f"{folder}/7", x="old")
    expected = r"/7 cannot be written: No space left on device\. Everything"
    with pytest.raises(StorageError, match=expected), whole.whole_directory(f"{folder}/7") as writing:
        whole.write_text(f"{writing}/x", "new")
        raise OSError(28, "No space left on device")
    assert read(f"{folder}/7/x") == b"old" and whole.listed(folder) == ["7"]


def test_leftovers_are_cleared_and_what_was_set_aside_is_put_back(folder):
    for name in (".writing-8", ".removed-3", ".replaced-7", ".replaced-9", "9"):
        make(f"{folder}/{name}", x=name)
    whole.write_text(f"{folder}/.writing-results.json", "half")
    whole.clear_leftovers(folder)
    assert whole.listed(folder) == ["7", "9"]
    assert read(f"{folder}/7/x") == b".replaced-7" and read(f"{folder}/9/x") == b"9"


def test_a_removed_directory_is_gone(folder):
    make(f"{folder}/7", x="1")
    whole.remove_directory(f"{folder}/7")
    assert whole.listed(folder) == []


def test_numbered_names_are_in_the_order_of_their_numbers(folder):
    for name in ("10", "9", ".writing-11", "best", "²"):
        make(f"{folder}/{name}")
    assert whole.numbered(folder) == ["9", "10"]
    assert whole.numbered(f"{folder}/nowhere") == []


def test_every_change_of_a_sealed_directory_is_noticed(folder):
    path = f"{folder}/7"
    with whole.whole_directory(path) as writing:
        whole.write_text(f"{writing}/a/b", "content")
        whole.write_text(f"{writing}/c", "more")
    verify(path)

    def changed(name, content):
        gfile.remove(f"{path}/{name}")  # The file system in memory does not shorten a file.
        with gfile.GFile(f"{path}/{name}", "w") as file:
            file.write(content)

    changed("a/b", "cOntent")
    assert is_complete(path)  # It looks at sizes alone.
    with pytest.raises(DamagedError, match=r"7/a/b is damaged: its content has changed\."):
        verify(path)
    verify(path, ["c"])
    changed("a/b", "cont")
    with pytest.raises(DamagedError, match=r"7/a/b is damaged: it has 4 bytes instead of 7\."):
        verify(path)
    gfile.remove(f"{path}/c")
    with pytest.raises(DamagedError, match=r"7/c is missing\."):
        verify(path, ["c"])
    assert not is_complete(path)
    changed(MANIFEST_FILE, "{")
    with pytest.raises(DamagedError, match=r"manifest\.json is damaged: Expecting"):
        verify(path)
    gfile.remove(f"{path}/{MANIFEST_FILE}")
    with pytest.raises(DamagedError, match=r"manifest\.json is missing\."):
        verify(path)


def test_every_flipped_bit_of_a_manifest_is_noticed_or_harmless(tmp_path):
    (tmp_path / "a").write_text("content")
    seal(str(tmp_path))
    manifest = tmp_path / MANIFEST_FILE
    good = manifest.read_bytes()
    noticed = 0
    for position in range(len(good)):
        manifest.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        try:
            verify(str(tmp_path))
        except DamagedError:
            noticed += 1
    assert noticed > 0.8 * len(good)  # The rest is white space.


def killed_at(count, work):
    """Runs ``work`` in a process that kills itself before its ``count``-th call of ``tf.io.gfile``."""
    process = os.fork()
    if process:
        return os.WIFSIGNALED(os.waitpid(process, 0)[1])
    calls = 0

    def counted(function):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for name in ("rename", "remove", "rmtree", "makedirs", "GFile"):
        setattr(gfile, name, counted(getattr(gfile, name)))
    try:
        work()
    finally:
        os._exit(0)


def test_a_kill_before_any_file_operation_leaves_the_old_or_the_new(tmp_path):
    path = str(tmp_path / "7")

    def work():
        whole.clear_leftovers(str(tmp_path))
        make(path, x="new", y="new")
        whole.write_text(str(tmp_path / "results"), "new")

    seen = set()
    count = 1
    make(path, x="old", y="old")
    while killed_at(count, work):
        count += 1
        whole.clear_leftovers(str(tmp_path))
        verify(path)
        found = read(f"{path}/x") + read(f"{path}/y")
        assert found in (b"oldold", b"newnew")
        seen.add(found)
        make(path, x="old", y="old")
    assert count > 10 and seen == {b"oldold", b"newnew"}
    assert read(f"{path}/x") == b"new" and read(str(tmp_path / "results")) == b"new"
