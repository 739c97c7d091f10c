"""hacm: self-supervised skeleton-based action recognition with cross masking.

The names below load on first use, so that `import hacm` stays quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "HacmError": "hacm.errors",
    "SkeletonLayout": "hacm.skeleton",
    "get_layout": "hacm.skeleton",
    "SequenceStore": "hacm.data.store",
    "open_data": "hacm.data.builtin",
    "Sequences": "hacm.data.sequences",
    "Config": "hacm.config",
    "draw_masks": "hacm.masking.draw",
    "make_config": "hacm.presets",
    "Encoder": "hacm.models.encoder",
    "Pretrainer": "hacm.models.pretrainer",
    "pretrain": "hacm.training.pretrain",
    "evaluate": "hacm.training.evaluate",
    "ensemble": "hacm.training.scores",
    "load_encoder": "hacm.training.checkpoint",
    "import_released": "hacm.training.released",
    "import_released_classifier": "hacm.training.released",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hacm' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
