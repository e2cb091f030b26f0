"""Numbers in sentences."""

from __future__ import annotations

__all__ = ["counted", "were"]


def counted(number: int, thing: str, things: str = "") -> str:
    """A number with what it counts, in the singular or the plural.

    Args:
        number: how many; thousands are separated, as numbers of bytes and places are long.
        thing: what one of them is called.
        things: what several of them are called, where that is not ``thing`` with an s.

    >>> counted(1, "example"), counted(0, "example"), counted(1412, "place")
    ('1 example', '0 examples', '1,412 places')
    >>> counted(2, "cut that hit traffic", "cuts that hit traffic")
    '2 cuts that hit traffic'
    """
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def were(number: int) -> str:
    """The verb that goes with a number of things.

    >>> were(1), were(3)
    ('was', 'were')
    """
    return "was" if number == 1 else "were"
