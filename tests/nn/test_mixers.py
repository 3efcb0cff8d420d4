"""Each mixer computes what its definition says, written down here a second time without haste; and starts well."""

import math

import pytest
import torch
from torch.nn import functional as F

from nas.nn.blocks import build_operator
from nas.nn.mixers.attention import Attention
from nas.nn.mixers.hidden_state import HiddenStateMixer
from nas.nn.mixers.non_causal import NonCausalCore
from nas.nn.mixers.scanned import DILATIONS, MultiscaleCore, ScanCore, StateFusionCore
from nas.nn.mixers.state_space import DT_MAX, DT_MIN, NORM_EPS, initial_a_log, initial_dt_bias
from nas.training.optimizer import parameter_groups

WIDTH, GRID = 8, (3, 5)
TOKENS = GRID[0] * GRID[1]
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture
def tokens():
    return torch.randn(2, TOKENS, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def inner_map():
    return torch.randn(2, 2 * WIDTH, *GRID, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def core_of(kind, core, operator_of, **settings):
    """A core of 16 inner channels in double precision, away from its initial state."""
    torch.manual_seed(2)
    made = core(operator_of(kind, WIDTH, 3, expansion=2, **settings)).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


def rows(x, heads):
    """A map's tokens as [b, L, H, P]: channel c is entry c // H of head c % H."""
    parts = [x.flatten(2)[:, head::heads] for head in range(heads)]
    return torch.stack(parts, 1).permute(0, 3, 1, 2)


def finish(core, y, x):
    """The end of every core: the skip connection, then RMSNorm within each head; from and to [b, L, H, P]."""
    y = y + core.skip[:, None] * x
    y = y / (y.square().mean(3, keepdim=True) + NORM_EPS).sqrt()
    channels = torch.stack([y[:, :, c % core.heads, c // core.heads] for c in range(y.shape[2] * y.shape[3])], 1)
    return channels * core.head_norm.weight[:, None]


def scan(order, x, dt, a, b, c):
    """The recurrence along one order of the tokens; x [b, L, H, P], dt [b, L, H], a [H], B and C [b, L, N]."""
    state, y = torch.zeros(*x.shape[:1], *x.shape[2:], b.shape[2], dtype=x.dtype), torch.zeros_like(x)
    for t in order:
        decay = (dt[:, t] * a).exp()[..., None, None]
        state = decay * state + (dt[:, t, :, None] * x[:, t])[..., None] * b[:, t, None, None]
        y[:, t] = (state * c[:, t, None, None]).sum(-1)
    return y


def decays(core):
    return {name: -core.a_log.exp() * scale.exp() for name, scale in core.log_scale.items()}


def selected(core, tokens):
    dt = F.softplus(tokens @ core.to_dt.weight.T + core.dt_bias).clamp(DT_MIN, DT_MAX)
    return dt, tokens @ core.to_b.weight.T, tokens @ core.to_c.weight.T / math.sqrt(core.state)


def test_a_scan_core_scans_in_every_direction_and_takes_the_mean(operator_of, tokens, inner_map):
    core = core_of("ssd", ScanCore, operator_of, directions=("h", "h_flip"), mode="sum")
    x, (dt, b, c) = rows(F.silu(inner_map), core.heads), selected(core, tokens)
    a = decays(core)
    y = scan(range(TOKENS), x, dt, a["h"], b, c) + scan(range(TOKENS - 1, -1, -1), x, dt, a["h_flip"], b, c)
    torch.testing.assert_close(core(inner_map, tokens), finish(core, y / 2, x), **CLOSE)


def test_a_non_causal_core_reads_one_state_that_all_tokens_wrote(operator_of, tokens, inner_map):
    core = core_of("nc-ssd", NonCausalCore, operator_of)
    x, (dt, b, c) = rows(F.silu(inner_map), core.heads), selected(core, tokens)
    share = core.gain * dt / dt.sum(1, keepdim=True)
    y = torch.einsum("bin,bjn,bjh,bjhp->bihp", c, b, share, x)
    torch.testing.assert_close(core(inner_map, tokens), finish(core, y, x), **CLOSE)


def test_a_multiscale_core_scans_its_first_direction_in_full_and_the_others_halved(operator_of, tokens, inner_map):
    core = core_of("multiscale", MultiscaleCore, operator_of, directions=("h", "h_flip", "v"))
    x, (dt, b, c) = rows(F.silu(inner_map), core.heads), selected(core, tokens)
    a = decays(core)
    small = F.conv2d(F.silu(inner_map), core.halve.weight, core.halve.bias, stride=2, padding=1, groups=2 * WIDTH)
    centres = [row * GRID[1] + column for row in (0, 2) for column in (0, 2, 4)]  # a 2 x 3 grid
    xs, dts, bs, cs = rows(small, core.heads), dt[:, centres], b[:, centres], c[:, centres]
    coarse = scan(range(5, -1, -1), xs, dts, a["h_flip"], bs, cs) + scan([0, 3, 1, 4, 2, 5], xs, dts, a["v"], bs, cs)
    coarse = coarse.permute(0, 2, 3, 1).unflatten(3, (2, 3)).flatten(0, 1)  # [b H, P, 2, 3]
    coarse = F.interpolate(coarse, size=GRID, mode="bilinear", align_corners=False)
    coarse = coarse.unflatten(0, (2, core.heads)).flatten(3).permute(0, 3, 1, 2)
    y = (scan(range(TOKENS), x, dt, a["h"], b, c) + coarse) / 3
    torch.testing.assert_close(core(inner_map, tokens), finish(core, y, x), **CLOSE)


def test_a_state_fusion_core_reads_the_states_around_a_token(operator_of, tokens, inner_map):
    core = core_of("state-fusion", StateFusionCore, operator_of, directions=("h",))
    x, (dt, b, c) = rows(F.silu(inner_map), core.heads), selected(core, tokens)
    h = scan(range(TOKENS), x, dt, decays(core)["h"], b, torch.ones_like(c))
    states = torch.stack([h[:, :, i % core.heads, i // core.heads] for i in range(2 * WIDTH)], 1).unflatten(2, GRID)
    fused = torch.zeros_like(states)
    for conv, dilation in zip(core.fusion, DILATIONS, strict=True):
        for i in range(GRID[0]):
            for j in range(GRID[1]):
                for di in (-1, 0, 1):
                    for dj in (-1, 0, 1):
                        row, column = i + di * dilation, j + dj * dilation
                        if 0 <= row < GRID[0] and 0 <= column < GRID[1]:
                            fused[:, :, i, j] += states[:, :, row, column] * conv.weight[:, 0, 1 + di, 1 + dj]
    y = rows(fused, core.heads) * c[..., None]
    torch.testing.assert_close(core(inner_map, tokens), finish(core, y, x), **CLOSE)


def test_a_hidden_state_mixer_gates_and_projects_its_states(operator_of, tokens):
    mixer = core_of("hsm", HiddenStateMixer, operator_of)
    chosen = (tokens @ mixer.select.weight.T).transpose(1, 2).unflatten(2, GRID)
    weight, bias = mixer.depthwise.weight, mixer.depthwise.bias
    chosen = F.conv2d(chosen, weight, bias, padding=1, groups=len(bias)).flatten(2)
    b, c, dt = chosen[:, 0::3], chosen[:, 1::3], chosen[:, 2::3]
    h = torch.einsum("bnl,bld->bnd", dt.softmax(2) * b, tokens)
    value, gate = h @ mixer.value.weight.T, h @ mixer.gate.weight.T
    h = ((value * F.silu(gate) + value * mixer.skip) @ mixer.out.linear.weight.T) * mixer.out.scale
    y = torch.einsum("bnl,bnd->bld", c, h) / math.sqrt(mixer.state)
    torch.testing.assert_close(mixer(tokens, GRID), y, **CLOSE)


def attention_of(scope, operator_of):
    torch.manual_seed(3)
    return Attention(operator_of("attention", WIDTH, 1, heads=2, scope=scope)).double()


@pytest.mark.parametrize("grid", [(6, 6), (7, 7), (7, 5), (2, 9), (1, 1)])
@pytest.mark.parametrize("side", [2, 3, 8])
def test_windows_are_attention_within_each_crop_and_truncated_at_the_border(grid, side, operator_of):
    x = torch.randn(2, *grid, WIDTH, dtype=torch.float64)
    expected, whole = torch.zeros_like(x), attention_of("global", operator_of)
    for i in range(0, grid[0], side):
        for j in range(0, grid[1], side):
            crop = x[:, i : i + side, j : j + side]
            expected[:, i : i + side, j : j + side] = whole(crop.flatten(1, 2), crop.shape[1:3]).view(crop.shape)
    found = attention_of(f"window-{side}", operator_of)(x.flatten(1, 2), grid)
    torch.testing.assert_close(found.view(x.shape), expected, **CLOSE)


@pytest.mark.parametrize("grid", [(6, 6), (7, 7), (7, 5), (2, 9), (1, 1)])
@pytest.mark.parametrize("side", [2, 3, 8])
def test_grids_are_attention_among_tokens_that_lie_evenly_spread(grid, side, operator_of):
    x = torch.randn(2, *grid, WIDTH, dtype=torch.float64)
    expected, whole = torch.zeros_like(x), attention_of("global", operator_of)
    steps = [-(-size // min(side, size)) for size in grid]
    for i in range(steps[0]):
        for j in range(steps[1]):
            part = x[:, i :: steps[0], j :: steps[1]]
            expected[:, i :: steps[0], j :: steps[1]] = whole(part.flatten(1, 2), part.shape[1:3]).view(part.shape)
    found = attention_of(f"grid-{side}", operator_of)(x.flatten(1, 2), grid)
    torch.testing.assert_close(found.view(x.shape), expected, **CLOSE)


def test_a_large_kernel_sees_a_square_a_row_and_a_column_each_with_its_own_channels(operator_of):
    torch.manual_seed(0)
    block = build_operator(operator_of("large-kernel", 16, 11, kernel=3, band=7)).eval()
    seen = []
    block.expand.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.zeros(1, 16, 11, 11)
    x[:, :, 5, 5] = 1
    block(x)
    reach = [tuple((seen[0][0, channel] != 0).nonzero().T.unique(dim=1).amax(1) - 5) for channel in range(16)]
    square, row, column, point = (1, 1), (0, 3), (3, 0), (0, 0)
    assert reach == [square, row, column, *[point] * 5] * 2


def test_pooling_adds_the_difference_to_the_mean_of_the_tokens_that_exist(operator_of):
    block = build_operator(operator_of("pool", 8, 3, kernel=3)).eval()
    x = torch.arange(9.0).view(1, 1, 3, 3).expand(2, 8, 3, 3)
    pooled = block.mix.pool(x)[0, 0]
    assert pooled[0, 0] == (0 + 1 + 3 + 4) / 4 and pooled[1, 1] == 4
    assert torch.allclose(block.mix(x)[0, 0] * 10 / 3 * math.sqrt(1 + 1e-5), pooled - x[0, 0], atol=1e-6)


# How a mixer starts (section 7, item 11 of the scan mixers' reference).


def test_steps_and_decays_start_within_their_ranges_whatever_the_number_of_heads():
    torch.manual_seed(0)
    for heads in (1, 2, 8, 16):
        dt, log_a = F.softplus(initial_dt_bias(heads)), initial_a_log(heads)
        assert (dt >= 0.99e-3).all() and (dt <= 1.01e-1).all()
        assert (log_a >= 0).all() and (log_a <= math.log(16)).all()
        assert torch.equal(log_a, initial_a_log(32)[:heads])


def test_with_eight_heads_each_of_two_directions_has_short_and_long_memories():
    log_a = initial_a_log(8)
    for direction in range(2):
        assert log_a[direction::2].max() - log_a[direction::2].min() >= 0.5 * math.log(16)


@pytest.mark.parametrize("kind", ["ssd", "nc-ssd", "multiscale", "state-fusion", "hsm"])
def test_one_number_per_head_or_channel_does_not_decay(kind, operator_of):
    block = build_operator(operator_of(kind, 8, 4))
    decayed, free = (set(group["params"]) for group in parameter_groups(block, 0.1))
    for name, parameter in block.named_parameters():
        words = ("a_log", "dt_bias", "skip", "log_scale", "gain", "norm", "scale", "bias")
        assert parameter in (free if any(word in name for word in words) else decayed), name


def head_std(core, operator_of, **settings):
    """How far the mixed tokens of each head spread before the norm, without the skip connection."""
    kind = {ScanCore: "ssd", NonCausalCore: "nc-ssd"}[core]
    made = core(operator_of(kind, 32, 14, expansion=1, heads=4, **settings))
    torch.manual_seed(0)
    dt = F.softplus(initial_dt_bias(4)).expand(8, 196, 4)
    x, (b, c) = torch.randn(8, 32, 14, 14), (torch.randn(8, 196, made.state) for _ in range(2))
    with torch.no_grad():
        return made.mix(x, dt, b, c * made.state**-0.5).std((0, 1, 3))


@pytest.mark.parametrize("core", [ScanCore, NonCausalCore])
def test_the_scale_does_not_depend_on_the_number_of_states(core, operator_of):
    spread = torch.stack([head_std(core, operator_of, state=state, directions=("h",)) for state in (4, 16, 64)])
    assert (spread.amax(0) / spread.amin(0)).max() < 2


def test_the_scale_does_not_depend_on_the_number_of_directions(operator_of):
    base = ("h", "v", "snake", "w2", "h_flip", "v_flip", "snake_flip", "w2_flip")
    spread = [head_std(ScanCore, operator_of, state=16, mode="sum", directions=base[:count]) for count in (1, 2, 4, 8)]
    assert (torch.stack(spread).amax(0) / torch.stack(spread).amin(0)).max() < 2


@pytest.mark.parametrize("directions", [("h",), ("h", "v", "h_flip", "v_flip")])
def test_the_skip_connection_enters_once(directions, operator_of, tokens, inner_map):
    core = core_of("ssd", ScanCore, operator_of, directions=directions, mode="sum")
    core.head_norm = torch.nn.Identity()
    with torch.no_grad():
        without = core(inner_map, tokens)
        core.skip.add_(1)
        added = core(inner_map, tokens) - without
    torch.testing.assert_close(added.flatten(1, 2), F.silu(inner_map).flatten(2), **CLOSE)


def test_steps_stay_in_float32_under_bfloat16_autocast(operator_of, tokens):
    core = ScanCore(operator_of("ssd", WIDTH, 4))
    with torch.autocast("cpu", torch.bfloat16):
        dt, b, _ = core.select(tokens.float())
    assert dt.dtype == torch.float32 and b.dtype == torch.bfloat16
    assert (dt >= DT_MIN).all() and (dt <= DT_MAX).all()
