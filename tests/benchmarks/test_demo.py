"""The table that the demo ends with."""

from benchmarks import demo


def results(top_1, **more):
    return {"eval": {"top_1": top_1, "count": 360.0}, **more}


def test_the_table_has_means_draws_and_the_teacher():
    supervised = [results(value) for value in (0.4, 0.5, 0.6)]
    finetuned = [results(value) for value in (0.7, 0.8, 0.9)]
    student = results(0.75, teacher={"top_1": 0.7})
    lines = demo.table(results(0.96), supervised, finetuned, student).splitlines()
    assert lines[1] == "top-1 on 360 held-out digits, 1 label a class"
    assert "supervised" in lines[2] and "50.0   (40.0, 50.0, 60.0:" in lines[2]
    assert "fine-tuned" in lines[3] and "80.0   (70.0, 80.0, 90.0:" in lines[3]
    assert "75.0   (its teacher: 70.0)" in lines[4]
    assert "96.0" in lines[5]
