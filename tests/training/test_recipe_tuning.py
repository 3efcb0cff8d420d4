import pytest

from nas.training.network import Recipe
from nas.training.recipe_tuning import first_trial, recipe_of, tuned_settings


def test_the_first_trial_is_the_recipe_itself():
    base = Recipe(epochs=6)
    assert recipe_of(base, first_trial(base)) == base


def test_no_trial_trains_longer_and_at_least_half_as_long():
    for epochs in (1, 2, 7):
        asked = tuned_settings(Recipe(epochs=epochs))["epochs"]
        assert (asked.low, asked.high) == (max(1, epochs // 2), epochs)


@pytest.mark.parametrize("rate", [1e-3, 3e-3])
def test_rates_lie_around_that_of_the_recipe(rate):
    asked = tuned_settings(Recipe(learning_rate=rate))["learning_rate"]
    assert asked.low < rate < asked.high and asked.log


def test_an_augmentation_is_taken_left_or_what_the_recipe_has():
    asked = tuned_settings(Recipe(mixup=0.4))
    assert asked["mixup"].choices == (0.0, 0.2, 0.4) and asked["cutmix"].choices == (0.0, 1.0)


def test_a_recipe_outside_the_ranges_is_moved_to_their_ends():
    assert first_trial(Recipe(weight_decay=0.0))["weight_decay"] == tuned_settings(Recipe())["weight_decay"].low
