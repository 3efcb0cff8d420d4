import pytest
import torch

from nas.training.mixup import mixed


def batch():
    return torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4


def test_without_mixing_the_batch_is_as_it_was():
    images, labels = batch()
    same, as_before = mixed(images, labels, 4, 0.0, 0.0, [0, 0])
    assert same is images and as_before is labels


@pytest.mark.parametrize("asked", [{"mixup": 0.8}, {"cutmix": 1.0}])
def test_labels_say_how_much_of_each_image_there_is(asked):
    images, labels = batch()
    found, soft = mixed(images, labels, 4, asked.get("mixup", 0.0), asked.get("cutmix", 0.0), [0, 1])
    torch.testing.assert_close(soft.sum(1), torch.ones(8))
    share, partner = soft[1, labels[1]].item(), images.roll(1, 0)  # torchvision mixes each image with the one before
    if "mixup" in asked:
        torch.testing.assert_close(found, share * images + (1 - share) * partner)
    else:
        kept = (found == images).all(1)
        assert torch.equal(torch.where(kept[:, None], images, partner), found)
        assert kept[1].float().mean().item() == pytest.approx(share)


def test_both_occur_and_the_same_step_mixes_alike_whatever_the_global_state():
    images, labels = batch()
    before = torch.get_rng_state()
    first = [mixed(images, labels, 4, 0.8, 1.0, [0, step])[0] for step in range(8)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert all(torch.equal(mixed(images, labels, 4, 0.8, 1.0, [0, step])[0], first[step]) for step in range(8))
    cut = [any(torch.equal(pixel, images[0, :, 0, 0]) for pixel in each[0].flatten(1).T) for each in first]
    assert 0 < sum(cut) < 8
