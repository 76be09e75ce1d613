"""Files beside the models that start the stock ``tensorflow/serving`` image on them."""

from __future__ import annotations

import importlib.metadata
import os

import tensorflow as tf

from export.locate import whole_servables
from tf_simclr.files.whole import listed, write_text

MODELS_CONFIG = "models.config"
MONITORING_CONFIG = "monitoring.config"
COMPOSE_FILE = "docker-compose.yml"
KUBERNETES_FILE = "kubernetes.yaml"

MODELS_FOLDER = "/models"  # in the container
SERVER_FLAGS = (
    f"--model_config_file={MODELS_FOLDER}/{MODELS_CONFIG}",
    "--model_config_file_poll_wait_seconds=60",
    f"--monitoring_config_file={MODELS_FOLDER}/{MONITORING_CONFIG}",
    "--enable_batching=true",
    "--enable_per_model_batching_parameters=true",
    "--enable_grpc_healthcheck_service=true",
)

_MODEL = """\
  config {{
    name: "{name}"
    base_path: "{folder}/{name}"
    model_platform: "tensorflow"
    # The newest version answers; add model_version_policy {{ all {{}} }} to serve those kept beside it too.
  }}
"""

_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

_COMPOSE = """\
# docker compose up; gRPC on 8500, REST on 8501, of this machine alone.
services:
  serving:
    image: tensorflow/serving:{version}
    command:
{flags}
    ports:
      - "127.0.0.1:8500:8500"
      - "127.0.0.1:8501:8501"
    volumes:
      - .:{folder}:ro
    restart: unless-stopped
"""

_KUBERNETES = """\
# kubectl apply -f kubernetes.yaml, after this folder was copied to the volume claim "serving-models".
apiVersion: apps/v1
kind: Deployment
metadata:
  name: serving
spec:
  replicas: 1
  selector:
    matchLabels: {{app: serving}}
  template:
    metadata:
      labels: {{app: serving}}
    spec:
      containers:
        - name: serving
          image: tensorflow/serving:{version}
          args:
{flags}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          readinessProbe:
            grpc: {{port: 8500}}
          livenessProbe:
            tcpSocket: {{port: 8500}}
            initialDelaySeconds: 30
          volumeMounts:
            - {{name: models, mountPath: {folder}, readOnly: true}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: serving-models, readOnly: true}}
---
apiVersion: v1
kind: Service
metadata:
  name: serving
spec:
  selector: {{app: serving}}
  ports:
    - {{name: grpc, port: 8500}}
    - {{name: rest, port: 8501}}
"""


def write_deployment(directory: str) -> None:
    """Writes what serves all models in ``directory``, one folder each.

    ``models.config`` is written anew, as it lists the models; the other files only
    where they are missing, so that a user may change them.
    """
    write_text(os.path.join(directory, MODELS_CONFIG), models_config(directory))
    version = importlib.metadata.version("tensorflow-serving-api")  # the image of the same release
    others = {
        MONITORING_CONFIG: _MONITORING,
        COMPOSE_FILE: _COMPOSE.format(version=version, flags=_listed(6), folder=MODELS_FOLDER),
        KUBERNETES_FILE: _KUBERNETES.format(version=version, flags=_listed(12), folder=MODELS_FOLDER),
    }
    for name, text in others.items():
        file = os.path.join(directory, name)
        if not tf.io.gfile.exists(file):
            write_text(file, text)


def models_config(directory: str) -> str:
    """Returns the text of ``models.config``, a ModelServerConfig message of TF Serving."""
    models = [name for name in listed(directory) if whole_servables(os.path.join(directory, name))]
    entries = "".join(_MODEL.format(name=name, folder=MODELS_FOLDER) for name in models)
    return f"# Written anew by each export into this folder.\nmodel_config_list {{\n{entries}}}\n"


def _listed(indent: int) -> str:
    return "\n".join(f'{" " * indent}- "{flag}"' for flag in SERVER_FLAGS)
