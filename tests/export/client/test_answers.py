"""Batches of files, what is asked, and what is said about files that are no images."""

import json

import numpy as np
import pytest

from export.client import answers as module
from export.client.answers import INVALID, UNREADABLE, answers, find_images
from export.client.rows import prediction_writer
from tf_simclr.config import ConfigError
from tf_simclr.errors import StorageError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("b.png", "a.JPG", "below/c.gif", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def lengths(asked):
    """Stands for a server: the length of each image; an image "bad" is not valid."""

    def ask(signature, encoded):
        asked.append((signature, len(encoded)))
        return {
            "length": np.array([len(data) for data in encoded]),
            "valid": np.array([data != b"bad" for data in encoded]),
        }

    return ask


def test_a_folder_means_the_images_in_and_below_it(folder):
    found = find_images(str(folder))
    assert [path.removeprefix(f"{folder}/") for path in found] == ["a.JPG", "b.png", "below/c.gif"]


def test_a_pattern_means_what_it_matches(folder):
    assert find_images(str(folder / "*.png")) == [str(folder / "b.png")]
    assert len(find_images(str(folder / "**" / "*"))) == 4
    assert find_images(str(folder / "notes.txt")) == [str(folder / "notes.txt")]


@pytest.mark.parametrize("pattern, says", [(None, "--images is missing"), ("*.nothing", "matches no file")])
def test_no_images_is_an_error(pattern, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=says):
        find_images(pattern)


def test_answers_stand_beside_their_files_and_bad_ones_are_told(folder, caplog):
    (folder / "d.png").write_bytes(b"bad")
    files = [*find_images(str(folder)), str(folder / "gone.png")]
    asked = []
    found = dict(answers(lengths(asked), "embed", files, batch_size=2))
    assert asked == [("embed", 2), ("embed", 2)]
    assert list(found) == files
    assert [found[file] if isinstance(found[file], str) else found[file]["length"] for file in files] == [
        5, 5, 11, INVALID, UNREADABLE,
    ]  # fmt: skip
    assert "d.png is skipped" in caplog.text and "gone.png is skipped" in caplog.text


def test_large_files_divide_a_batch(folder, monkeypatch):
    monkeypatch.setattr(module, "MAX_REQUEST_BYTES", 12)
    asked = []
    assert len(list(answers(lengths(asked), "embed", find_images(str(folder)), batch_size=16))) == 3
    assert asked == [("embed", 2), ("embed", 1)]


ANSWER = {
    "class_indices": np.array([1, 0]),
    "class_names": np.array([b"dog, big", b"cat"]),
    "probabilities": np.array([0.75, 0.25], np.float32),
}


def test_json_lines_hold_every_class(tmp_path):
    with prediction_writer(str(tmp_path / "out.jsonl")) as write:
        write("a.png", ANSWER)
        write("b.png", INVALID)
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert first == {
        "image": "a.png",
        "classes": [
            {"index": 1, "name": "dog, big", "probability": 0.75},
            {"index": 0, "name": "cat", "probability": 0.25},
        ],
    }
    assert second == {"image": "b.png", "error": INVALID}


def test_csv_has_one_line_an_image(tmp_path):
    with prediction_writer(str(tmp_path / "out.csv")) as write:
        write("b.png", INVALID)
        write("a.png", ANSWER)
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "image,class_index,class_name,probability,error",
        f"b.png,,,,{INVALID}",
        'a.png,1,"dog, big",0.75,',
    ]


def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"), prediction_writer(str(tmp_path)):
        pass
