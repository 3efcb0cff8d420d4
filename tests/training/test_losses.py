import math

import pytest
import torch
from torch.nn import functional as F

from nas.training.losses import LOSSES, adaptive_alpha, alpha_divergence, child_loss, distillation


def test_distillation_is_least_where_student_and_teacher_agree_and_spares_the_teacher():
    teacher = torch.randn(6, 4, requires_grad=True)
    student = torch.randn(6, 4, requires_grad=True)
    entropy = distillation(teacher.detach(), teacher)
    assert distillation(student, teacher) > entropy
    grads = torch.autograd.grad(distillation(student, teacher), [student, teacher], allow_unused=True)
    assert grads[0].abs().sum() > 0 and grads[1] is None
    torch.testing.assert_close(grads[0], (student.softmax(1) - teacher.softmax(1)).detach() / 6)


def test_the_mixture_has_the_labels_at_one_end_and_the_teacher_at_the_other():
    teacher, student, labels = torch.randn(6, 4), torch.randn(6, 4), torch.arange(6) % 4
    torch.testing.assert_close(child_loss(student, teacher, labels, 0.0), F.cross_entropy(student, labels))
    torch.testing.assert_close(child_loss(student, teacher, labels, 1.0), distillation(student, teacher))


def logits(scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(8, 10, generator=generator, dtype=torch.float64)


def reference(p, q, alpha):
    """The definition, in probabilities and float64."""
    if alpha == 1:
        return (p * (p / q).log()).sum(1)
    if alpha == 0:
        return (q * (q / p).log()).sum(1)
    return (q * ((p / q) ** alpha - 1)).sum(1) / (alpha * (alpha - 1))


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_an_alpha_divergence_is_its_definition_and_its_surrogate_has_its_gradient(alpha):
    teacher, student = logits(seed=1), logits(seed=2).requires_grad_()
    true = reference(teacher.softmax(1), student.softmax(1), alpha)
    found, weights = alpha_divergence(teacher.log_softmax(1), student.log_softmax(1), alpha, clamp=math.inf)
    torch.testing.assert_close(found, true)
    (expected,) = torch.autograd.grad(true.sum(), student)
    (given,) = torch.autograd.grad(-(weights.detach() * student.log_softmax(1)).sum(), student)
    torch.testing.assert_close(given, expected, atol=1e-12, rtol=1e-12)


def test_the_adaptive_divergence_takes_the_larger_one_of_each_image():
    teacher, student = logits(0.7, seed=3), logits(0.7, seed=4).requires_grad_()
    p, q = teacher.softmax(1), student.softmax(1)
    both = torch.stack([reference(p, q, alpha) for alpha in (-1.0, 1.0)])
    sides = both.argmax(0)
    assert set(sides.tolist()) == {0, 1}
    (given,) = torch.autograd.grad(adaptive_alpha(student, teacher), student)
    (expected,) = torch.autograd.grad(both.max(0).values.mean(), student)
    unclamped = ((q / p).max(1).values < 5).nonzero().flatten()
    assert len(unclamped) > 2
    torch.testing.assert_close(given[unclamped].float(), expected[unclamped].float(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("one_hot", ["no", "large", "infinite"])
def test_losses_and_gradients_stay_finite(scale, one_hot):
    teacher, student = logits(scale, seed=5).float(), logits(scale, seed=6).float().requires_grad_()
    if one_hot != "no":
        off = -math.inf if one_hot == "infinite" else -1e4
        teacher = torch.where(F.one_hot(torch.arange(8), 10).bool(), 0.0, off)
    loss = adaptive_alpha(student, teacher)
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()


@pytest.mark.parametrize("towards", LOSSES)
def test_every_loss_draws_the_student_to_the_teacher_whom_it_spares(towards):
    teacher = logits(2.0, seed=7).float().requires_grad_()
    student = logits(2.0, seed=8).float().requires_grad_()
    before = (teacher.softmax(1) - student.softmax(1)).abs().sum().item()
    optimizer = torch.optim.Adam([student], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        LOSSES[towards](student, teacher).backward()
        optimizer.step()
    assert (teacher.softmax(1) - student.softmax(1)).abs().sum().item() < 0.05 * before
    assert teacher.grad is None
