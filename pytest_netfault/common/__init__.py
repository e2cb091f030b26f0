"""Small things that every room may use; the standard library only. Nothing is imported here."""
