"""How to train."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm.errors import ConfigError, check_count


@dataclass(frozen=True)
class Settings:
    """How to train: Adam with a rate that falls to zero along a cosine, and clipped gradients."""

    steps: int = 500
    batch: int = 32
    rate: float = 0.03
    clip: float | None = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("seed", 0)):
            object.__setattr__(self, name, check_count(name, getattr(self, name), least))
        if not (self.rate > 0 and np.isfinite(self.rate)):
            raise ConfigError(f"the learning rate must be positive, not {self.rate}")
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(f"the clipping norm must be positive, not {self.clip}")
