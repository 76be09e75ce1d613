"""Where and when something was measured."""

from __future__ import annotations

import datetime
import os
import pathlib
import platform
from typing import Any

_CPU_INFO = pathlib.Path("/proc/cpuinfo")
_EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")  # what sets a CPU's float rate


def describe_machine() -> dict[str, Any]:
    """Returns processor, cores, versions, date and the load of other work, JSON-ready."""
    import tensorflow as tf

    info = _CPU_INFO.read_text(encoding="utf-8") if _CPU_INFO.exists() else ""
    pairs = [line.split(":", 1) for line in info.splitlines() if ":" in line]
    fields = {name.strip(): value.strip() for name, value in pairs}
    flags = fields.get("flags", fields.get("Features", "")).split()
    return {
        "date": datetime.date.today().isoformat(),
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "extensions": [name for name in _EXTENSIONS if name in flags],
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
    }
