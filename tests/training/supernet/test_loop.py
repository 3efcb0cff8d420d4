import pytest
import torch

from nas.errors import NasError
from nas.space.search_space import SearchSpace
from nas.supernet.supernet import Supernet
from nas.training.divergence import Diverged
from nas.training.optimizer import learning_rate
from nas.training.supernet.loop import SupernetTraining, train_epoch, train_step
from nas.training.supernet.recipe import SupernetRecipe
from nas.training.supernet.sampling import SAMPLINGS


def begin(space, seed=0, **recipe):
    torch.manual_seed(seed)
    front = [space.smallest(), space.largest()] if "front" in recipe else []
    made = SupernetRecipe(epochs=2, **recipe)
    return SupernetTraining(Supernet(space, sharing=made.sharing), made, seed, steps_per_epoch=4, front=front)


def data(count=4):
    generator = torch.Generator().manual_seed(5)
    return [(torch.randn(16, 3, 16, 16, generator=generator), torch.arange(16) % 10) for _ in range(count)]


OPTIONS = [
    {},
    *({"sampling": name} for name in SAMPLINGS if name not in ("rotation", "front")),
    {"sampling": "front", "front": "run"},
    {"loss": "alpha"},
    {"num_random": 4, "split_batch": True},
    {"depth_after": 0.3, "width_after": 0.6},
    {"side_by_side": False},
    {"kernel_matrices": True, "experts": 2},
    {"accumulate": 2},
    {"precision": "bf16"},
    {"mixup": 0.8, "cutmix": 1.0, "smoothing": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(toy, options):
    whole = begin(toy, **options)
    for batch in data():
        train_step(whole, *batch)
    first = begin(toy, **options)
    for batch in data()[:2]:
        train_step(first, *batch)
    second = begin(toy, seed=9, **options)  # other weights: all must come from the state
    second.seed = 0
    second.restore(first.state())
    for batch in data()[2:]:
        train_step(second, *batch)
    assert second.step == whole.step == 4
    one, other = whole.state(), second.state()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_state_of_another_space_is_refused(toy):
    with pytest.raises(NasError, match="another search space"):
        begin(SearchSpace.load("scan-mix-tiny")).restore(begin(toy).state())


def test_training_lowers_the_loss_of_largest_and_smallest(toy):
    training = begin(toy, learning_rate=5e-3)
    images, labels = data(1)[0]

    def losses():
        training.supernet.train()
        with torch.no_grad():
            logits = [training.supernet(images, each) for each in (toy.largest(), toy.smallest())]
        return [torch.nn.functional.cross_entropy(each, labels).item() for each in logits]

    before = losses()
    training.total_steps = 40
    for _ in range(40):
        train_step(training, images, labels)
    assert all(after < 0.7 * first for after, first in zip(losses(), before, strict=True))


def test_weights_that_no_subnet_of_the_step_used_are_not_moved(toy):
    training = begin(toy)
    before = {name: parameter.detach().clone() for name, parameter in training.supernet.named_parameters()}
    train_step(training, *data(1)[0])
    unused = {name for name, parameter in training.supernet.named_parameters() if parameter.grad is None}
    moved = {name for name, p in training.supernet.named_parameters() if not torch.equal(p, before[name])}
    assert moved and not unused & moved
    assert set(training.optimizer.state) == {
        parameter for name, parameter in training.supernet.named_parameters() if name not in unused
    }


@pytest.mark.parametrize("scale", [float("inf"), float("nan")])
def test_a_step_whose_loss_is_no_number_leaves_the_weights_as_they_were(toy, scale):
    training = begin(toy)
    images, labels = data(1)[0]
    train_step(training, images, labels)
    before = training.state()
    with pytest.raises(Diverged, match="step 1"):
        train_epoch(training, [(images * scale, labels)])
    buffers = [name for name in before if "running" in name or "tracked" in name]
    after = training.state()
    assert all(torch.equal(after[name], before[name]) for name in before if name not in buffers)


def test_gradients_that_are_not_finite_stop_a_step_whose_loss_is(toy):
    training = begin(toy)
    images, labels = data(1)[0]
    next(training.supernet.parameters()).register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(Diverged, match="gradient"):
        train_step(training, images, labels)
    assert training.step == 0


def test_a_lower_rate_after_a_rollback_makes_smaller_steps(toy):
    def moved(rollbacks):
        training = begin(toy, weight_decay=0.0)
        training.rollbacks = rollbacks
        before = {name: tensor.clone() for name, tensor in training.supernet.named_parameters()}
        train_step(training, *data(1)[0])
        return sum(float((p - before[name]).detach().abs().sum()) for name, p in training.supernet.named_parameters())

    assert moved(2) == pytest.approx(moved(0) / 4, rel=1e-3)


def test_the_rate_warms_up_peaks_and_ends_near_zero():
    rates = [learning_rate(step, 100, 1.0, 0.1) for step in range(100)]
    assert rates[0] == 0.1 and max(rates) == 1.0 and rates.index(1.0) in (9, 10)
    assert rates[-1] < 1e-3 and rates[10:] == sorted(rates[10:], reverse=True)


def test_norms_biases_and_state_space_parameters_do_not_decay(toy):
    training = begin(toy)
    decayed, free = (set(group["params"]) for group in training.optimizer.param_groups)
    for name, parameter in training.supernet.named_parameters():
        spared = parameter.dim() < 2 or any(word in name for word in ("a_log", "dt_bias", "skip", "log_scale"))
        assert parameter in (free if spared else decayed), name


def test_an_unknown_strategy_is_refused_with_the_nearest_name():
    with pytest.raises(NasError, match=r"no sampling 'rotatoin'.*rotation"):
        SupernetRecipe(sampling="rotatoin")
    with pytest.raises(NasError, match=r"no loss 'alhpa'.*alpha"):
        SupernetRecipe(loss="alhpa")


def test_the_smallest_sizes_join_when_the_recipe_says(toy):
    training = begin(toy, depth_after=0.25, width_after=0.5)  # of eight steps
    images, labels = data(1)[0]
    sizes = []
    for _ in range(6):
        sizes.append(training.context(images, labels).space.size)
        train_step(training, images, labels)
    assert sizes == sorted(sizes) and sizes[0] == sizes[1] < sizes[2] == sizes[3] < sizes[4] == toy.size


def test_the_gradient_norm_of_a_kind_is_that_of_its_gradients(toy):
    training = begin(toy, clip_norm=1e9)
    names = list(training.supernet.shared)
    assert all(training.gradient_norm(name) == 0.0 for name in names)
    train_step(training, *data(1)[0])
    for name in names:
        grads = [p.grad for p in training.supernet.shared[name].parameters()]
        squares = sum(float(grad.square().sum()) for grad in grads if grad is not None)
        assert training.gradient_norm(name) == pytest.approx(squares**0.5, rel=1e-3)
