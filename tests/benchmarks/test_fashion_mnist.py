"""IDX files become the archive that --dataset=npz reads."""

import gzip
import struct

import numpy as np
import pytest

from benchmarks import fashion_mnist
from tf_simclr.data.npz import npz


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes())


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 11), ("test", 4)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"{split}_labels"] = (rng.permutation(count) % 10).astype(np.uint8)  # train has every class
    for name, file in fashion_mnist.FILES.items():
        (tmp_path / file).write_bytes(idx(arrays[name]))
    return tmp_path, arrays


def test_the_archive_is_a_data_set(folder, tmp_path):
    path, arrays = folder
    output = tmp_path / "fashion.npz"
    assert f"--dataset=npz:{output}" in fashion_mnist.main([str(output), str(path)])
    with np.load(output) as archive:
        for name, array in arrays.items():
            np.testing.assert_array_equal(archive[name], array)
    source = npz(str(output))
    assert source.class_names == fashion_mnist.CLASS_NAMES and source.num_examples("train") == 11


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "received no argument. Usage: python -m benchmarks.fashion_mnist OUTPUT.npz"),
        (["fashion.zip"], "received fashion.zip. Usage"),
        (["fashion.npz", "nowhere"], "nowhere lacks train-images-idx3-ubyte.gz, .*apt-get install"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments, text):
    with pytest.raises(SystemExit, match=text):
        fashion_mnist.main(arguments)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "floats.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 13, 1]) + bytes(8)))
    with pytest.raises(ValueError, match=r"no IDX file of unsigned bytes\. It begins with 00000d01"):
        fashion_mnist.read_idx(path)
