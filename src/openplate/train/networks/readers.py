"""The readers by name: a checkpoint's settings in, the network out. All take crops `(N, 1, 48, 192)` and give log-probabilities `(N, T, K)`, T = 96;
one that tells countries gives a row more (see `crnn.Origin`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from openplate.charset import Charset
from openplate.errors import ConfigError
from openplate.train.networks.crnn import Crnn
from openplate.train.networks.crnn_deep import CrnnDeep
from openplate.train.networks.efficientnet import EfficientNetB3
from openplate.train.networks.lprnet import LprNet
from openplate.train.networks.residual import ResidualReader
from openplate.train.networks.stn import Transformed

READERS = ("crnn", "crnn_deep", "residual", "lprnet", "lprnet_resnet", "efficientnet_b3")


def build_reader(settings: Mapping[str, Any]) -> nn.Module:
    """The network of a reader, untrained. Its last layer is called `classify`, and row k of that layer's weights is class k.

    Args:
        settings: `characters` (the charset), `width`, `hidden` (of recurrent readers), `network` (one of `READERS`; "crnn" where it is missing) and
            `transformer` (whether a spatial transformer stands in front; no where it is missing)
            and `origins` (codes of the countries that it tells apart; none where they are missing).

    Raises:
        ConfigError: there is no such network, or it cannot tell countries.
    """
    name, width, hidden = settings.get("network", "crnn"), settings["width"], settings["hidden"]
    classes = len(Charset(settings["characters"]))
    origins = settings.get("origins", [])
    if origins and name in READERS and name != "crnn":
        raise ConfigError(f'tell_countries: only network = "crnn" does, got {name!r}; take it out')
    if len(origins) > classes:
        raise ConfigError(
            f"tell_countries: expected at most {classes} countries, as many as there are classes, got {len(origins)}; name fewer in countries"
        )
    reader: nn.Module
    match name:
        case "crnn":
            reader = Crnn(classes, width, hidden, len(origins))
        case "crnn_deep":
            reader = CrnnDeep(classes, width, hidden)
        case "residual":
            reader = ResidualReader(classes, width)
        case "lprnet":
            reader = LprNet(classes, width)
        case "lprnet_resnet":
            reader = LprNet(classes, width, residual=True)
        case "efficientnet_b3":
            reader = EfficientNetB3(classes, width, hidden)
        case _:
            raise ConfigError(f"network: expected one of {', '.join(READERS)}, got {name!r}")
    return Transformed(reader) if settings.get("transformer", False) else reader
