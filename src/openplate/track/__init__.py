"""Plates of successive frames in, sightings out: following, association, fusing and the rules of a visit."""

from __future__ import annotations

from openplate.track.settings import DEFAULT_SETTINGS, WatchSettings

__all__ = ["DEFAULT_SETTINGS", "WatchSettings"]
