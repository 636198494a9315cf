"""Flow-based image abstraction (Kang, Lee, Chui 2009): lines and colours that follow a picture's edges."""

from toonlab.representations.flow.abstraction import FlowAbstraction
from toonlab.representations.flow.bilateral import FlowBilateral
from toonlab.representations.flow.field import EdgeTangentFlow
from toonlab.representations.flow.lines import FlowLines
from toonlab.representations.flow.tones import Tones

__all__ = ["EdgeTangentFlow", "FlowAbstraction", "FlowBilateral", "FlowLines", "Tones"]
