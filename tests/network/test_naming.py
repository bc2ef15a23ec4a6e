"""Other libraries' names of the same networks: a few are written down here from their own files."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.errors import InvalidSetting
from autoscale.network.build import build
from autoscale.network.naming import NAMINGS, Naming, naming_of
from autoscale.network.weights import STYLES, class_rows, load_weights

BY_NETWORK = {naming.network: naming for naming in NAMINGS}
LUKEMELAS = BY_NETWORK["EfficientNet-PyTorch"]
TRANSFORMERS = BY_NETWORK["transformers' EfficientNet"]
TORCHVISION, MOBILENET, MOBILENET_V3, RESNET, CONVNEXT = (
    BY_NETWORK[f"torchvision's {name}"]
    for name in ("EfficientNet", "MobileNetV2", "MobileNetV3", "ResNet", "ConvNeXt")
)


def weights_of(name: str, naming: Naming) -> tuple[nn.Module, dict[str, Tensor]]:
    """A small-headed network on no device, and its state dict as the library would write it."""
    with torch.device("meta"):
        network = build(replace(published(name), num_classes=10))
    state = network.state_dict()
    names = naming.names(state)
    return network, {names[name]: value for name, value in state.items()}


@pytest.mark.parametrize(
    ("network", "naming", "entries", "known"),
    [
        (
            "efficientnet-b0", LUKEMELAS, 360,
            {"_conv_stem.weight": (32, 3, 3, 3), "_bn0.running_var": (32,),
             "_blocks.0._depthwise_conv.weight": (32, 1, 3, 3), "_blocks.0._bn1.bias": (32,),
             "_blocks.0._se_reduce.weight": (8, 32, 1, 1), "_blocks.0._se_expand.bias": (32,),
             "_blocks.0._project_conv.weight": (16, 32, 1, 1),
             "_blocks.1._expand_conv.weight": (96, 16, 1, 1), "_blocks.1._bn0.weight": (96,),
             "_blocks.15._bn2.running_mean": (320,), "_conv_head.weight": (1280, 320, 1, 1),
             "_bn1.num_batches_tracked": (), "_fc.weight": (10, 1280), "_fc.bias": (10,)},
        ),
        ("efficientnet-lite0", LUKEMELAS, 296, {"_blocks.3._expand_conv.weight": (144, 24, 1, 1)}),
        (
            "efficientnet-b0", TORCHVISION, 360,
            {"features.0.0.weight": (32, 3, 3, 3), "features.0.1.running_mean": (32,),
             "features.1.0.block.0.0.weight": (32, 1, 3, 3),
             "features.1.0.block.1.fc1.weight": (8, 32, 1, 1),
             "features.1.0.block.1.fc2.bias": (32,),
             "features.1.0.block.2.0.weight": (16, 32, 1, 1),
             "features.2.0.block.0.0.weight": (96, 16, 1, 1),
             "features.2.1.block.3.1.weight": (24,),
             "features.7.0.block.2.fc1.weight": (48, 1152, 1, 1),
             "features.8.0.weight": (1280, 320, 1, 1), "classifier.1.weight": (10, 1280)},
        ),
        (
            "efficientnetv2-s", TORCHVISION, 782,
            {"features.1.0.block.0.0.weight": (24, 24, 3, 3),
             "features.2.0.block.1.0.weight": (48, 96, 1, 1),
             "features.6.14.block.2.fc1.weight": (64, 1536, 1, 1),
             "features.7.0.weight": (1280, 256, 1, 1)},
        ),
        (
            "mobilenet-v2", MOBILENET, 314,
            {"features.1.conv.0.0.weight": (32, 1, 3, 3),
             "features.1.conv.1.weight": (16, 32, 1, 1),
             "features.1.conv.2.running_var": (16,), "features.2.conv.0.0.weight": (96, 16, 1, 1),
             "features.2.conv.1.1.bias": (96,), "features.2.conv.2.weight": (24, 96, 1, 1),
             "features.17.conv.3.weight": (320,), "features.18.0.weight": (1280, 320, 1, 1),
             "features.18.1.weight": (1280,), "classifier.1.bias": (10,)},
        ),
        (
            "efficientnet-b0", TRANSFORMERS, 360,
            {"efficientnet.embeddings.convolution.weight": (32, 3, 3, 3),
             "efficientnet.embeddings.batchnorm.running_var": (32,),
             "efficientnet.encoder.blocks.0.depthwise_conv.depthwise_conv.weight": (32, 1, 3, 3),
             "efficientnet.encoder.blocks.0.squeeze_excite.reduce.weight": (8, 32, 1, 1),
             "efficientnet.encoder.blocks.0.projection.project_conv.weight": (16, 32, 1, 1),
             "efficientnet.encoder.blocks.1.expansion.expand_conv.weight": (96, 16, 1, 1),
             "efficientnet.encoder.blocks.1.expansion.expand_bn.weight": (96,),
             "efficientnet.encoder.blocks.15.projection.project_bn.running_mean": (320,),
             "efficientnet.encoder.top_conv.weight": (1280, 320, 1, 1),
             "efficientnet.encoder.top_bn.bias": (1280,), "classifier.weight": (10, 1280)},
        ),
        (
            "resnet-18", RESNET, 122,
            {"conv1.weight": (64, 3, 7, 7), "bn1.bias": (64,),
             "layer1.0.conv1.weight": (64, 64, 3, 3), "layer2.0.downsample.0.weight":
             (128, 64, 1, 1), "layer4.1.bn2.weight": (512,), "fc.weight": (10, 512)},
        ),
        (
            "resnet-50", RESNET, 320,
            {"layer1.0.conv3.weight": (256, 64, 1, 1), "layer1.0.downsample.1.bias": (256,),
             "layer4.2.bn3.weight": (2048,)},
        ),
    ],
)  # fmt: skip
def test_every_part_has_the_name_and_the_shape_that_it_has_there(
    network: str, naming: Naming, entries: int, known: dict[str, tuple[int, ...]]
) -> None:
    _, theirs = weights_of(network, naming)
    assert len(theirs) == entries
    assert {name: tuple(theirs[name].shape) for name in known} == known
    assert naming_of(theirs) is naming
    assert class_rows(theirs) == 10


@pytest.mark.parametrize("naming", NAMINGS, ids=lambda naming: naming.network)
def test_weights_load_under_every_librarys_names(naming: Naming) -> None:
    name = {
        RESNET: "resnet-18", MOBILENET: "mobilenet-v2-0.5", MOBILENET_V3: "mobilenetv3-small",
        CONVNEXT: "convnext-atto", BY_NETWORK["timm's ConvNeXt"]: "convnext-atto",
    }.get(naming, "efficientnet-lite0")  # fmt: skip
    design: Architecture = replace(published(name), resolution=32, num_classes=3)
    torch.manual_seed(0)
    source, target = build(design), build(design)
    names = naming.names(source.state_dict())
    theirs = {names[name]: value for name, value in source.state_dict().items()}
    assert load_weights(target, theirs) == []
    assert all(torch.equal(v, source.state_dict()[n]) for n, v in target.state_dict().items())


@pytest.mark.parametrize(
    ("network", "style"),
    [("efficientnet-b0", "timm"), ("efficientnet-b4", "timm"), ("efficientnet-b5", "autoscale"),
     ("efficientnetv2-s", "autoscale")],
)  # fmt: skip
def test_torchvisions_epsilon_hangs_on_the_network(network: str, style: str) -> None:
    _, theirs = weights_of(network, TORCHVISION)
    assert TORCHVISION.style(theirs) == STYLES[style]


@pytest.mark.parametrize(
    ("network", "of", "naming", "message"),
    [
        ("resnet-18", "efficientnet-b0", LUKEMELAS, "EfficientNet-PyTorch has nothing like"),
        ("efficientnet-b1", "efficientnet-b0", LUKEMELAS, "names are EfficientNet-PyTorch's"),
        ("efficientnet-b0", "mobilenet-v2", MOBILENET, "MobileNetV2 has nothing like"),
        ("efficientnet-b0", "resnet-18", RESNET, "torchvision's ResNet has nothing like"),
    ],
)
def test_another_networks_weights_are_named_by_their_library(
    network: str, of: str, naming: Naming, message: str
) -> None:
    _, theirs = weights_of(of, naming)
    with torch.device("meta"):
        target = build(replace(published(network), num_classes=10))
    with pytest.raises(InvalidSetting, match=message):
        load_weights(target, theirs)


def test_names_of_an_unknown_library_are_called_so() -> None:
    network = build(replace(published("mobilenet-v2-0.5"), num_classes=2))
    theirs = {f"efficientnet.encoder.{n}": v for n, v in network.state_dict().items()}
    with pytest.raises(InvalidSetting, match="neither autoscale's nor those of timm"):
        load_weights(network, theirs)


def test_quantised_numbers_are_refused() -> None:
    network = build(replace(published("mobilenet-v2-0.5"), num_classes=2))
    theirs = network.state_dict() | {"stem.0.weight": torch.zeros(16, 3, 3, 3, dtype=torch.int8)}
    with pytest.raises(InvalidSetting, match=r"stem\.0\.weight holds int8 numbers"):
        load_weights(network, theirs)


def test_rows_of_known_classes_go_where_they_belong_and_others_stay_fresh() -> None:
    design = replace(published("mobilenet-v2-0.5"), num_classes=3)
    torch.manual_seed(0)
    source, target = build(design), build(replace(design, num_classes=4))
    before = {n: v.clone() for n, v in target.state_dict().items()}
    assert load_weights(target, source.state_dict(), rows=(2, None, 0, None)) == []
    for leaf in ("weight", "bias"):
        name = f"head.classifier.{leaf}"
        found, theirs = target.state_dict()[name], source.state_dict()[name]
        assert torch.equal(found[[0, 2]], theirs[[2, 0]])
        assert torch.equal(found[[1, 3]], before[name][[1, 3]])
    assert torch.equal(target.state_dict()["stem.0.weight"], source.state_dict()["stem.0.weight"])


def test_weights_without_a_classifier_serve_where_none_of_it_is_wanted() -> None:
    network = build(replace(published("mobilenet-v2-0.5"), num_classes=2))
    theirs = {n: v for n, v in network.state_dict().items() if "classifier" not in n}
    assert class_rows(theirs) is None
    assert load_weights(network, theirs, rows=(None, None)) == []
    with pytest.raises(InvalidSetting, match=r"missing head\.classifier\.weight"):
        load_weights(network, theirs)
