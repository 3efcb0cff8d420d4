"""Kinds of one family hold the same tensors; everything that walks over weights meets each of them once."""

import copy

import numpy as np
import pytest
import torch

import nas
from nas.nn.tensor_file import save_tensors
from nas.space.architecture import Architecture, Block, Stage
from nas.space.kinds import KINDS
from nas.space.search_space import parse_space
from nas.supernet.sharing import FAMILY, FAMILY_TENSORS
from nas.supernet.supernet import Supernet
from nas.training.supernet.loop import SupernetTraining, train_step
from nas.training.supernet.recipe import SupernetRecipe

LINES = {
    "basic": "{}",
    "conv": "{kernel: [3, 5], expansion: [1, 2.5]}",
    "large-kernel": "{kernel: [3, 5], band: [5, 9], expansion: [1, 2.5]}",
    "pool": "{kernel: [3], expansion: [1, 2.5]}",
    "gated-conv": "{kernel: [3, 7], expansion: [1, 2]}",
    "ssd": "{expansion: [1, 2], heads: [2, 4], state: [4], kernel: [3], directions: [[h], [v, h_flip]], mode: [group]}",
    "nc-ssd": "{expansion: [1, 1.5], heads: [4], state: [4, 16], kernel: [5]}",
    "hsm": "{expansion: [1, 2], state: [4, 9], kernel: [3, 5]}",
    "multiscale": "{expansion: [1], heads: [2, 8], state: [8], kernel: [3], directions: [[h, v, h_flip], [v, h]]}",
    "state-fusion": "{expansion: [1, 2], heads: [4], kernel: [3, 5], directions: [[h], [v_flip]]}",
    "attention": "{heads: [2, 4], expansion: [1, 2.5], scope: [global, window-3, grid-3]}",
}


def space_of(*kinds):
    """A space of one stage with these kinds."""
    blocks = "".join(f"      {kind}: {LINES[kind]}\n" for kind in kinds)
    head = "name: some\nnum_classes: 10\nresolution: [14, 16]\nstages:\n  - width: [8, 16]\n    depth: [1, 2]\n"
    return parse_space(f"{head}    blocks:\n{blocks}", "some.yaml")


def everything():
    return space_of(*KINDS)


def tensor(supernet, kind, name, slot="stage0-block0"):
    return dict(supernet.shared[f"{slot}-{kind}"].named_parameters()).get(name)


def test_relatives_share_their_projections_and_nothing_else():
    supernet = Supernet(everything())
    for name in FAMILY_TENSORS:
        held = [tensor(supernet, kind, name) for kind in FAMILY]
        held = [each for each in held if each is not None]
        assert len(held) == (4 if ".core." in name else 5)
        assert all(each is held[0] for each in held)
    owners: dict[int, set[str]] = {}
    for module_name, module in supernet.shared.items():
        for name, parameter in module.named_parameters():
            owners.setdefault(id(parameter), set()).add(name if name in FAMILY_TENSORS else f"{module_name} {name}")
    assert all(len(names) == 1 for names in owners.values())
    assert tensor(supernet, "ssd", "mixer.gate.weight") is not tensor(
        supernet, "ssd", "mixer.gate.weight", "stage0-block1"
    )


def test_a_shared_tensor_covers_the_choices_of_all_relatives():
    supernet = Supernet(everything())
    assert tensor(supernet, "multiscale", "mixer.value.weight").shape == (32, 16)  # expansion 2, though its own is 1
    assert tensor(supernet, "ssd", "mixer.depthwise.weight").shape == (32, 1, 7, 7)
    assert tensor(supernet, "ssd", "mixer.core.to_b.weight").shape == (16, 16)
    assert tensor(supernet, "nc-ssd", "mixer.core.to_dt.weight").shape == (8, 16)


@pytest.mark.parametrize(
    "kinds", [("ssd",), ("gated-conv", "state-fusion"), ("state-fusion", "nc-ssd", "pool"), tuple(KINDS)], ids="+".join
)
def test_any_part_of_the_family_works_and_the_extracted_model_equals_the_supernet(kinds, make_supernet, images):
    space = space_of(*kinds)
    supernet, rng = make_supernet(space), np.random.default_rng(0)
    drawn = [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(4))]
    for kind in kinds:
        blocks = [block for block in space.stages[0].blocks if block.kind == kind]
        drawn.append(Architecture(14, (Stage(16, (blocks[0], blocks[-1])),)))
    with torch.no_grad():
        for architecture in drawn:
            stats = nas.calibrate(supernet, architecture, images)
            model = nas.extract(supernet, architecture, stats)
            expected = supernet(images, architecture, stats)
            torch.testing.assert_close(model(images), expected, rtol=1e-5, atol=1e-5)


def test_a_step_of_one_relative_moves_what_is_shared_and_nothing_of_the_others_own():
    space = everything()
    torch.manual_seed(0)
    supernet = Supernet(space).train()
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    optimizer = torch.optim.AdamW(supernet.parameters(), lr=0.1)
    gated = Block.of("gated-conv", kernel=3, expansion=1)
    supernet(torch.randn(4, 3, 16, 16), Architecture(16, (Stage(8, (gated,)),))).square().mean().backward()
    optimizer.step()
    moved = {name for name, value in supernet.named_parameters() if not torch.equal(value, before[name])}
    parts = {name.split(".")[1] for name in moved}
    assert parts == {"stem", "stage0-block0-gated-conv", "head"}
    assert "shared.stage0-block0-gated-conv.mixer.gate.weight" in moved


def test_a_state_dict_holds_each_tensor_once_can_be_stored_and_comes_back_tied():
    supernet = Supernet(everything())
    state = supernet.state_dict()
    assert len({value.data_ptr() for value in state.values() if value.numel()}) == len(state)
    assert set(state) == {*dict(supernet.named_parameters()), *dict(supernet.named_buffers())}
    assert save_tensors(state)
    other = Supernet(everything())
    other.load_state_dict(state)
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())
    for copied in (other, copy.deepcopy(other), other.twin()):
        shared = [tensor(copied, kind, "mixer.out.linear.weight") for kind in FAMILY]
        assert all(each is shared[0] for each in shared)
    del state["shared.stage0-block0-gated-conv.mixer.gate.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*mixer\.gate\.weight"):
        other.load_state_dict(state)


def test_names_do_not_depend_on_the_order_of_a_space_file():
    one, other = Supernet(space_of("ssd", "gated-conv")), Supernet(space_of("gated-conv", "ssd"))
    assert list(one.state_dict()) == list(other.state_dict())


def test_a_resumed_training_of_relatives_equals_an_uninterrupted_one_bit_for_bit():
    space = space_of("ssd", "gated-conv", "nc-ssd")

    def begin():
        torch.manual_seed(0)
        return SupernetTraining(Supernet(space), SupernetRecipe(epochs=2), 0, steps_per_epoch=2)

    generator = torch.Generator().manual_seed(0)
    batches = [(torch.randn(4, 3, 16, 16, generator=generator), torch.arange(4)) for _ in range(4)]
    whole, first = begin(), begin()
    for batch in batches:
        train_step(whole, *batch)
    for batch in batches[:2]:
        train_step(first, *batch)
    second = begin()
    second.restore(first.state())
    for batch in batches[2:]:
        train_step(second, *batch)
    one, other = whole.state(), second.state()
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    averaged = Supernet(space)
    averaged.load_state_dict(whole.average.state_dict())
    name = "shared.stage0-block0-gated-conv.mixer.gate.weight"
    assert torch.equal(tensor(averaged, "ssd", "mixer.gate.weight"), whole.average.tensors[name])
