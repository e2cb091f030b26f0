"""Histories and traces in, verdicts out: pure functions over frozen data, with nothing but the standard library.

======================  ==========================================================================
``trace``               what a store committed and what a subscriber was handed of it
``guarantees``          which guarantees of a subscription a trace breaks
``acks``                what became of acknowledged writes, for stores that expose no revision
``history``             operations of concurrent processes, one event a line
``linearizability``     whether one order of those operations explains every answer
======================  ==========================================================================

A verdict is kept, broken or inconclusive, and the last is never shown as the first.
"""

from __future__ import annotations
