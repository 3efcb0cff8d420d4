import torch

import nas
from nas.supernet.supernet import placed_operators


def first_inputs(supernet, architecture, images):
    """What the first norm of the network sees: the stem's convolution of the resized images."""
    from nas.nn.subnet import resize
    from nas.supernet.slicing import take_slice

    conv = supernet.shared["stem"].conv.conv
    op = placed_operators(architecture, 10)[0][1]
    weight = take_slice(conv.weight, torch.Size([op.out_channels, 3, 3, 3]))
    return torch.nn.functional.conv2d(resize(images, architecture.resolution), weight, stride=2, padding=1)


def test_pooled_batches_give_the_statistics_of_all_images_at_once(toy, make_supernet, images):
    supernet, architecture = make_supernet(toy), toy.largest()
    seen = first_inputs(supernet, architecture, images)
    stats = nas.calibrate(supernet, architecture, images, batch_size=3)[0]
    torch.testing.assert_close(stats["conv.norm.running_mean"], seen.mean((0, 2, 3)))
    torch.testing.assert_close(stats["conv.norm.running_var"], seen.var((0, 2, 3), correction=0))


def test_calibration_changes_nothing_in_the_supernet_and_is_repeatable(toy, make_supernet, images):
    supernet, architecture = make_supernet(toy), toy.smallest()
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    first, second = (nas.calibrate(supernet, architecture, images) for _ in range(2))
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert not supernet.training
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_calibrated_subnet_behaves_as_in_training_on_the_calibration_images(toy, make_supernet, images):
    supernet, architecture = make_supernet(toy), toy.largest()
    stats = nas.calibrate(supernet, architecture, images)
    with torch.no_grad():
        calibrated = supernet(images, architecture, stats)
        torch.testing.assert_close(supernet.train()(images, architecture), calibrated, rtol=1e-4, atol=1e-4)
