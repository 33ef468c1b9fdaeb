"""The two families. `build` makes the one that a config describes."""

from __future__ import annotations

from modeling.config import FalconMambaConfig, ModelConfig
from modeling.models.falcon_h1 import FalconH1
from modeling.models.falcon_mamba import FalconMamba
from modeling.models.language_model import LanguageModel

__all__ = ["FalconH1", "FalconMamba", "LanguageModel", "build"]


def build(config: ModelConfig) -> LanguageModel:
    """An uninitialised model of the config's family and shape, on torch's current default device (`meta` to plan a load)."""
    return FalconMamba(config) if isinstance(config, FalconMambaConfig) else FalconH1(config)
