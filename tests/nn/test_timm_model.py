import pytest
import timm
import torch

from nas.errors import NasError
from nas.nn.timm_model import DEFAULT_MODELS, Reference, build_reference, parse_reference, weights_file


@pytest.mark.parametrize(
    ("text", "native", "expected"),
    [
        ("resnet10t", 32, Reference("resnet10t", 32)),
        ("mobilenetv3_small_050", 32, Reference("mobilenetv3_small_050", 64)),
        ("mobilenetv3_small_050", 96, Reference("mobilenetv3_small_050", 96)),
        ("resnet18", 32, Reference("resnet18", 32)),
        (" resnet10t@64 ", 32, Reference("resnet10t", 64)),
        ("vit_tiny_patch16_224@32/4", 32, Reference("vit_tiny_patch16_224", 32, 4)),
    ],
)
def test_a_reference_has_the_size_asked_for_else_the_best_known_else_that_of_the_data(text, native, expected):
    assert parse_reference(text, native) == expected


def test_a_reference_written_down_is_read_back():
    for reference in (Reference("resnet10t", 48), Reference("vit_tiny_patch16_224", 32, 4)):
        assert parse_reference(str(reference), 32) == reference


def test_patches_have_the_size_asked_for():
    model = build_reference(Reference("vit_tiny_patch16_224", 32, 4), 10)
    assert model.model.patch_embed.num_patches == 64


def test_weights_of_a_file_are_taken_over_but_for_the_classifier(tmp_path):
    donor, reference = timm.create_model("resnet10t"), Reference("resnet10t", 32)
    torch.save(donor.state_dict(), tmp_path / "resnet10t.pth")
    model = build_reference(reference, 10, weights_file(reference, tmp_path)).model
    assert torch.equal(model.layer1[0].conv1.weight, donor.layer1[0].conv1.weight)
    assert model.fc.weight.shape[0] == 10


@pytest.mark.parametrize(
    ("typed", "meant"), [("resnet10tt", "resnet10t"), ("mobilnetv3_small_050", "mobilenetv3_small_050")]
)
def test_an_unknown_model_names_the_close_match(typed, meant):
    with pytest.raises(NasError, match=f"timm has no model '{typed}'.*Did you mean '{meant}'"):
        parse_reference(typed, 32)


def test_a_name_like_no_other_still_lists_some_models():
    with pytest.raises(NasError, match=r"Known: .*resnet10t"):
        parse_reference("@@", 32)


@pytest.mark.parametrize("size", ["0", "-1", "big", "6.5"])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(NasError, match=f"'{size}' is not an input size.*resnet10t@64"):
        parse_reference(f"resnet10t@{size}", 32)


@pytest.mark.parametrize("name", DEFAULT_MODELS)
def test_the_default_models_take_images_of_any_size_and_begin_in_training_mode(name):
    model = build_reference(parse_reference(name, 32), num_classes=7)
    assert model.training
    with torch.no_grad():
        assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
        assert model(torch.zeros(1, 3, 20, 20)).shape == (1, 7)


def test_a_model_sees_the_images_at_its_own_size():
    model = build_reference(Reference("resnet10t", 48), 10).eval()
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model(images), model.model(images))


def test_a_size_that_a_model_cannot_take_is_refused():
    with pytest.raises(NasError, match=r"vit_tiny_patch16_224@32 cannot be built: .*Try another size"):
        build_reference(Reference("vit_tiny_patch16_224", 32), 10)
