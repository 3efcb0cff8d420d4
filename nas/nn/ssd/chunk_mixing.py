"""What happens inside one partition: pairs inside each chunk, a state per direction from chunk to chunk, and backward.

Shapes: images b, heads H of the partition, chunks n of Q tokens, states s per head. `Y = (G * S) X + E h` with the Gram
matrix `G = C B^T`, the sum S of the directions' decay masks, the states h before each chunk and `E = C exp(u)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nas.nn.ssd.partition import Lane, Partition

LONG_SUM = 128  # tokens


@dataclass(frozen=True, slots=True)
class Inputs:
    """Tokens in their chunks, or gradients of them."""

    x: Tensor  # [b, H, n, Q, P]
    a: Tensor  # [b, H, n, Q] log decay
    b: Tensor  # [b, n, Q, N]
    c: Tensor  # [b, n, Q, N]
    scale: Tensor  # [H, s]
    weight: Tensor | None  # [H, s]


@dataclass(frozen=True, slots=True)
class Decays:
    """Log decays along the lanes of a partition."""

    plain: Tensor  # [b, H, n, s, Q] sum of a up to each token in its chunk
    upto: Tensor  # the same, scaled
    chunk: Tensor  # [b, H, n] sum of a over each chunk


def mix_chunks(inputs: Inputs, part: Partition, low: torch.dtype) -> Tensor:
    """Return Y [b, H, n, Q, P]; `low` is the type of matrix products."""
    decays = cumulate(inputs, part)
    mask, _ = decay_mask(inputs, decays, part)
    gram = product(inputs.c, inputs.b.transpose(-1, -2), low)
    y = product(mask.mul_(gram[:, None]), inputs.x, low)
    if part.chunks > 1:
        entering, state = states(inputs, decays, part, low)[:2]
        y += product(entering.transpose(-1, -2), state, low)
    return y


def mix_chunks_backward(dy: Tensor, inputs: Inputs, part: Partition, low: torch.dtype) -> Inputs:
    """Return the gradients of the inputs for that of Y, recomputing what `mix_chunks` computed."""
    x, b, c = inputs.x, inputs.b, inputs.c
    decays = cumulate(inputs, part)
    mask, terms = decay_mask(inputs, decays, part)
    gram = product(c, b.transpose(-1, -2), low)
    dmixing = product(dy, x.transpose(-1, -2), low)
    dx = product((mask * gram[:, None]).transpose(-1, -2), dy, low)
    dgram = (dmixing * mask).sum(1)
    dc, db = product(dgram, b, low), product(dgram.transpose(-1, -2), c, low)
    dmask = dmixing.mul_(gram[:, None])
    dupto = torch.zeros_like(decays.upto)
    dweight = None if inputs.weight is None else torch.zeros_like(inputs.weight)
    decay_mask_backward(dmask, terms, inputs, part, dupto, dweight)
    dchunk = None
    if part.chunks > 1:
        dx_state, db_state, dc_state, dchunk = states_backward(dy, inputs, decays, part, low, dupto, dweight)
        dx, db, dc = dx + dx_state, db + db_state, dc + dc_state
    da, dscale = cumulate_backward(dupto, dchunk, inputs, decays, part)
    return Inputs(dx, da, db, dc, dscale, dweight)


def product(left: Tensor, right: Tensor, low: torch.dtype) -> Tensor:
    """Multiply matrices in type `low`, and return the result in the type of the first."""
    return left @ right if left.dtype == low else (left.to(low) @ right.to(low)).to(left.dtype)


def cumulate(inputs: Inputs, part: Partition) -> Decays:
    """Sum the log decay along each lane inside the chunks, as a product with a matrix of zeros and ones."""
    a = inputs.a
    plain = a.new_empty(*a.shape[:3], part.slots, part.size)
    for lane in part.lanes:
        plain[:, lane.heads, :, lane.slot] = along(a[:, lane.heads], lane.upto)
    return Decays(plain, plain * inputs.scale[:, None, :, None], a.sum(-1))


def along(a: Tensor, matrix: Tensor) -> Tensor:
    """Multiply a [b, H, n, Q] by one matrix [1, Q, Q], or by one for each chunk [n, Q, Q]."""
    if a.shape[-1] > LONG_SUM and a.dtype == torch.float32:  # differences of long sums lose digits
        return along(a.double(), matrix.double()).float()
    if len(matrix) == 1:
        return a @ matrix[0]
    return (a.permute(2, 0, 1, 3).flatten(1, 2) @ matrix).unflatten(1, a.shape[:2]).permute(1, 2, 0, 3)


def cumulate_backward(
    dupto: Tensor, dchunk: Tensor | None, inputs: Inputs, decays: Decays, part: Partition
) -> tuple[Tensor, Tensor]:
    """Return the gradients of a and scale for the gradients of the scaled sums, up to a token and over a chunk.

    `dchunk`, of the sums over a chunk, is [b, H, n, s].
    """
    da = torch.zeros_like(inputs.a)
    dscale = (dupto * decays.plain).sum((0, 2, 4))
    dplain = dupto * inputs.scale[:, None, :, None]
    for lane in part.lanes:
        da[:, lane.heads] += along(dplain[:, lane.heads, :, lane.slot], lane.upto.transpose(-1, -2))
    if dchunk is not None:
        dscale = dscale + (dchunk * decays.chunk[..., None]).sum((0, 2))
        da += (dchunk * inputs.scale[:, None]).sum(-1)[..., None]
    return da, dscale


def decay_mask(inputs: Inputs, decays: Decays, part: Partition) -> tuple[Tensor, list[Tensor]]:
    """Return S [b, H, n, Q, Q], and for each mask of the partition its exponential without weight.

    A pair of a direction and its reverse takes the smaller of two exponents: what one of them must not see would have
    a positive exponent there. The diagonal belongs to both.
    """
    b, heads, chunks, size = inputs.a.shape
    total, terms = None, []
    if part.slots == 1 and len(part.masks) > 1:  # mode group: each lane has heads of its own
        total = inputs.a.new_empty(b, heads, chunks, size, size)
    for mask in part.masks:
        lane = part.lanes[mask.lanes[0]]
        into = None if part.slots > 1 or total is None else total[:, lane.heads]
        term = differences(decays, lane, into)
        if len(mask.lanes) == 2:
            torch.minimum(term, differences(decays, part.lanes[mask.lanes[1]], None), out=term)
        if mask.bias is not None:
            term += mask.bias
        terms.append(term.exp_())
    if total is not None:
        return total, terms
    if inputs.weight is None and len(terms) == 1 and len(part.lanes) == 1:
        return terms[0].clone(), terms
    total = None
    for mask, term in zip(part.masks, terms, strict=True):
        factor = term_weight(mask.lanes, mask.forward, inputs, part)
        total = term * factor if total is None else total.addcmul_(term, factor)
    assert total is not None
    return total, terms


def differences(decays: Decays, lane: Lane, out: Tensor | None) -> Tensor:
    """Return the log decay from token j to token i along a lane [b, heads, n, Q, Q], positive if j comes later."""
    upto = decays.upto[:, lane.heads, :, lane.slot]
    return torch.sub(upto[..., :, None], upto[..., None, :], out=out)


def term_weight(lanes: tuple[int, ...], forward: Tensor | None, inputs: Inputs, part: Partition) -> Tensor:
    """Return the factors of an exponential, to be broadcast over [b, H, n, Q, Q]."""
    if forward is None:
        slot = part.lanes[lanes[0]].slot
        return inputs.a.new_ones(()) if inputs.weight is None else inputs.weight[:, slot, None, None, None]
    backward = forward.transpose(-1, -2)
    if inputs.weight is None:
        return forward + backward  # 1, and 2 on the diagonal
    first, second = (inputs.weight[:, part.lanes[index].slot, None, None, None] for index in lanes)
    return first * forward + second * backward


def decay_mask_backward(
    dmask: Tensor, terms: list[Tensor], inputs: Inputs, part: Partition, dupto: Tensor, dweight: Tensor | None
) -> None:
    """Add the gradients of the scaled sums and of the weights for that of S."""
    for mask, term in zip(part.masks, terms, strict=True):
        lane = part.lanes[mask.lanes[0]]
        change = dmask[:, lane.heads] * term
        if mask.forward is None:
            share_out(change.sum(-1), change.sum(-2), lane, inputs, dupto, dweight)
            continue
        rows, columns = change.sum(-1), change.sum(-2)
        change *= mask.forward
        rows_first, columns_first = change.sum(-1), change.sum(-2)
        share_out(rows_first, columns_first, lane, inputs, dupto, dweight)
        rows -= rows_first
        columns -= columns_first
        other = part.lanes[mask.lanes[1]]
        share_out(rows, columns, other, inputs, dupto, dweight)
        if dweight is not None:
            dweight[:, other.slot] += change.diagonal(dim1=-2, dim2=-1).sum((0, 2, 3))


def share_out(rows: Tensor, columns: Tensor, lane: Lane, inputs: Inputs, dupto: Tensor, dweight: Tensor | None) -> None:
    """Add what the sums over rows and columns of a mask's gradient [b, heads, n, Q] mean for its lane."""
    change = rows - columns
    if inputs.weight is not None:
        change *= inputs.weight[lane.heads, lane.slot, None, None]
    dupto[:, lane.heads, :, lane.slot] += change
    if dweight is not None:
        dweight[lane.heads, lane.slot] += rows.sum((0, 2, 3))


