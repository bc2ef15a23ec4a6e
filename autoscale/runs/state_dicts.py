"""A state dict out of what training programs save."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from autoscale.errors import InvalidSetting

#: Names under which programs nest a state dict in a checkpoint, the best weights first: timm,
#: torchvision's references, Lightning and many others.
NESTED = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema",
    "state_dict", "model_state_dict", "model_state", "model", "net_state_dict", "net", "network",
    "weights", "params", "module",
)  # fmt: skip
#: What wrappers put before every name: DataParallel, torch.compile, Lightning's attributes, and a
#: network that is a part of another.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
#: A name in every network of ours and of each library's: what is put before it is a wrapper's too.
_FIRST = (
    "stem.0.weight", "conv_stem.weight", "_conv_stem.weight", "features.0.0.weight",
    "layer1.0.conv1.weight", "stem.conv.weight", "efficientnet.embeddings.convolution.weight",
)  # fmt: skip
#: Names of whole networks whose other names begin as a wrapper's do.
_WHOLE = ("efficientnet.embeddings.convolution.weight", "embeddings.convolution.weight")
#: Counters of wrappers, which are no part of a network (torch.optim.swa_utils.AveragedModel).
_COUNTERS = ("n_averaged",)
_MOST = 8  # levels of nesting, and wrappers of a name


def unwrapped(
    found: Any, path: Path, *, own: Collection[str] = ()
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state dict in a checkpoint, under the network's own names.

    A checkpoint's other entries (optimiser, epoch, arguments) are left aside, averaged weights are
    preferred, and what wrappers put before every name is taken off, several layers of it if need
    be. Of a training module that holds a network and tensors beside it, the network's are taken.

    Args:
        own: names of the network that the weights are for; what these begin with is no wrapper's.

    Returns:
        Tensors by name, and in sentences what was left aside.

    Raises:
        InvalidSetting: if there is no state dict of tensors.
    """
    for _ in range(_MOST):
        if not isinstance(found, Mapping) or _all_tensors(found):
            break
        inner = _nested(found)
        if inner is None:
            break
        found = inner
    if not isinstance(found, Mapping) or not _all_tensors(found):
        raise InvalidSetting(
            f"{path} holds no state dict of tensors{_what(found)}; save network.state_dict()"
        )
    state = {str(name): value for name, value in found.items() if name not in _COUNTERS}
    notes = []
    for _ in range(_MOST):
        prefix = _prefix(state, own)
        if prefix is None:
            break
        outside = [name for name in state if not name.startswith(prefix)]
        if outside:
            notes.append(f"{_list(outside)} of {path.name} were left aside: not under {prefix}")
        state = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
    return state, tuple(notes)


def _all_tensors(found: Mapping[Any, Any]) -> bool:
    return bool(found) and all(isinstance(value, Tensor) for value in found.values())


def _nested(found: Mapping[Any, Any]) -> Mapping[Any, Any] | None:
    """What stands under a known name, or is the only state dict there."""
    for name in NESTED:
        if isinstance(inner := found.get(name), Mapping) and inner:
            return inner
    others = [value for value in found.values() if isinstance(value, Mapping)]
    whole = [value for value in others if _all_tensors(value)]
    return whole[0] if len(whole) == 1 else None


def _prefix(state: Mapping[str, Tensor], own: Collection[str]) -> str | None:
    """What a wrapper put before the names, if most of them have it."""
    if not own and any(name in state for name in _WHOLE):
        return None
    known = tuple(f".{name}" for name in ([*own][:1] or _FIRST))
    found = {n[: -len(end)] + "." for n in state for end in known if n.endswith(end)}
    for prefix in (*PREFIXES, *sorted(found)):
        if any(name.startswith(prefix) for name in own):
            continue
        if 2 * sum(name.startswith(prefix) for name in state) > len(state):
            return prefix
    return None


def _what(found: Any) -> str:
    if not isinstance(found, Mapping):
        return f" but {'an' if type(found).__name__[0] in 'aeiou' else 'a'} {type(found).__name__}"
    if not found:
        return " but nothing"
    return f" but {_list([str(n) for n, v in found.items() if not isinstance(v, Tensor)])}"


def _list(names: list[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
