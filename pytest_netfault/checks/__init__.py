"""Histories and traces in, verdicts out: pure functions over frozen data, with nothing but the standard library.

======================  ==========================================================================
``trace``               what a store committed, and what was delivered to a subscriber
``guarantees``          which guarantees of a subscription a trace breaks
``promises``            what a subscription may be promised, and by which guarantees each promise is judged
``acks``                what became of acknowledged writes, for stores that expose no revision
``history``             operations of concurrent processes, one event a line
``linearizability``     whether one order of those operations explains every answer
``judging``             the verdicts on everything that the text of a file holds
======================  ==========================================================================

Each verdict has the interface of ``verdict``. It is kept, broken or inconclusive, and the last is never
reported as the first.
"""

from __future__ import annotations
