"""A disk that fills at each kind of write, and one that may only be read: one sentence, nothing lost."""

import os
import re
import subprocess

import pytest

from tests.survival.children import Zygote, assert_same_run
from tf_simclr.errors import StorageError
from tf_simclr.files import whole
from tf_simclr.files.manifest import verify
from tf_simclr.files.whole import numbered

BALLAST = "ballast"  # as zygote.py calls it
STEPS = 4
TRAINING = [
    "--mode=supervised",
    "--image_size=8",
    "--width_multiplier=0.125",
    "--labels_per_class=2",
    f"--train_steps={STEPS}",
    "--train_batch_size=8",
    "--log_steps=1",
    "--checkpoint_steps=1",
    "--keep_checkpoint_max=2",
    "--deterministic",
]
# In the order of a run, so that each start comes further than the one before.
SETTINGS = "write_text<run_directory.py:_write"  # also of the results
WRITES = {
    "settings": SETTINGS,
    "metrics": "run_directory.py:append_metrics",
    "state of a checkpoint": "Checkpoint.write",
    "other files of a checkpoint": "write_text<checkpoint.py:save",
    "manifest of a checkpoint": "seal<whole.py:whole_directory<checkpoint.py",
    "best evaluation": "checkpoint.py:note_best",
    "SavedModel": "saved_model.save",
    "description of a SavedModel": "write_text<stage.py:_save",
    "results": SETTINGS,
}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk):
    with open(disk / BALLAST, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass


def test_files_on_a_full_disk_are_as_they_were(small_disk):
    whole.write_text(f"{small_disk}/results", "old" * 2000)
    whole.append_line(f"{small_disk}/lines", "old" * 2000)
    with whole.whole_directory(f"{small_disk}/7") as writing:
        whole.write_text(f"{writing}/x", "old")
    fill(small_disk)
    for write in (
        lambda: whole.write_text(f"{small_disk}/results", "new" * 2000),
        lambda: whole.append_line(f"{small_disk}/lines", "new" * 2000),
        lambda: whole.write_text(f"{small_disk}/another", "new" * 2000),
    ):
        with pytest.raises(StorageError, match=r"cannot be written: .*(No space left|full)"):
            write()
    with pytest.raises(StorageError), whole.whole_directory(f"{small_disk}/7") as writing:
        whole.write_text(f"{writing}/x", "new" * 2000)
    assert (small_disk / "results").read_text() == "old" * 2000
    assert (small_disk / "lines").read_text() == "old" * 2000 + "\n"
    verify(f"{small_disk}/7")
    assert sorted(os.listdir(small_disk)) == ["7", BALLAST, "lines", "results"]


@pytest.mark.slow
def test_a_run_on_a_disk_that_fills_goes_on_when_there_is_room(small_disk, tmp_path):
    with Zygote(tmp_path) as zygote:
        straight, run = tmp_path / "straight", small_disk / "run"
        assert zygote.run(*TRAINING, f"--model_dir={straight}") == 0, zygote.said()
        for kind, place in WRITES.items():
            before = numbered(str(run / "checkpoints"))
            status = zygote.run(
                *TRAINING,
                f"--model_dir={run}",
                fill_at=[place, str(small_disk), 2 if kind == "results" else 1],
            )
            assert status == StorageError.exit_code, (kind, zygote.said())
            assert_one_sentence(zygote.said(), "No space left|full|too large")
            (small_disk / BALLAST).unlink()
            after = numbered(str(run / "checkpoints"))
            assert not before or after[-1:] >= before[-1:]
            for name in after:
                verify(str(run / "checkpoints" / name))
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        assert zygote.run(*TRAINING, f"--model_dir={run}") == StorageError.exit_code, zygote.said()
        assert_one_sentence(zygote.said(), "Read-only file system")
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        assert zygote.run(*TRAINING, f"--model_dir={run}") == 0, zygote.said()
        assert_same_run(run, straight, STEPS)


def assert_one_sentence(said, reason):
    assert "Traceback" not in said, said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said
    assert re.search(
        rf"cannot be written: .*({reason}).* Everything written before it is whole", errors[0]
    ), said


@pytest.mark.slow
def test_a_file_that_may_not_grow_stops_the_run(tmp_path):
    """The limit of a process (``ulimit -f``) lies between the small files and a checkpoint."""
    with Zygote(tmp_path) as zygote:
        assert zygote.run(*TRAINING, "--model_dir=run", file_bytes=100_000) == StorageError.exit_code
        assert_one_sentence(zygote.said(), "File too large|too large")
        assert numbered(str(tmp_path / "run/checkpoints")) == []