def states(
    inputs: Inputs, decays: Decays, part: Partition, low: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return E^T [b, H, n, sN, Q], the states before each chunk [b, H, n, sN, P], and what backward needs."""
    chunk = decays.chunk[..., None] * inputs.scale[:, None]  # [b, H, n, s]
    leave = torch.exp(chunk[..., None] - decays.upto)
    enter = decays.upto.exp()
    if inputs.weight is not None:
        enter *= inputs.weight[:, None, :, None]
    entering = (upright(inputs.c) * enter[..., None, :]).flatten(3, 4)
    leaving = (upright(inputs.b) * leave[..., None, :]).flatten(3, 4)
    inflow = product(leaving, inputs.x, low)
    carry = chunk.exp()
    return entering, pass_states(inflow, carry, part), enter, leaving, leave, carry


def upright(shared: Tensor) -> Tensor:
    """Turn B or C [b, n, Q, N] into [b, 1, n, 1, N, Q], in memory too."""
    return shared.transpose(-1, -2).contiguous()[:, None, :, None]


def pass_states(inflow: Tensor, carry: Tensor, part: Partition) -> Tensor:
    """Run h' = carry h + inflow from chunk to chunk along each lane. Return the states before each chunk."""
    inflow = inflow.unflatten(3, (part.slots, -1))  # [b, H, n, s, N, P]
    carry, state = carry[..., None, None], torch.zeros_like(inflow)
    for lane in part.lanes:
        flow, keep, before = (tensor[:, lane.heads, :, lane.slot] for tensor in (inflow, carry, state))
        for chunk, following in lane.steps:
            torch.addcmul(flow[:, :, chunk], before[:, :, chunk], keep[:, :, chunk], out=before[:, :, following])
    return state.flatten(3, 4)


def pass_states_backward(dstate: Tensor, carry: Tensor, part: Partition) -> Tensor:
    """Return the gradient of the inflow for that of the states before each chunk."""
    dstate = dstate.unflatten(3, (part.slots, -1))
    carry, dinflow = carry[..., None, None], torch.zeros_like(dstate)
    for lane in part.lanes:
        grad, keep, flow = (tensor[:, lane.heads, :, lane.slot] for tensor in (dstate, carry, dinflow))
        for chunk, following in reversed(lane.steps):
            torch.addcmul(grad[:, :, following], flow[:, :, following], keep[:, :, following], out=flow[:, :, chunk])
    return dinflow.flatten(3, 4)


def states_backward(
    dy: Tensor, inputs: Inputs, decays: Decays, part: Partition, low: torch.dtype, dupto: Tensor, dweight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x, b, c and of the scaled sums over chunks [b, H, n, s] through the states."""
    entering, state, enter, leaving, leave, carry = states(inputs, decays, part, low)
    dentering = product(state, dy.transpose(-1, -2), low)
    dinflow = pass_states_backward(product(entering, dy, low), carry, part)
    dleaving = product(dinflow, inputs.x.transpose(-1, -2), low)
    dx = product(leaving.transpose(-1, -2), dinflow, low)

    def split(gradient: Tensor, factor: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of `shared` [b, n, Q, N] and of the exponent of `factor` [b, H, n, s, Q]."""
        scaled = gradient.unflatten(3, (part.slots, -1)) * factor[..., None, :]  # [b, H, n, s, N, Q]
        dshared = scaled.sum(1).sum(2).transpose(-1, -2)  # one by one: a sum over both is 20 times slower
        return dshared, scaled.mul_(upright(shared)).sum(4)

    dc, denter = split(dentering, enter, inputs.c)
    db, dleave = split(dleaving, leave, inputs.b)
    dupto += denter
    dupto -= dleave
    if dweight is not None and inputs.weight is not None:
        dweight += denter.sum((0, 2, 4)) / inputs.weight
    dcarry = (dinflow * state).sum(-1).unflatten(3, (part.slots, -1)).sum(-1) * carry
    return dx, db, dc, dleave.sum(-1) + dcarry
