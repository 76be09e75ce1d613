"""Fashion-MNIST (Xiao et al. 2017: 70,000 real photographs of 28 px) for ``--dataset=npz:PATH``.

    python -m benchmarks.fashion_mnist fashion.npz

reads the four IDX files of Debian's package ``dataset-fashion-mnist``; another folder
that holds them can be given after the output file.
"""

from __future__ import annotations

import gzip
import pathlib
import sys

import numpy as np

DEBIAN_FOLDER = pathlib.Path("/usr/share/datasets/fashion-mnist")
FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
CLASS_NAMES = (
    "T-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
USAGE = "Usage: python -m benchmarks.fashion_mnist OUTPUT.npz [FOLDER_OF_IDX_FILES]"
_UNSIGNED_BYTE = 8  # IDX's code of the only element type that these files have


def main(arguments: list[str]) -> str:
    """Converts; returns what to tell the user. Raises SystemExit with a sentence on a user's mistake."""
    if not 1 <= len(arguments) <= len(("output", "folder")) or not arguments[0].endswith(".npz"):
        sys.exit(f"error: received {' '.join(arguments) or 'no argument'}. {USAGE}")
    folder = pathlib.Path(arguments[1]) if arguments[1:] else DEBIAN_FOLDER
    missing = [file for file in FILES.values() if not (folder / file).is_file()]
    if missing:
        sys.exit(
            f"error: {folder} lacks {', '.join(missing)}. On Debian: apt-get install dataset-fashion-mnist; "
            "elsewhere give the folder that holds the four files."
        )
    convert(folder, pathlib.Path(arguments[0]))
    return f"wrote {arguments[0]}; use it as --dataset=npz:{arguments[0]}"


def convert(folder: pathlib.Path, output: pathlib.Path) -> None:
    """Writes the arrays of ``folder``'s IDX files, and the class names, to ``output``."""
    arrays = {name: read_idx(folder / file) for name, file in FILES.items()}
    np.savez(output, class_names=np.array(CLASS_NAMES), **arrays)


def read_idx(path: pathlib.Path) -> np.ndarray:
    """Returns the uint8 array of a gzipped IDX file. Raises ValueError if it holds something else.

    The format: two zero bytes, the element type, the number of dimensions, each
    dimension as a big-endian 32-bit integer, the elements.
    """
    content = gzip.decompress(path.read_bytes())
    if content[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise ValueError(f"{path} is no IDX file of unsigned bytes. It begins with {content[:4].hex()}.")
    header = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:header], ">u4").astype(int)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


if __name__ == "__main__":
    print(main(sys.argv[1:]))
