"""Rows and columns of JSON to arrays and back."""

import base64
import types

import numpy as np
import pytest

from export.server.json_tensors import read_inputs, write_outputs
from export.server.refusal import Refusal

FLOAT, INT, STRING = 1, 9, 7


def infos(**dtypes):
    return {name: types.SimpleNamespace(dtype=dtype) for name, dtype in dtypes.items()}


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


BYTES = [b"\0\xff", b"text"]


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [b64(BYTES[0]), b64(BYTES[1])]},
        {"instances": [{"x": b64(BYTES[0])}, {"x": "text"}]},
        {"inputs": [b64(BYTES[0]), "text"]},
        {"inputs": {"x": [b64(BYTES[0]), "text"]}},
    ],
)
def test_bytes_come_in_four_forms(body):
    assert read_inputs(body, infos(x=STRING))["x"].tolist() == BYTES


def test_numbers_take_the_signatures_dtype():
    body = {"instances": [{"x": [1, 2], "n": 3}, {"x": [0.5, 4], "n": 5}]}
    found = read_inputs(body, infos(x=FLOAT, n=INT))
    assert found["x"].dtype == np.float32 and found["x"].tolist() == [[1, 2], [0.5, 4]]
    assert found["n"].dtype == np.int64 and found["n"].tolist() == [3, 5]


@pytest.mark.parametrize(
    "body, says",
    [
        ({"inputs": [[1, 2], [3]]}, "lists of equal length"),
        ({"inputs": ["a"]}, "must be float32"),
        ({"inputs": [None]}, "must be float32"),
        ({"instances": 3}, "must be a list"),
        ({"instances": [{"x": 1}, {"y": 1}]}, "must name the same inputs"),
        ({"instances": [{"x": 1}, 2]}, "must name the same inputs"),
    ],
)
def test_values_of_another_kind_are_refused(body, says):
    with pytest.raises(Refusal, match=says) as caught:
        read_inputs(body, infos(x=FLOAT))
    assert caught.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("text", ["_-8=", "a", "YQ==\n", 3, None])
def test_bytes_that_are_not_standard_base64_are_refused(text):
    with pytest.raises(Refusal, match="standard base64"):
        read_inputs({"inputs": [{"b64": text}]}, infos(x=STRING))


def test_values_without_names_need_one_input():
    for body in ({"inputs": [1]}, {"instances": [1]}):
        with pytest.raises(Refusal, match="signature of one input"):
            read_inputs(body, infos(x=FLOAT, y=FLOAT))


OUTPUTS = {"scores": np.array([[0.5], [1.0]], np.float32), "raw_bytes": np.array(BYTES, object)}


def test_rows_are_objects_unless_there_is_one_output():
    assert write_outputs(OUTPUTS, as_rows=True) == {
        "predictions": [
            {"scores": [0.5], "raw_bytes": b64(BYTES[0])},
            {"scores": [1.0], "raw_bytes": b64(BYTES[1])},
        ]
    }
    assert write_outputs({"scores": OUTPUTS["scores"]}, as_rows=True) == {"predictions": [[0.5], [1.0]]}


def test_columns_are_an_object_unless_there_is_one_output():
    assert write_outputs(OUTPUTS, as_rows=False) == {
        "outputs": {"scores": [[0.5], [1.0]], "raw_bytes": [b64(BYTES[0]), b64(BYTES[1])]}
    }
    assert write_outputs({"names": np.array([b"owl"], object)}, as_rows=False) == {"outputs": ["owl"]}
