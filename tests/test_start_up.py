"""What is imported when: TensorFlow not for the help text, and slow libraries only by what uses them."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
SLOW = (
    "grpc",
    "matplotlib",
    "sklearn",
    "tensorboard",
    "tensorflow_addons",
    "tensorflow_datasets",
    "tensorflow_hub",
    "tensorflow_serving",
)


def imported(code, names):
    """Those of ``names`` that a fresh process has imported after ``code``."""
    code = f"{code}\nimport sys\nprint('imported', *[name for name in {names!r} if name in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return set(output.splitlines()[-1].split()[1:])


def test_the_help_text_needs_no_tensorflow():
    code = "import sys, run, absl.flags\nrun.define_all()\nassert '--mode' in absl.flags.FLAGS.get_help()"
    assert imported(code, ("tensorflow", "numpy", *SLOW)) == set()


def test_training_imports_no_library_that_it_may_not_use():
    # TensorFlow 2.21 imports some of them itself.
    already = imported("import tensorflow, tf_keras", SLOW)
    training = "import run, tf_simclr.train.execute, tf_simclr.data.open_source, export.stage, export.start"
    assert imported(training, SLOW) <= already
