"""Tensors as JSON, in the two forms of TF Serving's REST interface: rows and columns."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from export.server.refusal import invalid

ROWS, COLUMNS = "instances", "inputs"
BYTES_SUFFIX = "_bytes"  # An output of bytes whose name ends so goes out as base64, the others as text.

Infos = Mapping[str, Any]  # TensorInfo by the name of an input


def read_inputs(body: Any, infos: Infos) -> dict[str, np.ndarray]:
    """Returns the inputs in a request's JSON, as arrays of the signature's dtypes.

    Raises:
        Refusal: neither ``instances`` nor ``inputs`` is there, or both; or a value isn't
            of its input's dtype, or rows differ in shape.
    """
    if (ROWS in body) == (COLUMNS in body):
        raise invalid(f"The request must have either '{ROWS}' or '{COLUMNS}'.")
    values = _of_rows(body[ROWS], infos) if ROWS in body else _of_columns(body[COLUMNS], infos)
    return {name: _array(name, value, infos) for name, value in values.items()}


def write_outputs(outputs: Mapping[str, np.ndarray], as_rows: bool) -> dict[str, Any]:
    """Returns ``predictions``, a value or object a row, or ``outputs``, a value or an object of columns."""
    columns = {name: _plain(value.tolist(), name.endswith(BYTES_SUFFIX)) for name, value in outputs.items()}
    if not as_rows:
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def _of_rows(rows: Any, infos: Infos) -> dict[str, list[Any]]:
    if not isinstance(rows, list) or not rows:
        raise invalid(f"'{ROWS}' must be a list of at least one row.")
    if not _is_named(rows[0]):
        (name,) = _only(infos)
        return {name: rows}
    names = set(rows[0])
    if not all(_is_named(row) and set(row) == names for row in rows):
        raise invalid(f"Every row of '{ROWS}' must name the same inputs.")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _of_columns(columns: Any, infos: Infos) -> dict[str, Any]:
    if _is_named(columns):
        return columns
    (name,) = _only(infos)
    return {name: columns}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"}


def _only(infos: Infos) -> list[str]:
    if len(infos) != 1:
        raise invalid(f"Values without names need a signature of one input; this one has {sorted(infos)}.")
    return list(infos)


def _array(name: str, value: Any, infos: Infos) -> np.ndarray:
    if name not in infos:
        return np.array(0)  # Named as extra where the inputs are compared with the signature.
    dtype = tf.as_dtype(infos[name].dtype)
    try:
        if dtype == tf.string:
            return np.array(_strings(value), object)
        array = np.array(value)
        if array.dtype.kind not in "biuf":
            raise ValueError("not numbers")
        return array.astype(dtype.as_numpy_dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid(
            f"Input {name} must be {dtype.name} values in lists of equal length; bytes are written "
            '{"b64": "..."} in standard base64.'
        ) from error


def _strings(value: Any) -> Any:
    if isinstance(value, list):
        return [_strings(entry) for entry in value]
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value) or not isinstance(value["b64"], str):
        raise ValueError("no bytes")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error


def _plain(value: Any, as_base64: bool) -> Any:
    if isinstance(value, list):
        return [_plain(entry, as_base64) for entry in value]
    if isinstance(value, bytes):
        if as_base64:
            return {"b64": base64.b64encode(value).decode()}
        return value.decode("utf-8", "replace")
    return value
