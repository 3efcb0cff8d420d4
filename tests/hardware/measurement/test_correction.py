from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import NasError
from nas.hardware.measurement.correction import MIN_FIT, Correction, choose, fit, leave_one_out

SUMS = np.array([0.1, 0.15, 0.22, 0.3, 0.42, 0.5, 0.61, 0.7, 0.85, 1.0])
COUNT = np.array([5.0, 9.0, 6.0, 8.0, 7.0, 9.0, 5.0, 8.0, 6.0, 7.0])
TERMS = st.tuples(st.floats(-0.02, 0.1), st.floats(0.5, 2.0), st.floats(-0.002, 0.01))


@settings(deadline=None)
@given(TERMS, st.sampled_from(list(MIN_FIT)))
def test_each_form_recovers_the_terms_it_has(terms: tuple[float, float, float], form: str) -> None:
    truth = Correction(form, terms[0] if form == "affine" else 0.0, terms[1], terms[2] if form == "blocks" else 0.0)
    measured = np.array([truth.apply(*pair) for pair in zip(SUMS, COUNT, strict=True)])
    found = fit(form, SUMS, COUNT, measured)
    assert (found.a, found.b, found.c) == pytest.approx((truth.a, truth.b, truth.c), abs=1e-9)
    assert leave_one_out(form, SUMS, COUNT, measured) == pytest.approx(0.0, abs=1e-9)


def test_noise_alone_seldom_buys_another_term() -> None:
    forms = []
    for seed in range(100):
        measured = 1.1 * SUMS * (1 + 0.02 * np.random.default_rng(seed).standard_normal(len(SUMS)))
        forms.append(choose(SUMS, COUNT, measured)[0].form)
    assert forms.count("scale") >= 95


@pytest.mark.parametrize(("a", "c", "form"), [(-0.05, 0.0, "affine"), (0.0, 0.02, "blocks")])
def test_a_term_that_explains_the_networks_is_taken(a: float, c: float, form: str) -> None:
    noise = 1 + 0.005 * np.random.default_rng(0).standard_normal(len(SUMS))
    correction, errors = choose(SUMS, COUNT, (a + SUMS + c * COUNT) * noise)
    assert correction.form == form
    assert errors[form] == min(errors.values())


def test_the_fit_weighs_small_and_large_networks_alike() -> None:
    measured = SUMS * np.where(SUMS < 0.4, 1.0, 1.1)  # four small networks at 1.0, six large ones at 1.1
    assert fit("scale", SUMS, COUNT, measured).b == pytest.approx(1.055, abs=0.01)


def test_too_few_networks_leave_the_sum_as_it_is() -> None:
    correction, errors = choose(SUMS[:2], COUNT[:2], 3 * SUMS[:2])
    assert (correction.apply(0.5, 7), errors) == (0.5, {})


@pytest.mark.parametrize("fault", [{}, {"a": "x"}, {"a": float("nan")}, {"n_fit": None}])
def test_a_correction_that_lacks_a_number_is_refused(fault: dict) -> None:
    good = {"form": "scale", "a": 0.0, "b": 1.0, "c": 0.0, "n_fit": 10}
    with pytest.raises(NasError):
        Correction.from_dict(good | fault if fault else {})
