"""What ``--mode=check_data`` reports."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import run
from flags.parse import parse
from tf_simclr.data.arrays import ArraySource, ArraySplit
from tf_simclr.data.folder import FolderSource
from tf_simclr.data.survey import survey
from tf_simclr.data.tfds import TfdsSource


@pytest.fixture
def copies(image_folder, tmp_path):
    """The image folder with one image four times in all, one of them in test, and two bad files."""
    root = shutil.copytree(image_folder, tmp_path / "copies")
    first = root / "train/ant/0.png"
    for name in ("train/ant/again.png", "train/bee/again.png", "test/bee/again.png"):
        shutil.copy(first, root / name)
    (root / "train/cat/empty.png").write_bytes(b"")
    (root / "test/ant/text.jpg").write_text("no image")
    return root


def test_a_folder_is_reported_whole(copies):
    report, skipped = survey(FolderSource(str(copies)))
    train, test = report["splits"]["train"], report["splits"]["test"]
    assert (train["images"], train["bad_images"], test["images"], test["bad_images"]) == (18, 1, 6, 1)
    assert train["bad"] == ["train/cat/empty.png: empty file"]
    assert [line["id"] for line in skipped] == ["train/cat/empty.png", "test/ant/text.jpg"]
    assert train["duplicates"] == [["train/ant/0.png", "train/ant/again.png", "train/bee/again.png"]]
    assert train["duplicate_images"] == 2 and test["duplicates"] == []
    assert report["shared_images"] == {"test in train": 1}
    assert train["classes"] == {
        "number": 3,
        "images_without_label": 0,
        "smallest": {"name": "cat", "images": 5},
        "largest": {"name": "ant", "images": 6},
    }
    sizes = [Image.open(path).size for path in (copies / "train").glob("*/[0-9a]*.png")]
    widths, heights = zip(*sizes, strict=True)
    assert train["width"] == {"min": min(widths), "median": np.median(widths), "max": max(widths)}
    assert train["height"] == {"min": min(heights), "median": np.median(heights), "max": max(heights)}
    assert train["decoded_bytes"] == 3 * sum(width * height for width, height in sizes)


def test_arrays_are_compared_by_pixels_and_unlabelled_ones_counted():
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3), np.uint8)
    images[4] = images[1]
    splits = {"train": ArraySplit.of(images), "test": ArraySplit.of(images[1:3])}
    report, skipped = survey(ArraySource("made", splits))
    assert report["splits"]["train"]["duplicates"] == [["train/1", "train/4"]] and skipped == []
    assert report["splits"]["train"]["classes"] == {"number": 0, "images_without_label": 6}
    assert report["shared_images"] == {"test in train": 2}


def test_tfds_files_are_read_without_being_decoded_first(tfds_dir):
    report, skipped = survey(TfdsSource("tiny_shapes/small", str(tfds_dir)))
    assert skipped == [] and report["splits"]["train"]["images"] == 20
    assert report["splits"]["train"]["height"] == {"min": 9, "median": 16.0, "max": 20}
    assert report["splits"]["train"]["classes"]["smallest"] == {"name": "z", "images": 6}


def test_the_mode_prints_json_and_leaves_the_list_of_bad_files(copies, tmp_path, capsys):
    run.run(parse(["--mode=check_data", f"--dataset=folder:{copies}", f"--model_dir={tmp_path / 'report'}"]))
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "report/results.json").read_text())
    assert printed["splits"]["test"]["bad_images"] == 1
    lines = [json.loads(line) for line in (tmp_path / "report/skipped.jsonl").read_text().splitlines()]
    assert lines[0] == {"split": "train", "id": "train/cat/empty.png", "reason": "empty file"}
