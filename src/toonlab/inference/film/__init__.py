"""From a film to a painted film, resumable at any time: `paint_film`."""

from toonlab.inference.film.encoding import Encoding
from toonlab.inference.film.formats import BadFilmError
from toonlab.inference.film.painting import FilmOutcome, paint_film

__all__ = ["BadFilmError", "Encoding", "FilmOutcome", "paint_film"]
