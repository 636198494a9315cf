"""placeholder"""
from __future__ import annotations
class Stabiliser: ...
def stabiliser(name): 
    return None
