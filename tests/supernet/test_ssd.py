import pytest
import torch

from nas.errors import NasError
from nas.supernet.ssd import ssd

DIRECTIONS = {1: ["v"], 2: ["h", "v_flip"], 4: ["h", "h_flip", "v", "v_flip"]}


def inputs(grid, heads=4, head_dim=3, state=5, dtype=torch.float64, scale=1.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    tokens = grid[0] * grid[1]

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype).requires_grad_()

    x, b, c = draw(2, tokens, heads, head_dim), draw(2, tokens, state), draw(2, tokens, state)
    dt = (torch.rand(2, tokens, heads, generator=g, dtype=torch.float64) * 0.1 * scale + 1e-4).to(dtype)
    a = -(torch.rand(heads, generator=g, dtype=torch.float64) * 15 + 1).to(dtype)
    return x, dt.requires_grad_(), a.requires_grad_(), b, c


def relative(found, wanted):
    return ((found.double() - wanted.double()).norm() / wanted.double().norm()).item()


def run(tensors, **options):
    y = ssd(*tensors, **options)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return y, torch.autograd.grad((y * weights).sum(), tensors)


@pytest.mark.parametrize("form", ["quadratic", "chunked"])
@pytest.mark.parametrize("mode", ["sum", "group"])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("grid", [(1, 1), (5, 9), (7, 7), (8, 8), (3, 12)])
def test_every_form_equals_the_sequential_scan(form, mode, count, grid):
    options = {"patterns": DIRECTIONS[count], "grid": grid, "mode": mode}
    oracle, oracle_grads = run(inputs(grid), form="sequential", **options)
    y, grads = run(inputs(grid), form=form, **options)
    assert relative(y, oracle) < 1e-12
    assert max(relative(g, o) for g, o in zip(grads, oracle_grads, strict=True)) < 1e-11
    single, single_grads = run(inputs(grid, dtype=torch.float32), form=form, **options)
    assert relative(single, oracle) < 1e-6
    assert max(relative(g, o) for g, o in zip(single_grads, oracle_grads, strict=True)) < 1e-5


@pytest.mark.parametrize("form", ["sequential", "quadratic", "chunked"])
def test_group_mode_gives_head_h_the_direction_h_mod_k(form):
    grid, patterns = (4, 5), DIRECTIONS[2]
    x, dt, a, b, c = inputs(grid)
    together = ssd(x, dt, a, b, c, patterns=patterns, grid=grid, mode="group", form=form)
    for head in range(4):
        alone = ssd(
            x[:, :, [head]],
            dt[:, :, [head]],
            a[[head]],
            b,
            c,
            patterns=[patterns[head % 2]],
            grid=grid,
            form="sequential",
        )
        torch.testing.assert_close(together[:, :, [head]], alone)


@pytest.mark.parametrize("form", ["sequential", "quadratic", "chunked"])
def test_sum_mode_averages_the_directions_or_weighs_them(form):
    grid, patterns = (4, 5), DIRECTIONS[4]
    tensors = inputs(grid)
    each = [ssd(*tensors, patterns=[name], grid=grid, form="sequential") for name in patterns]
    torch.testing.assert_close(ssd(*tensors, patterns=patterns, grid=grid, form=form), torch.stack(each).mean(0))
    log_weight = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weighed = sum(log_weight[k].exp()[:, None] * each[k] for k in range(4))
    found = ssd(*tensors, patterns=patterns, grid=grid, form=form, log_weight=log_weight)
    torch.testing.assert_close(found, weighed)


@pytest.mark.parametrize("form", ["quadratic", "chunked"])
def test_a_decay_factor_per_direction_multiplies_a(form):
    grid, patterns = (3, 4), DIRECTIONS[2]
    x, dt, a, b, c = inputs(grid)
    log_scale = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    each = [
        ssd(x, dt, a * log_scale[k].exp(), b, c, patterns=[name], grid=grid, form="sequential")
        for k, name in enumerate(patterns)
    ]
    found = ssd(x, dt, a, b, c, patterns=patterns, grid=grid, form=form, log_scale=log_scale)
    torch.testing.assert_close(found, torch.stack(each).mean(0))


def test_four_directions_commute_with_a_half_turn_and_a_transposition_but_not_with_a_mirror():
    grid, tensors = (5, 9), inputs((5, 9))

    def mixed(move, new_grid):
        moved = [move(t) if t.dim() > 1 else t for t in tensors]
        return ssd(*moved, patterns=DIRECTIONS[4], grid=new_grid)

    def on_grid(f):
        return lambda t: f(t.unflatten(1, grid)).flatten(1, 2)

    plain = mixed(lambda t: t, grid)
    half_turn, mirror = on_grid(lambda t: t.flip(1, 2)), on_grid(lambda t: t.flip(2))
    transposed = on_grid(lambda t: t.transpose(1, 2))
    torch.testing.assert_close(mixed(half_turn, grid), half_turn(plain))
    torch.testing.assert_close(mixed(transposed, (9, 5)), transposed(plain))
    assert relative(mixed(mirror, grid), mirror(plain)) > 1e-3


@pytest.mark.parametrize("form", ["quadratic", "chunked"])
@pytest.mark.parametrize("scale", [10.0, 100.0])
def test_strong_decay_stays_finite(form, scale):
    grid = (28, 28) if form == "chunked" else (14, 14)
    y, grads = run(inputs(grid, dtype=torch.float32, scale=scale), patterns=DIRECTIONS[2], grid=grid, form=form)
    assert y.isfinite().all() and all(grad.isfinite().all() for grad in grads)


def test_decay_is_computed_in_float32_under_bfloat16_autocast():
    tensors = [tensor.detach() for tensor in inputs((7, 7), dtype=torch.float32)]
    exact = ssd(*tensors, patterns=DIRECTIONS[4], grid=(7, 7))
    with torch.autocast("cpu", torch.bfloat16):
        assert relative(ssd(*tensors, patterns=DIRECTIONS[4], grid=(7, 7)), exact) < 1e-2


def test_wrong_settings_are_refused_with_the_remedy():
    tensors = inputs((2, 2), heads=3)
    with pytest.raises(NasError, match="3 heads do not divide into 2"):
        ssd(*tensors, patterns=["h", "v"], grid=(2, 2), mode="group")
    with pytest.raises(NasError, match="Did you mean 'chunked'"):
        ssd(*tensors, patterns=["h"], grid=(2, 2), form="chunkd")
