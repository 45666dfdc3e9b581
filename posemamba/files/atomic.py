"""Old name of :mod:`posemamba.files.output`."""

from posemamba.files.output import replacing as replacing
