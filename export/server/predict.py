"""A checked request to a signature, and its answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from export.server.gate import Gate
from export.server.model import Model
from export.server.refusal import Refusal, invalid
from export.server.version import DEFAULT_SIGNATURE, Version
from tf_simclr.config import ServableConfig

Arrays = dict[str, np.ndarray]


class Predictor:
    """What gRPC and REST both answer with: the model's signatures, behind limits."""

    def __init__(self, model: Model, gate: Gate, max_batch_size: int = ServableConfig.max_batch_size) -> None:
        self.model = model
        self._gate = gate
        self._max_batch_size = max_batch_size  # of versions that don't say

    @contextlib.contextmanager
    def version(self, name: str, number: int | None) -> Iterator[Version]:
        """Yields the version that is asked for; raises Refusal unless it is loaded."""
        self.check_name(name)
        with self.model.use(number) as version:
            yield version

    def check_name(self, name: str) -> None:
        """Raises Refusal unless ``name`` is the model's."""
        if not name:
            raise invalid("Missing ModelSpec")
        if name != self.model.name:
            raise Refusal("NOT_FOUND", f"Servable not found for request: Latest({name})")

    def predict(
        self, version: Version, signature: str, inputs: Mapping[str, np.ndarray], seconds: float | None = None
    ) -> Arrays:
        """Returns the outputs of a signature, waiting up to ``seconds`` for a turn.

        Raises:
            Refusal: the inputs don't fit the signature, too many requests wait, or computing failed.
        """
        signature = signature or DEFAULT_SIGNATURE
        check_inputs(
            inputs, self.inputs_of(version, signature), version.max_batch_size or self._max_batch_size
        )
        with self._gate.turn(seconds):
            try:
                return version.run(signature, dict(inputs))
            except (tf.errors.InvalidArgumentError, ValueError) as error:
                logging.info("A request to %s failed: %s", signature, error)
                raise invalid(f"The inputs cannot be used by the signature {signature}.") from None
            except Exception:
                logging.exception("A request to %s failed.", signature)
                raise Refusal("INTERNAL", "The request failed; the server's log says why.") from None

    def inputs_of(self, version: Version, signature: str) -> Mapping[str, Any]:
        """Returns TensorInfos by name; raises Refusal where there is no such signature."""
        if signature not in version.signature_defs:
            raise Refusal("FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.')
        return version.signature_defs[signature].inputs


def check_inputs(inputs: Mapping[str, np.ndarray], wanted: Mapping[str, Any], max_batch_size: int) -> None:
    """Raises Refusal unless ``inputs`` have names, dtypes and shapes of ``wanted``, and one batch size."""
    extra, missing = sorted(set(inputs) - set(wanted)), sorted(set(wanted) - set(inputs))
    if extra or missing:
        raise invalid(
            f"input size does not match signature: {len(inputs)}!={len(wanted)}. Sent extra: "
            f"{{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
        )
    for name, value in inputs.items():
        _check_input(name, value, wanted[name])
    sizes = {len(value) for value in inputs.values()}
    if len(sizes) != 1 or 0 in sizes:
        raise invalid(f"All inputs need the same batch size, at least 1. Received {sorted(sizes)}.")
    if max(sizes) > max_batch_size:
        raise invalid(
            f"Task size {max(sizes)} is larger than maximum input batch size {max_batch_size}. "
            "Divide the batch."
        )


def _check_input(name: str, value: np.ndarray, wanted: Any) -> None:
    dtype = tf.as_dtype(wanted.dtype)
    if (value.dtype.kind in "OSU") != (dtype == tf.string) or (
        dtype != tf.string and value.dtype != dtype.as_numpy_dtype
    ):
        raise invalid(f"Input {name} must be {dtype.name}. Received {value.dtype.name}.")
    shape = [dim.size for dim in wanted.tensor_shape.dim]
    if not _fits(value.shape, shape):
        shown = ", ".join("?" if size < 0 else str(size) for size in shape)
        raise invalid(f"Input {name} must have the shape [{shown}]. Received {list(value.shape)}.")


def _fits(found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether the ranks and known sizes agree; a side of 0 pixels fits nothing."""
    if len(found) != len(wanted) or not found or 0 in found[1:]:
        return False
    return all(size in (-1, actual) for actual, size in zip(found, wanted, strict=True))
