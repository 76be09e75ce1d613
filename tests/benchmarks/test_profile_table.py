"""The kinds of operations of a profile, by time."""

import pytest
import tensorflow as tf

from benchmarks.profile_table import main


def test_the_operations_of_a_profile_are_counted(tmp_path):
    @tf.function(autograph=False)
    def multiply(matrix):
        for _ in range(3):
            matrix = tf.linalg.matmul(matrix, matrix)
        return tf.reduce_sum(matrix)

    matrix = tf.ones([64, 64])
    multiply(matrix)
    tf.profiler.experimental.start(str(tmp_path))
    multiply(matrix).numpy()
    tf.profiler.experimental.stop()
    found = {line.split()[-1]: int(line.split()[2]) for line in main([str(tmp_path)]).splitlines()[1:-1]}
    products = [times for kind, times in found.items() if "MatMul" in kind]
    assert products == [3]
    assert found["Sum"] == 1


def test_what_is_no_profile_is_answered_with_what_to_type(tmp_path):
    with pytest.raises(SystemExit, match=r"holds no profile\. Record one with --profile_steps=10,12"):
        main([str(tmp_path)])
    with pytest.raises(SystemExit, match="Usage: "):
        main([])
