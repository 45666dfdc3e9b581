"""Old name of :mod:`posemamba.files.output`."""

from posemamba.files.output import is_one_of as is_one_of
from posemamba.files.output import why_unwritable as why_unwritable
