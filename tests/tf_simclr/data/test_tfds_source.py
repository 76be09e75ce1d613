from __future__ import annotations

import io
import socket

import numpy as np
import pytest
from PIL import Image

from tf_simclr.config import ConfigError
from tf_simclr.data import tfds as tfds_module
from tf_simclr.data.tfds import TfdsSource


@pytest.fixture
def source(tfds_dir):
    return TfdsSource("tiny_shapes/small", str(tfds_dir))


def test_counts_classes_and_shape_come_from_the_metadata(source):
    assert source.class_names == ("x", "y", "z") and source.image_shape is None
    assert (source.num_examples("train"), source.num_examples("test")) == (20, 4)
    assert sorted(source.splits) == ["test", "train"]


def test_images_belong_to_their_labels(source):
    # The fixture draws image k from seed k and labels it k % 3.
    known = {}
    for number in range(20):
        shape = (*((9, 12), (16, 16), (20, 11))[number % 3], 3)
        known[np.random.default_rng(number).integers(0, 256, shape, np.uint8).tobytes()] = number % 3
    examples = list(source.examples("train").as_numpy_iterator())
    assert len(known) == len(examples) == 20
    assert all(known.pop(e["image"].tobytes()) == e["label"] for e in examples)


def test_undecoded_images_are_the_files(source):
    files = [example["image"] for example in source.undecoded().examples("train").as_numpy_iterator()]
    decoded = [example["image"] for example in source.examples("train").as_numpy_iterator()]
    for file, pixels in zip(files, decoded, strict=True):
        np.testing.assert_array_equal(Image.open(io.BytesIO(file)), pixels)


def test_ids_are_those_of_tfds(source):
    assert source.ids("train")[0].startswith("tiny_shapes-train.tfrecord") and len(source.ids("train")) == 20


def test_split_expressions_give_part_of_a_split(source):
    assert source.num_examples("train[:25%]") == 5
    assert source.labels("train[:25%]").tolist() == source.labels("train")[:5].tolist()
    assert source.fingerprint("train[:25%]") != source.fingerprint("train")
    assert sum(1 for _ in source.examples("train[:25%]")) == 5


def test_data_without_label_has_no_classes(tfds_dir):
    source = TfdsSource("tiny_shapes/unlabelled", str(tfds_dir))
    assert source.class_names == () and source.labels("test").tolist() == [-1] * 4
    assert {int(e["label"]) for e in source.examples("train").as_numpy_iterator()} == {-1}


def test_a_split_larger_than_the_buffer_is_still_permuted(source, monkeypatch):
    monkeypatch.setattr(tfds_module, "SHUFFLE_BUFFER", 6)
    stream = source.shuffled("train", seed=0).take(40).as_numpy_iterator()
    rows = [int(e["index"]) for e in stream]
    assert sorted(rows[:20]) == sorted(rows[20:]) == list(range(20)) and rows[:20] != sorted(rows[:20])


@pytest.mark.parametrize("name", ["tiny_shape", "cifar10", "tiny_shapes/none", "no such name!", "a:b"])
def test_unprepared_data_set_error_names_the_command(name, tfds_dir):
    with pytest.raises(ConfigError) as error:
        TfdsSource(name, str(tfds_dir))
    assert f"--dataset={name} is none of digits, folder:PATH and npz:PATH" in str(error.value)
    assert f"tfds build {name} --data_dir {tfds_dir}" in str(error.value)


def test_unknown_split_error_lists_the_splits(source):
    for split in ("validation", "train[:", "validation[:10%]"):
        with pytest.raises(ConfigError, match=r"no split .*one of: (train, test|test, train)"):
            source.num_examples(split)


def test_data_set_without_images_is_refused(tmp_path):
    import tensorflow_datasets as tfds

    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny_table",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"age": np.int64}),
        split_datasets={"train": [(0, {"age": 1}), (1, {"age": 2})]},
        data_dir=tmp_path,
    )
    with pytest.raises(ConfigError, match=r"has no uint8 image feature 'image', only age"):
        TfdsSource("tiny_table", str(tmp_path))


def test_nothing_reaches_for_the_network(tfds_dir, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    source = TfdsSource("tiny_shapes/small", str(tfds_dir))
    assert len(list(source.examples("test"))) == len(source.labels("test")) == 4
    with pytest.raises(ConfigError, match="is prepared in"):
        TfdsSource("cifar10", str(tfds_dir))
