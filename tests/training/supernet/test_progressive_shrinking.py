from nas.space.search_space import SearchSpace
from nas.training.supernet.progressive_shrinking import joined

TINY = SearchSpace.load("scan-mix-tiny")


def test_each_phase_holds_the_one_before_and_the_last_is_the_whole_space():
    phases = [joined(TINY, depths, widths) for depths, widths in ((False, False), (True, False), (True, True))]
    assert phases[0].size < phases[1].size < phases[2].size
    assert phases[2] is TINY


def test_all_phases_have_the_largest_subnet_and_only_the_last_the_smallest():
    for depths, widths in ((False, False), (True, False), (False, True), (True, True)):
        part = joined(TINY, depths, widths)
        assert part.largest() == TINY.largest()
        assert (part.smallest() == TINY.smallest()) == (depths and widths)
        assert part.smallest() in TINY


def test_sizes_wait_and_kinds_and_directions_do_not():
    first = joined(TINY, depths=False, widths=False)
    assert first.resolutions == (32,)
    for stage, whole in zip(first.stages, TINY.stages, strict=True):
        assert stage.widths == (max(whole.widths),) and stage.depths == (max(whole.depths),)
        assert stage.kinds.keys() == whole.kinds.keys()
    assert first.stages[1].kinds["ssd"]["directions"] == TINY.stages[1].kinds["ssd"]["directions"]
    assert first.stages[1].kinds["conv"] == {"kernel": (5,), "expansion": (3,)}


def test_bits_stay_free(toy_bits):
    assert [stage.bits for stage in joined(toy_bits, False, False).stages] == [stage.bits for stage in toy_bits.stages]
