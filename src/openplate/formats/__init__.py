"""Plate formats: one TOML file a country in, grammars (for decoding) and drawing specs (for synthesis) out.

A file's form is described in docs/formats.md. Everything here is data: a new country needs no code.
"""

from openplate.formats.automaton import Automaton
from openplate.formats.load import load_formats, select
from openplate.formats.model import Field, Format, Mark, PlateType, Row

__all__ = ["Automaton", "Field", "Format", "Mark", "PlateType", "Row", "load_formats", "select"]
