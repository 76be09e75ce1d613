"""Loads a servable without Python's TensorFlow, by the C API's function below TF Serving's loader.

    python serving_loader.py LIBTENSORFLOW_CC SAVED_MODEL INPUT_TENSOR OUTPUT_TENSOR IMAGE...

Feeds the bytes of the image files as one batch of strings and prints the output, bool [batch], as 0s and 1s.
"""

import ctypes
import pathlib
import struct
import sys

TF_STRING, TF_BOOL = 7, 10
TSTRING_VIEW, TSTRING_BYTES = 3, 24  # tensorflow/core/platform/ctstring_internal.h: size << 2 | kind, pointer


class Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Buffer(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


def declare(library):
    for name in ("NewStatus", "NewGraph", "NewSessionOptions", "GraphOperationByName", "AllocateTensor"):
        getattr(library, f"TF_{name}").restype = ctypes.c_void_p
    for name in ("LoadSessionFromSavedModel", "TensorData"):
        getattr(library, f"TF_{name}").restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    library.TF_TensorByteSize.restype = ctypes.c_size_t


def check(library, status):
    if library.TF_GetCode(status):
        sys.exit(library.TF_Message(status).decode())


def load(library, path, status):
    graph = ctypes.c_void_p(library.TF_NewGraph())
    options = ctypes.c_void_p(library.TF_NewSessionOptions())
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = library.TF_LoadSessionFromSavedModel(
        options, None, path.encode(), tags, 1, graph, ctypes.byref(Buffer()), status
    )
    check(library, status)
    return graph, ctypes.c_void_p(session)


def tensor_of(library, graph, name):
    operation, _, index = name.partition(":")
    found = library.TF_GraphOperationByName(graph, operation.encode())
    if not found:
        sys.exit(f"the graph has no operation {operation}")
    return Output(found, int(index))


def string_batch(library, values):
    shape = (ctypes.c_int64 * 1)(len(values))
    size = ctypes.c_size_t(TSTRING_BYTES * len(values))
    tensor = ctypes.c_void_p(library.TF_AllocateTensor(TF_STRING, shape, 1, size))
    buffers = [ctypes.create_string_buffer(value, len(value)) for value in values]
    packed = b"".join(
        struct.pack("<QQQ", len(value) << 2 | TSTRING_VIEW, ctypes.addressof(buffer), 0)
        for value, buffer in zip(values, buffers, strict=True)
    )
    ctypes.memmove(library.TF_TensorData(tensor), packed, len(packed))
    return tensor, buffers  # The tensor points into the buffers.


def run(library, graph, session, names, values, status):
    fed, _buffers = string_batch(library, values)
    fetched = ctypes.c_void_p()
    source, target = (tensor_of(library, graph, name) for name in names)
    library.TF_SessionRun(
        session, None,
        ctypes.byref(source), ctypes.byref(fed), 1,
        ctypes.byref(target), ctypes.byref(fetched), 1,
        None, 0, None, status,
    )  # fmt: skip
    check(library, status)
    length = library.TF_TensorByteSize(fetched)
    library.TF_TensorData.argtypes = [ctypes.c_void_p]
    return ctypes.string_at(library.TF_TensorData(fetched), length)


def main(library_path, path, source, target, *files):
    library = ctypes.CDLL(library_path)
    declare(library)
    status = ctypes.c_void_p(library.TF_NewStatus())
    graph, session = load(library, path, status)
    values = [pathlib.Path(file).read_bytes() for file in files]
    print("".join(str(int(flag)) for flag in run(library, graph, session, (source, target), values, status)))


if __name__ == "__main__":
    main(*sys.argv[1:])
