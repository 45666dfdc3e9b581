"""The one exception for mistakes a user can mend."""

from __future__ import annotations


class InputError(ValueError):
    """A request or an input is wrong; the message is one line that names the fix.

    Command-line tools print it as it is and exit with code 2.
    """


class Caution(UserWarning):
    """A doubt about the result of a command: of no use where it fails for another reason."""
