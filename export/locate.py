"""From the path that a user gives to the SavedModel that is meant."""

from __future__ import annotations

import os

import tensorflow as tf

from export.info import STAGE_FILE
from tf_simclr.config import ConfigError
from tf_simclr.files.manifest import is_complete
from tf_simclr.files.whole import numbered

SAVED_MODEL_FILE = "saved_model.pb"
SAVED_MODEL_DIR = "saved_model"  # in a run directory
STAGE_IN_SERVABLE = os.path.join("assets.extra", "stage")  # the SavedModel that a servable was made of
HOW_TO_MAKE_ONE = "`python run.py --mode=pretrain --model_dir=...`"


def locate_stage(path: str, flag: str = "checkpoint") -> str:
    """Returns the newest whole SavedModel that ``path`` means.

    ``path`` is a run directory, its ``saved_model`` directory, a servable directory
    (both hold one directory a version, named by an integer) or a SavedModel itself. Of
    a servable it's the stage's SavedModel that it carries.
    ``flag`` is where the path came from, for the error texts.

    Raises:
        ConfigError: there is no such directory, or no whole SavedModel in it.
    """
    if not path or not tf.io.gfile.isdir(path):
        problem = "is not a directory" if path and tf.io.gfile.exists(path) else "does not exist"
        raise ConfigError(
            f"--{flag}={path} {problem}. Give a run directory or a SavedModel; {HOW_TO_MAKE_ONE} makes one. "
            "A checkpoint or an archive of a released network becomes one with --mode=import."
        )
    for place in (path, os.path.join(path, SAVED_MODEL_DIR)):  # The second as released networks have it.
        if tf.io.gfile.exists(os.path.join(place, SAVED_MODEL_FILE)):
            return _stage_of(place)
    for parent in (os.path.join(path, SAVED_MODEL_DIR), path):
        versions = whole_versions(parent) or whole_servables(parent)
        if versions:
            return _stage_of(versions[-1])
    raise ConfigError(
        f"--{flag}={path} holds no finished SavedModel. Looked for {SAVED_MODEL_FILE}, "
        f"{SAVED_MODEL_DIR}/<step>/{SAVED_MODEL_FILE} and <version>/{SAVED_MODEL_FILE}, "
        f"the latter two with {STAGE_FILE} beside it. Let the run finish, or make one with "
        f"{HOW_TO_MAKE_ONE}; a released checkpoint becomes one with --mode=import."
    )


def whole_versions(parent: str) -> list[str]:
    """Returns the whole SavedModels among the integer-named directories of ``parent``, oldest first."""
    paths = [os.path.join(parent, name) for name in numbered(parent)]
    return [path for path in paths if _is_whole(path)]


def whole_servables(parent: str) -> list[str]:
    """Returns the whole servables among the integer-named directories of ``parent``, oldest first."""
    paths = [os.path.join(parent, name) for name in numbered(parent)]
    return [path for path in paths if is_servable(path) and is_complete(path)]


def is_servable(path: str) -> bool:
    """Whether ``path`` is a version of a servable: a SavedModel that carries the stage it was made of."""
    saved_models = (path, os.path.join(path, STAGE_IN_SERVABLE))
    return all(
        tf.io.gfile.exists(os.path.join(saved_model, SAVED_MODEL_FILE)) for saved_model in saved_models
    )


def _stage_of(path: str) -> str:
    return os.path.join(path, STAGE_IN_SERVABLE) if is_servable(path) else path


def _is_whole(path: str) -> bool:
    has_files = all(tf.io.gfile.exists(os.path.join(path, file)) for file in (SAVED_MODEL_FILE, STAGE_FILE))
    return has_files and is_complete(path)
