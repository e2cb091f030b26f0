"""A small store over TCP, a correct client of it (`toy`), and clients with one mistake each (`subscribers`)."""
