"""Top-1 accuracies on ImageNet as their sources print them; nothing here was measured by us."""

from typing import NamedTuple


class Accuracy(NamedTuple):
    """What a source says of one network."""

    network: str
    top1: float  # percent, one crop, ImageNet validation
    params: float  # millions, as printed
    macs: float | None  # billions of multiply-adds as printed; counting conventions differ
    source: str
    recipe: str = ""  # what the training had beyond that of the rest of its family


PAPER = "Tan & Le 2019 (EfficientNet, arXiv v5), Table 2"
NOISY = "Xie et al. 2020 (Noisy Student)"
LITE = "tensorflow/tpu, efficientnet/lite/README"
V2 = "Tan & Le 2021 (EfficientNetV2); google/automl, efficientnetv2/README"
MNASNET = "Tan et al. 2019 (MnasNet), Table 1"
V1_MOBILE = "Howard et al. 2017 (MobileNet), Table 6"
V2_MOBILE = "Sandler et al. 2018 (MobileNetV2), Table 4"
V2_README = "tensorflow/models, slim/nets/mobilenet/README"
TORCHVISION = "torchvision, first weights"
TINY = "Han et al. 2020 (TinyNet, arXiv 2010.14819)"

#: Accuracies of networks that `published` knows by name.
ACCURACIES = (
    Accuracy("efficientnet-b0", 77.1, 5.3, 0.39, PAPER),
    Accuracy("efficientnet-b1", 79.1, 7.8, 0.70, PAPER),
    Accuracy("efficientnet-b2", 80.1, 9.2, 1.0, PAPER),
    Accuracy("efficientnet-b3", 81.6, 12.0, 1.8, PAPER),
    Accuracy("efficientnet-b4", 82.9, 19.0, 4.2, PAPER),
    Accuracy("efficientnet-b5", 83.6, 30.0, 9.9, PAPER),
    Accuracy("efficientnet-b6", 84.0, 43.0, 19.0, PAPER),
    Accuracy("efficientnet-b7", 84.3, 66.0, 37.0, PAPER),
    Accuracy("efficientnet-b8", 85.5, 88.0, None, "Xie et al. 2020 (AdvProp)", "AdvProp"),
    Accuracy("efficientnet-l2", 88.4, 480.0, None, NOISY, "300M unlabelled images"),
    Accuracy("efficientnet-l2-475", 88.2, 480.0, None, NOISY, "300M unlabelled images"),
    Accuracy("efficientnet-lite0", 75.1, 4.7, 0.407, LITE),
    Accuracy("efficientnet-lite1", 76.7, 5.4, 0.631, LITE),
    Accuracy("efficientnet-lite2", 77.6, 6.1, 0.899, LITE),
    Accuracy("efficientnet-lite3", 79.8, 8.2, 1.44, LITE),
    Accuracy("efficientnet-lite4", 81.5, 13.0, 2.64, LITE),
    Accuracy("efficientnetv2-b0", 78.7, 7.1, 0.72, V2),
    Accuracy("efficientnetv2-b1", 79.8, 8.1, 1.2, V2),
    Accuracy("efficientnetv2-b2", 80.5, 10.1, 1.7, V2),
    Accuracy("efficientnetv2-b3", 82.1, 14.4, 3.0, V2),
    Accuracy("efficientnetv2-s", 83.9, 21.5, 8.4, V2),
    Accuracy("efficientnetv2-m", 85.2, 54.1, 24.7, V2),
    Accuracy("efficientnetv2-l", 85.7, 119.5, 56.3, V2),
    Accuracy("mnasnet-a1", 75.2, 3.9, 0.312, MNASNET),
    Accuracy("mobilenet-v1-0.25", 50.6, 0.5, 0.041, V1_MOBILE),
    Accuracy("mobilenet-v1-0.5", 63.7, 1.3, 0.149, V1_MOBILE),
    Accuracy("mobilenet-v1-0.75", 68.4, 2.6, 0.325, V1_MOBILE),
    Accuracy("mobilenet-v1", 70.6, 4.2, 0.569, V1_MOBILE),
    Accuracy("mobilenet-v2-0.35", 60.3, 1.66, 0.059, V2_README),
    Accuracy("mobilenet-v2-0.5", 65.4, 1.95, 0.097, V2_README),
    Accuracy("mobilenet-v2-0.75", 69.8, 2.61, 0.209, V2_README),
    Accuracy("mobilenet-v2", 72.0, 3.4, 0.300, V2_MOBILE),
    Accuracy("mobilenet-v2-1.4", 74.7, 6.9, 0.585, V2_MOBILE),
    Accuracy("resnet-18", 69.76, 11.7, None, TORCHVISION),
    Accuracy("resnet-34", 73.31, 21.8, None, TORCHVISION),
    Accuracy("resnet-50", 76.0, 26.0, 4.1, PAPER),
    Accuracy("resnet-101", 77.37, 44.5, None, TORCHVISION),
    Accuracy("resnet-152", 77.8, 60.0, 11.0, PAPER),
    Accuracy("tinynet-a", 76.8, 6.2, 0.339, TINY),
    Accuracy("tinynet-b", 75.0, 3.7, 0.202, TINY),
    Accuracy("tinynet-c", 71.2, 2.5, 0.100, TINY),
    Accuracy("tinynet-d", 67.0, 2.3, 0.052, TINY),
    Accuracy("tinynet-e", 59.9, 2.0, 0.024, TINY),
)

#: The networks that EfficientNet was announced against.
RIVALS = (
    Accuracy("ResNet-50", 76.0, 26.0, 4.1, PAPER),
    Accuracy("DenseNet-169", 76.2, 14.0, 3.5, PAPER),
    Accuracy("ResNet-152", 77.8, 60.0, 11.0, PAPER),
    Accuracy("DenseNet-264", 77.9, 34.0, 6.0, PAPER),
    Accuracy("Inception-v3", 78.8, 24.0, 5.7, PAPER),
    Accuracy("Xception", 79.0, 23.0, 8.4, PAPER),
    Accuracy("Inception-v4", 80.0, 48.0, 13.0, PAPER),
    Accuracy("Inception-ResNet-v2", 80.1, 56.0, 13.0, PAPER),
    Accuracy("ResNeXt-101", 80.9, 84.0, 32.0, PAPER),
    Accuracy("PolyNet", 81.3, 92.0, 35.0, PAPER),
    Accuracy("SENet", 82.7, 146.0, 42.0, PAPER),
    Accuracy("NASNet-A", 82.7, 89.0, 24.0, PAPER),
    Accuracy("AmoebaNet-A", 82.8, 87.0, 23.0, PAPER),
    Accuracy("PNASNet", 82.9, 86.0, 23.0, PAPER),
    Accuracy("AmoebaNet-C", 83.5, 155.0, 41.0, PAPER),
    Accuracy("GPipe (AmoebaNet-B)", 84.3, 557.0, None, PAPER),
)
