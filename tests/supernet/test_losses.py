import torch
from torch.nn import functional as F

from nas.supernet.losses import child_loss, distillation


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
