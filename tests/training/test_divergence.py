import math

import pytest

from nas.training.divergence import WINDOW, Diverged, check_finite, check_jump


def test_what_is_no_number_is_named():
    check_finite(3, loss=2.0, gradient=1e30)
    with pytest.raises(Diverged, match="gradient of step 3 is inf"):
        check_finite(3, loss=2.0, gradient=math.inf)
    with pytest.raises(Diverged, match="loss of step 4 is nan"):
        check_finite(4, loss=math.nan)


def test_a_jump_that_lasts_is_a_divergence_and_one_bad_batch_is_none():
    check_jump(99, [0.4] * 60 + [30.0], lowest=0.4)
    check_jump(99, [5.0] * (WINDOW - 1), lowest=0.4)
    with pytest.raises(Diverged, match="after 0"):
        check_jump(99, [0.4] * 10 + [1.5] * WINDOW, lowest=0.4)
    check_jump(99, [1.3] * WINDOW, lowest=0.4)  # higher, by less than LEAST_JUMP
    check_jump(99, [5.5] * WINDOW, lowest=3.0)  # by less than a factor of two


def test_before_the_first_epoch_has_ended_there_is_nothing_to_jump_from():
    check_jump(99, [100.0] * WINDOW, lowest=math.inf)
