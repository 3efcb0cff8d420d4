import pytest

from nas.workflows.compare.comparison_table import judge_rows


def row(name, kind, accuracy, latency_ms):
    return {
        **{"id": name, "name": name, "kind": kind, "accuracy": accuracy, "validation_accuracy": accuracy},
        **{"latency_ms": latency_ms, "images": 24000},
    }


def judged(num_classes=10, **models):
    rows = [row("fast", "searched", 0.8, 0.1), row("good", "searched", 0.9, 0.4)]
    rows += [row(name, "hand-designed", *figures) for name, figures in models.items()]
    trained = {each["id"]: [{"accuracy": each["accuracy"] + shift} for shift in (-0.001, 0.001)] for each in rows}
    judge_rows(rows, trained, num_classes)
    return {each["id"]: each for each in rows}


def test_a_model_is_set_against_the_curve_of_the_searched_ones():
    found = judged(model=(0.8, 0.8))["model"]
    assert found["rival"] == "good" and found["verdict"].startswith("dominates model")
    assert found["error_ratio"] == pytest.approx(0.1 / 0.2) and found["speed_up"] == pytest.approx(8)


def test_a_model_that_learnt_nothing_is_no_rival_and_makes_no_ratio():
    found = judged(idle=(0.101, 0.8), poor=(0.16, 0.8))
    assert "idle has learnt nothing in 24,000 images (10.1%)" in found["idle"]["verdict"]
    assert not {"rival", "error_ratio", "speed_up"} & found["idle"].keys()
    assert found["poor"]["rival"] == "good"
    assert judged(num_classes=100, idle=(0.101, 0.8))["idle"]["rival"] == "good"
