"""A SavedModel is a program: what it could do is looked at before any of it is loaded."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework import op_def_registry

from export.locate import SAVED_MODEL_FILE
from export.unsafe_operations import REASON_OF, RESTORING, SAVING, UNKNOWN
from tf_simclr.config import ConfigError

OTHER_FORMS = ("saved_model.pbtxt", "saved_model.cpb")  # TensorFlow reads these too; the audit does not.


class UnsafeSavedModelError(ConfigError):
    """A SavedModel could do more than compute, or reaches out of its directory."""


def audit_saved_model(path: str, trusted: bool = False) -> None:
    """Looks through the SavedModel directory ``path`` without running or loading any of it.

    ``trusted`` (``--trust_saved_model``) leaves the graph unread. Links are refused all the same.

    Raises:
        UnsafeSavedModelError: a link, a path that leads out of the directory, or, in the
            graph or in any function of its library, an operation that reads or writes
            files, talks to other programs, runs Python, carries a program as data or
            isn't TensorFlow's own. Operations that save and restore the variables are
            let pass in the functions that do that and nothing else.
        ConfigError: ``saved_model.pb`` is missing or damaged.
    """
    _refuse_links(path)
    if trusted:
        return
    for meta_graph in read_saved_model(path).meta_graphs:
        for asset in meta_graph.asset_file_def:
            _refuse_outside(path, asset.filename)
        for operation, node, function in _unsafe(meta_graph):
            place = f"node {node}" + (f" of function {function}" if function else "")
            raise UnsafeSavedModelError(
                f"{path} is not loaded: its graph has the operation {operation} ({place}), which "
                f"{REASON_OF.get(operation, UNKNOWN)}. A SavedModel is a program; if you trust whoever made "
                "this one, add --trust_saved_model."
            )


def read_saved_model(path: str) -> saved_model_pb2.SavedModel:
    """Returns what ``saved_model.pb`` in ``path`` says; raises ConfigError if it can't be read."""
    others = [name for name in OTHER_FORMS if tf.io.gfile.exists(os.path.join(path, name))]
    if others:
        raise UnsafeSavedModelError(
            f"{path} is not loaded: {others[0]} cannot be looked through. "
            f"Save the model again, as {SAVED_MODEL_FILE} alone."
        )
    file = os.path.join(path, SAVED_MODEL_FILE)
    try:
        with tf.io.gfile.GFile(file, "rb") as stream:
            return saved_model_pb2.SavedModel.FromString(stream.read())
    except tf.errors.NotFoundError as error:
        raise ConfigError(f"{file} does not exist, so {path} is no SavedModel.") from error
    except DecodeError as error:
        raise ConfigError(f"{file} is damaged ({error}). Copy the SavedModel again.") from error


def _refuse_links(path: str) -> None:
    if "://" in path:
        return  # Object stores have no links.
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            found = os.path.join(folder, name)
            mode = os.lstat(found).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                kind = "a link" if stat.S_ISLNK(mode) else "neither a file nor a directory"
                raise UnsafeSavedModelError(
                    f"{path} is not loaded: {found} is {kind}, and a SavedModel holds only files. "
                    "Copy it with `cp -rL`, after a look at what the links point to."
                )


def leads_outside(name: str) -> bool:
    """Whether a relative path isn't one, or has ``..`` in it."""
    return os.path.isabs(name) or ".." in name.replace("\\", "/").split("/")


def _refuse_outside(path: str, name: str) -> None:
    if leads_outside(name):
        raise UnsafeSavedModelError(
            f"{path} is not loaded: it names the asset {name!r}, which lies outside of it. "
            "Use a SavedModel whose files lie in its own directory."
        )


def _unsafe(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[tuple[str, str, str]]:
    """Yields (operation, node, function or "") of whatever has no place in a network."""
    graph = meta_graph.graph_def
    functions = {function.signature.name: function for function in graph.library.function}
    let_pass = _Savers(meta_graph)
    for node in graph.node:
        if _is_unsafe(node.op, functions) and not let_pass.node(node):
            yield node.op, node.name, ""
    for name, function in functions.items():
        for node in function.node_def:
            if _is_unsafe(node.op, functions) and not let_pass.node_of_function(node, name):
                yield node.op, node.name, name


def _is_unsafe(operation: str, functions: Collection[str]) -> bool:
    if operation in REASON_OF:
        return True
    return operation not in functions and op_def_registry.get(operation) is None


class _Savers:
    """Which part of a graph saves and restores its variables, and serves nothing else.

    ``saver_def`` names one node that saves and one that restores. In TensorFlow 2 both call
    a function; in TensorFlow 1 the operations stand before them in the graph itself.
    """

    def __init__(self, meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
        self._nodes = {node.name: node for node in meta_graph.graph_def.node}
        self._bodies = {f.signature.name: f.node_def for f in meta_graph.graph_def.library.function}
        self._arguments = {
            f.signature.name: {argument.name for argument in f.signature.input_arg}
            for f in meta_graph.graph_def.library.function
        }
        saver = meta_graph.saver_def
        self._prefix = _node_name(saver.filename_tensor_name)
        ends = {SAVING: _node_name(saver.save_tensor_name), RESTORING: _node_name(saver.restore_op_name)}
        self._before = {kind: self._upstream(end) for kind, end in ends.items()}
        own = {name for names in self._before.values() for name in names}
        elsewhere = [node for name, node in self._nodes.items() if name not in own]
        others = self._called(_calls(elsewhere, self._bodies))
        others |= self._called(meta_graph.object_graph_def.concrete_functions)
        self._functions = {
            kind: self._called(_calls([self._nodes[name] for name in names], self._bodies)) - others
            for kind, names in self._before.items()
        }
        self._read_elsewhere = {_node_name(name) for node in elsewhere for name in node.input}

    def node(self, node: node_def_pb2.NodeDef) -> bool:
        """Whether a node of the graph itself may save or restore."""
        kinds = [kind for kind in self._before if node.op in kind and node.name in self._before[kind]]
        is_own = bool(kinds) and node.name not in self._read_elsewhere
        return is_own and (node.op not in RESTORING or _node_name(node.input[0]) == self._prefix)

    def node_of_function(self, node: node_def_pb2.NodeDef, function: str) -> bool:
        """Whether a node of a function of the library may."""
        is_own = any(node.op in kind and function in self._functions[kind] for kind in self._functions)
        return is_own and (node.op not in RESTORING or node.input[0] in self._arguments[function])

    def _upstream(self, name: str) -> set[str]:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name in self._nodes and name not in found:
                found.add(name)
                waiting += map(_node_name, self._nodes[name].input)
        return found

    def _called(self, names: Iterable[str]) -> set[str]:
        """Returns ``names`` that are functions, and the functions that these call, at any depth."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in self._bodies and name not in found:
                found.add(name)
                waiting += _calls(self._bodies[name], self._bodies)
        return found


def _calls(nodes: Iterable[node_def_pb2.NodeDef], functions: Collection[str]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if node.op in functions:
            names.add(node.op)
        for value in node.attr.values():
            names |= {value.func.name, *(function.name for function in value.list.func)}
    return names - {""}


def _node_name(tensor: str) -> str:
    return tensor.lstrip("^").split(":")[0]
